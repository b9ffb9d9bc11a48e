"""The head over a vocabulary at the places asked for alone: over a large one it costs as much as some blocks do.

Shapes: B batch, L tokens, P places asked for, H hidden, V vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def head_at(model: Any, rows: Tensor, columns: Tensor) -> Iterator[list[Tensor]]:
    """Within it a model's head runs at some places of its batch of ``[B, L]``, and gives logits ``[1, P, V]``.

    Args:
        model: whose head is over an encoder of its own, ``base_model``; see `predicts_by_place`.
        rows: ``[P]``.
        columns: ``[P]``.

    Yields:
        What the head is given, ``[1, P, H]`` a run; nothing where a model runs a part of its encoder alone.
    """
    picked: list[Tensor] = []

    def pick(module: Any, arguments: Any, output: Any) -> Any:
        vectors = output[0][rows, columns][None]
        picked.append(vectors)
        if isinstance(output, tuple):
            return (vectors, *output[1:])
        output["last_hidden_state"] = vectors
        return output

    hook = model.base_model.register_forward_hook(pick)
    try:
        yield picked
    finally:
        hook.remove()


@torch.no_grad()
def predicts_by_place(model: Any) -> bool:
    """Whether a model's logits of a token are made by its head of the encoder's vector of this token alone."""
    if model.base_model is model:
        # One module is both.
        return False
    was_training = model.training
    model.eval()
    try:
        ids = torch.arange(6, device=model.device)[None] % model.config.vocab_size
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "return_dict": True}
        columns = torch.tensor([1, 4], device=model.device)
        wanted = model(**inputs).logits[0, columns]
        with head_at(model, torch.zeros_like(columns), columns):
            found = model(**inputs).logits
        return found.shape == wanted[None].shape and torch.allclose(found[0], wanted, rtol=1e-4, atol=1e-4)
    # A head that reads more than one vector may refuse to read fewer.
    except (IndexError, RuntimeError, TypeError, ValueError):
        return False
    finally:
        model.train(was_training)
