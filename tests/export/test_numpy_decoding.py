"""Decoding in NumPy finds what decoding with PyTorch does."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from models_tiny import SIZES

import hf_ext
from hf_ext.export.best_spans import best_answers, best_spans
from hf_ext.export.linked_spans import best_events, best_relations
from hf_ext.export.tag_chain import TagChain
from hf_ext.ops.answer_spans import best_answer_spans
from hf_ext.ops.crf import crf_decode, crf_marginals
from hf_ext.ops.pointer import top_spans

# Whole numbers, of which many are equal.
DRAWS: list[Any] = [torch.randn, lambda *shape: torch.randint(-3, 4, shape).float()]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(("length", "most", "above"), [(1, 3, 0.0), (7, 5, 0.0), (7, 200, -1.0), (7, 6, float("-inf"))])
def test_best_spans(draw, length, most, above):
    torch.manual_seed(0)
    scores = draw(3, 2, length, length).masked_fill(~torch.ones(length, length, dtype=torch.bool).triu(), -torch.inf)
    for row, wanted in zip(scores, top_spans(scores, most, above)):
        np.testing.assert_array_equal(best_spans(row.numpy(), most, above), wanted[wanted[:, 0] >= 0].numpy())


def test_best_spans_are_no_nan():
    with pytest.raises(ValueError, match="scores must be numbers, got NaN"):
        best_spans(np.full((1, 2, 2), np.nan), 3, 0.0)


@pytest.mark.parametrize("longest", [1, 3, 50])
def test_best_answers(longest):
    torch.manual_seed(0)
    table, context = torch.randn(9, 9), torch.tensor([0, 0, 1, 1, 0, 1, 1, 1, 0]).bool()
    wanted, total = best_answer_spans(lambda one, other: table[None, one, other], context[None], 4, longest)
    found, none = best_answers(table.numpy(), context.numpy(), 4, longest, is_share=False)
    np.testing.assert_allclose(found, wanted[0, : len(found)], atol=1e-6)
    assert none == pytest.approx(table[0, 0].item())
    shares, none = best_answers(table.numpy(), context.numpy(), 4, longest, is_share=True)
    whole = torch.logaddexp(total[0], table[0, 0])
    np.testing.assert_allclose(shares[:, 2], found[:, 2] - whole.item(), atol=1e-6)
    assert none == pytest.approx((table[0, 0] - whole).item(), abs=1e-6)


def test_no_answer_in_a_row_without_context():
    found, none = best_answers(np.zeros((2, 2), np.float32), np.zeros(2, bool), 3, 5, is_share=True)
    assert found.shape == (0, 3)
    assert none == 0.0


@pytest.mark.parametrize("forbids", [False, True])
def test_tag_chain(forbids):
    torch.manual_seed(0)
    emissions, transitions, start, end = (torch.randn(shape) for shape in ((6, 8, 4), (4, 4), (4,), (4,)))
    if forbids:
        transitions[1, 2], start[3] = -torch.inf, -torch.inf
    mask = torch.rand(6, 8) < 0.6
    # All, none, one in the middle.
    mask[0], mask[1], mask[2] = True, False, torch.arange(8) == 5
    chain = TagChain(*(one.numpy() for one in (emissions, transitions, start, end, mask)))
    tags = chain.best()
    wanted, _ = crf_decode(emissions, transitions, mask, start, end)
    np.testing.assert_array_equal(tags, wanted.numpy())
    marginals = crf_marginals(emissions, transitions, mask, start, end).tags
    chosen = marginals.gather(2, wanted.clamp_min(0).unsqueeze(2)).squeeze(2)
    np.testing.assert_allclose(chain.chances(tags), chosen.numpy(), atol=1e-5)


def test_tag_chain_is_of_numbers():
    emissions, mask = np.full((1, 2, 3), np.nan), np.array([[True, False]])
    with pytest.raises(ValueError, match="emissions must be numbers or -inf, got NaN"):
        TagChain(emissions, np.zeros((3, 3)), np.zeros(3), np.zeros(3), mask)
    empty = TagChain(emissions, np.zeros((3, 3)), np.zeros(3), np.zeros(3), ~mask & mask)
    assert (empty.best() == -100).all()
    assert (empty.chances(empty.best()) == 0).all()


def cells(table: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Scores at the positions."""
    return table[:, rows[:, None], columns]


def head(auto: Any, labels: list[str], most: int) -> Any:
    """A head, which decodes."""
    names = dict(enumerate(labels))
    return auto.from_config(hf_ext.RoFormerConfig(**SIZES, id2label=names), span_top_k=most)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("most", [3, 60])
def test_relations(draw, most):
    torch.manual_seed(0)
    own = head(hf_ext.AutoModelForRelationExtraction, ["住", "到", "去"], most)
    for length in (1, 2, 6):
        spans, heads, tails = draw(2, length, length), draw(3, length, length), draw(3, length, length)
        spans = spans.masked_fill(~torch.ones(length, length, dtype=torch.bool).triu(), -torch.inf)
        best = top_spans(spans[None], most)[0]
        wanted = own.decode(best[best[:, 0] >= 0], partial(cells, heads), partial(cells, tails), 0.0)
        found = best_relations(*(one.numpy() for one in (spans, heads, tails)), most, 0.0)
        np.testing.assert_array_equal(found, wanted.numpy())


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("most", [4, 60])
def test_events(draw, most):
    torch.manual_seed(0)
    labels = ["到|人", "到|地", "去|人"]
    own = head(hf_ext.AutoModelForEventExtraction, labels, most)
    for length in (1, 2, 6):
        upper = torch.ones(length, length, dtype=torch.bool).triu()
        tables = [draw(count, length, length).masked_fill(~upper, -torch.inf) for count in (3, 1, 1)]
        best = top_spans(tables[0][None], most)[0]
        wanted = own.decode(best[best[:, 0] >= 0], partial(cells, tables[1]), partial(cells, tables[2]), 0.0)
        found = best_events(*(one.numpy() for one in tables), own.types, most, 0.0)
        np.testing.assert_array_equal(found, wanted.numpy())
