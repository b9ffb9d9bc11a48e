"""`hf-ext serve` knows its models by their names, and says which cannot be opened and why."""

import json
import os
import re

import pytest
from served import Echo
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.export import onnx_pipeline
from hf_ext.serve import server

KEPT = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """What the command says to libraries is forgotten after a test."""
    for name in KEPT:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def served(monkeypatch, tmp_path):
    """What would be served, in the end, of exported folders; `model("bad")` is one that cannot be opened."""
    made = {}

    def opened(folder, threads=None):
        said = json.loads((tmp_path / folder / "onnx.json").read_text())
        if said is not None:
            raise ValueError(said) if isinstance(said, str) else RuntimeError("a mistake of ours")
        return Echo()

    def run(app, bound, limits, started):
        bound.close()
        made.update(models=list(app.state.models), limits=limits)

    monkeypatch.setattr(onnx_pipeline, "OnnxPipeline", opened)
    monkeypatch.setattr(server, "run", run)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def model(tmp_path):
    """Makes an exported folder; of the reason why it cannot be opened, if there is one."""

    def make(name, reason=None):
        (tmp_path / name).mkdir()
        (tmp_path / name / "onnx.json").write_text(json.dumps(reason))
        return name

    return make


def run(*words):
    return CliRunner().invoke(app, ["serve", *map(str, words), "--port", "0"])


def test_models_have_the_names_of_their_folders_or_others(served, model):
    names = model("one"), f"other={model('two')}", model("a=b"), "tmp=./" + model("three")
    result = run(names[0], names[1], f"x={names[2]}", names[3], "--batch-size", 2, "--max-waiting", 10)
    assert result.exit_code == 0, result.exception
    assert served["models"] == ["one", "other", "x", "tmp"]
    assert (served["limits"].batch, served["limits"].waiting, served["limits"].texts) == (2, 10, 10)
    assert "other gives texts for text" in result.stderr


def test_few_compiled_products_are_kept_unless_the_environment_says_otherwise(served, model, monkeypatch):
    monkeypatch.setenv(KEPT[0], "500")
    assert run(model("one")).exit_code == 0
    assert [os.environ[name] for name in KEPT] == ["500", "32"]


def test_a_model_that_fails_ends_it_with_a_sentence(served, model):
    result = run(model("good"), model("bad", "no weights here"))
    assert result.exit_code == 1
    assert str(result.exception) == "bad cannot be opened from bad: no weights here"
    assert served == {}


def test_others_are_served_without_those_that_fail(served, model):
    result = run(model("good"), model("bad", "no weights here"), model("odd", 1), "--skip-failed")
    assert result.exit_code == 0, result.exception
    assert served["models"] == ["good"]
    assert "left out: bad cannot be opened from bad: no weights here" in result.stderr
    assert "left out: odd cannot be opened from odd: a mistake of ours" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bad"], "bad cannot be opened from bad: no weights"),
        (["bad", "--skip-failed"], "at least one model must be one that can be opened, got none of bad"),
        (["gone"], "gone cannot be opened from gone: .*gone"),
        (["odd"], "odd cannot be opened from odd: a mistake of ours"),
        (["good", "x/good"], "models must have names of their own, got good twice"),
        (["a/b=good"], "a model's name must be letters, digits, ., _ and -, got 'a/b'; give it one as NAME=good"),
        (["长=good"], "a model's name must be letters"),
        (["good", "x=good", "--task", "ner"], "task must say whose it is, as NAME=ner"),
        (["good", "--task", "b=ner"], "task must be of one of the models good, got b"),
        (["good", "--task", "ner", "--task", "good=ner"], "task must be one for each model, got two for good"),
        (["good", "--task", "ner"], "good cannot be opened from good: task has no effect with an exported folder"),
        (["good", "--batch-size", 0], "batch must be at least 1, got 0"),
        (
            ["good", "--max-waiting", 10, "--max-texts", 11],
            "waiting must be at least the 11 texts of a request, got 10",
        ),
        (["good", "--host", "192.0.2.1"], "host and port must be an address to be had"),
    ],
)
def test_what_cannot_be_served(served, model, words, message):
    model("good")
    model("bad", "no weights")
    model("odd", 1)
    result = run(*words)
    assert result.exit_code == 1
    assert re.match(message, str(result.exception)), result.exception
    assert served == {}
