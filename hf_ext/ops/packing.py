"""Packing a padded batch into one row without padding, and back."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Where the sequences of a packed row lie.

    Attributes:
        lengths: length of each sequence, in order, none of them 0; they add up to T.
        cu_seq_lens: ``[S + 1]`` int32, where each starts, and T.
    """

    lengths: list[int]
    cu_seq_lens: Tensor

    @classmethod
    def from_lengths(cls, lengths: list[int], device: torch.device) -> "Packing":
        """Describe sequences that follow one another.

        Args:
            lengths: length of each sequence; empty ones are left out.
            device: where ``cu_seq_lens`` lies.
        """
        lengths = [length for length in lengths if length]
        offsets = torch.tensor([0, *lengths], device=device).cumsum(0, dtype=torch.int32)
        return cls(lengths, offsets)

    @classmethod
    def from_documents(cls, documents: Tensor) -> "Packing":
        """Describe the documents of one packed row.

        Args:
            documents: ``[1, T]`` from :func:`hf_ext.ops.masks.document_ids`.
        """
        return cls.from_lengths(torch.bincount(documents[0]).tolist(), documents.device)


def unpadded_index(attention_mask: Tensor) -> tuple[Tensor, Packing]:
    """Find the real tokens of a padded batch.

    Args:
        attention_mask: ``[B, L]``, non-zero at real tokens; they may lie anywhere in a row.

    Returns:
        The index ``[T]`` of the real tokens in the flattened batch, and where each row lies among them.
    """
    real = attention_mask != 0
    return real.flatten().nonzero().squeeze(-1), Packing.from_lengths(real.sum(-1).tolist(), attention_mask.device)


def pack(x: Tensor, index: Tensor) -> Tensor:
    """Gather the real tokens of ``x`` ``[B, L, ...]`` into ``[1, T, ...]``."""
    return x.flatten(0, 1)[index][None]


def unpack(packed: Tensor, index: Tensor, batch_size: int, length: int) -> Tensor:
    """Scatter ``packed`` ``[1, T, H]`` back to ``[B, L, H]``, zero at padding."""
    out = packed.new_zeros(batch_size * length, packed.shape[-1])
    return out.index_copy(0, index, packed[0]).view(batch_size, length, -1)
