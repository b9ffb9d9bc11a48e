"""Masks against their definitions, spelt out pair by pair."""

import itertools

import pytest
import torch
from torch import Tensor

from hf_ext.ops.masks import document_ids, same_document, same_unilm_group, unilm_mask


def documents_by_brute_force(positions: list[int]) -> list[int]:
    numbers = [0]
    for before, here in itertools.pairwise(positions):
        numbers.append(numbers[-1] + (here <= before))
    return numbers[: len(positions)]


def table(function: object, batch: int, queries: Tensor, keys: Tensor) -> Tensor:
    """A mask function at every (row, query, key), as the library's mask builders call it."""
    rows = torch.arange(batch)[:, None, None]
    return function(rows, torch.zeros_like(rows), queries[None, :, None], keys[None, None, :])  # type: ignore[operator]


@pytest.mark.parametrize(
    "positions",
    [
        [0],
        [0, 1, 2, 3],
        [0, 1, 2, 0, 1, 0],
        [0, 0, 0],
        [5, 6, 9, 2, 3, 3],
        [7],
    ],
)
@pytest.mark.parametrize("integer", [torch.int32, torch.int64])
def test_document_ids(positions: list[int], integer: torch.dtype) -> None:
    out = document_ids(torch.tensor([positions, list(range(len(positions)))], dtype=integer))
    assert out.dtype == torch.int64
    assert out.tolist() == [documents_by_brute_force(positions), [0] * len(positions)]


def test_document_ids_of_nothing() -> None:
    assert document_ids(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0)


def test_same_document() -> None:
    documents = document_ids(torch.tensor([[0, 1, 0, 1, 2], [0, 1, 2, 0, 0]]))
    out = table(same_document(documents), 2, torch.arange(5), torch.arange(5))
    for b, i, j in itertools.product(range(2), range(5), range(5)):
        assert out[b, i, j] == (documents[b, i] == documents[b, j])


TYPES = [
    [[0]],
    [[1]],
    [[0, 0, 0, 1, 1]],
    [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 0, 1], [0, 0, 2, 0, 1]],
]


def unilm_by_brute_force(types: list[int]) -> list[list[bool]]:
    sums = list(itertools.accumulate(types))
    return [[key <= query for key in sums] for query in sums]


@pytest.mark.parametrize("types", TYPES)
def test_unilm_mask(types: list[list[int]]) -> None:
    out = unilm_mask(torch.tensor(types))
    assert out.shape == (len(types), 1, len(types[0]), len(types[0]))
    assert out[:, 0].tolist() == [unilm_by_brute_force(row) for row in types]


@pytest.mark.parametrize("types", TYPES)
def test_unilm_is_causal_or_same_group(types: list[list[int]]) -> None:
    order = torch.arange(len(types[0]))
    group = table(same_unilm_group(torch.tensor(types)), len(types), order, order)
    causal = order[:, None] >= order
    assert (group | causal).tolist() == [unilm_by_brute_force(row) for row in types]


@pytest.mark.parametrize("past", [0, 1, 3])
@pytest.mark.parametrize("slots", [0, 4])
def test_unilm_with_a_cache(past: int, slots: int) -> None:
    """The last queries of a row see what they see when the whole row is run; empty slots of the cache are refused."""
    types = [0, 0, 0, 1, 1, 1]
    new = torch.tensor([types[past:]])
    queries, keys = torch.arange(past, len(types)), torch.arange(len(types) + slots)
    out = table(same_unilm_group(new, past), 1, queries, keys)[0] | (queries[:, None] >= keys)
    wanted = torch.tensor(unilm_by_brute_force(types))[past:]
    # In a cache of a source of several tokens, tokens run later do not change what was computed: they are past.
    assert torch.equal(out[:, : len(types)], wanted)
    assert not out[:, len(types) :].any()
