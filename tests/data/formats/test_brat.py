"""brat's folders and pairs of files."""

import pytest

from hf_ext.tasks.base.task_files import task_files

TEXT = "小林在南山大学教书。\r\n她住在\n南山。\n"
ANNOTATIONS = """T1\t人 0 2\t小林
T2\t校 3 7\t南山大学
T3\t任职 7 9\t教书
T4\t人 12 13\t她
T5\t地 14 17\t在 南
#1\tAnnotatorNotes T5\t看
R1\t住 Arg1:T4 Arg2:T5\t
E1\t任职:T3 人员:T1 人员2:T4 单位:T2
E2\t任职:T3 因:E1
A1\tNegation E1
M1\tSpeculation E1
N1\tReference T1 Wikipedia:1\t小林
*\tEquiv T1 T4
R2\t因 Arg1:E1 Arg2:T1
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "1.x.txt").write_bytes(TEXT.encode())
    (folder / "b" / "1.x.ann").write_bytes(ANNOTATIONS.encode())
    (folder / "a.txt").write_text("好。", encoding="utf-8")
    (folder / "a.ann").write_text("", encoding="utf-8")
    (folder / "annotation.conf").write_text("[entities]", encoding="utf-8")
    return folder


def test_each_task_reads_its_part(folder):
    files = task_files()
    first, second = files["ner"].read(folder)
    assert first == {"text": "好。", "entities": []}
    assert second["text"] == TEXT
    spans = [(e["label"], TEXT[e["start"] : e["end"]]) for e in second["entities"]]
    assert spans == [("人", "小林"), ("校", "南山大学"), ("人", "她"), ("地", "在\n南")]
    assert (second.path, second.lines) == (str(folder / "b" / "1.x.ann"), [1, 2, 4, 5])
    relations = files["relations"].read(folder)[1]["relations"]
    assert [(r["predicate"], r["subject"]["text"], r["object"]["text"]) for r in relations] == [
        ("住", "她", "在\n南"),
        ("因", "教书", "小林"),
    ]
    events = files["events"].read(folder)[1]["events"]
    assert [[(a["role"], a["text"]) for a in event["arguments"]] for event in events] == [
        [("触发词", "教书"), ("人员", "小林"), ("人员", "她"), ("单位", "南山大学")],
        [("触发词", "教书"), ("因", "教书")],
    ]
    for name in ("b/1.x.txt", "b/1.x.ann"):
        assert files["ner"].read(folder / name) == [second]


@pytest.mark.parametrize(
    ("task", "line", "message"),
    [
        ("ner", "T6\t人 0 2;3 5\t小林 南山", "a span must be of one part, got '人 0 2;3 5'"),
        ("ner", "T6\t人 0 3\t小林", "the text at 0 to 3 must be '小林', got '小林在'"),
        ("ner", "T6\t人 0 99\t小林", "the text at 0 to 99 must be"),
        ("ner", "T6\t人 0 2", "a span must be its label, start and end, a tab"),
        ("ner", "T6 人 0 2", "a line must begin with T1, R1, E1"),
        ("ner", "T1\t人 0 2\t小林", "each annotation must have a name of its own"),
        ("relations", "R3\t住 Arg1:T4", "a relation must have two ends"),
        ("relations", "R3\t住 Arg1:T4 Arg2:T9", "a span or an event that is there, got 'T9'"),
        ("relations", "R3\t住 T4 T5", "a line must have ends as Arg1:T1"),
        ("events", "E3\t任职:T9", "a trigger must be a span that is there"),
        ("events", "E3\t任职:T3 人员:T9", "a span or an event that is there"),
    ],
)
def test_refused_lines(task, line, message, folder):
    path = folder / "b" / "1.x.ann"
    path.write_bytes(f"{ANNOTATIONS}{line}\n".encode())
    with pytest.raises(ValueError, match=message) as error:
        task_files()[task].read(folder)
    assert str(error.value).startswith(f"{path}:{len(ANNOTATIONS.splitlines()) + 1}: ")


def test_files_without_their_other_half_are_refused(folder):
    (folder / "c.txt").write_text("好。", encoding="utf-8")
    with pytest.raises(ValueError, match=r"c\.txt: a text must have its annotations beside it"):
        task_files()["ner"].read(folder)
    (folder / "c.txt").rename(folder / "d.ann")
    with pytest.raises(ValueError, match=r"d\.ann: annotations must have their text beside them in d\.txt"):
        task_files()["ner"].read(folder)


def test_other_folders_and_strangers_beside_a_text(tmp_path):
    with pytest.raises(ValueError, match="a folder must have files of brat"):
        task_files()["ner"].read(tmp_path)
    (tmp_path / "a.txt").write_text("小 B-人\n", encoding="utf-8")
    (tmp_path / "a.ann").write_text("a list of annotators\n", encoding="utf-8")
    (example,) = task_files()["ner"].read(tmp_path / "a.txt")
    assert example == {"text": "小", "entities": [{"start": 0, "end": 1, "label": "人"}]}
