import json

import pytest
from submission_zips import written, zipped

from hf_ext.suites.scorers.cluener import TYPES
from hf_ext.suites.submission import Fault, SubmissionFile, validate, validate_file

LABELS = SubmissionFile(name="csl_predict.json", kind="label", ids=[31, 7, 12], labels=["0", "1"])
CHOICES = SubmissionFile(name="c310_predict.json", kind="label", ids=[2, 0, 1], choices=[4, 2, 3])
ANSWERS = SubmissionFile(name="chidf_predict.json", kind="answer", ids=[3000, 3001], choices=[7, 7])
TEXT = "李雷在明达银行上班"
ENTITIES = SubmissionFile(name="cluener_predict.json", kind="entities", ids=[0, 1], texts=[TEXT, "无"], labels=TYPES)
RELATIONS = SubmissionFile(
    name="duie.json", kind="relations", texts=["甲", "乙", "甲"], labels=["票房", "作者"], any_name=True
)
EVENTS = SubmissionFile(
    name="duee.json", kind="events", ids=["a", "b"], texts=["某公司发布", "丙"], labels=["产品行为-发布|发布方"]
)
TAGS = [f"#idiom{number:06}#" for number in range(4)]
IDIOMS = SubmissionFile(name="chid10_predict.json", kind="idioms", ids=TAGS, lines=[0, 0, 0, 1])
QUESTIONS = SubmissionFile(
    name="cmrc2018_predict.json", kind="answers", ids=["q0", "q1"], texts=["北京 Da Xue 在海淀", "北京 Da Xue 在海淀"]
)
FILES = (LABELS, CHOICES, ANSWERS, ENTITIES, RELATIONS, EVENTS, IDIOMS, QUESTIONS)
RIGHT = {
    LABELS.name: [{"id": 31, "label": "0"}, {"id": "7", "label": "1"}, {"id": 12, "label": "1", "label_desc": ""}],
    CHOICES.name: [{"id": 2, "label": "3"}, {"id": 0, "label": "1"}, {"id": 1, "label": "2"}],
    ANSWERS.name: [{"id": 3000, "answer": 6}, {"id": 3001, "answer": 0}],
    ENTITIES.name: [
        {"id": 0, "text": TEXT, "label": {"name": {"李雷": [[0, 1]]}, "company": {"明达银行": [[3, 6]]}}},
        {"id": 1, "label": {}},
    ],
    RELATIONS.name: [
        {"text": "乙", "spo_list": []},
        {"text": "甲", "spo_list": [{"subject": "a", "predicate": "票房", "object": {"@value": "b", "inArea": "c"}}]},
        {"text": "甲", "spo_list": []},
    ],
    EVENTS.name: [
        {"id": "b", "event_list": []},
        {
            "id": "a",
            "event_list": [{"event_type": "产品行为-发布", "arguments": [{"role": "发布方", "argument": "某公司"}]}],
        },
    ],
    IDIOMS.name: {TAGS[0]: 3, TAGS[1]: 0, TAGS[2]: 9, TAGS[3]: 3},
    QUESTIONS.name: {"q1": "海淀", "q0": "Da Xue"},
}


def faults_of(file, content, **options):
    """Line, severity, kind and message of each fault of a file in a zip."""
    faults = validate(zipped({file.name: content}), [file], **options)
    assert {fault.file for fault in faults} <= {file.name}
    return [(fault.line, fault.severity, fault.kind, fault.message) for fault in faults]


def only(faults, line, kind, message, severity="error"):
    assert len(faults) == 1, faults
    assert faults[0][:3] == (line, severity, kind)
    assert message in faults[0][3]


def changed(file, line, **values):
    """The right lines of a file, with other values on a line, from 1; None takes a key out."""
    rows = [dict(one) for one in RIGHT[file.name]]
    rows[line - 1] = {key: value for key, value in {**rows[line - 1], **values}.items() if value is not None}
    return rows


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_is_wrong_with_what_is_right(file, tmp_path):
    assert faults_of(file, RIGHT[file.name]) == []
    path = tmp_path / "other.json"
    path.write_bytes(written(RIGHT[file.name]))
    assert validate_file(path, file) == []


def test_nothing_is_wrong_with_several_files():
    files = FILES[:4]
    assert validate(zipped({file.name: RIGHT[file.name] for file in files}), files, "submit.zip") == []


def test_lines_of_a_form_of_their_own_are_counted():
    file = SubmissionFile(name="MRPC.jsonl", kind="lines", ids=[0, 1])
    assert faults_of(file, [{"index": 0, "prediction": "1"}, {"index": 1, "prediction": "0"}]) == []
    only(
        faults_of(file, [{"index": 0, "prediction": "1"}]),
        1,
        "number",
        "2 lines, one for each row of the test file, got 1",
    )
    only(faults_of(file, b'{"index": 0}\n{"index": 1}\n[1]\n'), 3, "JSON", "a line must be a JSON object, got [1]")


@pytest.mark.parametrize(
    ("content", "line", "kind", "message", "severity"),
    [
        (b"\xef\xbb\xbf" + written(RIGHT[LABELS.name]), 1, "encoding", "byte order mark", "error"),
        ("{}".encode("utf-16"), 1, "encoding", "UTF-16", "error"),
        (written(RIGHT[LABELS.name]).replace(b"\n", b"\r\n"), 1, "line end", "CRLF on 3 lines", "warning"),
        (written(RIGHT[LABELS.name]) + b"\n", 4, "blank line", "must not be blank", "error"),
        (written(RIGHT[LABELS.name]).replace(b"\n", b"\n \n", 1), 2, "blank line", "must not be blank", "error"),
        (b"", None, "empty", "got nothing", "error"),
        (json.dumps(RIGHT[LABELS.name]), 1, "JSON", "one list or object of all rows", "error"),
        (json.dumps(RIGHT[LABELS.name], indent=1), 1, "JSON", "one list or object of all rows", "error"),
        (changed(LABELS, 2, label=1), 2, "label", "label must be a string, got 1", "error"),
        (changed(LABELS, 2, label="2"), 2, "label", "one of 0, 1, got '2'; a class goes by its name", "error"),
        (changed(LABELS, 2, label="news"), 2, "label", "one of 0, 1, got 'news'", "error"),
        (changed(LABELS, 3, label=None), 3, "label", "got None", "error"),
    ],
)
def test_faults_of_lines(content, line, kind, message, severity):
    only(faults_of(LABELS, content), line, kind, message, severity)


def test_line_that_is_no_json():
    """Its row is missing too."""
    faults = faults_of(LABELS, written(RIGHT[LABELS.name]).replace(b'"1"}', b'"1"', 1))
    assert [(line, kind) for line, _, kind, _ in faults] == [(2, "JSON"), (3, "number"), (3, "missing id")]
    faults = faults_of(LABELS, written(RIGHT[LABELS.name]).replace(b'"1"}', b'"\xff"}', 1))
    assert faults[0][:3] == (2, "error", "encoding")
    faults = faults_of(LABELS, written(RIGHT[LABELS.name]) + b"[1]\n")
    only(faults, 4, "JSON", "must be a JSON object, got [1]")


def test_escapes_are_told_once():
    content = json.dumps(RIGHT[ENTITIES.name][0]) + "\n" + json.dumps({"id": 1, "label": {}, "more": "好"}) + "\n"
    only(faults_of(ENTITIES, content), 1, "escape", "on 2 lines", "warning")
    # A backslash that is one.
    file = SubmissionFile(name="a.json", kind="label", labels=[r"\u4e00"])
    assert faults_of(file, [{"id": 0, "label": r"\u4e00"}]) == []


def test_number_and_order_of_ids():
    right = RIGHT[LABELS.name]
    kinds = [(line, kind) for line, _, kind, _ in faults_of(LABELS, right[:2])]
    assert kinds == [(2, "number"), (2, "missing id")]
    only(faults_of(LABELS, [right[1], right[0], right[2]]), 1, "order", "'31' here, got '7'")
    faults = faults_of(LABELS, [right[0], right[0], right[2]])
    assert [(line, kind) for line, _, kind, _ in faults] == [(2, "repeated id"), (3, "missing id")]
    assert "'31' on line 1 already" in faults[0][3]
    faults = faults_of(LABELS, changed(LABELS, 1, id=99))
    assert [(line, kind) for line, _, kind, _ in faults] == [(1, "unknown id"), (3, "missing id")]
    faults = faults_of(LABELS, changed(LABELS, 3, id=None))
    assert [(line, kind) for line, _, kind, _ in faults] == [(3, "id"), (3, "missing id")]
    for wrong in (True, 12.0, [12]):
        assert faults_of(LABELS, changed(LABELS, 3, id=wrong))[0][2] == "id"


def test_ids_that_restart_at_each_batch():
    file = SubmissionFile(name="a.json", kind="label", ids=range(64), labels=["0"])
    faults = faults_of(file, [{"id": number % 16, "label": "0"} for number in range(64)], limit=5)
    kinds = [kind for _, _, kind, _ in faults]
    assert kinds == [*["repeated id"] * 5, "missing id", "repeated id"]
    assert faults[0][0] == 17
    assert faults[-1][3] == "43 more of the kind 'repeated id'"


def test_ids_that_count_the_lines_have_been_scored():
    rows = [{"id": number, "label": "1"} for number in range(3)]
    only(faults_of(LABELS, rows), 1, "running ids", "the test file are 31, 7, 12", "warning")
    # Where they are those of the test file in another order, the rows may have been sorted.
    faults = faults_of(CHOICES, rows)
    only(faults, 1, "running ids", "sorted by their ids they answer others", "warning")
    plain = SubmissionFile(name="a.json", kind="label", ids=["0", "1", "2"])
    assert faults_of(plain, rows) == []
    # By the number of a line its text is known.
    other = SubmissionFile(name="a.json", kind="entities", ids=[8, 9], texts=[TEXT, TEXT])
    rows = [{"id": 0, "label": {}}, {"id": 1, "label": {"name": {"李": [[1, 1]]}}}]
    assert [kind for _, _, kind, _ in faults_of(other, rows)] == ["running ids", "span"]


@pytest.mark.parametrize(
    ("file", "content", "line", "kind", "message"),
    [
        (CHOICES, changed(CHOICES, 2, label="2"), 2, "label", "number of a choice, 0 to 1, got '2'"),
        (CHOICES, changed(CHOICES, 2, label="-1"), 2, "label", "0 to 1"),
        (CHOICES, changed(CHOICES, 2, label="甲"), 2, "label", "0 to 1"),
        (ANSWERS, changed(ANSWERS, 1, answer=7), 1, "answer", "0 to 6, got 7"),
        (ANSWERS, changed(ANSWERS, 1, answer=-1), 1, "answer", "0 to 6, got -1"),
        (ANSWERS, changed(ANSWERS, 1, answer="3"), 1, "answer", "must be an integer, got '3'"),
        (ANSWERS, changed(ANSWERS, 1, answer=True), 1, "answer", "must be an integer, got True"),
        (
            ENTITIES,
            changed(ENTITIES, 1, label={"name": {"李雷": [[0, 2]]}}),
            1,
            "span",
            "got '李雷在', so ends are excl",
        ),
        (ENTITIES, changed(ENTITIES, 1, label={"name": {"李雷": [[1, 2]]}}), 1, "span", "must be '李雷', got '雷在'"),
        (ENTITIES, changed(ENTITIES, 1, label={"name": {"班": [[8, 9]]}}), 1, "span", "of 9 characters, got [8, 9]"),
        (ENTITIES, changed(ENTITIES, 1, label={"name": {"班": [8, 8]}}), 1, "span", "list of [first, last]"),
        (ENTITIES, changed(ENTITIES, 1, label={"name": {"班": [[8.0, 8]]}}), 1, "span", "list of [first, last]"),
        (ENTITIES, changed(ENTITIES, 1, label={"人": {"李雷": [[0, 1]]}}), 1, "label", "... (10 in all), got '人'"),
        (ENTITIES, changed(ENTITIES, 1, label={"name": [[0, 1]]}), 1, "label", "an object of types"),
        (ENTITIES, changed(ENTITIES, 1, label="name"), 1, "label", "an object of types"),
        (ENTITIES, changed(ENTITIES, 1, text="别的", label={}), 1, "text", "that of the test file"),
        (RELATIONS, changed(RELATIONS, 2, spo_list=[{"subject": "a"}]), 2, "schema", "at which the scorer stops"),
        (RELATIONS, changed(RELATIONS, 2, spo_list=None), 2, "schema", "list 'spo_list'"),
        (
            RELATIONS,
            changed(RELATIONS, 2, spo_list=[{"subject": "a", "predicate": "导演", "object": {"@value": "b"}}]),
            2,
            "label",
            "one of 票房, 作者, got '导演'",
        ),
        (
            RELATIONS,
            changed(RELATIONS, 2, spo_list=[{"subject": "a", "predicate": "票房", "object": {"inArea": "b"}}]),
            2,
            "slot",
            "must have '@value', got inArea",
        ),
        (EVENTS, changed(EVENTS, 2, event_list=None), 2, "schema", "a list 'event_list'"),
        (
            EVENTS,
            changed(EVENTS, 2, event_list=[{"event_type": "k", "arguments": [{"role": "r", "argument": "某公司"}]}]),
            2,
            "label",
            "got 'k|r'",
        ),
        (
            IDIOMS,
            {**RIGHT[IDIOMS.name], TAGS[1]: 10},
            3,
            "idiom",
            f"idiom of {TAGS[1]} must be an integer of 0 to 9, got 10",
        ),
        (IDIOMS, {**RIGHT[IDIOMS.name], TAGS[1]: "0"}, 3, "idiom", "got '0'"),
        (IDIOMS, {**RIGHT[IDIOMS.name], TAGS[1]: False}, 3, "idiom", "got False"),
        (IDIOMS, {tag: RIGHT[IDIOMS.name][tag] for tag in TAGS[1:]}, 5, "missing id", f"1 are not: {TAGS[0]}"),
        (IDIOMS, {**RIGHT[IDIOMS.name], "#idiom9#": 0}, 6, "unknown id", "got '#idiom9#'"),
        (IDIOMS, '{"a": 1}\n{"b": 1}\n', 1, "JSON", "got an object on each line"),
        (IDIOMS, "[1]", 1, "JSON", "got a list"),
        (IDIOMS, "\n\n", 1, "JSON", "got blank lines"),
        (IDIOMS, '{\n"a": 1,\n"b"\n}', 4, "JSON", "must be JSON"),
        (QUESTIONS, {"q0": "海淀", "q1": 3}, 3, "answer", "answer to q1 must be a string, got 3"),
    ],
)
def test_faults_of_each_kind(file, content, line, kind, message):
    only(faults_of(file, content), line, kind, message)


@pytest.mark.parametrize(
    ("file", "content", "line", "kind", "message"),
    [
        (ENTITIES, changed(ENTITIES, 1, label={"name": {"李雷": []}}), 1, "span", "counts it all the same"),
        (EVENTS, changed(EVENTS, 1, event_list=RIGHT[EVENTS.name][1]["event_list"]), 1, "argument", "got '某公司'"),
        (IDIOMS, {**RIGHT[IDIOMS.name], TAGS[1]: 3}, 3, "idiom twice", f"got 3 for {TAGS[0]} and {TAGS[1]}"),
        (QUESTIONS, {"q0": "da xue", "q1": "海淀"}, 2, "answer elsewhere", "but for the case of letters or white"),
        (QUESTIONS, {"q0": "DaXue", "q1": "海淀"}, 2, "answer elsewhere", "but for the case of letters or white"),
        (QUESTIONS, {"q0": "上海", "q1": "海淀"}, 2, "answer elsewhere", "'上海' is not"),
        (QUESTIONS, {"q0": " ", "q1": "海淀"}, 2, "answer", "must not be blank"),
        (
            RELATIONS,
            [*RIGHT[RELATIONS.name], {"text": "乙", "spo_list": []}],
            4,
            "repeated text",
            "of which the last counts",
        ),
    ],
)
def test_warnings(file, content, line, kind, message):
    only(faults_of(file, content), line, kind, message, "warning")


def test_same_key_twice_in_an_object():
    """Readers of JSON take the last without a word."""
    content = written(RIGHT[IDIOMS.name]).replace(b"#idiom000003#", b"#idiom000002#")
    faults = faults_of(IDIOMS, content)
    assert [(line, kind) for line, _, kind, _ in faults] == [
        (5, "repeated id"),
        (5, "idiom twice"),
        (6, "missing id"),
    ]
    assert "'#idiom000002#' on line 4 already" in faults[0][3]


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        (LABELS, '"label": "1"', '"label": "1", "label": "0"', "label"),
        (LABELS, '"id": 31', '"id": 31, "id": 31', "id"),
        (ENTITIES, '"company": {', '"name": {', "name"),
        (RELATIONS, '"inArea"', '"@value"', "@value"),
    ],
)
def test_same_key_twice_in_an_object_of_a_line(file, old, new, key):
    """On the top or deep inside, it is said once for a line, and nothing else is wrong with it."""
    content = written(RIGHT[file.name]).decode()
    line = 1 + content[: content.index(old)].count("\n")
    message = f"a key must be in an object once, got {key!r} more often"
    only(faults_of(file, content.replace(old, new, 1)), line, "repeated key", message)


def test_texts_of_relations_must_be_all_there_and_untouched():
    faults = faults_of(RELATIONS, changed(RELATIONS, 1, text="乙 "))
    assert [(line, kind) for line, _, kind, _ in faults] == [(1, "unknown text"), (3, "missing text")]


def test_what_is_not_said_is_not_checked():
    for file in FILES:
        bare = SubmissionFile(name=file.name, kind=file.kind)
        assert faults_of(bare, RIGHT[file.name]) == []


def test_fault_as_a_line():
    assert str(Fault("a.json", 3, "error", "id", "wrong")) == "a.json:3: error: wrong"
    assert validate(zipped({}), [LABELS]) == [
        Fault("submit.zip", None, "error", "missing", "the zip must have csl_predict.json")
    ]
