"""`hf-ext demo --web` shows the models that it is given, or the one that it trains."""

import re
import sys

import pytest
from typer.testing import CliRunner

from hf_ext.cli import app, demo as demo_module
from hf_ext.extras import MissingExtraError
from hf_ext.web import app as web


def run(*words):
    return CliRunner().invoke(app, ["demo", *map(str, words)], env={"COLUMNS": "300"})


@pytest.fixture
def served(monkeypatch):
    """What would be opened and served."""
    seen = {}

    class Opened:
        def __init__(self, name):
            self.purpose = f"{name} gives something"

        @classmethod
        def open(cls, name, sample=""):
            seen.setdefault("models", []).append((name, bool(sample)))
            return cls(name)

    def serve(blocks, host, port, ready):
        seen.update(host=host, port=port)
        ready("http://somewhere")

    monkeypatch.setattr("hf_ext.web.opened_model.OpenedModel", Opened)
    monkeypatch.setattr(web, "page", lambda models: models)
    monkeypatch.setattr(web, "serve", serve)
    monkeypatch.setattr(demo_module, "_train", lambda *options: seen.update(trained=options[1:]))
    return seen


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", 8000], "port has no effect without --web"),
        (["--model", "a", "--host", "0.0.0.0"], "model, host has no effect without --web"),
        (["--web", "--model", "a", "--seed", 1], "seed has no effect with --model"),
        (["--web", "--model", "a", "--output-dir", "b"], "output-dir has no effect with --model"),
    ],
)
def test_options_without_effect_are_refused(served, words, message):
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output
    assert served == {}


def test_models_are_shown_without_training(served):
    result = run("--web", "--model", "a", "--model", "b", "--port", 8123)
    assert result.exit_code == 0, result.output
    assert served == {"models": [("a", False), ("b", False)], "host": "127.0.0.1", "port": 8123}
    assert re.search("a gives something.*open http://somewhere; Ctrl-C stops it", result.output, re.DOTALL)


def test_what_the_demo_trains_is_shown_and_shown_again(served, tmp_path):
    model = tmp_path / "model"
    assert run("--web", "--output-dir", tmp_path).exit_code == 0
    assert served.pop("trained") == (5000, 3.0, 1, False)
    assert served.pop("models") == [(str(model), True)]
    model.mkdir()
    (model / "config.json").write_text("{}")
    assert run("--web", "--output-dir", tmp_path).exit_code == 0
    assert "trained" not in served
    assert run("--web", "--output-dir", tmp_path, "--overwrite").exit_code == 0
    assert served["trained"] == (5000, 3.0, 1, True)


def test_a_missing_library_is_told_before_training(served, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gradio", None)
    result = run("--web", "--output-dir", tmp_path)
    assert isinstance(result.exception, MissingExtraError)
    assert 'pip install "hf-ext[demo]"' in str(result.exception)
    assert served == {}


def test_a_page_needs_a_model():
    with pytest.raises(ValueError, match="models must have at least one, got none"):
        web.page([])
