"""One vector for a text from any encoder."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from hf_ext.ops.pooling import check_pooler, check_pooling, text_vectors


def encode_texts(model: Any, inputs: Mapping[str, Tensor], pooling: str, bare: Any = None) -> Tensor:
    """Run an encoder over texts, one vector for each, ``[B, H]`` in float32 or better.

    Args:
        model: the encoder, an adapter around it, or what exchanges gradients between processes.
        inputs: of the model; ``input_ids`` and ``attention_mask`` are ``[B, L]``.
        pooling: one of `hf_ext.ops.pooling.POOLINGS`.
        bare: the encoder with or without an adapter, where ``model`` is neither; None: it is.

    Raises:
        ValueError: if the pooling is unknown, or of a pooler that the model does not have.
    """
    check_pooling(pooling)
    asked = {"output_hidden_states": True} if pooling == "first_last" else {}
    outputs = model(**inputs, **asked, return_dict=True)
    dense = pooler_dense(model if bare is None else bare) if pooling == "pooler_dense" else None
    return text_vectors(outputs, inputs.get("attention_mask"), pooling, dense)


def pooling_of(config: Any) -> str:
    """The pooling that a model was trained by, as its config says; else the pooler where it is linear, or the mean."""
    linear = getattr(config, "pooler_activation", None) == "linear"
    return getattr(config, "embedding_pooling", None) or ("pooler" if linear else "mean")


def pooler_dense(model: Any) -> Callable[[Tensor], Tensor]:
    """The layer of an encoder's pooler, before what it is activated by.

    Args:
        model: the encoder, or one with a head or an adapter around it.

    Raises:
        ValueError: if it has none.
    """
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    pooler = getattr(model.base_model, "pooler", None)
    # ALBERT's is the layer itself.
    dense: Any = pooler if isinstance(pooler, nn.Linear) else getattr(pooler, "dense", None)
    check_pooler("pooler_dense", dense)
    found: Callable[[Tensor], Tensor] = dense
    return found
