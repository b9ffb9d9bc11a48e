"""hf-ext convert-data: what it writes says the same when it is read again."""

import json
import os
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hf_ext_cli
from hf_ext.tasks.base.task_files import task_files

IMAGE = Path(__file__).resolve().parents[2] / "docs" / "images" / "pointer_growth.png"
SPAN = {"start": 0, "end": 1, "text": "😀"}
OTHER = {"start": 3, "end": 5, "text": "\n乙"}
TEXT = "😀甲 \n乙"
TRIGGER = {"role": "触发词", "start": 1, "end": 2, "text": "甲"}
EVENT = {"type": "t", "arguments": [TRIGGER, {"role": "r", **SPAN}, {"role": "s", "start": 4, "end": 5, "text": "乙"}]}
RELATION = {
    "predicate": "p",
    "subject": SPAN,
    "object": {"start": 4, "end": 5, "text": "乙"},
    "slots": [{"name": "s", "start": 1, "end": 2, "text": "甲"}],
}
ENTITIES = [
    {"start": 0, "end": 2, "label": "x"},
    {"start": 1, "end": 5, "label": "y"},
    {"start": 1, "end": 5, "label": "z"},
]
# Examples of each task, and whether the tools have a place for them.
EXAMPLES = {
    "ner": ([{"text": TEXT, "entities": ENTITIES}, {"text": "乙", "entities": []}], True),
    "relations": ([{"text": TEXT, "relations": [RELATION]}, {"text": "乙", "relations": []}], True),
    "events": ([{"text": TEXT, "events": [EVENT, EVENT]}, {"text": "乙", "events": []}], True),
    "classification": ([{"text": "甲", "label": "x"}, {"text": "乙", "label": "y"}], True),
    "summarization": ([{"text": "甲", "summary": "乙"}, {"text": "丙", "summary": "丁"}], True),
    "paraphrase": ([{"text": "甲", "synonyms": ["乙", "丙"]}], True),
    "multiple-choice": (
        [
            {"text": "甲", "question": "谁", "choices": ["乙", "丙"], "id": 3, "label": 1},
            {"text": "甲#idiom1#。", "blank": "#idiom1#", "choices": ["乙", "丙", "丁"], "group": 0, "label": 0},
        ],
        False,
    ),
    "image-classification": ([{"image": str(IMAGE), "label": "x"}], False),
    "similarity": ([{"text1": "甲", "text2": "乙", "score": 0.5}], False),
    "autoencoder": ([{"text": "甲"}, {"text": "乙"}], False),
    "dialogue": ([{"turns": ["甲", "乙"]}], False),
    "reading-comprehension": (
        [{"id": "0", "question": "谁", "context": TEXT, "answers": [{"text": "甲", "start": 1}]}],
        False,
    ),
}


def run(*arguments):
    return CliRunner().invoke(hf_ext_cli.app, ["convert-data", *map(str, arguments), "--overwrite"])


def write(path, records):
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8")
    return path


def test_every_task_has_files():
    assert task_files().keys() == EXAMPLES.keys()


@pytest.mark.parametrize("task", EXAMPLES)
def test_what_is_written_says_the_same(task, tmp_path):
    examples, has_place = EXAMPLES[task]
    files = task_files()[task]
    path = write(tmp_path / "in", examples)
    assert files.read(path) == examples
    for form in ("jsonl", "doccano", "label-studio"):
        done = run(task, path, tmp_path / form, "--to", form)
        if form != "jsonl" and not has_place:
            assert str(done.exception) == f"{form} has no place for the examples of {task}"
            assert not (tmp_path / form).exists()
            continue
        assert done.output.strip() == f"{len(examples)} examples in {tmp_path / form}"
        assert files.read(tmp_path / form) == examples
        assert run(task, tmp_path / form, tmp_path / "back").exit_code == 0
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
        assert run(task, write(tmp_path / "none", []), tmp_path / "empty", "--to", form).exit_code == 0
        assert files.read(tmp_path / "empty") == []


def random_relation(source, length):
    def span():
        start = source.randrange(length)
        end = source.randint(start + 1, length)
        return {"start": start, "end": end, "text": "甲乙丙丁"[start:end]}

    slots = [{"name": source.choice("st"), **span()} for _ in range(source.choice([0, 0, 1, 2]))]
    return {"predicate": source.choice("pq"), "subject": span(), "object": span(), "slots": slots}


@pytest.mark.parametrize("form", ["doccano", "label-studio"])
def test_any_relations_and_events_are_told_apart_again(form, tmp_path):
    source = random.Random(0)
    relations, events = [], []
    for _ in range(150):
        found = [random_relation(source, 3) for _ in range(source.randint(0, 5))]
        relations.append({"text": "甲乙丙丁", "relations": found})
        told = [
            {"type": one["predicate"], "arguments": [{"role": "触发词", **one["subject"]}, *_arguments(one["slots"])]}
            for one in found
        ]
        events.append({"text": "甲乙丙丁", "events": told})
    for task, examples in (("relations", relations), ("events", events)):
        done = run(task, write(tmp_path / "in", examples), tmp_path / "out", "--to", form)
        assert done.exit_code == 0, done.exception
        assert task_files()[task].read(tmp_path / "out") == examples


def _arguments(slots):
    return [{"role": one["name"], **{key: one[key] for key in ("start", "end", "text")}} for one in slots]


def test_several_classes_and_pairs(tmp_path):
    several = [{"text": "甲", "labels": ["x", "y"]}, {"text": "乙", "labels": []}]
    pairs = [{"text": "甲", "text2": "乙", "label": "x"}, {"text": "丙", "text2": "丁", "label": "y"}]
    for examples, forms in ((several, ["doccano", "label-studio"]), (pairs, ["label-studio"])):
        for form in forms:
            assert run("classification", write(tmp_path / "in", examples), tmp_path / form, "--to", form).exit_code == 0
            assert task_files()["classification"].read(tmp_path / form) == examples
    error = run("classification", tmp_path / "in", tmp_path / "x", "--to", "doccano").exception
    assert str(error) == "example 1: doccano has a text of its own for each example, got text, text2, labels"
    # Of one class each, which both tools write as texts of one class have it.
    one = write(tmp_path / "in", [*several[:1], {"text": "乙", "labels": ["x"]}])
    assert run("classification", one, tmp_path / "a", "--to", "doccano").exit_code == 0
    single = write(tmp_path / "in", [{"text": "乙", "labels": ["x"]}])
    error = run("classification", single, tmp_path / "a", "--to", "doccano").exception
    assert "doccano has no place for all of example 1" in str(error)


def test_label_studio_is_given_places_in_utf16(tmp_path):
    path = write(tmp_path / "in", EXAMPLES["ner"][0])
    run("ner", path, tmp_path / "out", "--to", "label-studio")
    values = [one["value"] for one in json.loads((tmp_path / "out").read_text())[0]["annotations"][0]["result"]]
    assert [(one["start"], one["end"], one["text"]) for one in values] == [(0, 3, "😀甲"), *[(2, 6, "甲 \n乙")] * 2]


@pytest.mark.parametrize(
    ("task", "example", "message"),
    [
        ("events", {"text": "甲", "events": [{"type": "t", "arguments": [{"role": "r", **SPAN}]}]}, "have a trigger"),
        (
            "events",
            {"text": TEXT, "events": [{"type": "t", "arguments": [TRIGGER] * 2}]},
            "must have one trigger, got 2",
        ),
        ("relations", {"text": TEXT}, "must be labelled, got none of its 'relations'"),
    ],
)
def test_what_a_tool_cannot_have_is_refused(task, example, message, tmp_path):
    path = write(tmp_path / "in", [example])
    done = run(task, path, tmp_path / "out", "--to", "doccano")
    assert message in str(done.exception)
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_split_of_dialogues(tmp_path):
    path = tmp_path / "in"
    path.write_text(json.dumps({"train": [["a", "b"]], "valid": [["c", "d"], ["e", "f"]]}))
    for options, wanted in (((), [["a", "b"]]), (("--split", "validation"), [["c", "d"], ["e", "f"]])):
        assert run("dialogue", path, tmp_path / "out", *options).exit_code == 0
        assert [one["turns"] for one in task_files()["dialogue"].read(tmp_path / "out")] == wanted
    assert "split must be one of train, validation, test" in str(
        run("dialogue", path, tmp_path / "x", "--split", "dev").exception
    )
    assert "split goes with files that hold several" in str(
        run("ner", path, tmp_path / "x", "--split", "test").exception
    )


def test_the_input_is_never_the_output(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("甲")
    (folder / "a.ann").write_text("T1\tx 0 1\t甲\n")
    path = write(tmp_path / "in", EXAMPLES["ner"][0])
    os.link(path, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(path)
    before = path.read_bytes()
    for source, output in (
        (path, path),
        (path, tmp_path / "hard"),
        (path, tmp_path / "soft"),
        (tmp_path / "soft", path),
        (folder, folder / "a.txt"),
        (folder, folder / "new.jsonl"),
        (folder / "a.txt", folder / "a.ann"),
        (folder / "a.ann", folder / "a.txt"),
    ):
        assert "output must not be the input or a file of it" in str(run("ner", source, output).exception)
    assert path.read_bytes() == before
    assert run("ner", folder, tmp_path / "new.jsonl").exit_code == 0
    assert json.loads((tmp_path / "new.jsonl").read_text()) == {
        "text": "甲",
        "entities": [{"start": 0, "end": 1, "label": "x"}],
    }


def test_a_file_that_cannot_be_read_leaves_the_old_output(tmp_path):
    path = write(tmp_path / "in", [*EXAMPLES["ner"][0], {"text": 3}])
    (tmp_path / "out").write_text("old")
    done = run("ner", path, tmp_path / "out")
    assert str(done.exception).startswith(f"{path}:3: ")
    assert (tmp_path / "out").read_text() == "old"


def test_a_file_that_is_there_is_replaced_only_when_asked_for(tmp_path):
    path = write(tmp_path / "in", EXAMPLES["ner"][0])
    (tmp_path / "out").write_text("old")
    done = CliRunner().invoke(hf_ext_cli.app, ["convert-data", "ner", str(path), str(tmp_path / "out")])
    assert "output must not be there unless overwrite is given" in str(done.exception)
    assert (tmp_path / "out").read_text() == "old"
    assert run("ner", path, tmp_path / "out").exit_code == 0
    assert len((tmp_path / "out").read_text().splitlines()) == len(EXAMPLES["ner"][0])
