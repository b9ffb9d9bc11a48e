"""Random positions: their distribution, their place in a batch, and that evaluation is without."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models_tiny import SIZES, tokens
from torch import Tensor
from transformers import TrainingArguments

import hf_ext
from hf_ext.ops.random_positions import random_positions, spread_positions
from hf_ext.training.random_positions import DataCollatorWithRandomPositions, RandomPositionsTrainer

ROWS = 4000


@pytest.fixture(scope="module")
def io(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "random_positions" / "io.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def within(sample: Tensor, mean: Tensor, deviation: Tensor) -> None:
    """The mean of a sample ``[rows, ...]`` is within five standard errors."""
    error = (sample.double().mean(0) - mean).abs()
    assert bool((error <= 5 * deviation / math.sqrt(len(sample)) + 1e-12).all()), error


def test_subsets_are_golden(io: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    drawn = random_positions("subset", torch.full((ROWS,), 40), 40, 2048)
    assert drawn.dtype == torch.int64
    assert drawn.diff(dim=-1).min() >= 1
    assert drawn.min() >= 0
    assert drawn.max() < 2048
    assert len(drawn[:8].unique(dim=0)) == 8
    within(drawn, io["subset.mean"], io["subset.variance"].sqrt())
    # Moments of fourth order bound how far a variance is off; ranks of a sample are nearly beta distributed.
    within((drawn - io["subset.mean"]) ** 2, io["subset.variance"], 2 * io["subset.variance"])
    gaps = (drawn.diff(dim=-1)[:, 20, None] == io["subset.gap"]).double()
    probability = io["subset.gap_probability"]
    within(gaps, probability, (probability * (1 - probability)).sqrt())


def test_even_spread_is_golden(io: dict[str, Tensor]) -> None:
    found = spread_positions(torch.tensor([500]), 500, 2047)[0]
    torch.testing.assert_close(found, io["uniform_test_positions"], atol=1e-9, rtol=0)


def test_equal_mean_is_golden(io: dict[str, Tensor]) -> None:
    found = spread_positions(torch.tensor([40] * 3), 40, io["equal_mean.end"])
    torch.testing.assert_close(found, io["equal_mean.positions"], atol=1e-9, rtol=0)
    torch.manual_seed(0)
    lengths = torch.full((ROWS,), 40)
    drawn = random_positions("equal_mean", lengths, 40)
    within(drawn, io["equal_mean.mean_positions"], io["equal_mean.mean_positions"])
    below = (drawn[:, -1:] <= io["equal_mean.exponential_end"]).double()
    u = io["equal_mean.u"]
    within(below, u, (u * (1 - u)).sqrt())
    a, b = io["equal_mean.beta_alpha_beta"].tolist()
    assert b == a * (500 / 40 - 1)
    end = random_positions("equal_mean", lengths, 40, 500)[:, -1:]
    mean, deviation = io["equal_mean.beta_end_mean_std"]
    within(end, mean, deviation)
    assert end.std().item() == pytest.approx(deviation.item(), rel=0.1)
    assert end.max() <= 500


def test_shifts_are_even() -> None:
    torch.manual_seed(0)
    drawn = random_positions("shift", torch.full((ROWS,), 6), 6, 10)
    assert (drawn.diff(dim=-1) == 1).all()
    counts = torch.bincount(drawn[:, 0], minlength=5)
    assert len(counts) == 5
    assert counts.min() > ROWS / 5 * 0.85


@pytest.mark.parametrize(("scheme", "top"), [("subset", 9), ("subset", 50), ("shift", 9), ("equal_mean", None)])
def test_rows_of_any_length(scheme: str, top: int | None) -> None:
    """Each has as many as it needs below the top, and padding goes on growing."""
    lengths = torch.tensor([9, 4, 1, 0])
    for _ in range(20):
        drawn = random_positions(scheme, lengths, 12, top)
        assert drawn.diff(dim=-1).min() > 0
        for row, length in zip(drawn, lengths.tolist()):
            if top is not None and length:
                assert row[0] >= 0
                assert row[length - 1] < top
            if length:
                torch.testing.assert_close(row[length:], row[length - 1] + torch.arange(1, 13 - length))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cape", 5, 9), "scheme must be one of .*got 'cape'"),
        (("subset", 5, None), "top must be given under scheme='subset', got None"),
        (("subset", 5, 4), "top must be at least 5, got 4"),
        (("shift", 5, 4), "top must be at least 5, got 4"),
        (("equal_mean", 5, 5), "top must be above 5, got 5"),
    ],
)
def test_what_cannot_be_drawn(arguments: tuple[str, int, int | None], message: str) -> None:
    scheme, length, top = arguments
    with pytest.raises(ValueError, match=message):
        random_positions(scheme, torch.tensor([length]), 8, top)


def pad(rows: list[dict[str, Any]], side: str = "right") -> dict[str, Tensor]:
    batch = tokens([len(row["input_ids"]) for row in rows], side)
    if "labels" in rows[0]:
        batch["labels"] = torch.tensor([row["labels"] for row in rows])
    return batch


def rows_of(*lengths: int) -> list[dict[str, Any]]:
    return [{"input_ids": [1] * length, "labels": length % 2} for length in lengths]


@pytest.mark.parametrize("side", ["right", "left"])
def test_collator(side: str) -> None:
    collator = DataCollatorWithRandomPositions(lambda rows: pad(rows, side), top=64)
    batch = collator(rows_of(5, 2, 5))
    positions, real = batch["position_ids"], batch["attention_mask"].bool()
    assert positions.shape == real.shape
    assert not torch.equal(positions[0], positions[2])
    assert positions.diff(dim=-1).min() >= 1
    assert positions[real].max() < 64
    evaluated = collator.for_evaluation()(rows_of(5, 2))
    assert "position_ids" not in evaluated
    even = DataCollatorWithRandomPositions(lambda rows: pad(rows, side), top=64, evaluation="even", training=False)
    batch = even(rows_of(4, 2))
    assert batch["position_ids"][0].tolist() == [0, 21, 42, 63]
    assert batch["position_ids"][1][batch["attention_mask"][1].bool()].tolist() == [0, 63]
    with pytest.raises(ValueError, match="top must be at least 65"):
        even(rows_of(65))
    # A batch without a mask has one now: without it, positions would mark documents.
    bare = DataCollatorWithRandomPositions(lambda rows: {"input_ids": torch.ones(2, 3)}, "shift", 9)([])
    assert bare["attention_mask"].tolist() == [[1] * 3] * 2
    with pytest.raises(ValueError, match="must be without position_ids"):
        DataCollatorWithRandomPositions(lambda rows: batch, top=64)([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scheme": "cape"}, "scheme must be one of .*got 'cape'"),
        ({}, "top must be given under scheme='subset', got None"),
        ({"top": 9, "evaluation": "random"}, "evaluation must be .*got 'random'"),
        ({"scheme": "equal_mean", "evaluation": "even"}, "evaluation must be .*under scheme='equal_mean'"),
    ],
)
def test_collator_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataCollatorWithRandomPositions(pad, **arguments)


@pytest.mark.parametrize("scheme", ["subset", "equal_mean", "shift"])
def test_a_model_takes_them(scheme: str) -> None:
    """Unpadded as padded; a table of positions refuses what is no whole number."""
    torch.manual_seed(0)
    batch = DataCollatorWithRandomPositions(pad, scheme, 64)(rows_of(5, 2, 7))
    del batch["labels"]
    torch.manual_seed(0)
    models = [hf_ext.RoFormerModel(hf_ext.RoFormerConfig(**SIZES, unpad=unpad)).eval() for unpad in (False, True)]
    models[1].load_state_dict(models[0].state_dict())
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        one, other = (model(**batch).last_hidden_state[real] for model in models)
        plain = models[0](**{**batch, "position_ids": None}).last_hidden_state[real]
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(one, plain, atol=1e-3) or scheme == "shift"
    table = hf_ext.UniLMBertModel(hf_ext.UniLMBertConfig(**SIZES))
    if scheme == "equal_mean":
        with pytest.raises(ValueError, match=r"position_ids must be whole numbers to be looked up, got torch\.float32"):
            table(**batch)


class Seen(hf_ext.RoFormerForSequenceClassification):
    """Keeps the positions that it is given."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append((self.training, kwargs.get("position_ids")))
        return super().forward(*args, **kwargs)


def test_trainer_evaluates_without(tmp_path: Path) -> None:
    model = Seen(hf_ext.RoFormerConfig(**SIZES, num_labels=2))
    model.seen = []
    arguments = TrainingArguments(
        str(tmp_path), max_steps=4, eval_strategy="steps", eval_steps=2, report_to="none", use_cpu=True,
        save_strategy="no", disable_tqdm=True, per_device_train_batch_size=2, remove_unused_columns=False,
    )  # fmt: skip
    rows: Any = rows_of(5, 2, 7, 3)
    collator = DataCollatorWithRandomPositions(pad, top=64)
    trainer = RandomPositionsTrainer(model, arguments, collator, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    trainer.predict(rows)
    assert {(training, positions is not None) for training, positions in model.seen} == {(True, True), (False, False)}
    assert trainer.data_collator is collator
    trainer.data_collator = pad
    with pytest.raises(TypeError, match="must be a DataCollatorWithRandomPositions, got a function"):
        trainer.evaluate()
