"""Methods of training with each other, and each with whatever else a training has."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import torch
from jobs_tiny import JOBS
from launch import run_two_processes
from method_runs import METHODS, TOGETHER, options, run, write_start
from safetensors.torch import load_file
from torch.nn.functional import cosine_similarity

from hf_ext.tasks.base.job_parser import JobParser
from hf_ext.tasks.base.methods.methods import Methods
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.similarity import SimilarityJob

WORKER = Path(__file__).parents[2] / "methods_in_two_processes.py"
# Two values of one option are no pair.
PAIRS = [pair for pair in combinations(METHODS, 2) if not METHODS[pair[0]].keys() & METHODS[pair[1]].keys()]
REFUSED = {
    ("initial weights", "Theseus"): "initialization must be left out, got deepnorm: it does not go with compress_to",
    ("growing branches", "Theseus"): "residual_ramp must be left out, got 3: it does not go with compress_to",
    ("self-orthogonality", "Theseus"): "penalty must .*, got self_orthogonality: it does not go with compress_to",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("methods")
    write_start(made)
    return made


@pytest.fixture(scope="module")
def alone(folder):
    """By what a run is called: what learnt in it, and is kept, under one method alone or none."""
    found = {}

    def weights(*methods, **settings):
        key = (methods, *sorted(settings.items(), key=str))
        if key not in found:
            found[key] = run(folder, options(*methods), **settings)
        return found[key]

    return weights


def assert_differs(found, other):
    assert all(bool(value.isfinite().all()) for value in found.values())
    assert found.keys() != other.keys() or any(not torch.equal(value, other[name]) for name, value in found.items())


def direction(before, after):
    """Where a training has led."""
    return torch.cat([(after[name] - value).flatten().double() for name, value in before.items()])


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_two_methods_both_have_an_effect_or_are_refused_by_name(folder, alone, pair):
    if pair in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[pair]):
            run(folder, options(*pair))
        return
    _, together = run(folder, options(*pair), dropout=0.2)
    for one in pair:
        assert_differs(together, alone(one, dropout=0.2)[1])


def test_a_gradient_cache_goes_with_what_needs_no_graph_of_a_batch(tmp_path, monkeypatch):
    """Of Theseus test_compression.py tells; initial weights are there before."""
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    case, found = JOBS["chunks"], {}
    case.write(tmp_path / "job")
    for method in (None, "growing branches", "layer decay", "rates by name", "averages"):
        job, output = case.make(tmp_path / "job"), tmp_path / str(method)
        replace(job, **options(*[method] * (method is not None))).run(
            case.arguments(output, max_steps=3, learning_rate=0.05, optim="sgd")
        )
        found[method] = load_file(output / "model.safetensors")
        if method is not None:
            assert_differs(found[method], found[None])


@pytest.mark.parametrize("method", ["R-Drop", "FGM", "gradient penalty", "VAT", "orthogonality", "WEISSI"])
def test_a_gradient_cache_is_refused_by_what_does(method):
    name = next(iter(METHODS[method]))
    with pytest.raises(ValueError, match=f"{name} must be left out|chunk_size must be left out with {name}"):
        SimilarityJob(Path("a"), Path("b"), config="tiny", chunk_size=3, **METHODS[method])


@pytest.mark.parametrize(
    "settings",
    [{"bf16": True}, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}],
    ids=["bf16", "accumulation"],
)
@pytest.mark.parametrize("method", METHODS)
def test_training_goes_the_same_way(folder, alone, method, settings):
    """Under lower precision nearly, and in parts; what these change of the arithmetic, the tests of a method say."""
    wanted = direction(*alone(method, dtype=torch.float32))
    found = direction(*run(folder, options(method), dtype=torch.float32, **settings))
    assert wanted.norm() > 1e-3
    assert cosine_similarity(found, wanted, dim=0) > 0.9
    assert float(found.norm() / wanted.norm()) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("method", METHODS)
def test_gradient_checkpointing_changes_nothing(folder, alone, method):
    _, found = run(folder, options(method), dropout=0.2, gradient_checkpointing=True)
    _, wanted = alone(method, dropout=0.2)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_adapters_are_trained_by_a_method(folder, alone, method):
    before, found = run(folder, options(method), dropout=0.2, lora=True)
    assert any("lora_B" in name and not torch.equal(value, before[name]) for name, value in found.items())
    assert_differs(found, alone(dropout=0.2, lora=True)[1])


@pytest.mark.parametrize(
    "methods", [(one,) for one in METHODS] + [("FGM", "WEISSI", "layer decay", "averages")], ids=str
)
def test_a_resumed_run_is_the_run_without_a_break(tmp_path, methods):
    write_start(tmp_path)
    steps = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    _, whole = run(tmp_path, options(*methods), dropout=0.2, **steps)
    _, again = run(tmp_path, options(*methods), dropout=0.2, resume=tmp_path / "out" / "checkpoint-2", **steps)
    for parameter, value in whole.items():
        assert torch.equal(again[parameter], value), parameter


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    write_start(tmp_path)
    run_two_processes(WORKER, tmp_path)
    # What is estimated from a batch is that of the batch of each process, as of each micro-batch.
    in_parts = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    for name, methods in TOGETHER.items():
        _, wanted = run(tmp_path, options(*methods), **(in_parts if name == "self-orthogonality" else {}))
        found = load_file(tmp_path / f"{name}.safetensors")
        assert found.keys() == wanted.keys()
        for one, value in wanted.items():
            torch.testing.assert_close(found[one], value, rtol=1e-6, atol=1e-8, msg=f"{name}: {one}")


def test_a_file_has_all_options_of_methods(tmp_path):
    file = tmp_path / "options.yaml"
    given = options(
        "R-Drop", "FGM", "orthogonality", "initial weights", "growing branches", "averages", "rates by name"
    )
    given |= {"train_file": "a", "validation_file": "b", "output_dir": "c", "config": "tiny", "layer_decay": 0.5}
    given |= {"penalty": "spectral", "penalty_options": {"iterations": 3}, "adversarial_norm": "row"}
    file.write_text(json.dumps(given), encoding="utf-8")
    job, _ = JobParser([ClassificationJob]).job_and_arguments([str(file), "--use-cpu=true"])
    assert {name: getattr(job, name) for name in job.methods_given()} == {
        name: value for name, value in given.items() if name in Methods.__dataclass_fields__
    }
