"""A model with its pooling as a folder that sentence-transformers loads, which need not be installed to write it."""

import json
import os
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import save
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.atomic_file import atomic_write
from hf_ext.data.input_limit import check_input_length, input_limit
from hf_ext.ops.pooling import POOLINGS

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

    Beside the checkpoint stand the modules Pooling, on the first token or the mean, Dense with the pooler's weights and
    activation, another Dense that whitens, and, if asked for, Normalize. The folder stays one that ``from_pretrained``
    loads, head included if ``model`` has one: SimBERT then generates and retrieves from one folder.

    Args:
        model: a model, with or without a head.
        tokenizer: its tokenizer.
        folder: where to write; made where it is missing.
        normalize: whether embeddings are scaled to length 1.
        max_length: most tokens of a text; None: 512, or less if the model or the tokenizer takes less.
        pooling: ``"pooler"``, ``"cls"`` or ``"mean"``; None: that of ``config.embedding_pooling``, else the pooler.
        whitening: a `Whitening` fitted to vectors of this pooling; applied before they are scaled.

    Raises:
        ValueError: if the model has no pooler and it is asked for, the name of a pooling is unknown, or the model
            has no positions for ``max_length``.
    """
    pooling = pooling or getattr(model.config, "embedding_pooling", None) or "pooler"
    if pooling not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
    pooler: Any = getattr(model.base_model, "pooler", None)
    activation = _ACTIVATIONS.get(type(getattr(pooler, "activation", None)))
    if pooling == "pooler" and (pooler is None or activation is None):
        raise ValueError(f"model must have a pooler (config.pooler_activation), got {type(model).__name__} without one")
    if max_length is None:
        max_length = input_limit(tokenizer, model.config)
    check_input_length(max_length, model.config)
    root = Path(folder)
    model.save_pretrained(root)
    tokenizer.save_pretrained(root)

    size = model.config.hidden_size
    mode = "mean_tokens" if pooling == "mean" else "cls_token"
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    flags = {f"pooling_mode_{name}": name == mode for name in modes}
    modules: list[tuple[str, dict[str, Any], nn.Linear | None]] = [
        ("Pooling", {"word_embedding_dimension": size, **flags}, None)
    ]
    if pooling == "pooler":
        modules.append(("Dense", {"activation_function": activation}, pooler.dense))
    if whitening is not None:
        modules.append(("Dense", {"activation_function": _ACTIVATIONS[nn.Identity]}, whitening.as_linear()))
    if normalize:
        modules.append(("Normalize", {}, None))
    names = [f"{index}_{kind}" for index, (kind, _, _) in enumerate(modules, start=1)]
    for name, (_, settings, linear) in zip(names, modules):
        (root / name).mkdir(exist_ok=True)
        if linear is not None:
            sizes = {"in_features": linear.in_features, "out_features": linear.out_features, "bias": True}
            settings = {**sizes, **settings}
            weights = {f"linear.{key}": value.contiguous().cpu() for key, value in linear.state_dict().items()}
            with atomic_write(root / name / "model.safetensors", "wb") as file:
                file.write(save(weights, metadata={"format": "pt"}))
        if settings:
            _write(root / name / "config.json", settings)
    listed = [("Transformer", ""), *((kind, name) for name, (kind, _, _) in zip(names, modules))]
    _write(root / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    _write(root / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    # Last, since with this file the folder is one of sentence-transformers.
    _write(
        root / "modules.json",
        [
            {"idx": index, "name": str(index), "path": path, "type": _TYPES + kind}
            for index, (kind, path) in enumerate(listed)
        ],
    )


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as file:
        json.dump(content, file, indent=2)
