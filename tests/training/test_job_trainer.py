"""What jobs refuse, the order of epochs, and what datasets are told of them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jobs_tiny import JOBS
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices

from hf_ext.tasks.paraphrase import ParaphraseDataset
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.training.job_trainer import EpochSampler, JobTrainer

SMOOTHING = {"classes", "linear classes", "images", "summaries"}
"""The jobs whose loss smooths labels."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_loss_only": True}, "prediction_loss_only must be False, as scores are made of predictions"),
        ({"eval_do_concat_batches": False}, "eval_do_concat_batches must be True"),
        (
            {"eval_use_gather_object": True},
            "eval_use_gather_object must be False, as predictions are tensors",
        ),
        ({"bf16_full_eval": True}, "bf16_full_eval must be False, as weights would be trained and saved"),
        ({"label_names": ["spans"]}, "label_names must be left out or labels, got spans"),
        ({"accelerator_config": {"even_batches": False}}, "accelerator_config must have even_batches"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor must be 0 with this loss, .* got 0.1"),
    ],
)
def test_arguments_that_change_what_is_scored_are_refused(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    case = JOBS["answers"]
    with pytest.raises(ValueError, match=message):
        JobTrainer(model(), case.arguments(tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["dialogue", "summaries"])
def test_tied_weights_are_not_said_to_be_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("transformers.trainer.logger.warning", said.append)
    case = JOBS[name]
    case.write(tmp_path / "job")
    often = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    arguments = case.arguments(tmp_path / "run", max_steps=2, load_best_model_at_end=True, **often)
    case.make(tmp_path / "job").run(arguments)
    assert [one for one in said if "missing keys" in one] == []


def test_weights_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("transformers.trainer.logger.warning", said.append)
    trainer = JobTrainer(model(), JOBS["answers"].arguments(tmp_path / "run"))
    trainer._issue_warnings_after_load(SimpleNamespace(missing_keys=["classifier.weight"], unexpected_keys=[]))
    assert said == ["There were missing keys in the checkpoint model loaded: ['classifier.weight']."]


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_labels_are_smoothed_or_it_is_refused(name: str, tmp_path: Path) -> None:
    case = JOBS[name]
    case.write(tmp_path / "job")
    losses = []
    for factor in (0.0, 0.5):
        arguments = case.arguments(tmp_path / f"run{factor}", max_steps=1, label_smoothing_factor=factor)
        job = case.make(tmp_path / "job")
        if factor and name not in SMOOTHING:
            with pytest.raises(ValueError, match="label_smoothing_factor must be 0 with"):
                job.run(arguments)
            return
        if factor or name in SMOOTHING:
            job.run(arguments)
            state = (tmp_path / f"run{factor}" / "trainer_state.json").read_text(encoding="utf-8")
            losses.append(state[state.index('"loss"') :].split(",")[0])
    assert losses[0] != losses[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in JOBS.items() if case.job.evaluates_first])
def test_a_model_that_was_evaluated_is_trained_in_mixed_precision(name: str, tmp_path: Path) -> None:
    case = JOBS[name]
    case.write(tmp_path / "job")
    job = case.make(tmp_path / "job")
    if isinstance(job, SimilarityJob):
        # An encoder of ours, which refuses arguments that it does not know, and others do not.
        job = replace(job, config="tiny")
    scores = job.run(case.arguments(tmp_path / "run", max_steps=2, bf16=True))
    assert f"{job.metric}_before" in scores
    state = (tmp_path / "run" / "trainer_state.json").read_text(encoding="utf-8")
    assert '"global_step": 2' in state


def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForSequenceClassification(BertConfig(vocab_size=20, num_labels=2, **sizes))


def test_rows_are_grouped_by_length_in_an_order_of_the_epoch_alone() -> None:
    lengths = [number % 7 for number in range(60)]
    seed = 3
    sampler = EpochSampler(lengths, 4, lambda: seed)
    orders = []
    for state, seed in enumerate((3, 4, 3)):  # noqa: B007 (read by the sampler)
        torch.manual_seed(state)
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert orders[1] == get_length_grouped_indices(lengths, 4, generator=torch.Generator().manual_seed(4))


class Noted(Dataset[dict[str, Any]]):
    """Notes the epochs that it is told."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": [index + 1, 2], "labels": index % 2}


def test_a_dataset_is_told_the_epoch_and_the_one_that_is_resumed(tmp_path: Path) -> None:
    rows = Noted()

    def trainer(**options: Any) -> Trainer:
        arguments = TrainingArguments(
            str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
            per_device_train_batch_size=2, num_train_epochs=3, logging_strategy="no", **options,
        )  # fmt: skip
        return Trainer(model(), arguments, train_dataset=rows)

    trainer(save_strategy="steps", save_steps=3).train()
    assert sorted(set(rows.epochs)) == [0, 1, 2]
    rows.epochs.clear()
    trainer(save_strategy="no").train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert sorted(set(rows.epochs)) == [1, 2]


def test_pairs_of_an_epoch_depend_on_the_seed_and_the_epoch_alone() -> None:
    examples = [{"text": "a", "synonyms": ["b", "c", "d"]}] * 8
    one, other, third = ParaphraseDataset(examples), ParaphraseDataset(examples), ParaphraseDataset(examples, seed=1)
    drawn = [[rows[index] for index in range(8)] for rows in (one, other, third)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) > 2
    one.set_epoch(1)
    later = [one[index] for index in range(8)]
    assert later != drawn[0]
    one.set_epoch(0)
    assert [one[index] for index in reversed(range(8))] == drawn[0][::-1]
