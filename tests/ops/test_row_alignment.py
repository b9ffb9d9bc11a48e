"""Texts moved to the start of rows of their own, and back."""

import torch

from hf_ext.ops.row_alignment import RowAlignment


def test_real_tokens_come_first_and_everything_comes_back() -> None:
    mask = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
    x = torch.arange(16).view(4, 4)
    alignment = RowAlignment.from_mask(mask)
    assert alignment.align(x).tolist() == [[1, 3, 0, 2], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    assert alignment.real.sum(-1).tolist() == [2, 4, 0, 2]
    assert torch.equal(alignment.restore(alignment.align(x), 4), x)
    documents = RowAlignment.from_documents(torch.tensor([[0, 0, 1, 2], [0, 0, 0, 0]]))
    rows = torch.arange(1, 9).view(2, 4)
    assert documents.align(rows).tolist() == [[1, 2, 0, 0], [3, 0, 0, 0], [4, 0, 0, 0], [5, 6, 7, 8]]
    assert documents.real.sum(-1).tolist() == [2, 1, 1, 4]
    assert torch.equal(documents.restore(documents.align(rows), 2), rows)
