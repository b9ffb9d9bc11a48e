"""What the check of a suite finds in official files: by its findings, and as the program prints it."""

import json
import shutil

import pytest
from clue_sample import write_clue
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.suites import TaskCheck, check_suite, shipped_suites
from hf_ext.suites.faulty_lines import SHOWN

CLUE = shipped_suites()["clue"]


def write(folder, task, name, rows):
    (folder / task).mkdir(exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / task / name).write_text("".join(lines), encoding="utf-8")


def pairs(labels, first=0):
    return [
        {"sentence1": f"甲{number}", "sentence2": "乙", "label": label}
        for number, label in enumerate(labels, start=first)
    ]


@pytest.fixture
def data(tmp_path):
    """Files of OCNLI with nothing wrong but their number."""
    names = ("entailment", "neutral", "contradiction")
    write(tmp_path, "ocnli", "train.50k.json", pairs(names * 5))
    write(tmp_path, "ocnli", "dev.json", pairs(names, first=15))
    write(tmp_path, "ocnli", "test.json", [{"id": number, **one} for number, one in enumerate(_unlabelled(2, 18))])
    return tmp_path


def _unlabelled(number, first):
    return [{"sentence1": f"甲{at}", "sentence2": "乙"} for at in range(first, first + number)]


def found(data, *tasks):
    (own,) = check_suite(CLUE, data, tasks or ("ocnli",))
    return own, {(one.severity, one.kind, one.file) for one in own.findings}


def test_files_without_faults_differ_in_number_alone(data):
    own, findings = found(data)
    counts = {("warning", "count", part) for part in ("train", "validation", "test")}
    assert findings == counts
    assert isinstance(own, TaskCheck)
    assert (own.name, own.severity, own.rows) == ("ocnli", "warning", {"train": 15, "validation": 3, "test": 2})
    assert own.labels["neutral"] == {"train": 5, "validation": 1}
    assert own.shown["neutral"] == "甲1 | 乙"


def test_what_is_wrong_is_found_where_it_is(data):
    write(data, "ocnli", "dev.json", [*pairs(["-", "neutral"], first=30), *pairs(["entailment"])])
    write(data, "ocnli", "test.json", [{"id": 7, **one} for one in _unlabelled(2, 0)])
    own, findings = found(data)
    assert own.left_out == {"validation": 1}
    assert {
        ("note", "no label", "validation"),
        ("error", "ids", "test"),
        ("warning", "leak", "validation"),
        ("warning", "leak", "test"),
    } <= findings
    assert own.severity == "error"


def test_long_texts_are_counted(data):
    write(data, "ocnli", "dev.json", [{**one, "sentence1": "甲" * 200} for one in pairs(["neutral"])])
    own, findings = found(data)
    assert own.cut == {"train": 0.0, "validation": 1.0, "test": 0.0}
    assert ("warning", "cut off", "validation") in findings


@pytest.mark.parametrize(
    ("name", "rows", "severity", "kind"),
    [
        ("train.50k.json", [{"sentence1": "甲", "sentence2": "乙", "label": "yes"}], "error", "unreadable"),
        ("train.50k.json", [], "error", "unreadable"),
        ("dev.json", pairs(["-"]), "error", "no examples"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error(data, name, rows, severity, kind):
    write(data, "ocnli", name, rows)
    _, findings = found(data)
    part = "validation" if name == "dev.json" else "train"
    assert (severity, kind, part) in findings


def unreadable(data, task, part):
    """What is told of the lines of a part that cannot be read, file names without their folder."""
    own, _ = found(data, task)
    (finding,) = [one for one in own.findings if (one.kind, one.file) == ("unreadable", part)]
    folder = str(data / task)
    return (
        own,
        (finding.number, finding.of),
        [one.replace(f"{folder}/", "") for one in finding.places or [finding.message]],
    )


def test_each_line_that_cannot_be_read_is_named_and_the_rest_checked(data):
    rows = [json.dumps(row, ensure_ascii=False) for row in pairs(["neutral", "yes", "entailment", "neutral"], 30)]
    rows[0] = "{"
    del rows[3:]
    rows += ["[1]", "", '{"sentence1": "甲", "label": "neutral"}', json.dumps(pairs(["contradiction"], 40)[0])]
    (data / "ocnli" / "dev.json").write_text("\n".join(rows) + "\n", encoding="utf-8")
    own, numbers, places = unreadable(data, "ocnli", "validation")
    assert numbers == (4, 6)
    assert [place.partition(":")[2].partition(",")[0] for place in places] == [
        "1: the line must be JSON",
        "2: label must be one of entailment",
        "4: the line must be a JSON object",
        "6: a row must have a text under sentence2 or hypothesis",
    ]
    assert {place.partition(":")[0] for place in places} == {"dev.json"}
    # The entailment and the contradiction.
    assert own.rows["validation"] == 2


@pytest.mark.parametrize(("line", "stops"), [("{", False), ('{"sentence1": "甲"}', True)])
def test_of_many_faults_some_are_named(data, line, stops):
    good = json.dumps(pairs(["neutral"], 30)[0], ensure_ascii=False)
    (data / "ocnli" / "dev.json").write_text("\n".join([*[good] * 20, *[line] * 12]) + "\n", encoding="utf-8")
    own, (number, of), places = unreadable(data, "ocnli", "validation")
    assert [place.split(":")[1] for place in places[:SHOWN]] == ["21", "22", "23", "24", "25"]
    if stops:
        # One after the other; no more are looked for.
        assert (number, of, places[SHOWN:]) == (SHOWN, 32, [])
    else:
        assert (number, of, places[SHOWN:]) == (12, 32, ["and 7 more"])
        assert own.rows["validation"] == 20


@pytest.fixture(scope="module")
def clue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clue")
    write_clue(folder)
    return folder


@pytest.fixture
def copy(clue, tmp_path):
    """The files of one task, to be spoilt."""

    def copied(task):
        shutil.copytree(clue / task, tmp_path / task)
        return tmp_path / task

    return copied


def test_files_of_all_tasks_have_no_errors(clue):
    checked = check_suite(CLUE, clue)
    assert [own.task for own in checked] == [task.name for task in CLUE.tasks]
    errors = [(own.task, one) for own in checked for one in own.findings if one.severity == "error"]
    assert errors == []
    told = {own.task: own.rows for own in checked}
    assert told["c3"] == {"train": 16, "validation": 8, "test1.0": 4, "test1.1": 4}
    # Two blanks a line.
    assert told["chid"] == {"train": 16, "validation": 8, "test1.0": 8, "test1.1": 8}
    assert told["cmnli"]["diagnostics"] == 4


def test_lines_of_chid_are_counted_and_not_blanks(clue):
    _, findings = found(clue, "chid")
    assert ("warning", "count", "train") in findings
    own, _ = found(clue, "chid")
    assert "8 groups of rows are there, officially 84,709" in [one.message for one in own.findings]


def test_blanks_without_answers_are_named(copy, tmp_path):
    folder = copy("chid")
    answers = json.loads((folder / "dev_answer.json").read_text(encoding="utf-8"))
    del answers["#idiom000019#"]
    (folder / "dev_answer.json").write_text(json.dumps(answers), encoding="utf-8")
    _, numbers, places = unreadable(tmp_path, "chid", "validation")
    assert (numbers, places) == (
        (1, 4),
        ["dev.json:2: a blank must be answered in dev_answer.json, got '#idiom000019#'"],
    )
    (folder / "dev_answer.json").unlink()
    assert ("error", "missing", "validation") in found(tmp_path, "chid")[1]
    (folder / "dev_answer.json").write_text("[]", encoding="utf-8")
    _, numbers, (place,) = unreadable(tmp_path, "chid", "validation")
    assert (numbers, place.partition(":")[0]) == ((0, 0), "dev_answer.json")


def test_passages_are_the_same_whatever_their_blanks_are_called(copy, tmp_path):
    folder = copy("chid")
    assert ("warning", "leak", "validation") not in found(tmp_path, "chid")[1]
    for ending in ("", "_answer"):
        content = (folder / f"train{ending}.json").read_text(encoding="utf-8").replace("#idiom0", "#idiom9")
        (folder / f"dev{ending}.json").write_text(content, encoding="utf-8")
    own, findings = found(tmp_path, "chid")
    assert ("warning", "leak", "validation") in findings
    assert [(one.number, one.of) for one in own.findings if (one.kind, one.file) == ("leak", "validation")] == [
        (16, 16)
    ]


def test_spans_that_are_not_where_they_say_are_named(copy, tmp_path):
    path = copy("wsc") / "train.json"
    lines = path.read_text(encoding="utf-8").replace('"span2_index": 10', '"span2_index": 11', 1)
    path.write_text(lines, encoding="utf-8")
    _, numbers, places = unreadable(tmp_path, "wsc", "train")
    assert (numbers, places[0].partition(",")[0]) == ((1, 8), "train.json:1: the text at span2_index 11 must be '他'")
    path = copy("cluener") / "dev.json"
    path.write_text(path.read_text(encoding="utf-8").replace('明达银行": [[', '明达行": [[', 2), encoding="utf-8")
    _, numbers, places = unreadable(tmp_path, "cluener", "validation")
    assert numbers == (2, 4)
    assert [place.partition(": ")[0] for place in places] == ["dev.json:1", "dev.json:2"]


def test_answers_elsewhere_and_placeholders_are_told(copy, tmp_path):
    folder = copy("cmrc2018")
    dev = json.loads((folder / "dev.json").read_text(encoding="utf-8"))
    first, second, *_ = (one["qas"][0]["answers"][0] for one in dev["data"][0]["paragraphs"])
    first["answer_start"] += 1
    second["text"] = "不在其中"
    (folder / "dev.json").write_text(json.dumps(dev), encoding="utf-8")
    own, findings = found(tmp_path, "cmrc2018")
    assert ("warning", "read otherwise", "validation") in findings
    told = "of 4 answers 1 stand elsewhere than given, and 1 are not in their text and only score"
    assert [told in one.message for one in own.findings if one.kind == "read otherwise"] == [True]
    shutil.copy(folder / "test.json", folder / "train.json")
    own, _ = found(tmp_path, "cmrc2018")
    assert ["no placeholder" in one.message for one in own.findings if one.kind == "unreadable"] == [True]


def test_classes_that_the_training_file_lacks_are_known_by_the_suite(tmp_path):
    """Of a cut file; the rest can be trained on and scored all the same."""
    for name, labels in (("train.json", ("0", "118")), ("dev.json", ("118", "7"))):
        rows = [{"label": label, "sentence": f"{name}甲{label}"} for label in labels]
        write(tmp_path, "iflytek", name, rows)
    own, findings = found(tmp_path, "iflytek")
    assert ("warning", "unknown", "validation") in findings
    assert not [one for one in findings if one[0] == "error"]
    assert own.labels["7"] == {"train": 0, "validation": 1}
    write(tmp_path, "iflytek", "dev.json", [{"label": "119", "sentence": "甲"}])
    _, _, (place,) = unreadable(tmp_path, "iflytek", "validation")
    assert place == "dev.json:1: label must be one of 0, 1, 2, 3, 4, 5, 6, 7, ... (119 in all), got '119'"


def test_what_the_job_refuses_is_named_by_its_official_line(data):
    rows = pairs(["neutral", "-", "entailment"], 50)
    rows[2]["sentence2"] = " "
    write(data, "ocnli", "dev.json", rows)
    _, _, (message,) = unreadable(data, "ocnli", "validation")
    assert message == "dev.json:3: text2 must be a string that is not blank, got ' '"


def test_two_rows_of_a_test_with_one_id_are_an_error(copy, tmp_path):
    path = copy("c3") / "test1.1.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"id": 888', '"id": 887'), encoding="utf-8")
    own, findings = found(tmp_path, "c3")
    assert ("error", "ids", "test1.1") in findings
    assert "1 ids are there more than once: 887" in [one.message for one in own.findings]


def test_tasks_that_are_not_there_are_errors_if_they_are_asked_for(data):
    (data / "ocnli" / "dev.json").unlink()
    assert ("error", "missing", "validation") in found(data)[1]
    findings = {(own.task, one.severity) for own in check_suite(CLUE, data) for one in own.findings}
    assert ("afqmc", "warning") in findings
    assert ("afqmc", "error") not in findings
    with pytest.raises(ValueError, match="data must have folders of afqmc with their official files, got none in"):
        check_suite(CLUE, data, ["afqmc"])
    with pytest.raises(ValueError, match="data must be a folder with a folder for each task"):
        check_suite(CLUE, data / "none")


def test_the_program_prints_tables_and_ends_with_1_on_errors(data):
    def run(*words):
        return CliRunner().invoke(app, ["clue", "check", str(data), "--tasks", "ocnli", *words])

    shown = run()
    assert shown.exit_code == 0, shown.output
    assert "warning: ocnli, train: 15 rows are there, officially 50,437" in shown.output
    (told,) = json.loads(run("--json").output)
    assert (told["task"], told["severity"]) == ("ocnli", "warning")
    (data / "ocnli" / "dev.json").write_text("{\n", encoding="utf-8")
    failed = run()
    assert failed.exit_code == 1
    assert "dev.json:1: the file must be JSON" in " ".join(failed.output.split())


def test_all_splits_that_are_there_are_checked(tmp_path):
    rows = [{"id": at, "sentence": f"甲{at}", "label": label} for at, label in enumerate(["Positive", "Negative"])]
    for name in ("train_0", "dev_0", "train_few_all", "dev_few_all", "test_public"):
        write(tmp_path, "eprstmt", f"{name}.json", rows)
    assert [own.name for own in check_suite(shipped_suites()["fewclue"], tmp_path, ["eprstmt"])] == [
        "eprstmt 0",
        "eprstmt few_all",
    ]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"tnews": "keywords"}, "variant must be of one of the tasks ocnli, got 'tnews'"),
        ({"ocnli": "keywords"}, "variant of ocnli must be one of its own, none, got 'keywords'"),
    ],
)
def test_a_variant_without_effect_is_refused(data, variants, message):
    with pytest.raises(ValueError, match=message):
        check_suite(CLUE, data, ("ocnli",), variants=variants)
