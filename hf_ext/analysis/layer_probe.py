"""What each layer of an encoder knows of classes, by linear probes in closed form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.analysis.analytic_classifier import SHRINK_BY_SIZE, AnalyticClassifier, ClassSums
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.ops.pooling import first_token, mean_of_tokens

_POOLINGS = {"mean": mean_of_tokens, "cls": first_token}
_TEXTS = 32

Text = str | tuple[str, str]


@dataclass(frozen=True)
class LayerScore:
    """How well a probe of a layer does.

    Attributes:
        layer: its number; 0 are the embeddings.
        train_accuracy: share of right answers among the texts that it was fitted to.
        accuracy: the same among others.
        macro_f1: the mean over the classes, of F1 among those.
    """

    layer: int
    train_accuracy: float
    accuracy: float
    macro_f1: float


def probe_layers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: tuple[Sequence[Text], Sequence[int]],
    test: tuple[Sequence[Text], Sequence[int]],
    pooling: str = "mean",
    max_length: int = 512,
    shrinkage: float | str = SHRINK_BY_SIZE,
    report: Any = None,
) -> list[LayerScore]:
    """Fit an :class:`AnalyticClassifier` to the text vectors of each layer; nothing is trained.

    Args:
        model: an encoder, run as in evaluation.
        tokenizer: its tokenizer.
        train: texts, or pairs of texts, and their class ids, to fit to.
        test: the same, to score on.
        pooling: ``"mean"`` over the real tokens, or ``"cls"``, the first one.
        max_length: tokens of a text, beyond which it is cut.
        shrinkage: of :meth:`AnalyticClassifier.from_sums`.
        report: called with the number of texts run since it was called last; each is run twice, but the test's once.

    Returns:
        A score for each layer, the embeddings first.

    Raises:
        ValueError: if there are no texts or fewer than two classes, or ``pooling`` is another.
    """
    if pooling not in _POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(_POOLINGS)}, got {pooling!r}")
    for name, (texts, ids) in (("train", train), ("test", test)):
        if not len(texts) or len(texts) != len(ids):
            raise ValueError(f"{name} must be texts and as many labels, got {len(texts)} and {len(ids)}")
    classes = max(*train[1], *test[1]) + 1
    if len(set(train[1])) < 2:
        raise ValueError(f"train must have texts of at least two classes, got {len(set(train[1]))}")
    told = report or (lambda count: None)
    sums: list[ClassSums] = []
    for labels, states in _states(model, tokenizer, *train, pooling, max_length):
        parts = [ClassSums.of(one, labels, classes) for one in states]
        sums = [one + part for one, part in zip(sums, parts)] if sums else parts
        told(len(labels))
    probes = [AnalyticClassifier.from_sums(one, shrinkage=shrinkage, pseudo_inverse=True) for one in sums]
    tables = []
    for texts, ids in (train, test):
        # True classes by found ones.
        table = torch.zeros(len(probes), classes, classes, dtype=torch.long)
        for labels, states in _states(model, tokenizer, texts, ids, pooling, max_length):
            for number, (probe, vectors) in enumerate(zip(probes, states)):
                table[number].index_put_((labels, probe(vectors).argmax(-1).cpu()), torch.tensor(1), accumulate=True)
            told(len(labels))
        tables.append(table)
    fitted, other = tables
    return [
        LayerScore(number, _accuracy(fitted[number]), _accuracy(other[number]), _macro_f1(other[number]))
        for number in range(len(probes))
    ]


def _accuracy(table: Tensor) -> float:
    return int(table.diagonal().sum()) / int(table.sum())


def _macro_f1(table: Tensor) -> float:
    """Over the classes that occur, as true ones or as found ones."""
    sizes = table.sum(0) + table.sum(1)
    return float((2 * table.diagonal().double() / sizes.clamp(min=1))[sizes > 0].mean())


def _states(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[Text],
    ids: Sequence[int],
    pooling: str,
    max_length: int,
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """The labels of some texts and their vectors ``[n, H]`` in each layer, those of like length together."""
    order = sorted(range(len(texts)), key=lambda i: sum(map(len, _parts(texts[i]))))
    with evaluation_mode(model), torch.no_grad():
        for first in range(0, len(order), _TEXTS):
            chosen = order[first : first + _TEXTS]
            columns = [list(column) for column in zip(*(_parts(texts[i]) for i in chosen))]
            batch = tokenizer(*columns, truncation=True, max_length=max_length, padding=True, return_tensors="pt")
            batch = batch.to(model.device)
            outputs = model(**batch, output_hidden_states=True)
            pool = _POOLINGS[pooling]
            yield (
                torch.tensor([ids[i] for i in chosen]),
                [pool(states, batch.get("attention_mask")) for states in outputs.hidden_states],
            )


def _parts(text: Text) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)
