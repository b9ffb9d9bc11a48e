"""Embeddings of words that a model's tokenizer did not have."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel


@torch.no_grad()
def add_words(model: PreTrainedModel, pieces: Sequence[Sequence[int]]) -> None:
    """Give a model embeddings of new words, each the mean of those of the tokens that it was (kexue.fm/archives/7758).

    The words follow the tokens that are there; an output matrix that is tied, and its bias, grow along.

    Args:
        model: with as many embeddings as its tokenizer had tokens.
        pieces: the tokens of each word; a word of none begins as zeros.
    """
    embeddings: Any = model.get_input_embeddings()
    first = embeddings.num_embeddings
    model.resize_token_embeddings(first + len(pieces), mean_resizing=False)
    matrices: list[Any] = [model.get_input_embeddings()]
    output: Any = model.get_output_embeddings()
    if output is not None and output.weight is not matrices[0].weight:
        matrices.append(output)
    for matrix in matrices:
        for index, ids in enumerate(pieces, start=first):
            own = matrix.weight[torch.as_tensor(ids, dtype=torch.long)]
            matrix.weight[index] = own.mean(0) if len(own) else 0.0
    bias = getattr(output, "bias", None)
    if bias is not None:
        for index, ids in enumerate(pieces, start=first):
            bias[index] = bias[torch.as_tensor(ids, dtype=torch.long)].mean() if len(ids) else 0.0
