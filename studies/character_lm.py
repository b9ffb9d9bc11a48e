"""A causal RoFormer of characters that learns from short texts, and how well it goes on with longer ones."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hf_ext import RoFormerConfig, RoFormerForCausalLM
from hf_ext.metrics import next_token_sums
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below
from studies.pretraining_texts import write_texts
from studies.sources import Sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from studies.study import Results

LENGTH = 64
"""Characters of a row of training."""

MEASURES = ("plain_1x", "plain_4x", "plain_8x", "repeated_4x", "repeated_8x")
"""Accuracies of `score`: of which texts, and how many times as long as in training."""

LAYERS = 4
SIZES: Mapping[str, Any] = {
    "vocab_size": 2000,
    "hidden_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    # As the reported runs have it; 0.02, tried afterwards with one seed, copies sooner.
    "initializer_range": 0.12,
    "attention_mode": "causal",
    "max_position_embeddings": LENGTH,
}
# Longer than training, so that no window of its length shows the passage before.
_PASSAGE = LENGTH * 3 // 2
# The last characters of a row are asked for, the same ones at any length.
_ASKED = 32
_ROWS = 32
_PASTED = _ROWS // 2
_PERIODS = 8, LENGTH * 3 // 8
_HELD_OUT = 128
# 0 is padding, which no row has.
_RARE = 1
COMMONEST = 2
"""The id of the commonest character; others have the next ones in their order."""


@dataclass(frozen=True)
class Characters:
    """Texts as ids of characters; those that are not among the commonest of training share one.

    Attributes:
        train: texts one after the other ``[T]``.
        dev: the ends of long texts ``[N, 8 * LENGTH]``.
        test: of as many others.
    """

    train: Tensor
    dev: Tensor
    test: Tensor


def read_characters(sources: Sources) -> Characters:
    """The texts that the small encoders learn from; some that are long enough are held out."""
    path = sources.folder / "characters.jsonl"
    if not path.exists():
        write_texts(path, sources.data)
    with path.open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    if sources.quick:
        # No generated sentence is long.
        texts = ["".join(texts[first : first + 40]) for first in range(0, len(texts), 40)]
    longest = LENGTH * 8
    long = [text for text in texts if len(text) >= longest]
    count = min(_HELD_OUT, len(long) // 3)
    apart = set(long[: 2 * count])
    stream = "\n".join(text for text in texts if text not in apart)
    common = Counter(stream).most_common(SIZES["vocab_size"] - COMMONEST)
    ids = {character: number for number, (character, _) in enumerate(common, COMMONEST)}

    def encode(text: str) -> list[int]:
        return [ids.get(character, _RARE) for character in text]

    ends = torch.tensor([encode(text[-longest:]) for text in long[: 2 * count]])
    return Characters(torch.tensor(encode(stream)), ends[:count], ends[count:])


def training_rows(stream: Tensor, rows: int = _ROWS, pasted: int = _PASTED) -> Tensor:
    """Rows ``[rows, LENGTH]`` from places drawn in a text ``[T]``; the first are a short passage, over and over.

    Without those so small a model would not learn to copy, and could not show that it sees what is far away.
    """
    starts = torch.randint(len(stream) - LENGTH + 1, (rows, 1))
    places = torch.arange(LENGTH).repeat(rows, 1)
    places[:pasted] %= torch.randint(_PERIODS[0], _PERIODS[1] + 1, (pasted, 1))
    return stream[starts + places]


def test_rows(ends: Tensor, kind: str, times: int) -> Tensor:
    """Rows ``[N, times * LENGTH]`` whose last characters are those of ``ends`` ``[N, 8 * LENGTH]``.

    Args:
        ends: of long texts.
        kind: "plain", as they stand, or "repeated", the last passage of each over and over.
        times: how many times as long as in training.
    """
    length = times * LENGTH
    if kind == "plain":
        return ends[:, -length:]
    return ends[:, -_PASSAGE:].repeat(1, -(-length // _PASSAGE))[:, -length:]


def train(fields: Mapping[str, Any], stream: Tensor, learning_rate: float, steps: int) -> RoFormerForCausalLM:
    """A model that has learnt from rows of `training_rows`.

    Args:
        fields: of the config, beside `SIZES`.
        stream: the texts ``[T]``.
        learning_rate: the highest.
        steps: of 32 rows each.
    """
    model: Any = RoFormerForCausalLM(RoFormerConfig(**SIZES, **fields))

    def loss() -> Tensor:
        rows = training_rows(stream)
        # In float32: at this width bfloat16 takes as long.
        found: Tensor = model(input_ids=rows, labels=_asked(rows), use_cache=False).loss
        return found

    descend(model, loss, steps, learning_rate)
    return model


@torch.no_grad()
def score(model: RoFormerForCausalLM, ends: Tensor) -> dict[str, float]:
    """`MEASURES`, and the mean loss of each: of the same last characters, with ever more text in front of them."""
    found: dict[str, float] = {}
    for measure in MEASURES:
        kind, times = measure.removesuffix("x").split("_")
        sums = torch.zeros(3, dtype=torch.float64)
        for rows in test_rows(ends, kind, int(times)).split(16):
            logits = model(input_ids=rows, logits_to_keep=_ASKED + 1, use_cache=False).logits
            sums += next_token_sums(logits, _asked(rows[:, -_ASKED - 1 :])).sum(0)
        loss, right, asked = sums.tolist()
        found |= {measure: right / asked, f"{measure}_loss": loss / asked}
    return found


def _asked(rows: Tensor) -> Tensor:
    """Labels of rows: of rare characters nobody knows which."""
    return rows.masked_fill(rows == _RARE, -100)


def draw(figure: "Figure", results: "Results") -> None:
    """The accuracy of each side on texts of each kind and length."""
    experiment, axes = results.experiment, figure.subplots()
    groups = [side.replace(", ", ",\n") for side in experiment.sides]
    bars = {
        measure.replace("_", ", "): [results.values(measure, **{experiment.side: side}) for side in experiment.sides]
        for measure in MEASURES
    }
    grouped_bars(axes, groups, bars)
    axes.set_ylabel("accuracy of the next character")
    legend_below(figure, axes, "texts, and how many times as long as in training")
