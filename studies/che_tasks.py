"""Tasks on symbols that tell whether a model that has seen short texts solves long ones (arXiv 2207.02098, 2305.16843).

Each gives a text and an answer that follows from it; scores are the share of right answer tokens, not of right
answers. Numbers are written with the lowest digit first. Drawn by PyTorch's global source of chance.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

Pair = tuple[list[int], list[int]]


class Task(NamedTuple):
    """A task.

    Attributes:
        symbols: number of symbols in a text.
        classes: number of symbols in an answer.
        draw: a text of about a length, and its answer; the same sizes for the same length.
    """

    symbols: int
    classes: int
    draw: Callable[[int], Pair]


def batch(task: str, rows: int, length: int) -> tuple[Tensor, Tensor]:
    """Texts ``[rows, L]`` and answers ``[rows, A]``.

    Args:
        task: a name in `TASKS`.
        rows: how many.
        length: of a text, at least 3; tasks whose texts have a form of their own come near it.

    Raises:
        ValueError: for an unknown task or a length that is too small.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    if length < 3:
        raise ValueError(f"length must be at least 3, got {length}")
    texts, answers = zip(*(TASKS[task].draw(length) for _ in range(rows)))
    return torch.tensor(texts), torch.tensor(answers)


def encoder_batch(task: str, rows: int, length: int) -> tuple[Tensor, Tensor]:
    """For an encoder that answers in place: behind each text so many blanks as the answer has symbols.

    Returns:
        ``input_ids`` and ``labels`` ``[rows, L + A]``. Symbols count from 1, as 0 is padding, and the blank is the
        last; labels are -100 at the text.
    """
    texts, answers = batch(task, rows, length)
    blanks = torch.full_like(answers, TASKS[task].symbols + 1)
    unasked = torch.full_like(texts, -100)
    return torch.cat((texts + 1, blanks), dim=1), torch.cat((unasked, answers), dim=1)


def symbols(length: int, count: int) -> list[int]:
    """Symbols drawn evenly of so many kinds."""
    return torch.randint(count, (length,)).tolist()


def even_pairs(length: int) -> Pair:
    """Whether there is an even number of unequal neighbours, which is whether first and last are equal."""
    text = symbols(length, 2)
    return text, [sum(a != b for a, b in pairwise(text)) % 2]


def parity(length: int) -> Pair:
    """Whether the number of ones is odd."""
    text = symbols(length, 2)
    return text, [sum(text) % 2]


def cycle_navigation(length: int) -> Pair:
    """Where one ends on a circle of five places: 0 stays, 1 goes on, 2 goes back."""
    text = symbols(length, 3)
    return text, [(text.count(1) - text.count(2)) % 5]


def modular_arithmetic(length: int) -> Pair:
    """The value modulo 5 of digits and, between them, plus (5), minus (6) and times (7), times first."""
    count = (length + 1) // 2
    digits, operators = symbols(count, 5), symbols(count - 1, 3)
    text = [digits[0]]
    terms = [digits[0]]
    for operator, digit in zip(operators, digits[1:]):
        text += [5 + operator, digit]
        if operator == 2:
            terms[-1] *= digit
        else:
            terms.append(digit if operator == 0 else -digit)
    return text, [sum(terms) % 5]


def reverse(length: int) -> Pair:
    """The text backwards."""
    text = symbols(length, 2)
    return text, text[::-1]


def stack(length: int) -> Pair:
    """What is on a stack at the end, from the top, and behind it an end (2) as often as there is room.

    The first half of a text lies on it, from the bottom; then 2 takes one off, 3 and 4 put 0 and 1 on.
    """
    held = symbols(length // 2, 2)
    actions = symbols(length - length // 2, 3)
    text = held + [2 + action for action in actions]
    for action in actions:
        held = [*held, action - 1] if action else held[:-1]
    answer = held[::-1]
    return text, answer + [2] * (length + 1 - len(answer))


def duplicate(length: int) -> Pair:
    """The text twice."""
    text = symbols(length, 2)
    return text, text * 2


def missing_duplicate(length: int) -> Pair:
    """The symbol that is blotted out (2) in a text that is there twice."""
    half = symbols(length // 2, 2)
    text = half * 2
    place = int(torch.randint(len(text), (1,)))
    answer = text[place]
    text[place] = 2
    return text, [answer]


def odds_first(length: int) -> Pair:
    """The symbols at odd places, counted from 0, and then those at even ones."""
    text = symbols(length, 2)
    return text, text[1::2] + text[::2]


def _two_numbers(length: int, sign: int) -> tuple[list[int], int, int]:
    """Two numbers with a sign between them; neither is empty."""
    first = int(torch.randint(1, length - 1, (1,)))
    one, other = symbols(first, 2), symbols(length - 1 - first, 2)
    return [*one, sign, *other], number(one), number(other)


def number(bits: list[int]) -> int:
    """The number of bits, the lowest first."""
    return sum(bit << place for place, bit in enumerate(bits))


def bits_of(value: int, count: int) -> list[int]:
    """The lowest bits of a number."""
    return [value >> place & 1 for place in range(count)]


def addition(length: int) -> Pair:
    """The sum of two binary numbers, between which 2 stands."""
    text, one, other = _two_numbers(length, 2)
    return text, bits_of(one + other, length)


def multiplication(length: int) -> Pair:
    """The product of two binary numbers, between which 2 stands."""
    text, one, other = _two_numbers(length, 2)
    return text, bits_of(one * other, length)


def square_root(length: int) -> Pair:
    """The whole part of a binary number's root."""
    text = symbols(length, 2)
    return text, bits_of(math.isqrt(number(text)), (length + 1) // 2)


def bucket_sort(length: int) -> Pair:
    """Five kinds of symbols in order."""
    text = symbols(length, 5)
    return text, sorted(text)


TASKS: dict[str, Task] = {
    "even_pairs": Task(2, 2, even_pairs),
    "parity": Task(2, 2, parity),
    "cycle_navigation": Task(3, 5, cycle_navigation),
    "modular_arithmetic": Task(8, 5, modular_arithmetic),
    "reverse": Task(2, 2, reverse),
    "stack": Task(5, 3, stack),
    "duplicate": Task(2, 2, duplicate),
    "missing_duplicate": Task(3, 2, missing_duplicate),
    "odds_first": Task(2, 2, odds_first),
    "addition": Task(3, 2, addition),
    "multiplication": Task(3, 2, multiplication),
    "square_root": Task(2, 2, square_root),
    "bucket_sort": Task(5, 5, bucket_sort),
}
