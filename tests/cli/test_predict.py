"""`hf-ext predict` finds what any of our pipelines finds, and reads what it reads."""

import json
import os
import re
import sys
import threading

import pytest
import saved_tiny
import torch
from transformers import AutoModelForSequenceClassification, pipeline
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.tasks.base.saved_model import SavedModel, predictors
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.reading_comprehension.head import AutoModelForReadingComprehension

CONTEXT = "林一舟写了长河，何远写了春江。"
TEXTS = ["林一舟写了长河", "何远"]


def run(*words, **options):
    return CliRunner().invoke(app, ["predict", *map(str, words)], **options)


def saved(folder, auto_class, **fields):
    """A small BERT with a head of large weights, and its tokenizer."""

    def make(config):
        model = auto_class.from_config(config)
        with torch.no_grad():
            for parameter in model.classifier.parameters():
                parameter.mul_(20)
        return model

    return saved_tiny.saved(folder, make, [CONTEXT, "谁写了"], 64, **fields)


def near(value):
    """The same, with numbers that need only be near."""
    if isinstance(value, dict):
        return {name: near(part) for name, part in value.items()}
    if isinstance(value, list):
        return [near(part) for part in value]
    return pytest.approx(value, rel=1e-5) if isinstance(value, float) else value


def read(result):
    assert result.exit_code == 0, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("reader"), AutoModelForReadingComprehension, answer_head_size=8)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    names = {0: "a", 1: "b", 2: "c"}
    return saved(tmp_path_factory.mktemp("classifier"), AutoModelForSequenceClassification, id2label=names)


def test_tasks_are_those_of_the_pipelines():
    found = {name: (kind.command, kind.found, *kind.endings) for name, kind in predictors().items()}
    assert found == {
        "event-tagging": ("events", "events", "ForEventTagging"),
        "half-pointer-relation-extraction": ("relations", "relations", "ForHalfPointerRelations"),
        "span-extraction": ("ner", "entities", "ForSpanExtraction"),
        "sequence-labeling": ("ner", "entities", "ForSequenceLabeling"),
        "relation-extraction": ("relations", "relations", "ForRelationExtraction"),
        "event-extraction": ("events", "events", "ForEventExtraction"),
        "reading-comprehension": ("reading-comprehension", "answers", "ForReadingComprehension"),
        "classification": ("classification", "classes", "ForSequenceClassification", "ForLinearClassification"),
        "multiple-choice": ("multiple-choice", "answers", "ForMultipleChoice", "ForLinearChoice"),
        "cloze": ("cloze", "classes", "ForMaskedLM", "BertForPreTraining"),
        "image-classes": ("image-classification", "classes", "ForImageClassification"),
        "text-similarity": ("similarity", "similarity"),
        "paraphrase-generation": ("paraphrase", "paraphrases", "ForParaphrase", "ForCausalLM"),
        "dialogue-reply": ("dialogue", "reply", "ForCausalLM"),
        "text-autoencoding": ("autoencoder", "reconstruction", "ForTextAutoencoding"),
        "summary-generation": ("summarization", "summary", "ForConditionalGeneration"),
    }


def test_questions_are_answered(reader, tmp_path):
    rows = [{"question": one, "context": CONTEXT * many} for one, many in (("谁写了长河", 1), ("谁写了春江", 9))]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n\n".join(json.dumps(row | {"id": 1}) for row in rows), encoding="utf-8")
    answer = pipeline("reading-comprehension", model=str(reader))
    wanted = [{**row, "answers": [answer(row)]} for row in rows]
    assert read(run(reader, "--file", file)) == near(wanted)
    assert read(run(reader, input=file.read_text(encoding="utf-8"))) == near(wanted)
    wanted = [{**row, "answers": [answer(row, doc_stride=20)]} for row in rows]
    assert read(run(reader, "--file", file, "--stride", 20)) == near(wanted)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["谁"], r'this model reads JSON lines with "question" and "context", got a text alone'),
        (["--threshold", "0.5"], "threshold has no effect with a model that finds answers; leave it out"),
        (["--whole"], "whole has no effect with a model that reads JSON lines"),
        (["--html", "page.html"], "html is a page of entities, and the model in .* finds answers"),
        ([], r'standard input:1: a line must be a JSON object with strings "question" and "context", got'),
    ],
)
def test_what_a_reader_cannot_do_is_refused(reader, words, message):
    assert re.search(message, str(run(reader, *words, input="谁写了长河\n").exception))


def scores_of(folder, text, pair=None):
    """The probabilities by the model itself."""
    classify = pipeline("text-classification", model=str(folder))
    found = classify({"text": text, "text_pair": pair} if pair else {"text": text}, top_k=None, truncation=True)
    return sorted(found, key=lambda one: -one["score"])


def test_classes_are_found(classifier):
    wanted = [{"text": text, "classes": scores_of(classifier, text)[:1]} for text in TEXTS]
    assert read(run(classifier, *TEXTS)) == near(wanted)
    wanted = [
        {"text": text, "classes": [one for one in scores_of(classifier, text) if one["score"] > 0.2]} for text in TEXTS
    ]
    assert read(run(classifier, *TEXTS, "--threshold", 0.2)) == near(wanted)
    # Longer than the tokenizer's limit: cut off, as in training.
    (long,) = read(run(classifier, CONTEXT * 30))
    assert long["classes"] == near(scores_of(classifier, CONTEXT * 30)[:1])
    assert "stride has no effect" in str(run(classifier, "甲", "--stride", 4).exception)


def test_pairs_have_classes_of_their_own(classifier):
    lines = [json.dumps({"text": TEXTS[0], "text2": TEXTS[1], "id": 3}), json.dumps({"text": TEXTS[1]})]
    found = read(run(classifier, input="\n".join(lines)))
    assert found == near(
        [
            {"text": TEXTS[0], "text2": TEXTS[1], "classes": scores_of(classifier, *TEXTS)[:1]},
            {"text": TEXTS[1], "classes": scores_of(classifier, TEXTS[1])[:1]},
        ]
    )
    assert found[0]["classes"] != scores_of(classifier, TEXTS[0])[:1]


def test_any_number_of_classes(tmp_path):
    names = dict(enumerate("abcdefgh"))
    kind = "multi_label_classification"
    folder = saved(tmp_path, AutoModelForSequenceClassification, id2label=names, problem_type=kind)
    scores = scores_of(folder, TEXTS[0])
    wanted = [one for one in scores if one["score"] > 0.5]
    assert 0 < len(wanted) < 8
    assert read(run(folder, TEXTS[0])) == near([{"text": TEXTS[0], "classes": wanted}])
    assert read(run(folder, TEXTS[0], "--threshold", 0)) == near([{"text": TEXTS[0], "classes": scores}])
    classify = pipeline("classification", model=str(folder))
    assert classify(TEXTS[0]) == near(wanted)
    assert classify(TEXTS, threshold=0)[0] == near(scores)
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\), got 1"):
        classify(TEXTS[0], threshold=1)


def test_files_of_a_run_are_apart(classifier, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("何远\n", encoding="utf-8")
    (tmp_path / "link").symlink_to(texts)
    for name in ("texts.txt", "link"):
        result = run(classifier, "--file", texts, "--output", tmp_path / name)
        assert re.search("file, output and html must be files of their own", str(result.exception))
    assert texts.read_text(encoding="utf-8") == "何远\n"
    # What is no file may be given twice.
    read(run(classifier, "--file", texts, "--output", "/dev/null"))


def test_a_file_is_read_as_it_is_worked_on(classifier, tmp_path, monkeypatch):
    """After a first look at all of it, and nothing of it is kept for longer than a pipeline does."""
    file, output = tmp_path / "texts.txt", tmp_path / "out.jsonl"
    file.write_text("".join(f"何远{number}\n" for number in range(50)), encoding="utf-8")
    module = sys.modules["hf_ext.cli.predict"]
    own, read, answered = module.read_documents, [], []

    def counted(*given):
        for document in own(*given):
            read.append(document)
            yield document

    def extract(inputs, **options):
        assert len(read) == 50
        for number, text in enumerate(inputs):
            assert len(read) == 50 + number + 1
            answered.append(text)
            yield [{"label": "a", "score": number}]

    monkeypatch.setattr(module, "read_documents", counted)
    monkeypatch.setattr(SavedModel, "open", lambda *given: extract)
    assert run(classifier, "--file", file, "--output", output).exit_code == 0
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == answered == [f"何远{number}" for number in range(50)]
    assert [line["classes"][0]["score"] for line in lines] == [*range(50)]


def test_a_mistake_in_the_last_line_costs_nothing(classifier, tmp_path, monkeypatch):
    file, output = tmp_path / "texts.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"text": "何远"}\n' * 40 + '{"tex": "何远"}\n', encoding="utf-8")
    monkeypatch.setattr(SavedModel, "open", lambda *given: pytest.fail("the model must not be loaded"))
    result = run(classifier, "--file", file, "--output", output)
    assert "texts.jsonl:41: a line must be a JSON object" in str(result.exception)
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_a_run_that_fails_leaves_no_output(classifier, tmp_path, monkeypatch):
    file, output = tmp_path / "texts.txt", tmp_path / "out.jsonl"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    output.write_text("of before", encoding="utf-8")

    def extract(inputs, **options):
        yield [{"label": "a", "score": 0.5} for _ in zip([0], inputs)]
        raise ValueError("a device is full")

    monkeypatch.setattr(SavedModel, "open", lambda *given: extract)
    assert str(run(classifier, "--file", file, "--output", output).exception) == "a device is full"
    assert output.read_text(encoding="utf-8") == "of before"
    assert {one.name for one in tmp_path.iterdir()} == {file.name, output.name}


def test_a_pipe_is_read_once(classifier, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    text = "\n".join(TEXTS)
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text, "utf-8"), daemon=True)
    writer.start()
    found = read(run(classifier, "--file", tmp_path / "pipe"))
    writer.join()
    assert found == read(run(classifier, *TEXTS))


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(classifier, device):
    result = run(classifier, "何远", "--device", device)
    assert result.exit_code == 2
    assert "must be a device that is there" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "seen"), [([], ["auto"]), (["--dtype", "bfloat16"], ["bfloat16"]), (["--dtype", "float32"], ["float32"])]
)
def test_the_numbers_that_a_model_runs_in(words, seen, classifier, monkeypatch):
    asked = []
    kept = TextPipeline.run_in
    monkeypatch.setattr(TextPipeline, "run_in", lambda pipe, dtype: asked.append(dtype) or kept(pipe, dtype))
    (found,) = read(run(classifier, "何远", "--threshold", 0, *words))
    (wanted,) = read(run(classifier, "何远", "--threshold", 0))
    assert asked == [*seen, "auto"]
    assert [one["label"] for one in found["classes"]] == [one["label"] for one in wanted["classes"]]
    assert (found == wanted) == (seen != ["bfloat16"])
    assert all(abs(one["score"] - other["score"]) < 0.05 for one, other in zip(found["classes"], wanted["classes"]))


def test_other_numbers_are_refused(classifier):
    result = run(classifier, "何远", "--dtype", "int8")
    assert result.exit_code == 2
    assert "'int8' is not one of" in " ".join(result.stderr.replace("│", " ").split())
