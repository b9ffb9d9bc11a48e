"""CLUE's official rows become examples: labels, markers, joined keywords, ids, and errors with file and line."""

import json
import re

import pytest

from hf_ext.suites import shipped_suites
from hf_ext.suites.clue.rows import marked_text
from hf_ext.suites.files import read_part, usable

TASKS = {task.name: task for task in shipped_suites()["clue"].tasks}
WSC = {
    "target": {"span1_text": "老王", "span1_index": 0, "span2_text": "他", "span2_index": 10},
    "idx": 7,
    "label": "false",
    "text": "老王把钥匙交给小李，他就走了。",
}
CMRC = {
    "version": "v1.0",
    "data": [
        {
            "paragraphs": [
                {
                    "id": "TEST_0",
                    "context": "甲在乙",
                    "qas": [
                        {
                            "id": "TEST_0_QUERY_0",
                            "question": "谁",
                            "answers": [{"text": "甲", "answer_start": 0}],
                        }
                    ],
                }
            ]
        }
    ],
}


def write(folder, task, name, *records):
    path = folder / task / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in records)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def examples(folder, task, part="train", variant=None):
    return [row.example for row in read_part(folder, TASKS[task], part, variant=variant)]


@pytest.mark.parametrize(
    ("task", "record", "expected"),
    [
        (
            "afqmc",
            {"sentence1": "如何提前还款", "sentence2": "怎么提早还清", "label": "1"},
            {"text": "如何提前还款", "text2": "怎么提早还清", "label": "1"},
        ),
        (
            "tnews",
            {"label": "102", "label_desc": "news_entertainment", "sentence": "甲\u2028乙", "keywords": "a,b"},
            {"text": "甲\u2028乙", "label": "102"},
        ),
        ("iflytek", {"label": 118, "label_des": "其他", "sentence": "甲"}, {"text": "甲", "label": "118"}),
        (
            "csl",
            {"id": 1, "abst": "甲。", "keyword": ["压缩感知", "波束形成"], "label": "1"},
            {"text": "压缩感知；波束形成", "text2": "甲。", "label": "1"},
        ),
        ("wsc", WSC, {"text": "_老王_把钥匙交给小李，[他]就走了。", "label": "false"}),
        (
            "cluener",
            {"text": "李雷在明达银行上班", "label": {"name": {"李雷": [[0, 1]]}, "company": {"明达银行": [[3, 6]]}}},
            {
                "text": "李雷在明达银行上班",
                "entities": [
                    {"start": 0, "end": 2, "label": "name"},
                    {"start": 3, "end": 7, "label": "company"},
                ],
            },
        ),
        (
            "cmrc2018",
            CMRC,
            {
                "id": "TEST_0_QUERY_0",
                "question": "谁",
                "context": "甲在乙",
                "answers": [{"text": "甲", "start": 0}],
            },
        ),
    ],
)
def test_an_official_row_becomes_an_example(tmp_path, task, record, expected):
    write(tmp_path, task, "train.json", record)
    assert examples(tmp_path, task) == [expected]


def test_variants_make_other_examples_of_the_same_rows(tmp_path):
    row = {"label": "102", "sentence": "甲", "keywords": "a,b"}
    write(tmp_path, "tnews", "train.json", row, {**row, "keywords": ""})
    assert [one["text"] for one in examples(tmp_path, "tnews", variant="keywords")] == ["甲 a,b", "甲"]
    write(tmp_path, "csl", "train.json", {"abst": "甲", "keyword": ["乙", "丙"], "label": "0"})
    assert examples(tmp_path, "csl", variant="spaces")[0]["text"] == "乙 丙"
    with pytest.raises(ValueError, match="variant of tnews must be one of its own, keywords, got 'none'"):
        examples(tmp_path, "tnews", variant="none")


def test_spans_are_marked_in_either_order():
    swapped = {
        "text": "他把钥匙交给小李，老王就走了。",
        "target": {**WSC["target"], "span1_index": 9, "span2_index": 0},
    }
    assert marked_text(WSC, "a") == "_老王_把钥匙交给小李，[他]就走了。"
    assert marked_text(swapped, "a") == "[他]把钥匙交给小李，_老王_就走了。"
    # Beside each other, and at both ends.
    ends = {"span1_text": "乙", "span1_index": 1, "span2_text": "甲", "span2_index": 0}
    assert marked_text({"text": "甲乙", "target": ends}, "a") == "[甲]_乙_"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"span1_index": 1}, "the text at span1_index 1 must be '老王', got '王把'"),
        ({"span2_index": -1}, "target must have span2_text and span2_index"),
        ({"span2_text": "王", "span2_index": 1}, "spans of the target must not overlap"),
    ],
)
def test_spans_that_are_not_where_they_say_are_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        marked_text({**WSC, "target": {**WSC["target"], **change}}, "a")


def test_rows_on_which_annotators_disagree_are_left_out_but_never_of_a_test(tmp_path):
    pair = {"sentence1": "甲", "sentence2": "乙"}
    write(tmp_path, "ocnli", "train.50k.json", {**pair, "label": "-"}, {**pair, "label": "neutral"})
    write(tmp_path, "ocnli", "test.json", *({**pair, "id": number} for number in (5, 3)))
    train, test = (read_part(tmp_path, TASKS["ocnli"], part) for part in ("train", "test"))
    assert [row.example["label"] for row in train] == ["-", "neutral"]
    assert [row.example["label"] for row in usable(TASKS["ocnli"], train)] == ["neutral"]
    assert [(row.id, "label" in row.example) for row in usable(TASKS["ocnli"], test)] == [(5, False), (3, False)]


def test_a_row_has_its_own_id_or_its_number(tmp_path):
    write(tmp_path, "wsc", "test1.0.json", *({**WSC, "id": number} for number in (1, 2)))
    write(tmp_path, "afqmc", "test.json", *[{"sentence1": "甲", "sentence2": "乙"}] * 2)
    write(tmp_path, "diagnostics", "diagnostics_test.json", {"index": 9, "premise": "甲", "hypothesis": "乙"})
    asked = (("wsc", "test1.0"), ("afqmc", "test"), ("cmnli", "diagnostics"))
    assert [[row.id for row in read_part(tmp_path, TASKS[task], part)] for task, part in asked] == [[1, 2], [0, 1], [9]]


@pytest.mark.parametrize(
    ("task", "lines", "message"),
    [
        ("tnews", ['{"sentence": "甲", "label": "100"}', "{"], "train.json:2: the line must be JSON"),
        ("tnews", ['{"sentence": "甲", "label": "105"}'], "train.json:1: label must be one of 100, 101"),
        ("tnews", ['{"sentence": "甲", "label": "2"}'], "train.json:1: label must be one of 100, 101"),
        ("tnews", ['{"sentence": "甲"}'], "train.json:1: label must be one of"),
        ("tnews", ['{"text": "甲", "label": "100"}'], "train.json:1: a row must have a text under sentence"),
        ("afqmc", ['{"sentence1": "甲", "label": "1"}'], "train.json:1: a row must have a text under sentence2 or hyp"),
        ("csl", ['{"abst": "甲", "keyword": "乙", "label": "1"}'], "train.json:1: keyword must be a list of texts"),
        ("cluener", ['{"text": "甲", "label": {"town": {"甲": [[0, 0]]}}}'], "train.json:1: a type must be one of add"),
        ("cluener", ['{"text": "甲乙", "label": {"name": {"乙": [[0, 0]]}}}'], "train.json:1: the text of 'name'"),
        ("cluener", ['{"text": "甲"}'], "train.json:1: a row to train on or to score must have entities"),
        ("cmrc2018", ['{"data": [{"paragraphs": []}]}', "FAKE_ANSWER"], "train.json:2: the file must be JSON"),
    ],
)
def test_what_cannot_be_read_names_file_and_line(tmp_path, task, lines, message):
    write(tmp_path, task, "train.json", *lines)
    with pytest.raises(ValueError, match=re.escape(message)):
        examples(tmp_path, task)


def test_placeholders_for_answers_are_none(tmp_path):
    fake = json.loads(json.dumps(CMRC))
    fake["data"][0]["paragraphs"][0]["qas"][0]["answers"] = [
        {"text": f"FAKE_ANSWER_{number}", "answer_start": -1} for number in (1, 2, 3)
    ]
    for name in ("test.json", "train.json"):
        write(tmp_path, "cmrc2018", name, fake)
    assert examples(tmp_path, "cmrc2018", "test") == [{"id": "TEST_0_QUERY_0", "question": "谁", "context": "甲在乙"}]
    with pytest.raises(ValueError, match=r"must have answers, and no placeholder, got 'TEST_0_QUERY_0'"):
        examples(tmp_path, "cmrc2018", "train")


def test_folders_and_files_go_by_several_names(tmp_path):
    write(tmp_path, "TNEWS_public", "test1.1.json", {"sentence": "甲", "id": 4})
    assert [row.id for row in read_part(tmp_path, TASKS["tnews"], "test1.1")] == [4]
    write(tmp_path, "tnews", "test.json", {"sentence": "乙", "id": 5})
    # The plain name first.
    assert [row.id for row in read_part(tmp_path, TASKS["tnews"], "test1.1")] == [5]
    write(tmp_path, "CLUEWSC2020_public", "train.json", WSC)
    assert len(examples(tmp_path, "wsc")) == 1
    with pytest.raises(ValueError, match=r"tnews must have train.json for its part train, got none in .*tnews"):
        examples(tmp_path, "tnews")


def test_real_files_are_read_whole(shared):
    """Official names stand in the table; these are cuts under other names, so the readers are called on them."""
    folder = shared / "data" / "clue"
    for task, name, number in (
        ("afqmc", "dev_part.json", 300),
        ("tnews", "dev_part.json", 500),
        ("iflytek", "dev_part.json", 300),
        ("cmnli", "dev_part.json", 600),
        ("wsc", "train_part.json", 600),
        ("csl", "dev_part.json", 400),
        ("cluener", "test.json", 1_345),
        ("cmrc2018", "test_part.json", 288),
    ):
        rows = list(TASKS[task].read([folder / task / name]))
        assert len(rows) == number
        assert {row.example.get("label") for row in rows} <= {None, *TASKS[task].labels}


@pytest.mark.parametrize(
    ("task", "prediction", "expected"),
    [
        ("tnews", {"id": 3, "label": "102", "logits": {}}, {"id": "3", "label": "102"}),
        (
            "cluener",
            {
                "id": 0,
                "text": "李雷和李雷",
                "entities": [
                    {"start": 0, "end": 2, "label": "name", "score": 0.9},
                    {"start": 3, "end": 5, "label": "name", "score": 0.8},
                ],
            },
            {"id": 0, "text": "李雷和李雷", "label": {"name": {"李雷": [[0, 1], [3, 4]]}}},
        ),
        ("cmrc2018", {"id": "TEST_0_QUERY_0", "answer": "甲", "answers": []}, {"TEST_0_QUERY_0": "甲"}),
        ("chid", {"id": "#idiom000123#", "label": 3}, {"#idiom000123#": 3}),
    ],
)
def test_a_prediction_becomes_a_line_of_the_submission(task, prediction, expected):
    assert TASKS[task].submission_line(prediction) == expected


def test_the_official_f1_of_cluener_is_of_strings():
    """A name at two places, one of which is found: all of it, and nothing of the nine other types."""
    text = "李雷和他说李雷好"
    spans = [{"start": 0, "end": 2, "label": "name"}, {"start": 5, "end": 7, "label": "name"}]
    found, true = {"id": 0, "text": text, "entities": [{**spans[0], "score": 0.9}]}, {"text": text, "entities": spans}
    assert TASKS["cluener"].scorer([found], [true]) == {"macro F1 of strings": 0.1}


def test_questions_with_choices_have_ids_and_groups(tmp_path):
    write(
        tmp_path,
        "chid",
        "test1.1.json",
        *({"candidates": ["甲", "乙"], "content": [f"a#idiom{n}#", f"b#idiom{n + 1}#"]} for n in (5, 7)),
    )
    rows = read_part(tmp_path, TASKS["chid"], "test1.1")
    assert [(row.id, row.example["group"]) for row in rows] == [
        ("#idiom5#", 0),
        ("#idiom6#", 0),
        ("#idiom7#", 1),
        ("#idiom8#", 1),
    ]
    for name, start in (("m-dev", 0), ("c3-d-dev", 2)):
        passage = [
            ["甲", "乙"],
            [{"question": f"{n}", "choice": ["a", "b"], "answer": "b"} for n in (start, start + 1)],
            "1",
        ]
        write(tmp_path, "c3", f"{name}.json", [passage])
    rows = read_part(tmp_path, TASKS["c3"], "validation")
    assert [(row.id, row.example["question"], row.example["label"]) for row in rows] == [
        (n, f"{n}", 1) for n in range(4)
    ]
    assert rows[0].example["text"] == "甲||乙"
    write(tmp_path, "chid", "test1.0.json", {"candidates": ["甲", "乙"], "content": "a#idiom#", "id": 3})
    with pytest.raises(ValueError, match="must have lines of candidates with passages"):
        read_part(tmp_path, TASKS["chid"], "test1.0")
