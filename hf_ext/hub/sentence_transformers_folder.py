"""A model with its pooling as a folder that sentence-transformers loads, which need not be installed to write it."""

import json
import os
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.atomic_file import atomic_write
from hf_ext.data.input_limit import check_input_length, input_limit
from hf_ext.modules.text_vectors import pooler_dense
from hf_ext.ops.pooling import OF_POOLER, check_pooling

# The names that all releases know.
_TYPES = "sentence_transformers.models."
_ACTIVATIONS: dict[Any, str] = {
    nn.Identity: "torch.nn.modules.linear.Identity",
    nn.Tanh: "torch.nn.modules.activation.Tanh",
}


class LinearMap(Protocol):
    """What can be written as a linear layer, as a whitening can."""

    def as_linear(self) -> nn.Linear:
        """The same as a layer."""
        ...


def save_for_sentence_transformers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | os.PathLike[str],
    normalize: bool = False,
    max_length: int | None = None,
    pooling: str | None = None,
    whitening: LinearMap | None = None,
) -> None:
    """Save a model with its pooling as a folder that, after ``import hf_ext``, ``SentenceTransformer(folder)`` loads.

    Beside the checkpoint stand the modules Pooling, on the first token or the mean, before it for the mean of the first
    block and the last WeightedLayerPooling, Dense with the pooler's weights and activation, or none, another Dense that
    whitens, and, if asked for, Normalize. The folder stays one that ``from_pretrained``
    loads, head included if ``model`` has one: SimBERT then generates and retrieves from one folder.

    Args:
        model: a model, with or without a head.
        tokenizer: its tokenizer.
        folder: where to write; made where it is missing.
        normalize: whether embeddings are scaled to length 1.
        max_length: most tokens of a text; None: 512, or less if the model or the tokenizer takes less.
        pooling: one of `hf_ext.ops.pooling.POOLINGS`; None: that of ``config.embedding_pooling``, else the pooler.
        whitening: a `Whitening` fitted to vectors of this pooling; applied before they are scaled.

    Raises:
        ValueError: if the model has no pooler and it is asked for, the name of a pooling is unknown, or the model
            has no positions for ``max_length``.
    """
    pooling = pooling or getattr(model.config, "embedding_pooling", None) or "pooler"
    check_pooling(pooling)
    pooler: Any = getattr(model.base_model, "pooler", None)
    activation = _ACTIVATIONS.get(type(getattr(pooler, "activation", None)))
    if pooling == "pooler" and (pooler is None or activation is None):
        raise ValueError(f"model must have a pooler (config.pooler_activation), got {type(model).__name__} without one")
    dense: Any = pooler_dense(model) if pooling == "pooler_dense" else getattr(pooler, "dense", None)
    if max_length is None:
        max_length = input_limit(tokenizer, model.config)
    check_input_length(max_length, model.config)
    root = Path(folder)
    model.save_pretrained(root)
    tokenizer.save_pretrained(root)

    size = model.config.hidden_size
    mode = "mean_tokens" if pooling in ("mean", "first_last") else "cls_token"
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    flags = {f"pooling_mode_{name}": name == mode for name in modes}
    identity = _ACTIVATIONS[nn.Identity]
    modules: list[tuple[str, dict[str, Any], dict[str, Tensor]]] = []
    if pooling == "first_last":
        # Of tokens first, and of their mean then; the embeddings are left out.
        layers: int = model.config.num_hidden_layers
        weights = torch.zeros(layers)
        weights[0] += 1
        weights[-1] += 1
        shape = {"word_embedding_dimension": size, "layer_start": 1, "num_hidden_layers": layers}
        modules.append(("WeightedLayerPooling", shape, {"layer_weights": weights}))
    modules.append(("Pooling", {"word_embedding_dimension": size, **flags}, {}))
    if pooling in OF_POOLER:
        modules.append(_dense(dense, activation if pooling == "pooler" else identity))
    if whitening is not None:
        modules.append(_dense(whitening.as_linear(), identity))
    if normalize:
        modules.append(("Normalize", {}, {}))
    names = [f"{index}_{kind}" for index, (kind, _, _) in enumerate(modules, start=1)]
    for name, (_, settings, tensors) in zip(names, modules):
        (root / name).mkdir(exist_ok=True)
        if tensors:
            with atomic_write(root / name / "model.safetensors", "wb") as file:
                file.write(save(tensors, metadata={"format": "pt"}))
        if settings:
            _write(root / name / "config.json", settings)
    listed = [("Transformer", ""), *((kind, name) for name, (kind, _, _) in zip(names, modules))]
    reads: dict[str, Any] = {"max_seq_length": max_length, "do_lower_case": False}
    if pooling == "first_last":
        reads["config_args"] = {"output_hidden_states": True}
    _write(root / "sentence_bert_config.json", reads)
    _write(root / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    # Last, since with this file the folder is one of sentence-transformers.
    _write(
        root / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": _TYPES + kind}
            for index, (kind, path) in enumerate(listed)
        ],
    )


def _dense(linear: nn.Linear, activation: str | None) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    sizes = {"in_features": linear.in_features, "out_features": linear.out_features, "bias": True}
    weights = {f"linear.{key}": value.contiguous().cpu() for key, value in linear.state_dict().items()}
    return "Dense", {**sizes, "activation_function": activation}, weights


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as file:
        json.dump(content, file, indent=2)
