"""`hf-ext evaluate` and `hf-ext predict` with the models of every job, and what they refuse."""

import json
import re

import pytest
from jobs_tiny import JOBS
from transformers import AutoConfig, AutoModel, pipeline, set_seed
from typer.testing import CliRunner

from hf_ext import build_char_tokenizer
from hf_ext.cli import app
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.base.job_file import read_job_file
from hf_ext.tasks.dialogue import DialoguePipeline
from hf_ext.tasks.similarity import SimilarityPipeline
from hf_ext.tasks.summarization import SummaryPipeline

# For each kind of model, what a line of its file becomes as a document, and the pipeline that finds the same.
DOCUMENTS = {
    "spans": ("entities", ("text",), "span-extraction"),
    "crf": ("entities", ("text",), "sequence-labeling"),
    "relations": ("relations", ("text",), "relation-extraction"),
    "events": ("events", ("text",), "event-extraction"),
    "answers": ("answers", ("question", "context"), "reading-comprehension"),
    "classes": ("classes", ("text",), "classification"),
    "linear classes": ("classes", ("text",), "classification"),
    "choices": ("answers", ("text", "question", "choices"), "multiple-choice"),
    "blanks": ("answers", ("text", "blank", "choices", "group"), "multiple-choice"),
    "cloze": ("classes", ("text",), "cloze"),
    "cosent": ("similarity", ("text1", "text2"), "text-similarity"),
    "paraphrases": ("paraphrases", ("text",), "paraphrase-generation"),
    "dialogue": ("reply", ("turns",), "dialogue-reply"),
    "summaries": ("summary", ("text",), "summary-generation"),
}
OWN_PIPELINES = {"cosent": SimilarityPipeline, "dialogue": DialoguePipeline, "summaries": SummaryPipeline}
GREEDY = {"dialogue": {"num_beams": 1}, "summaries": {"num_beams": 2}}
LABELLED = {"crf": ("entities", "label"), "events": ("event_list", "event_type")}
# Whose predictions are no lines.
UNTOLD = ("cosent", "paraphrases", "dialogue", "summaries")
DRAWN = ("paraphrases", "dialogue")


@pytest.fixture(scope="module", params=DOCUMENTS)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("job") / "job"
    case = JOBS[request.param]
    case.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        scores = case.make(folder).run(case.arguments(folder / "model", max_steps=2, learning_rate=5e-3))
    return request.param, folder, scores


def run(*words, **options):
    return CliRunner().invoke(app, [str(word) for word in words], **options)


def test_evaluate_gives_the_scores_of_the_run(trained, tmp_path):
    _, folder, scores = trained
    words = (folder / "model", "--file", folder / "validation.jsonl", "--use-cpu", "--output", tmp_path / "scores.json")
    result = run("evaluate", *words)
    assert result.exit_code == 0, result.output
    measured = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert set(scores) - set(measured) <= {
        "spearman_before",
        "perplexity_before",
        "accuracy_before",
        "train_accuracy_before",
    }
    assert flat(measured) == pytest.approx(flat({key: scores[key] for key in measured}), rel=1e-4, abs=1e-6)
    assert flat(measured)


def test_without_job_json_lengths_are_those_of_config_and_tokenizer(trained):
    name, folder, _ = trained
    said = (folder / "model" / "job.json").read_bytes()
    wanted = job_of_model(str(folder / "model"))
    (folder / "model" / "job.json").unlink()
    try:
        if name == "cosent":
            with pytest.raises(ValueError, match=r"must have a trained head, one of .* say by its task what it is for"):
                job_of_model(str(folder / "model"))
        job = job_of_model(str(folder / "model"), wanted.command)
        assert type(job) is type(wanted)
        lengths = {one: getattr(job, one) for one in job.of_evaluation}
        own = {one: getattr(wanted, one) for one in job.of_evaluation}
        # What only job.json says: a stride is that which suits the window, and lengths of rows of two texts.
        unsaid = {"stride", "max_target_length"} | ({"max_length"} if name == "paraphrases" else set())
        assert {one: value for one, value in lengths.items() if one not in unsaid} == {
            one: value for one, value in own.items() if one not in unsaid
        }
    finally:
        (folder / "model" / "job.json").write_bytes(said)


def test_a_job_tells_its_predictions_by_the_line(trained):
    """Those of its pipeline, without the labels of the file."""
    name, folder, _ = trained
    job = job_of_model(str(folder / "model"))
    labels = job.labels_of_model(AutoConfig.from_pretrained(folder / "model")) if name not in UNTOLD else ()
    examples = job.read_evaluation(folder / "validation.jsonl", labels)[:2]
    arguments = job.training_arguments(folder / "told", use_cpu=True, disable_tqdm=True)
    found, model = job.find_in(examples, arguments)
    if name in UNTOLD:
        with pytest.raises(ValueError, match=f"the task must tell its predictions by the line, got {job.command}"):
            job.predictions(found, examples, model)
        return
    told = job.predictions(found, examples, model)
    kind, keys, task = DOCUMENTS[name]
    pipe = pipeline(task, model=str(folder / "model"), device="cpu")
    # Together, as blanks of a group are filled together.
    documents = [example["text"] if keys == ("text",) else {key: example[key] for key in keys} for example in examples]
    for one, wanted in zip(told, pipe(documents), strict=True):
        if task == "multiple-choice":
            best = wanted if isinstance(wanted, dict) else wanted[0]
            assert one["label"] == best["index"]
        elif kind == "classes":
            assert one["label"] == wanted[0]["label"] == max(one["logits"], key=one["logits"].get)
        elif kind == "answers":
            assert one["answer"] == (wanted if isinstance(wanted, dict) else wanted[0])["answer"]
        else:
            assert len(one[kind]) == len(wanted)
            if kind == "entities":
                places = [[(own["start"], own["end"], own["label"]) for own in each] for each in (one[kind], wanted)]
                assert sorted(places[0]) == sorted(places[1])


def test_predict_finds_what_the_pipeline_finds(trained):
    name, folder, _ = trained
    found, keys, task = DOCUMENTS[name]
    rows = [json.loads(line) for line in (folder / "validation.jsonl").read_text(encoding="utf-8").splitlines()][:2]
    documents = [{key: row[key] for key in keys} for row in rows]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    seed = ("--seed", 3) if name in DRAWN else ()
    result = run("predict", folder / "model", "--batch-size", 1, *seed, "--device", "cpu", input=lines)
    assert result.exit_code == 0, result.output
    purpose = f"{folder / 'model'} gives {found}"
    assert purpose in result.stderr
    if name in LABELLED:
        # Not its tags, nor types with each of their roles.
        key, own = LABELLED[name]
        labels = [one[own] for row in rows for one in row[key]]
        (said,) = re.findall(rf"{re.escape(purpose)} \((.*)\)", result.stderr)
        assert set(said.split(", ")) >= set(labels) > set()
        assert not re.search(r"[BI]-|\|", said)
    printed = [json.loads(line) for line in result.stdout.splitlines()]
    set_seed(3)
    pipe = pipeline(task, model=str(folder / "model"), device="cpu")
    assert isinstance(pipe, OWN_PIPELINES.get(name, type(pipe)))
    own = [pipe(one["text"] if keys == ("text",) else one) for one in documents]
    # Blanks of a group are filled together.
    own = pipe(documents) if "group" in keys else own
    assert [{key: one[key] for key in keys} for one in printed] == documents
    for one, wanted in zip(printed, own, strict=True):
        seen = one[found]
        assert flat(seen) == pytest.approx(flat([wanted] if isinstance(wanted, dict) else wanted), rel=1e-4)
    if name in OWN_PIPELINES:
        batch = [one["text"] if keys == ("text",) else one for one in documents]
        set_seed(3)
        assert flat(pipe(batch, batch_size=2)) == pytest.approx(flat(own), rel=1e-4)
        assert name == "cosent" or pipe(batch, **GREEDY[name]) == [pipe(one, **GREEDY[name]) for one in batch]
        assert pipe([]) == []
        with pytest.raises((TypeError, ValueError), match=r"inputs must be|turns must be a list of texts"):
            pipe([[3]])
    # A seed has no effect where nothing is drawn.
    if name not in DRAWN:
        result = run("predict", folder / "model", "--seed", 3, input=lines)
        assert f"seed has no effect with a model that finds {found}" in str(result.exception)


def flat(value):
    if isinstance(value, float):
        return [value]
    return (
        []
        if not isinstance(value, list | dict)
        else [number for part in (value if isinstance(value, list) else value.values()) for number in flat(part)]
    )


def test_a_pair_is_as_alike_as_its_vectors(tmp_path):
    case = JOBS["cosent"]
    case.write(tmp_path / "job")
    tokenizer = build_char_tokenizer(["甲乙丙"])
    config = AutoConfig.from_pretrained(tmp_path / "job" / "config", vocab_size=len(tokenizer))
    for part in (AutoModel.from_config(config), tokenizer):
        part.save_pretrained(tmp_path / "model")
    compare = pipeline("text-similarity", model=str(tmp_path / "model"))
    embed = pipeline("text-embedding", model=str(tmp_path / "model"))
    pairs = [{"text1": "甲乙", "text2": "丙"}, {"text1": "甲", "text2": "甲"}]
    wanted = [float(embed(p["text1"], normalize=True) @ embed(p["text2"], normalize=True)) for p in pairs]
    assert compare(pairs) == pytest.approx(wanted, abs=1e-6)
    assert compare(pairs[1]) == pytest.approx(1.0)
    assert compare([]) == []
    with pytest.raises(ValueError, match="inputs must have text1 and text2, got text"):
        compare({"text": "甲"})
    # An encoder says nothing of what it is for.
    result = run("predict", tmp_path / "model", "甲")
    assert "must have a trained head, one of ...BertForPreTraining, ...ForCausalLM" in str(result.exception)
    result = run("predict", tmp_path / "model", "--task", "ner", "甲")
    assert "one of ...ForSequenceLabeling, ...ForSpanExtraction, got BertModel in" in str(result.exception)
    result = run("predict", tmp_path / "model", "--task", "sleep", "甲")
    assert "task must be one of autoencoder, classification, cloze, dialogue, events, " in str(result.exception)
    result = run("predict", tmp_path / "model", "--task", "similarity", input=json.dumps(pairs))
    assert [json.loads(line)["similarity"] for line in result.stdout.splitlines()] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "must hold the command and the options of a job"),
        ("[", "must hold the command and the options of a job"),
        ('{"command": "x", "options": 1}', "must hold the command"),
    ],
)
def test_a_job_file_of_something_else_is_refused(content, message, tmp_path):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_job_file(tmp_path)


def test_no_job_file_is_none(tmp_path):
    assert read_job_file(tmp_path) is None
    assert read_job_file("nobody/nothing") is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either --file or --dataset, got neither"),
        (["--file", "a", "--dataset", "b"], "give either --file or --dataset, got both"),
        (["--file", "missing.jsonl"], "file must be there, got missing.jsonl"),
        (["--file", "a", "--split", "b"], "split goes with a dataset, got b without one"),
        (["--file", "a", "--output", "no/such/file"], "no/such/file must be in a folder that exists"),
    ],
)
def test_what_evaluate_cannot_do_is_refused(words, message):
    result = run("evaluate", "model", *words)
    assert message in " ".join((result.output + str(result.exception)).replace("│", " ").split())
