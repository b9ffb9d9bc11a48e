"""The tasks on symbols: each answer worked out again from the text in another way."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.che_tasks import TASKS, batch, encoder_batch


def binary(bits: list[int]) -> int:
    return int("".join(map(str, bits[::-1])), 2)


def split(text: list[int]) -> tuple[int, int]:
    sign = text.index(2)
    return binary(text[:sign]), binary(text[sign + 1 :])


def walk(text: list[int]) -> list[int]:
    place = 0
    for step in text:
        place = (place + {0: 0, 1: 1, 2: 4}[step]) % 5
    return [place]


def popped(text: list[int]) -> list[int]:
    half = len(text) // 2
    held = text[:half]
    for action in text[half:]:
        if action == 2 and held:
            held.pop()
        elif action > 2:
            held.append(action - 3)
    return [*reversed(held), *[2] * (len(text) + 1 - len(held))]


def found_missing(text: list[int]) -> list[int]:
    place = text.index(2)
    return [text[(place + len(text) // 2) % len(text)]]


def bits(value: int, count: int) -> list[int]:
    return [int(bit) for bit in f"{value:0{count}b}"[::-1][:count]]


ORACLES: dict[str, Callable[[list[int]], list[int]]] = {
    "even_pairs": lambda text: [int(text[0] != text[-1])],
    "parity": lambda text: [text.count(1) % 2],
    "cycle_navigation": walk,
    "modular_arithmetic": lambda text: [eval("".join("01234+-*"[x] for x in text)) % 5],
    "reverse": lambda text: list(reversed(text)),
    "stack": popped,
    "duplicate": lambda text: text + text,
    "missing_duplicate": found_missing,
    "odds_first": lambda text: [text[i] for i in (*range(1, len(text), 2), *range(0, len(text), 2))],
    "addition": lambda text: bits(sum(split(text)), len(text)),
    "multiplication": lambda text: bits(split(text)[0] * split(text)[1], len(text)),
    "square_root": lambda text: bits(int(binary(text) ** 0.5), (len(text) + 1) // 2),
    "bucket_sort": lambda text: [x for kind in range(5) for x in text if x == kind],
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("length", [3, 10, 17])
def test_answers(task: str, length: int) -> None:
    torch.manual_seed(0)
    texts, answers = batch(task, 50, length)
    assert 0 <= length - texts.shape[1] <= 1
    assert texts.max() < TASKS[task].symbols
    assert answers.max() < TASKS[task].classes
    for text, answer in zip(texts.tolist(), answers.tolist()):
        assert answer == ORACLES[task](text)
    assert len(answers.unique(dim=0)) > 1


def test_in_place() -> None:
    ids, labels = encoder_batch("reverse", 2, 4)
    assert ids[:, 4:].tolist() == [[3] * 4] * 2
    assert labels[:, :4].tolist() == [[-100] * 4] * 2
    assert torch.equal(labels[:, 4:].flip(1) + 1, ids[:, :4])


@pytest.mark.parametrize(
    ("task", "length", "message"), [("sort", 5, "task must be one of .*'sort'"), ("parity", 2, "at least 3, got 2")]
)
def test_refused(task: str, length: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batch(task, 1, length)
