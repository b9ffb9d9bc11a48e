"""Reading dialogues: formats detected from the content, the published files, errors with their line."""

import json

import pytest

from hf_ext.tasks.dialogue import read_dialogues

TURNS = [["今天天气怎么样", "还不错，hello world"], ["在吗？", "在", "好。。。"]]
SEGMENTED = [["今 天 天气 怎 么 样", "还 不 错 ， hello world"], ["在 吗 ？", "在", "好 。 。 。"]]


def write(folder, content, name="file"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(values, **options):
    return "".join(json.dumps(value, ensure_ascii=False, **options) + "\n" for value in values)


def messages(turns):
    return {"messages": [{"message": turn, "attrs": [{"name": "x"}]} for turn in turns], "name": "x"}


FORMATS = {
    "array of objects": json.dumps([{"turns": turns} for turns in TURNS], indent=1),
    "objects": lines({"turns": turns, "id": 1} for turns in TURNS),
    "escaped": "".join(json.dumps({"turns": turns}) + "\n" for turns in TURNS),
    "arrays": lines(SEGMENTED),
    "array of arrays": json.dumps(SEGMENTED, indent=1),
    "splits": json.dumps({"valid": [["不", "要"]], "train": SEGMENTED, "test": []}, indent=1),
    "splits in one line": json.dumps({"train": SEGMENTED, "dev": [["不", "要"]]}),
    "text": "".join("\t".join(turns) + "\n" for turns in SEGMENTED),
    "text of a CSV writer": "".join("\t".join(f'"{turn}"' for turn in turns) + "\n" for turns in SEGMENTED),
    "KdConv": json.dumps([messages(turns) for turns in TURNS], indent=1),
    "messages": lines(messages(turns) for turns in TURNS),
}


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_formats_agree(tmp_path, content, end, mark):
    content = "\n" + content + "\n \n"
    assert read_dialogues(write(tmp_path, mark + content.replace("\n", end))) == [{"turns": turns} for turns in TURNS]


def segmented(file, split):
    """The dialogues of a file of LCCC, as segmented as they stand there."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        return json.loads(text)[{"validation": "valid"}.get(split, split)]
    return [json.loads(line) if file.suffix == ".jsonl" else line.split("\t") for line in text.splitlines()]


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("toy_data.json", "train"),
        ("toy_data.json", "validation"),
        ("toy_data.json", "test"),
        ("toy_train.txt", "train"),
        ("toy_valid.txt", "train"),
        ("LCCD-large-shuf.jsonl", "train"),
    ],
)
def test_published_files(shared, file, split):
    path = shared / "data" / "lccc_sample" / file
    wanted = segmented(path, split)
    assert wanted
    # Where spaces stay is told by the examples above.
    found = [["".join(turn.split()) for turn in dialogue["turns"]] for dialogue in read_dialogues(path, split)]
    assert found == [["".join(turn.split()) for turn in turns] for turns in wanted]


def test_published_texts(shared):
    data = shared / "data"
    assert read_dialogues(data / "lccc_sample/toy_data.json", "validation")[0]["turns"][:2] == [
        "遭淋安逸了？",
        "是哈，你没遭撒？",
    ]
    raw = json.loads((data / "kdconv/music.dev_first60.json").read_text(encoding="utf-8"))
    wanted = [{"turns": [turn["message"].strip() for turn in dialogue["messages"]]} for dialogue in raw]
    assert read_dialogues(data / "kdconv/music.dev_first60.json") == wanted


def test_text_may_begin_with_a_bracket_and_hold_separators(tmp_path):
    content = "[哈 哈] 你\u2028好\t{嗯}\n"
    assert read_dialogues(write(tmp_path, content)) == [{"turns": ["[哈哈]你好", "{嗯}"]}]
    assert read_dialogues(write(tmp_path, "{嗯}\t好\n"))[0]["turns"] == ["{嗯}", "好"]
    turns = ["甲\u2028乙 丙", "[SEP]"]
    assert read_dialogues(write(tmp_path, lines([{"turns": turns}]))) == [{"turns": turns}]


def test_an_empty_file_has_no_dialogues(tmp_path):
    assert read_dialogues(write(tmp_path, "")) == []
    assert read_dialogues(write(tmp_path, '{"train": []}')) == []
    assert read_dialogues(write(tmp_path, "[]")) == []


GOOD = '{"turns": ["甲", "乙"]}\n'


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (GOOD + '{"turns": ["甲", ""]}', 2, "not blank, got ''"),
        (GOOD + "\n" + '{"turns": ["甲", " \u3000"]}', 3, "not blank"),
        (GOOD + '{"turns": ["甲", 3]}', 2, "got '3'"),
        (GOOD + '{"turns": ["甲"]}', 2, r"at least two turns, got"),
        (GOOD + '{"turns": "甲乙"}', 2, "at least two turns, got '甲乙'"),
        (GOOD + '{"turn": ["甲", "乙"]}', 2, "'turns' or 'messages'.*turn"),
        (GOOD + "3", 2, "got '3'"),
        (GOOD + "甲\t乙", 2, "must be JSON"),
        (GOOD + '{"turns": ["甲", "乙"', 2, "must be JSON"),
        ("[" * 100000, 1, "JSON"),
        ('["甲", "乙"]\n["丙"]', 2, "at least two turns"),
        ('{"train": [["甲", "乙"],\n["丙", ""]]}', 2, "not blank"),
        ('{"train": [["甲", "乙"]],\n"valid": 3}\n4', 3, "Extra data"),
        ('{"train":\n3}', 2, "'train' must be a list of dialogues, got '3'"),
        ('{"valid": []}', 1, "or the split 'train', got .*valid"),
        ('{"text": "甲"}', 1, "'turns', or the split 'train', got .*text"),
        ('[["甲",\n1 2]]', 2, "delimiter"),
        ('[\n{"messages": [{"message": "甲"},\n{"message": "乙"}]},\n{"messages": [{}, {}]}]', 4, "got none"),
        ('["甲", "乙"\n["丙", "丁"]', 1, "JSON"),
        ('[{"turns": ["甲", "乙"]},\n{"turns": ["甲"]}]', 2, "at least two turns"),
        ('[{"messages": 3}]', 1, "'turns' or 'messages'"),
        ("甲\t乙\n丙", 2, "at least two turns"),
        ("Question\tanswer\n甲\t乙", 1, "not the names of columns, got 'Question"),
        ("甲\t乙\n丙\t", 2, "not blank"),
        ("甲\t乙\n丙".encode("gb18030"), 1, "must be UTF-8"),
        (("甲\t乙\n".encode() + "丙".encode("gb18030")), 2, "must be UTF-8"),
    ],
)  # fmt: skip
def test_errors_name_file_and_line(tmp_path, content, line, message):
    with pytest.raises(ValueError, match=rf"file:{line}: .*{message}"):
        read_dialogues(write(tmp_path, content))


def test_split_must_be_known(tmp_path):
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        read_dialogues(write(tmp_path, GOOD), "dev")
