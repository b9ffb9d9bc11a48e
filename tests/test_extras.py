"""What is said where a library of an extra is not installed."""

import importlib
import logging
import sys

import pytest
import torch

from hf_ext.analysis import box_margin, unargmaxable_tokens
from hf_ext.cli.errors import error_line
from hf_ext.extras import MissingExtraError, extra
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.search import run_search
from hf_ext.tasks.entities.span_job import SpanExtractionJob
from hf_ext.tasks.pretraining.pseudo_summary import select_pseudo_summary
from hf_ext.tasks.summarization import SummarizationJob, summary_scores
from hf_ext.training.curves import plot_curves, save_curves


def hide(monkeypatch, library):
    """As if a library were not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)


def sentence(purpose, library, name):
    return f'{purpose} needs {library}, which is not installed: pip install "hf-ext[{name}]"'


def summarize(folder):
    for name in ("train", "valid"):
        (folder / name).write_text('{"text": "a", "summary": "b"}\n', encoding="utf-8")
    SummarizationJob(folder / "train", folder / "valid", config="tiny")


@pytest.mark.parametrize(
    ("library", "use", "told"),
    [
        ("matplotlib", lambda f: plot_curves([], f / "curves.png"), ("drawing the curves", "matplotlib", "plots")),
        ("rapidfuzz", lambda f: summary_scores(["a"], ["a"]), ("scoring summaries", "rapidfuzz", "summaries")),
        ("sacrebleu", lambda f: summary_scores(["a"], ["a"]), ("scoring summaries", "sacrebleu", "summaries")),
        (
            "rapidfuzz",
            lambda f: select_pseudo_summary(["一", "二"]),
            ("choosing pseudo-summaries", "rapidfuzz", "summaries"),
        ),
        (
            "scipy",
            lambda f: unargmaxable_tokens(torch.tensor([[1.0], [0.5], [0.0]])),
            ("proving which tokens can never win", "scipy", "analysis"),
        ),
        ("scipy", lambda f: box_margin(torch.ones(2, 1), None, 0), ("a linear program", "scipy", "analysis")),
        ("optuna", lambda f: run_search(None, None), ("a hyperparameter search", "optuna", "search")),
        # Before it trains for hours.
        ("sacrebleu", summarize, ("scoring summaries", "sacrebleu", "summaries")),
    ],
)
def test_what_is_missing_is_named_with_what_installs_it(monkeypatch, tmp_path, library, use, told):
    hide(monkeypatch, library)
    with pytest.raises(MissingExtraError) as caught:
        use(tmp_path)
    assert str(caught.value) == sentence(*told)
    assert error_line(caught.value) == str(caught.value)
    assert "curves.png" not in {file.name for file in tmp_path.iterdir()}


def test_other_errors_pass():
    with pytest.raises(KeyError), extra("plots", "this"):
        raise KeyError
    with extra("plots", "this"):
        assert importlib.import_module("json")


def test_a_run_goes_without_its_picture_and_says_so(monkeypatch, tmp_path, caplog):
    hide(monkeypatch, "matplotlib")
    (tmp_path / "curves.png").write_bytes(b"of the run before")
    with caplog.at_level(logging.WARNING):
        save_curves([], tmp_path / "curves.png")
    (record,) = caplog.records
    assert record.getMessage().startswith("curves.png is left out: drawing the curves needs matplotlib")
    assert not [*tmp_path.iterdir()]


def test_what_a_run_says_that_it_saved(tmp_path):
    assert SpanExtractionJob.saved() == "the model, README.md, scores.json, report.html and curves.png"
    # Without an error report.
    assert Job.saved() == "the model, README.md, scores.json and curves.png"
    (tmp_path / "scores.json").touch()
    assert Job.saved(tmp_path) == "the model and scores.json"
    (tmp_path / "README.md").touch()
    assert Job.saved(tmp_path) == "the model, README.md and scores.json"
