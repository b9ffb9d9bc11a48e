"""Every job: the same run in two processes, with accumulated steps and over a break; scores of all texts."""

import copy
import json
import re
import shlex
from collections.abc import Iterator
from math import exp
from numbers import Real
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
import transformers
import typer
from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
from jobs_in_two_processes import run
from jobs_tiny import JOBS
from launch import run_two_processes
from safetensors.torch import load_file

from hf_ext.cli import app
from hf_ext.tasks.base.evaluation import job_of_model

# Those of the Hub, at https://huggingface.co/tasks.
PIPELINE_TAGS = {
    "image-classification",
    "token-classification",
    "question-answering",
    "text-classification",
    "sentence-similarity",
    "text-generation",
    "summarization",
    "multiple-choice",
}
OF_HEADS_OF_OURS = {
    "spans",
    "crf",
    "softmax",
    "relations",
    "half pointers",
    "events",
    "tags of events",
    "answers",
    "paraphrases",
    "codes",
    "linear classes",
    "choices",
    "blanks",
}
WORKER = Path(__file__).parents[1] / "jobs_in_two_processes.py"


@pytest.fixture(scope="module", autouse=True)
def no_curves() -> Iterator[None]:
    """Drawing takes longer than training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each job without dropout."""
    folder = tmp_path_factory.mktemp("quiet")
    for name, case in JOBS.items():
        case.write(folder / name)
    return folder


@pytest.fixture(scope="module")
def of_two(quiet: Path) -> Path:
    """The same, where two processes have run each job."""
    run_two_processes(WORKER, quiet)
    return quiet


@pytest.fixture(scope="module", params=JOBS)
def of_one(request: pytest.FixtureRequest, quiet: Path) -> tuple[str, Path]:
    """A job, and the folder that one process has run it in."""
    run(request.param, quiet / request.param, "of one")
    return request.param, quiet / request.param


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def steps(folder: Path, first: int = 1) -> list[dict[str, float]]:
    """Losses and norms of the gradients of the steps, from the given one on."""
    log = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    found = [
        {name: entry[name] for name in ("step", "loss", "grad_norm")}
        for entry in log
        if "loss" in entry and entry["step"] >= first
    ]
    assert found
    assert all(entry["grad_norm"] > 1e-3 for entry in found)
    return found


def scores(folder: Path) -> dict[str, Any]:
    """The scores, and what the model wrote where a job keeps that."""
    found = flat(json.loads((folder / "scores.json").read_text(encoding="utf-8")))
    file = folder / "summaries.jsonl"
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        found["/written"] = "|".join(json.loads(line)["written"] for line in lines).replace(" ", "")
    return found


def flat(values: Any, name: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {key: value for own in values for key, value in flat(values[own], f"{name}/{own}").items()}
    return {name: values}


def assert_same_scores(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    numbers = {name: value for name, value in wanted.items() if isinstance(value, Real)}
    assert {name: found[name] for name in numbers} == pytest.approx(numbers, rel=1e-4, abs=1e-6)
    # What is written, and words such as the name of a head.
    assert all(found[name] == wanted[name] for name in wanted.keys() - numbers.keys())


def assert_same_run(one: Path, other: Path, first: int = 1) -> None:
    wanted = steps(one, first)
    for found, own in zip(steps(other, first), wanted, strict=True):
        assert found == pytest.approx(own, rel=1e-4, abs=1e-5)
    torch.testing.assert_close(weights(other), weights(one), rtol=1e-4, atol=1e-5)
    assert_same_scores(scores(other), scores(one))


@pytest.mark.slow
def test_two_processes_are_one(of_one: tuple[str, Path], of_two: Path) -> None:
    """Losses, gradients, weights and scores of five texts, which the processes' batches do not divide."""
    name, folder = of_one
    assert_same_run(folder / "of one", of_two / name / "of two")


@pytest.mark.slow
def test_accumulated_steps_are_one(of_one: tuple[str, Path]) -> None:
    """Four steps of a row are one of four, unless the loss compares rows."""
    name, folder = of_one
    if JOBS[name].compares:
        return
    run(name, folder, "accumulated", accumulated=4)
    assert_same_run(folder / "of one", folder / "accumulated")


def test_a_run_leaves_a_card_that_the_hub_reads(of_one: tuple[str, Path]) -> None:
    """With files, scores and their table by type, and every setting in its place."""
    name, folder = of_one
    case, file = JOBS[name], folder / "of one" / "README.md"
    card = ModelCard.load(file)
    data: Any = card.data
    assert metadata_load(file) == data.to_dict()
    assert data.model_name == "of one"
    assert data.pipeline_tag in PIPELINE_TAGS
    assert (data.library_name == "hf-ext") == (name in OF_HEADS_OF_OURS)
    assert "hf_ext" in data.tags
    found = json.loads((folder / "of one" / "scores.json").read_text(encoding="utf-8"))
    results = {one.metric_name: one for one in data.eval_results}
    for metric, value in found.items():
        spoken = metric.replace("_", " ").replace("f1", "F1")
        if isinstance(value, dict):
            assert f"| {next(iter(value))} |" in card.text.partition("<details>")[2]
        else:
            assert f"\n| {spoken} | " in card.text
            if spoken in results:
                assert results[spoken].metric_value == pytest.approx(value, abs=1e-6)
    assert results.keys() >= {case.job.metric.replace("_", " ").replace("f1", "F1")}
    assert {one.dataset_name for one in results.values()} == {"validation.jsonl"}
    for part, count in (("training", 8), ("validation", 5)):
        row = rf"^\| (\S+) \| {part} \| {count} \| [\d.,]+ (bytes|KB) \|$"
        assert re.search(row, card.text, re.MULTILINE)
    for option, given in case.options.items():
        value = ", ".join(f"{name}={one}" for name, one in given.items()) if isinstance(given, dict) else given
        assert f"| {option.replace('_', ' ')} | {value} |" in card.text
    assert "no score has chosen it" in card.text
    assert f"`hf-ext train {case.job.command}`" in card.text


def test_the_code_of_a_card_uses_the_model(of_one: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = of_one
    monkeypatch.chdir(folder)
    # What the card of a model of images reads.
    PIL.Image.new("RGB", (9, 7)).save(folder / "photo.jpg")
    text = (folder / "of one" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    # What a real model has room for.
    exec(code.replace('Chat.from_pretrained("of one")', 'Chat.from_pretrained("of one", max_new_tokens=8)'), {})
    commands = re.findall(r"^hf-ext (.*)$", text, re.MULTILINE)
    assert commands
    for words in map(shlex.split, commands):
        assert words[1] == "of one"
        command: Any = typer.main.get_command(app)
        command = command.commands[words[0]]
        command = command.load() if hasattr(command, "load") else command
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", JOBS)
def test_scores_are_those_of_each_text_alone(name: str, quiet: Path) -> None:
    """Whatever is said of the batches of training: here, to drop what does not fill one."""
    case, folder = JOBS[name], quiet / name
    settings = {"per_device_train_batch_size": 8, "max_steps": case.steps, "learning_rate": 5e-3}
    job = case.make(folder)
    lines = (folder / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    job.test_file = folder / "test.jsonl"
    job.test_file.write_text("\n".join(lines[1:4]), encoding="utf-8")
    before = copy.deepcopy(vars(job))
    job.run(case.arguments(folder / "learnt", eval_accumulation_steps=1, **settings))
    # A second run is as the first.
    assert vars(job) == before
    rows = [json.loads(line) for line in lines]
    wanted = flat(dict(case.scores(folder / "learnt", folder / "validation.jsonl", rows)))
    found = scores(folder / "learnt")
    # Not that nothing is found either way.
    assert any(value for key, value in wanted.items() if not key.endswith(("support", "total")))
    wanted.pop("/written", None)
    assert_same_scores({key: found[key] for key in wanted}, wanted)
    # Nor is the test file the validation file.
    of_test = flat(dict(case.scores(folder / "learnt", job.test_file, rows[1:4])))
    # What is written beside the model is of the last file that was scored.
    assert found.get("/written") == of_test.pop("/written", None)
    assert_same_scores({key: found[f"/test{key}"] for key in of_test}, of_test)
    assert name == "summaries" or of_test != {key: wanted[key] for key in of_test}

    # An evaluation of the saved model gives the same.
    again = job_of_model(str(folder / "learnt"))
    assert {name: getattr(again, name) for name in job.of_evaluation} == {
        name: getattr(job, name) for name in job.of_evaluation
    }
    measured = again.evaluate(job.test_file, case.arguments(folder / "measured"))
    assert_same_scores(flat(measured), {key[len("/test") :]: found[key] for key in found if key.startswith("/test")})
    assert_report_agrees(folder / "learnt", len(rows[1:4]))


def assert_report_agrees(folder: Path, examples: int) -> None:
    """The error report counts what the scores are of: to the last digit, and in every part of it."""
    saved = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["test"]
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    total, measures = report["total"], report["total"].get("measures", {})
    assert report["scores"] == saved
    assert (report["number"], len(report["examples"])) == (examples, examples)
    assert sum(group["texts"] for group in report["lengths"].values()) == examples
    assert 'id="report"' in (folder / "report.html").read_text(encoding="utf-8")
    if "per_type" in saved:
        for name in ("precision", "recall", "f1"):
            assert total[name] == saved[name]
        assert total["true"] == saved["support"]
        for label, scores in saved["per_type"].items():
            group = {"true": 0, "precision": 0, "recall": 0, "f1": 0} | report["labels"].get(label, {})
            assert {name: group[name] for name in scores if name != "support"} | {"support": group["true"]} == scores
    shared = {name for name in measures if name in saved}
    assert {name: measures[name] for name in shared} == pytest.approx({name: saved[name] for name in shared}, rel=1e-12)
    if "perplexity" in saved:
        assert exp(measures["loss"]) == pytest.approx(saved["perplexity"], rel=1e-12)
    # Each score but a correlation is a sum over the examples.
    assert "per_type" in saved or shared or set(saved) == {"spearman"}
    kinds = [item["kind"] for example in report["examples"] for item in example.get("items", ())]
    for kind in set(kinds):
        assert total[kind] == kinds.count(kind)
        for groups in (report["labels"], report["lengths"]):
            assert sum(group.get(kind, 0) for group in groups.values()) == total[kind]


@pytest.fixture(scope="module", params=JOBS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A job, and a folder with a run of two epochs of four steps, with dropout and checkpoints."""
    folder = tmp_path_factory.mktemp("whole") / "job"
    JOBS[request.param].write(folder, dropout=0.2)
    train(request.param, folder, "whole")
    return request.param, folder


def train(name: str, folder: Path, output: str, **more: Any) -> None:
    case = JOBS[name]
    settings = {"save_strategy": "steps", "save_steps": 3, "eval_strategy": "steps", "eval_steps": 3, **more}
    arguments = case.arguments(
        folder / output,
        per_device_train_batch_size=2,
        max_steps=8,
        learning_rate=5e-3,
        **settings,
    )
    job = case.make(folder)
    job.keep_checkpoints = True
    job.run(arguments)


@pytest.mark.slow
def test_a_run_resumed_inside_an_epoch_is_the_whole_run(whole: tuple[str, Path]) -> None:
    """The sixth step is the second of the second epoch."""
    name, folder = whole
    train(name, folder, "resumed", resume_from_checkpoint=str(folder / "whole" / "checkpoint-6"))
    assert_same_run(folder / "whole", folder / "resumed", first=7)


def test_the_model_and_its_checkpoints_say_what_loads_them(whole: tuple[str, Path]) -> None:
    """By thin code where they are of this package, and by none where Transformers has their classes."""
    name, folder = whole
    folders = [folder / "whole", *(folder / "whole").glob("checkpoint-*")]
    assert len(folders) > 1
    for saved in folders:
        settings = json.loads((saved / "config.json").read_text(encoding="utf-8"))
        (architecture,) = settings["architectures"]
        ours = JOBS[name].family != "bert" or not hasattr(transformers, architecture)
        assert (saved / "hf_ext_thin.py").is_file() == ours
        named = settings.get("auto_map", {}).values()
        assert all(reference.startswith("hf_ext_thin.") for reference in named)
        assert bool(named) == ours
