"""Rows that hold several documents, and batches of such rows in which documents see each other or do not."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.transformers_private import pad_inputs

IGNORED = -100

# What has a number a token, and is joined where rows are.
_OF_TOKENS = ("input_ids", "word_ids", "labels", "position_ids")

Row = Mapping[str, Sequence[int]]


def fill_rows(pieces: Iterable[Row], max_length: int) -> list[dict[str, list[int]]]:
    """Rows of at most ``max_length`` tokens, each of as many pieces, one after the other, as it has room for.

    Args:
        pieces: ``input_ids`` and ``word_ids`` of documents or parts of them, none longer than ``max_length``.
        max_length: tokens of a row.

    Returns:
        ``input_ids``, ``word_ids``, of which no two words of a row have one number, and ``position_ids``, which begin
        with 0 in each piece.
    """
    rows: list[dict[str, list[int]]] = []
    for piece in pieces:
        ids, words = list(piece["input_ids"]), list(piece["word_ids"])
        if not rows or len(rows[-1]["input_ids"]) + len(ids) > max_length:
            rows.append({"input_ids": [], "word_ids": [], "position_ids": []})
        row = rows[-1]
        first = max(row["word_ids"], default=-1) + 1
        row["word_ids"] += [word if word < 0 else word + first for word in words]
        row["input_ids"] += ids
        row["position_ids"] += range(len(ids))
    return rows


def join_rows(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Rows as one of ``[1, T]`` without padding, with ``position_ids`` by which models keep documents apart.

    Args:
        rows: ``input_ids`` and, if there are any, ``labels`` and ``position_ids``; without these each is a document.
    """
    with_places = [
        row if "position_ids" in row else {**row, "position_ids": range(len(row["input_ids"]))} for row in rows
    ]
    names = [name for name in _OF_TOKENS if name in with_places[0] and name != "word_ids"]
    return {name: torch.cat([torch.as_tensor(list(row[name])) for row in with_places])[None].long() for name in names}


def pad_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], pad_to_multiple_of: int | None = None
) -> dict[str, Tensor]:
    """Rows as a padded batch ``[B, L]`` with ``attention_mask``; ``labels``, if there are any, are -100 at padding."""
    batch: dict[str, Tensor] = pad_inputs(tokenizer, rows, pad_to_multiple_of=pad_to_multiple_of)
    if "labels" in rows[0]:
        batch["labels"] = torch.full_like(batch["input_ids"], IGNORED)
        real = batch["attention_mask"] != 0
        batch["labels"][real] = torch.cat([torch.as_tensor(row["labels"]) for row in rows]).long()
    return batch


@torch.no_grad()
def keeps_documents_apart(model: PreTrainedModel) -> bool:
    """Whether a model's outputs for a document of a packed row do not depend on the document before it."""
    was_training = model.training
    model.eval()
    try:
        ids = torch.arange(6, device=model.device)[None] % model.config.vocab_size
        other = ids.clone()
        other[0, :3] = ids[0, 3:]
        places = torch.arange(3, device=model.device).repeat(2)[None]
        first, second = (model.base_model(own, position_ids=places)[0][0, 3:] for own in (ids, other))
        return torch.allclose(first, second, rtol=1e-4, atol=1e-5)
    # A model without position_ids, as T5.
    except (TypeError, ValueError):
        return False
    finally:
        model.train(was_training)
