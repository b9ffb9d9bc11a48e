"""Methods of training as options of jobs: each job takes them or refuses them by name, and none has no effect."""

from dataclasses import replace

import pytest
import torch
from jobs_tiny import JOBS
from safetensors.torch import load_file

from hf_ext.tasks.base.job_card import card_facts
from hf_ext.tasks.base.methods.methods import Methods
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.cloze import ClozePattern, read_unlabelled_texts
from hf_ext.tasks.entities import SequenceLabelingJob, SpanExtractionJob
from hf_ext.tasks.reading_comprehension import ReadingComprehensionJob
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.training import AdversarialTrainer, VirtualAdversarialTrainer, run_steps
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.r_drop import RDropTrainer

START = {"train_file": "a", "validation_file": "b", "config": "tiny"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adversarial": "pgd"}, "adversarial must be one of fgm, penalty, vat, got 'pgd'"),
        ({"adversarial_epsilon": 1.0}, "adversarial_epsilon goes with adversarial, got 1.0 without it"),
        ({"adversarial_norm": "row"}, "adversarial_norm goes with adversarial, got row without it"),
        ({"adversarial_add_clean": True}, "adversarial_add_clean goes with adversarial, got True without it"),
        ({"adversarial": "fgm", "adversarial_epsilon": 0.0}, "adversarial_epsilon must be above 0, got 0.0"),
        (
            {"adversarial": "fgm", "adversarial_norm": "token"},
            "adversarial_norm must be one of matrix, batch, row with adversarial=fgm, got 'token'",
        ),
        (
            {"adversarial": "penalty", "adversarial_norm": "row"},
            "adversarial_norm must be one of batch, matrix with adversarial=penalty, got 'row'",
        ),
        (
            {"adversarial": "vat", "adversarial_add_clean": True},
            "adversarial_add_clean goes with adversarial=fgm, got vat",
        ),
        ({"vat_xi": 1.0}, "vat_xi goes with adversarial=vat, got 1.0 with None"),
        ({"adversarial": "fgm", "vat_iterations": 2}, "vat_iterations goes with adversarial=vat, got 2 with fgm"),
        ({"adversarial": "vat", "vat_iterations": -1}, "vat_iterations must be at least 0, got -1"),
        ({"adversarial": "vat", "vat_weight": 0.0}, "vat_weight must be above 0, got 0.0"),
        ({"unlabelled_file": "c"}, "unlabelled_file goes with adversarial=vat, got c with None"),
        ({"r_drop": -1.0}, "r_drop must be at least 0, got -1.0"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ClassificationJob(**START, **options)


def test_what_a_task_cannot_take_is_refused_by_name():
    with pytest.raises(ValueError, match="adversarial must be left out or have another value, got vat: a text has a"):
        SimilarityJob(**START, adversarial="vat")
    with pytest.raises(ValueError, match=r"r_drop must be left out, got 4\.0: a text has a vector here"):
        SimilarityJob(**START, r_drop=4.0)
    with pytest.raises(ValueError, match=r"chunk_size must be left out with adversarial=fgm, .* got 8"):
        SimilarityJob(**START, adversarial="fgm", chunk_size=8)


def test_methods_stand_one_around_the_other_and_know_their_own_arguments(monkeypatch):
    """Two of them have an argument of one name."""
    job = SpanExtractionJob(**START, adversarial="vat", vat_xi=3.0, r_drop=2.0, adversarial_epsilon=5.0)
    made = job.trainer_with_methods(JobTrainer)
    order = [one for one in made.__mro__ if one in (VirtualAdversarialTrainer, RDropTrainer, JobTrainer)]
    assert order == [VirtualAdversarialTrainer, RDropTrainer, JobTrainer]
    seen = {}
    monkeypatch.setattr("hf_ext.training.virtual_adversarial.check_training", lambda trainer: None)
    monkeypatch.setattr("hf_ext.training.virtual_adversarial.InputEmbeddings", lambda model: None)
    monkeypatch.setattr(made, "bare", lambda trainer, model: None)
    monkeypatch.setattr(JobTrainer, "__init__", lambda trainer, **kwargs: seen.update(kwargs))
    monkeypatch.setattr(made, "model", None, raising=False)
    trainer = made(args=1)
    assert seen == {"args": 1}
    assert (trainer.vat_xi, trainer.vat_epsilon, trainer.alpha) == (3.0, 5.0, 2.0)
    assert trainer.divergence is SpanExtractionJob.divergence
    assert ClassificationJob(**START).trainer_with_methods(JobTrainer) is JobTrainer
    made = ClassificationJob(**START, adversarial="fgm", r_drop=1.0).trainer_with_methods(JobTrainer)
    order = [one for one in made.__mro__ if one in (AdversarialTrainer, RDropTrainer, JobTrainer)]
    assert order == [RDropTrainer, AdversarialTrainer, JobTrainer]


LINES = '{"text": "今天好", "label": 1, "labels": ["x"], "entities": [{"start": 0, "end": 1, "label": "new"}]}\n'


@pytest.mark.parametrize("content", [LINES, "今天好\n\n"], ids=["lines", "plain"])
def test_unlabelled_texts_of_any_file(tmp_path, content):
    file = tmp_path / "texts"
    file.write_text(content, encoding="utf-8")
    for job, files, wanted in (
        (SpanExtractionJob, (), {"entities": []}),
        (SequenceLabelingJob, (), {"entities": []}),
        (ClassificationJob, [{"text": "a", "label": "x"}], {"label": "x"}),
        (ClassificationJob, [{"text": "a", "labels": ["x"]}], {"labels": []}),
    ):
        own = job(**START)
        found = own.read_unlabelled(file, FilesOf(files))
        assert found == [{"text": "今天好", **wanted}]


def test_unlabelled_lines_with_columns_are_refused(tmp_path):
    """Else labels would be learnt as words."""
    file = tmp_path / "train.tsv"
    file.write_text("今天好\n明天好\t1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"train\.tsv:2: a line must be one text, without a tab, got '明天好"):
        ClassificationJob(**START).read_unlabelled(file, FilesOf([{"text": "a", "label": "x"}]))
    with pytest.raises(ValueError, match="a line must be one text, without a tab"):
        read_unlabelled_texts(file, ClozePattern("{mask}{text}", {"a": "b", "c": "d"}))


class FilesOf:
    """Of a job, as far as it looks at them."""

    def __init__(self, train):
        self.train, self.labels = train, ["x", "y"]


def test_unlabelled_pairs_and_questions(tmp_path):
    file = tmp_path / "pairs"
    file.write_text('{"sentence1": "a", "sentence2": "b"}\n', encoding="utf-8")
    pairs = FilesOf([{"text": "a", "text2": "b", "label": "x"}])
    assert ClassificationJob(**START).read_unlabelled(file, pairs) == [{"text": "a", "text2": "b", "label": "x"}]
    with pytest.raises(ValueError, match=r"pairs:1: a row must have one text, such as 'text', got 'sentence1, sent"):
        ClassificationJob(**START).read_unlabelled(file, FilesOf([{"text": "a", "label": "x"}]))
    file.write_text('{"id": "1", "question": "a", "context": "b"}\n', encoding="utf-8")
    wanted = [{"id": "1", "question": "a", "context": "b", "answers": []}]
    assert ReadingComprehensionJob(**START).read_unlabelled(file, FilesOf(())) == wanted


def test_a_card_tells_the_methods_that_were_given():
    job = SpanExtractionJob(**START, adversarial="vat", vat_xi=2.0, unlabelled_file="c")
    own = {name: value for name, value in card_facts(job).options.items() if name in Methods.__dataclass_fields__}
    assert own == {"adversarial": "vat", "vat_xi": 2.0}


METHODS = {
    "r_drop": {"r_drop": 4.0},
    "fgm": {"adversarial": "fgm", "adversarial_epsilon": 5.0},
    "fgm under R-Drop": {"adversarial": "fgm", "adversarial_epsilon": 5.0, "r_drop": 4.0},
    "penalty": {"adversarial": "penalty"},
    "vat": {"adversarial": "vat", "adversarial_epsilon": 5.0},
    "vat of others": {"adversarial": "vat", "adversarial_epsilon": 5.0, "unlabelled_file": "train.jsonl"},
}


def trained(folder, name, **options):
    case = JOBS[name]
    case.write(folder, dropout=0.2)
    if "unlabelled_file" in options:
        options["unlabelled_file"] = folder / options["unlabelled_file"]
    job = replace(case.make(folder), **options)
    arguments = {"per_device_train_batch_size": 4, "max_steps": 1, "learning_rate": 0.01, "optim": "sgd"}
    job.run(case.arguments(folder / "out", max_grad_norm=0, **arguments))
    return load_file(folder / "out" / "model.safetensors")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    found = {}

    def weights(name):
        if name not in found:
            found[name] = trained(tmp_path_factory.mktemp("plain") / "job", name)
        return found[name]

    return weights


def refused(job, options):
    """The option of a job that it says it does not take, if there is one."""
    given = [key for name, value in options.items() for key in (name, f"{name}={value}")]
    return next((one.partition("=")[0] for one in given if one in job.refused_methods), None)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", JOBS)
def test_every_job_is_trained_by_a_method_or_refuses_it(tmp_path, monkeypatch, plain, name, method):
    monkeypatch.setattr(run_steps, "save_curves", lambda *_, **__: None)
    options, job = METHODS[method], JOBS[name].job
    wrong = refused(job, options)
    if name == "chunks" and "adversarial" in options:
        wrong = wrong or "chunk_size"
    if wrong is None:
        weights = trained(tmp_path / "job", name, **options)
        assert any(not torch.equal(value, plain(name)[key]) for key, value in weights.items())
        return
    with pytest.raises(ValueError, match=f"{wrong} must be left out"):
        trained(tmp_path / "job", name, **options)


def test_refused_methods_are_options():
    known = set(Methods.__dataclass_fields__)
    for case in JOBS.values():
        assert {one.partition("=")[0] for one in case.job.refused_methods} <= known
