"""The samples of submissions that organisers published, against the test files that they are of."""

import json

import pytest

from hf_ext.suites.scorers.cluener import TYPES
from hf_ext.suites.submission import SubmissionFile, validate_file

NLI = ["neutral", "entailment", "contradiction"]
TNEWS = [str(code) for code in range(100, 117) if code not in (105, 111)]
BINARY = ["0", "1"]
# Name, classes, and the ids of its lines.
WHOLE = [
    ("bustm", BINARY, range(3000, 3005)),
    ("cluewscf", ["true", "false"], range(49, 54)),
    ("cslf", BINARY, [2415, 2565, 2625, 1204, 2833]),
    ("eprstmt", ["Positive", "Negative"], [111, 188, 2146, 955, 1608]),
    ("iflytekf", [str(number) for number in range(119)], range(10)),
    ("ocnlif", NLI, range(5)),
    ("tnewsf", TNEWS, [str(number) for number in range(10)]),
]
# Sample, its test file, classes, lines, and the kinds of faults: they are the first lines alone.
PARTS = [
    ("fewclue/cslf_predict.json", "csl/test_part.json", BINARY, 5, ["number", "missing id"]),
    ("fewclue/iflytekf_predict.json", "iflytek/test_part.json", None, 10, ["number", "missing id"]),
    ("fewclue/ocnlif_predict.json", "ocnli/test_part.json", NLI, 5, ["number", "missing id"]),
    ("fewclue/cluewscf_predict.json", "wsc/test1.0.json", ["true", "false"], 5, ["number", "missing id"]),
    ("lightlm/csl_predict.json", "csl/test_part.json", BINARY, 20, ["running ids", "number"]),
    ("lightlm/cluewsc2020_predict.json", "wsc/test1.0.json", ["true", "false"], 20, ["running ids", "number"]),
]


@pytest.fixture(scope="module")
def clue(shared):
    return shared / "data" / "clue"


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("task", "labels", "ids"), WHOLE, ids=lambda one: one if isinstance(one, str) else "")
def test_samples_of_fewclue(clue, task, labels, ids):
    name = f"{task}_predict.json"
    file = SubmissionFile(name=name, kind="label", ids=ids, labels=labels)
    assert validate_file(clue / "submission_samples" / "fewclue" / name, file) == []


def test_samples_of_fewclue_with_other_labels(clue, shared):
    folder = clue / "submission_samples" / "fewclue"
    names = (shared / "data" / "fewclue" / "csldcp" / "labels_all.txt").read_text(encoding="utf-8")
    subjects = [name for line in names.splitlines() for name in line.split("\t")]
    file = SubmissionFile(name="csldcp_predict.json", kind="label", ids=range(5), labels=subjects)
    assert validate_file(folder / file.name, file) == []
    file = SubmissionFile(name="chidf_predict.json", kind="answer", ids=range(3000, 3005), choices=[7] * 5)
    assert validate_file(folder / file.name, file) == []


@pytest.mark.parametrize(("sample", "test", "labels", "lines", "kinds"), PARTS, ids=lambda one: str(one)[:32])
def test_samples_against_their_test_files(clue, sample, test, labels, lines, kinds):
    ids = [row["id"] for row in rows(clue / test)]
    classes = labels or [str(number) for number in range(119)]
    file = SubmissionFile(name="a.json", kind="label", ids=ids, labels=classes)
    faults = validate_file(clue / "submission_samples" / sample, file)
    assert [fault.kind for fault in faults] == kinds
    assert {fault.line for fault in faults if fault.severity == "error"} == {lines}


def test_sample_of_cluener(clue):
    """Every span stands where it says."""
    texts = {row["id"]: row["text"] for row in rows(clue / "cluener" / "test.json")}
    path = clue / "submission_samples" / "lightlm" / "cluener2020_results.json"
    first = list(texts)[:5]
    own = [texts[identifier] for identifier in first]
    assert validate_file(path, SubmissionFile(name="a", kind="entities", ids=first, texts=own, labels=TYPES)) == []
    moved = SubmissionFile(name="a", kind="entities", ids=first, texts=["。" + text for text in own], labels=TYPES)
    faults = validate_file(path, moved, limit=1)
    assert [(fault.line, fault.kind) for fault in faults] == [(1, "span"), (None, "span")]


def test_sample_of_cmrc2018(clue):
    """Two of its answers have lost a space."""
    test = json.loads((clue / "cmrc2018" / "test_part.json").read_text(encoding="utf-8"))
    paragraphs = [paragraph for article in test["data"] for paragraph in article["paragraphs"]]
    contexts = {question["id"]: one["context"] for one in paragraphs for question in one["qas"]}
    path = clue / "submission_samples" / "lightlm" / "cmrc2018_predict.json"
    answers = json.loads(path.read_text(encoding="utf-8"))
    own = {identifier: contexts[identifier] for identifier in answers}
    faults = validate_file(path, SubmissionFile(name="a", kind="answers", ids=list(own), texts=list(own.values())))
    assert [(fault.line, fault.kind) for fault in faults] == [(13, "answer elsewhere"), (14, "answer elsewhere")]
    assert all("but for the case of letters or white space" in fault.message for fault in faults)
    whole = SubmissionFile(name="a", kind="answers", ids=list(contexts), texts=list(contexts.values()))
    missing = len(contexts) - len(answers)
    assert f"{missing} are not" in validate_file(path, whole)[-1].message
