"""Files of questions with choices: our lines, C3's and ChID's."""

import json

import pytest

from hf_ext.tasks.multiple_choice import read_choices

QUESTION = {"question": "谁", "choice": ["甲", "乙", "甲"], "answer": "甲"}
C3 = [[["男：一", "女：二"], [QUESTION, {**QUESTION, "answer": "乙"}], "7-12"]]
CHID = [
    {"candidates": ["画蛇添足", "不约而同"], "content": ["他#idiom000001#，又#idiom000002#。", "#idiom000003#"]},
    {"candidates": ["一二三四", "五六七八"], "content": ["好#idiom000004#"]},
]
ANSWERS = {f"#idiom00000{number}#": number % 2 for number in range(1, 5)}


@pytest.fixture
def write(tmp_path):
    def write(records, name="data.json", lines=False, **options):
        path = tmp_path / name
        texts = [json.dumps(one, ensure_ascii=False, **options) for one in (records if lines else [records])]
        path.write_text("\n".join(texts), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("indent", [None, 1])
def test_c3(write, indent):
    shared = {"text": "男：一||女：二", "question": "谁", "choices": ["甲", "乙", "甲"]}
    # Of two choices that are equal it is the first.
    assert read_choices(write(C3, indent=indent)) == [{**shared, "label": 0}, {**shared, "label": 1}]
    asked = {name: QUESTION[name] for name in ("question", "choice")}
    tests = [[["男：一", "女：二"], [{**asked, "id": 508}]], [["三"], [{**asked, "id": 3}]]]
    assert read_choices(write(tests, indent=indent)) == [{**shared, "id": 508}, {**shared, "text": "三", "id": 3}]


def test_chid(write):
    path = write(CHID, "train.json", lines=True)
    unknown = read_choices(path)
    assert [(one["text"], one["blank"], one["group"]) for one in unknown] == [
        ("他#idiom000001#，又#idiom000002#。", "#idiom000001#", 0),
        ("他#idiom000001#，又#idiom000002#。", "#idiom000002#", 0),
        ("#idiom000003#", "#idiom000003#", 0),
        ("好#idiom000004#", "#idiom000004#", 1),
    ]
    assert [one["choices"] for one in unknown] == [CHID[0]["candidates"]] * 3 + [CHID[1]["candidates"]]
    write(ANSWERS, "train_answer.json", indent=1)
    assert read_choices(path) == [{**one, "label": ANSWERS[one["blank"]]} for one in unknown]
    # Groups are lines, not lists of candidates that are equal.
    twice = [{**CHID[0], "content": ["#idiom1#"]}, {**CHID[0], "content": ["#idiom2#"]}]
    assert [one["group"] for one in read_choices(write(twice, lines=True))] == [0, 1]


def test_chid_of_fewclue(write):
    row = {"id": 9, "candidates": ["一", "二"], "content": "好#idiom#的", "answer": 1}
    assert read_choices(write([row], lines=True)) == [
        {"text": "好#idiom#的", "blank": "#idiom#", "choices": ["一", "二"], "id": 9, "label": 1}
    ]


def test_what_is_read_is_read_again(write):
    for file in (write(C3), write(CHID, lines=True)):
        examples = read_choices(file)
        assert read_choices(write(examples, "again.jsonl", lines=True)) == examples


ROW = {"text": "一#idiom1#", "choices": ["甲", "乙"], "label": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROW, "label": 2}], "1: label must be the number of a choice, from 0 to 1, got '2'"),
        ([{**ROW, "label": True}], "label must be the number of a choice"),
        ([{**ROW, "label": "1"}], "label must be the number of a choice"),
        ([{**ROW, "choices": []}], "choices must be a list of strings"),
        ([{**ROW, "choices": ["甲", " "]}], "a choice must be a string that is not blank"),
        ([{**ROW, "text": " "}], "text must be a string that is not blank"),
        ([{**ROW, "blank": "#idiom2#"}], "blank must stand in the text once, got '#idiom2#'"),
        ([{**ROW, "text": "#a##a#", "blank": "#a#"}], "blank must stand in the text once"),
        ([{**ROW, "blank": "#idiom1#", "question": "谁"}], "a row must have a question or a blank, not both"),
        ([{**ROW, "group": 0.5}], "group must be an integer or a string, got '0.5'"),
        ([{**ROW, "group": 1}, {**ROW, "group": 1, "choices": ["乙", "甲"]}], "2: rows of group 1 must have the same"),
        ([ROW, {"text": "二", "choices": ["甲"]}], "2: every row must have a 'label', or none"),
        ([*CHID, {"candidates": ["一"]}], "3: there must be a list 'candidates', and 'content' with blanks"),
        ([CHID[0], CHID[0]], "2: a blank must be unlike those of .*data.json:1, got '#idiom000001#'"),
        ([{"candidates": ["一"], "content": "#idiom#二#idiom#", "answer": 0}], "1: a passage .* must have one blank"),
    ],
)
def test_bad_rows_are_named(write, rows, message):
    with pytest.raises(ValueError, match=message):
        read_choices(write(rows, lines=True))


def test_bad_files_are_named(write):
    with pytest.raises(ValueError, match=r"data.json:1: answer must be one of the choices, got '丙'"):
        read_choices(write([[["一"], [{**QUESTION, "answer": "丙"}], "x"]]))
    with pytest.raises(ValueError, match=r"data.json:\d+: there must be a list of paragraphs and a list of questions"):
        read_choices(write([*C3, [["一"]]]))
    path = write(CHID, "dev.json", lines=True)
    write({"#idiom000001#": 0}, "dev_answer.json")
    with pytest.raises(
        ValueError, match=r"dev.json:1: a blank must be answered in .*dev_answer.json, got '#idiom000002#'"
    ):
        read_choices(path)
    write([0], "dev_answer.json")
    with pytest.raises(ValueError, match=r"dev_answer.json: the file must be an object with the number of a candidate"):
        read_choices(path)
    path.with_name("dev_answer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"dev_answer.json: the file must be JSON"):
        read_choices(path)
    path.write_text("甲\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"dev.json:1: the line must be a JSON object, got '甲'"):
        read_choices(path)
