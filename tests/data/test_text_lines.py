"""Lines of files and of standard input, and the JSON in them."""

import pytest

from hf_ext.data.text_lines import read_texts


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        ([], []),
        (["甲\n", "\n", "乙"], ["甲", "乙"]),
        (['{"text": "甲"}\n', "\r\n", '{"text": "乙\\n丙"}'], ["甲", "乙\n丙"]),
        (['{ "text": "甲"}\n'], ["甲"]),
        (["{甲}\n"], ["{甲}"]),
    ],
)
def test_read_texts(lines, texts):
    assert list(read_texts(lines, "f")) == texts


@pytest.mark.parametrize("line", ['{"text": 3}', '{"texts": ""}', '{"text": "a"', '["text"]'])
def test_read_texts_names_the_line(line):
    with pytest.raises(ValueError, match="f:2: "):
        list(read_texts(['{"text": "a"}', line], "f"))
