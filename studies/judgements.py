"""Judgements of courts as rows of characters, whose language is set enough to be learnt within minutes."""

import json
from collections import Counter
from collections.abc import Container
from functools import cache
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from hf_ext import generate_samples

UNKNOWN, MASK = 1, 2
# Id 0 is that of padding, of which rows have none.
_SPECIAL = 3
_FILES = ("divorce", "labor", "loan")
# Of ten judgements one is to choose learning rates on, and one to report.
_PARTS: dict[str, Container[int]] = {"train": range(8), "dev": (8,), "test": (9,)}


@cache
def judgements(data: Path | None) -> tuple[str, ...]:
    """The texts of CAIL 2019's judgements, in the order of its files; None: generated sentences stand in for them."""
    if data is None:
        texts = [sample["text"] for sample in generate_samples(400, seed=0)]
        return tuple("".join(texts[first : first + 20]) for first in range(0, len(texts), 20))
    paths = [data / "cail2019_elements" / f"{name}.train.json" for name in _FILES]
    lines = chain.from_iterable(path.read_text(encoding="utf-8").splitlines() for path in paths)
    return tuple("".join(one["sentence"] for one in json.loads(line)) for line in lines if line.strip())


def texts_of(data: Path | None, part: str) -> list[str]:
    """The judgements of "train", "dev" or "test"."""
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
