"""Judgements of courts as rows of characters, whose language is set enough to be learnt within minutes."""

from collections import Counter
from collections.abc import Container
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from studies.pretraining_texts import judgements

UNKNOWN, MASK = 1, 2
# Id 0 is that of padding, of which rows have none.
_SPECIAL = 3
# With fewer, softmax has hardly begun to learn after some hundred steps.
_MASKED = 0.4
# Of ten judgements one is to choose learning rates on, and one to report.
_PARTS: dict[str, Container[int]] = {"train": range(8), "dev": (8,), "test": (9,)}


def texts_of(data: Path | None, part: str) -> list[str]:
    """The judgements of "train", "dev" or "test"; without ``data`` generated sentences stand in for them."""
    return [text for number, text in enumerate(judgements(data)) if number % 10 in _PARTS[part]]


@cache
def vocabulary(data: Path | None) -> dict[str, int]:
    """Ids of the characters that are in the training texts twice or more, the most frequent first."""
    counts = Counter(chain.from_iterable(texts_of(data, "train")))
    known = (character for character, count in counts.most_common() if count > 1)
    return {character: number for number, character in enumerate(known, start=_SPECIAL)}


def vocabulary_size(data: Path | None) -> int:
    """Number of ids, special ones among them."""
    return len(vocabulary(data)) + _SPECIAL


@cache
def rows(data: Path | None, part: str, length: int) -> Tensor:
    """Ids of the characters of a part, ``[R, length]``, one judgement after another; what is left over is dropped."""
    known = vocabulary(data)
    ids = [known.get(character, UNKNOWN) for text in texts_of(data, part) for character in text]
    return torch.tensor(ids[: len(ids) // length * length]).view(-1, length)


def masked(ids: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows with a share of their characters masked, and which they are: ``[B, L]`` ids and bool."""
    chosen = torch.rand(ids.shape, generator=generator) < share
    return ids.masked_fill(chosen, MASK), chosen


def predictions(model: Any, ids: Tensor, causal: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Scores ``[P, V]`` of the characters that are asked for, and these ``[P]``.

    They are all but the first of each row ``[B, L]``, or those that ``generator`` draws to be masked.
    """
    if causal:
        shown, wanted, asked = ids[:, :-1], ids[:, 1:], torch.ones_like(ids[:, 1:], dtype=torch.bool)
    else:
        shown, asked = masked(ids, _MASKED, generator)
        wanted = ids
    # In float32: in bfloat16 softmax attention of models up to 128 wide is slower, linear attention alone faster.
    states = model.base_model(shown).last_hidden_state
    return model.cls(states[asked]), wanted[asked]


@torch.no_grad()
def scores(model: Any, texts: Tensor, causal: bool) -> dict[str, Any]:
    """Accuracy and mean log-likelihood, in nats, of the characters of ``[R, L]``, of which all models see the same."""
    generator = torch.Generator().manual_seed(0)
    parts = [predictions(model, batch, causal, generator) for batch in texts.split(64)]
    logits, wanted = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
    return {
        "log_likelihood": -F.cross_entropy(logits, wanted).item(),
        "accuracy": (logits.argmax(-1) == wanted).float().mean().item(),
        "scored": len(wanted),
    }
