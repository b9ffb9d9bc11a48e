import json
import re

import pytest

from hf_ext.tasks.base.options_file import read_options_file


def written(folder, text, suffix):
    file = folder / f"options{suffix}"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(word, word) for word in ("no", "on", "Yes", "trueish", "1e", "010", "0x1", "1:30", "1_000", "甲.json")],
        *[(word, word) for word in ("2026-11-27", "2026-11-27T10:00:00", "~/data", ".5.5", "5e-", "+")],
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("2.", 2.0),
        ("1.5e+3", 1500.0),
        (".inf", float("inf")),
        ("'1'", "1"),
        ('"true"', "true"),
        ("[no, 1e-1]", ["no", 0.1]),
        ("{gamma: 1e-1, name: off}", {"gamma": 0.1, "name": "off"}),
    ],
)
def test_values_are_what_they_look_like(text, value, tmp_path):
    found = read_options_file(written(tmp_path, f"option: {text}\n", ".yaml"))["option"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_json_is_read_as_either(suffix, tmp_path):
    options = {"a-b": 1, "c": [1.5, None, True, "no"], "d": {"e": "甲"}, "f": -1e-07}
    text = json.dumps(options, ensure_ascii=False)
    assert read_options_file(written(tmp_path, "\ufeff" + text, suffix)) == options


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        ("a: 1\na: 2", ".yaml", "a is given twice"),
        ("a: {b: 1, b: 1}", ".yaml", "b is given twice"),
        ('{"a": 1, "a": 2}', ".json", "a is given twice"),
        ("a: 1", ".json", "cannot be read"),
        ("[1]: 2", ".yaml", "cannot be read"),
        ("a: !!python/object:os.system {}", ".yaml", "cannot be read"),
        ("a: [", ".yaml", "cannot be read"),
        ("[1]", ".json", "must hold names of options with their values, got list"),
        ("", ".yaml", "got NoneType"),
        ("a: 1", ".toml", "a file of options ends in one of .yaml, .yml, .json, got"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(text, suffix, message, tmp_path):
    file = written(tmp_path, text, suffix)
    with pytest.raises(ValueError, match=re.escape(file.name)) as error:
        read_options_file(file)
    assert message in str(error.value)
