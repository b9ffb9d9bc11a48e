import zipfile

import pytest

from hf_ext.suites.submission import (
    SubmissionFile,
    answer_object,
    entities_entry,
    events_entry,
    idiom_entry,
    label_entry,
    pack,
    relations_entry,
    submission_bytes,
    validate,
)

CSL = SubmissionFile(name="csl_predict.json", kind="label", ids=[31, 7], labels=["0", "1"])
CHID = SubmissionFile(name="chid10_predict.json", kind="idioms", ids=["#idiom000001#", "#idiom000002#"], lines=[0, 0])
CONTENTS = {
    "csl_predict.json": [label_entry(31, 1), label_entry("7", "0")],
    "chid10_predict.json": answer_object(["#idiom000001#", "#idiom000002#"], [3, 0]),
}


def test_bytes_of_a_file():
    lines = submission_bytes(CONTENTS["csl_predict.json"])
    assert lines == b'{"id": 31, "label": "1"}\n{"id": "7", "label": "0"}\n'
    assert submission_bytes({"q": "北京"}) == '{\n    "q": "北京"\n}\n'.encode()
    assert submission_bytes([]) == b""


def test_what_is_packed_is_fine(tmp_path):
    path = tmp_path / "submit.zip"
    assert pack(CONTENTS, path, [CSL, CHID]) == []
    assert validate(path, [CSL, CHID], zip_name="submit.zip") == []
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == list(CONTENTS)
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: submission_bytes(content) for name, content in CONTENTS.items()
        }
    first = path.read_bytes()
    pack(CONTENTS, path)
    assert path.read_bytes() == first
    warnings = pack({**CONTENTS, CHID.name: dict.fromkeys(CHID.ids, 1)}, path, [CSL, CHID])
    assert [fault.kind for fault in warnings] == ["idiom twice"]
    assert path.read_bytes() != first


def test_what_is_wrong_is_not_written(tmp_path):
    path = tmp_path / "submit.zip"
    path.write_bytes(b"older")
    wrong = {**CONTENTS, "csl_predict.json": [label_entry(31, 2), label_entry(8, 0)]}
    with pytest.raises(ValueError, match=r"3 faults, and nothing was written to .*: csl_predict.json:1: error: label"):
        pack(wrong, path, [CSL, CHID])
    for contents, message in (
        ({}, "one file or more"),
        ({"a/b.json": []}, "without folders, got 'a/b.json'"),
        ({"": []}, "got ''"),
    ):
        with pytest.raises(ValueError, match=message):
            pack(contents, path)
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_entries():
    text = "李雷在明达银行上班"
    assert label_entry(3000, 102) == {"id": 3000, "label": "102"}
    assert idiom_entry(3000, True + 2) == {"id": 3000, "answer": 3}
    entities = [{"start": 3, "end": 7, "label": "company"}]
    label = {"company": {"明达银行": [[3, 6]]}}
    assert entities_entry(0, text, entities) == {"id": 0, "text": text, "label": label}
    spo = {"subject": "李雷", "predicate": "雇主", "object": {"@value": "明达银行"}}
    relation = {"subject": {"text": "李雷"}, "predicate": "雇主", "object": {"text": "明达银行"}}
    assert relations_entry(text, [relation]) == relations_entry(text, [spo]) == {"text": text, "spo_list": [spo]}
    schema = {"雇主": {"subject_type": "人物", "object_type": {"@value": "企业"}}}
    (typed,) = relations_entry(text, [relation], schema)["spo_list"]
    assert typed == {**spo, "subject_type": "人物", "object_type": {"@value": "企业"}}
    events = [{"type": "k", "arguments": [{"role": "r", "text": "李"}, {"role": "r", "text": "李雷"}]}]
    line = events_entry("x", text, events, shortest=2)
    arguments = [{"role": "r", "argument": "李雷"}]
    assert line == {"id": "x", "text": text, "event_list": [{"event_type": "k", "arguments": arguments}]}


def test_answers_of_ids():
    assert answer_object(["a", "b"], [1, 2]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="must be 2, one for each id, got 1"):
        answer_object(["a", "b"], [1])
    with pytest.raises(ValueError, match="got 'a' twice"):
        answer_object(["a", "b", "a"], [1, 2, 3])
