"""Packing: round trips, places, gradients."""

import pytest
import torch

from hf_ext.ops.masks import document_ids
from hf_ext.ops.packing import Packing, pack, unpack, unpadded_index
from hf_ext.ops.pooling import first_token

MASKS = {
    "right": [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]],
    "left": [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]],
    "holes": [[1, 0, 0, 1], [0, 1, 0, 1]],
    "empty row": [[0, 0, 0], [1, 1, 0], [0, 0, 0]],
    "one token": [[1]],
    "full": [[1, 1], [1, 1]],
}


@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.float32])
def test_index_and_places(rows: list[list[int]], dtype: torch.dtype) -> None:
    index, packing = unpadded_index(torch.tensor(rows).to(dtype))
    flat = [value for row in rows for value in row]
    assert index.tolist() == [i for i, real in enumerate(flat) if real]
    lengths = [sum(row) for row in rows if sum(row)]
    assert packing.lengths == lengths
    assert packing.cu_seq_lens.dtype == torch.int32
    assert packing.cu_seq_lens.tolist() == [sum(lengths[:i]) for i in range(len(lengths) + 1)]


@pytest.mark.parametrize("rows", MASKS.values(), ids=MASKS)
def test_round_trip(rows: list[list[int]]) -> None:
    mask = torch.tensor(rows)
    index, _ = unpadded_index(mask)
    x = torch.randn(*mask.shape, 5, dtype=torch.float64)
    packed = pack(x, index)
    assert packed.shape == (1, mask.sum(), 5)
    torch.testing.assert_close(packed[0], x[mask.bool()], rtol=0, atol=0)
    torch.testing.assert_close(unpack(packed, index, *mask.shape), x * mask[..., None], rtol=0, atol=0)
    ids = torch.randint(0, 9, mask.shape)
    assert torch.equal(pack(ids, index)[0], ids[mask.bool()])


def test_gradient() -> None:
    mask = torch.tensor(MASKS["holes"])
    index, _ = unpadded_index(mask)
    x = torch.randn(*mask.shape, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: unpack(pack(x, index).sin(), index, *mask.shape), x)


@pytest.mark.parametrize(
    ("positions", "lengths"),
    [([0, 1, 2, 0, 1, 0], [3, 2, 1]), ([0], [1]), ([4, 5, 6], [3]), ([0, 0], [1, 1])],
)
def test_from_documents(positions: list[int], lengths: list[int]) -> None:
    packing = Packing.from_documents(document_ids(torch.tensor([positions])))
    assert packing.lengths == lengths
    assert packing.cu_seq_lens[-1] == len(positions)


def test_from_lengths_leaves_out_empty_ones() -> None:
    packing = Packing.from_lengths([0, 2, 0, 1], torch.device("cpu"))
    assert (packing.lengths, packing.cu_seq_lens.tolist()) == ([2, 1], [0, 2, 3])


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (None, [0, 0]),
        ([[1, 1, 1], [1, 0, 0]], [0, 0]),
        ([[0, 1, 1], [0, 0, 1]], [1, 2]),
        ([[0, 0, 0], [0, 1, 0]], [0, 1]),
    ],
)
def test_first_token(mask: list[list[int]] | None, wanted: list[int]) -> None:
    x = torch.randn(2, 3, 4)
    out = first_token(x, None if mask is None else torch.tensor(mask))
    assert torch.equal(out, torch.stack([x[i, j] for i, j in enumerate(wanted)]))


def test_first_token_under_a_mask_of_pairs() -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(first_token(x, torch.ones(2, 1, 3, 3)), x[:, 0])
