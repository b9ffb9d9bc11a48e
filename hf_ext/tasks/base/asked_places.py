"""The head over a vocabulary at the places asked for alone: over a large one it costs as much as some blocks do.

Shapes: B batch, L tokens, P places asked for, H hidden, V vocabulary.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hf_ext.ops.precision import at_least_float32


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


def logits_at(model: Any, inputs: Mapping[str, Any], rows: Tensor, columns: Tensor) -> Tensor:
    """Logits ``[P, V]``, in float32 or better, at some places of a batch; the head runs at these alone.

    Args:
        model: with a head over the vocabulary, that of each place made of its vector alone.
        inputs: of the model, ``[B, L]`` each.
        rows: ``[P]``.
        columns: ``[P]``.

    Raises:
        ValueError: if the head is of another kind.
    """
    if model.base_model is model:
        # One module is both.
        return at_least_float32(model(**inputs, return_dict=True).logits[rows, columns])

    with head_at(model, rows, columns) as picked:
        logits = model(**inputs, return_dict=True).logits
    if not picked:
        # Some heads run a part of their encoder alone.
        return at_least_float32(logits[rows, columns])
    # Also where sizes are symbols, as of a graph that is being made.
    if logits.shape[0] != 1 or logits.shape[1] != rows.shape[0]:
        raise ValueError(
            f"model must predict each token by a vector of its own, got logits of shape {list(logits.shape)} "
            f"for {len(rows)} places of {type(model).__name__}"
        )
    return at_least_float32(logits[0])
