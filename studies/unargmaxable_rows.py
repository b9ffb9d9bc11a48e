"""How many words can never be the likeliest, by the size of their vectors (kexue.fm/archives/9046)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.analysis import unargmaxable_tokens
from studies import judgements
from studies.descent import descend
from studies.drawing import legend_below, lines
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Head = tuple[Tensor, Tensor | None]
"""Rows ``[V, H]`` and biases ``[V]``, if there are any."""

_WORDS, _QUICK_WORDS = 1000, 40
_SIZES = (2, 3, 4, 6, 8, 10, 12, 16, 24)
_PAIRS, _STEPS, _RATE = 1024, 400, 0.02


def normal(words: int, size: int, sources: Sources) -> Head:
    """Normal rows without biases."""
    return torch.randn(words, size), None


def with_biases(words: int, size: int, sources: Sources) -> Head:
    """Normal rows, and biases as large as the numbers of a row."""
    return torch.randn(words, size), torch.randn(words)


def of_one_length(words: int, size: int, sources: Sources) -> Head:
    """Rows that all win, where they point themselves."""
    return F.normalize(torch.randn(words, size)), None


def half_means(words: int, size: int, sources: Sources) -> Head:
    """Rows of which the first half are means of drawn ones of the second, and cannot win."""
    drawn = torch.randn(words - words // 2, size, dtype=torch.float64)
    others = torch.randint(len(drawn), (words // 2, 2 * size))
    return torch.cat([drawn[others].mean(1), drawn]), None


def trained(words: int, size: int, sources: Sources) -> Head:
    """The head of a model that tells a character of judgements by the one before it."""
    first, second = neighbours(words, sources)
    model = nn.Sequential(nn.Embedding(words, size), nn.Linear(size, words))

    def loss() -> Tensor:
        drawn = torch.randint(len(first), (_PAIRS,))
        return F.cross_entropy(model(first[drawn]), second[drawn])

    descend(model, loss, 2 if sources.quick else _STEPS, _RATE, weight_decay=0.0)
    head = model[1]
    assert isinstance(head, nn.Linear)
    return head.weight.detach(), head.bias.detach()


def neighbours(words: int, sources: Sources) -> tuple[Tensor, Tensor]:
    """Each character of the training texts, and the one behind it ``[P]``, where both are of the commonest."""
    # Ids are in the order of frequency, the three special ones in front.
    text = judgements.rows(sources.data, "train", 64).flatten() - 3
    first, second = text[:-1], text[1:]
    known = (first >= 0) & (first < words) & (second >= 0) & (second < words)
    return first[known], second[known]


HEADS: dict[str, Callable[[int, int, Sources], Head]] = {
    "normal": normal,
    "normal, biases": with_biases,
    "trained": trained,
    "one length": of_one_length,
    "half are means": half_means,
}


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Make a head, and decide of each row whether it can win."""
    words = _QUICK_WORDS if sources.quick else _WORDS
    weight, bias = HEADS[setting["head"]](words, setting["size"], sources)
    found = unargmaxable_tokens(weight, bias)
    return {
        "never": len(found.unargmaxable) / words,
        "outside": len(found.of_kind("outside")) / words,
        "undecided": len(found.of_kind("undecided")) / words,
        "words": words,
    }


def draw(figure: "Figure", results: Results) -> None:
    """The share that never wins over the size of the vectors."""
    axes = figure.subplots()
    lines(axes, _SIZES, {side: [results.values("never", size=size, head=side) for size in _SIZES] for side in HEADS})
    axes.set(xlabel="numbers of a row", ylabel=f"share of {_WORDS:,} rows that never wins")
    legend_below(figure, axes)


EXPERIMENT = Experiment(
    name="unargmaxable_rows",
    cases=[{"size": size} for size in _SIZES],
    side="head",
    sides=tuple(HEADS),
    score="never",
    run=run,
    draw=draw,
    measures=("never", "outside", "undecided"),
)
