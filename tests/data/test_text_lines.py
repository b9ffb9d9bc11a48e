"""Lines of files and of standard input, and the JSON in them."""

import io
import pickle
import random

import pytest

from hf_ext.data.text_lines import FileLine, TextFileError, fail, read_lines, read_texts, texts_of


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


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_texts_of_a_file_without_any(tmp_path, content):
    path = tmp_path / "none.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"none.txt must have at least one text, got none"):
        list(texts_of(path))


@pytest.mark.parametrize("line", ['{"text": 3}', '{"texts": ""}', '{"text": "a"', '["text"]'])
def test_read_texts_names_the_line(line):
    with pytest.raises(ValueError, match="f:2: "):
        list(read_texts(['{"text": "a"}', line], "f"))


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (['[{"text": "甲"}, {"text": "乙", "id": 1}]'], ["甲", "乙"]),
        (["[\n", ' {"text": "甲"},\n', "\n", ' {"text": "乙"}\n', "]\n"], ["甲", "乙"]),
        (["[\n", '"甲",\n', '"乙"]'], ["甲", "乙"]),
        (["{\n", '"text": "甲"\n', "}\n"], ["甲"]),
        (["[]\n"], []),
        (['\ufeff{"text": "甲"}\n'], ["甲"]),
        (["\ufeff甲\n", "\ufeff乙"], ["甲", "\ufeff乙"]),
        (["王小明\r去了\r\n", "广\u2028州\x85\n"], ["王小明\r去了", "广\u2028州\x85"]),
        (["[哈哈]\n", "[[北京]]是首都\n", "[1] 文献\n"], ["[哈哈]", "[[北京]]是首都", "[1] 文献"]),
        (["[] 待办\n", "{}占位\n", '{"a\n'], ["[] 待办", "{}占位", '{"a']),
        (['"甲"\n', "甲\tx\n"], ['"甲"', "甲\tx"]),
    ],
)
def test_read_texts_detects_the_format(lines, texts):
    assert list(read_texts(lines, "f")) == texts


def test_read_texts_reads_lines_as_they_are_asked_for():
    def lines(form):
        yield from (form.format(number) for number in range(5))
        raise AssertionError("too many lines are read")

    for form in ("{}\n", '{{"text": "{}"}}\n'):
        texts = read_texts(lines(form), "f")
        assert [next(texts) for _ in range(3)] == ["0", "1", "2"]


def test_read_texts_takes_a_file_whole():
    assert list(read_texts(["\ufeff甲\n", "\r\n", "乙"], "f", whole=True)) == ["甲\n\r\n乙"]
    with pytest.raises(ValueError, match=r"f: a text must be valid Unicode, got '.ud83d' at character 1"):
        list(read_texts(["甲\ud83d"], "f", whole=True))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["甲\n", "乙\ud83d\n"], "f:2: a text must be valid Unicode"),
        (['["甲",\n', "\n", "3]\n"], "f:3: a JSON line must be an object"),
        (['[{"text": "甲"},\n', '{"text": null}]\n'], "f:2: text must be a string, got 'None'"),
        (['[{"text": "甲"},\n', "]\n"], "f:2: the file must be JSON"),
        (['{"text": "甲", \n', '{"text": "甲"}\n'], "f:1: the file must be JSON"),
        (['{"text": "甲"},\n', '{"text": "甲"},\n'], "f:1: the file must be JSON"),
    ],
)
def test_read_texts_names_what_is_wrong(lines, message):
    with pytest.raises(ValueError, match=message):
        list(read_texts(lines, "f"))


def test_lines_are_those_of_python_but_for_their_ends(tmp_path):
    source = random.Random(0)
    characters = ["甲", "\n", "\r\n", "\r", "\x00", "\x0b", "\x1c", "\u2028", "\x85", " ", "😀", "\ufeff"]
    for _ in range(300):
        content = "甲乙丙" + "".join(source.choices(characters, k=source.randint(0, 12)))
        (tmp_path / "f").write_bytes(b"\xef\xbb\xbf" * source.randint(0, 1) + content.encode())
        wanted = io.StringIO(content, newline="\n").read().split("\n")
        if not wanted[-1]:
            wanted.pop()
        found = read_lines(tmp_path / "f", exact=True)
        assert [line for _, line in found] == wanted
        assert [str(where) for where, _ in found] == [f"{tmp_path / 'f'}:{n}" for n in range(1, len(found) + 1)]
        assert read_lines(tmp_path / "f") == [(where, line.removesuffix("\r")) for where, line in found if line.strip()]


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(TextFileError(FileLine("f", 3), "wrong")))
    assert (str(error), error.where.number) == ("f:3: wrong", 3)


def test_values_too_deep_to_be_shown():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="f:1: a text is wanted, got 'a list nested too deeply to be shown'"):
        fail(FileLine("f", 1), "a text is wanted", value)
