"""A model and its pooler as a folder that sentence-transformers loads, which need not be installed to write it."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.atomic_file import atomic_write

# The names that all releases know.
_TYPES = "sentence_transformers.models."
_ACTIVATIONS = {"linear": "torch.nn.modules.linear.Identity", "tanh": "torch.nn.modules.activation.Tanh"}


def save_for_sentence_transformers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | os.PathLike[str],
    normalize: bool = False,
    max_length: int | None = None,
) -> None:
    """Save so that, after ``import hf_ext``, ``SentenceTransformer(folder)`` gives the model's ``pooler_output``.

    Beside the checkpoint stand the modules Pooling on the first token, Dense with the pooler's weights and activation,
    and, if asked for, Normalize. The folder stays one that ``from_pretrained`` loads, head included if ``model`` has
    one: SimBERT then generates and retrieves from one folder.

    Args:
        model: a model with a pooler, with or without a head.
        tokenizer: its tokenizer.
        folder: where to write; made where it is missing.
        normalize: whether embeddings are scaled to length 1.
        max_length: most tokens of a text; None: 512, or less if the model or the tokenizer takes less.

    Raises:
        ValueError: if the model has no pooler.
    """
    pooler: Any = getattr(model.base_model, "pooler", None)
    activation = _ACTIVATIONS.get(str(getattr(model.config, "pooler_activation", None)))
    if pooler is None or activation is None:
        raise ValueError(f"model must have a pooler (config.pooler_activation), got {type(model).__name__} without one")
    limits = (512, tokenizer.model_max_length, model.config.max_position_embeddings)
    root = Path(folder)
    model.save_pretrained(root)
    tokenizer.save_pretrained(root)

    size = model.config.hidden_size
    modules: list[tuple[str, str, dict[str, Any]]] = [
        ("Pooling", "1_Pooling", {"word_embedding_dimension": size, "pooling_mode_cls_token": True}
            | {f"pooling_mode_{name}": False for name in ("mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}),
        ("Dense", "2_Dense", {"in_features": size, "out_features": size, "bias": True,
            "activation_function": activation}),
    ]  # fmt: skip
    if normalize:
        modules.append(("Normalize", "3_Normalize", {}))
    for kind, name, settings in modules:
        (root / name).mkdir(exist_ok=True)
        if settings:
            _write(root / name / "config.json", settings)
        if kind == "Dense":
            weights = {f"linear.{key}": value.contiguous().cpu() for key, value in pooler.dense.state_dict().items()}
            save_file(weights, root / name / "model.safetensors", metadata={"format": "pt"})
    listed = [("Transformer", ""), *((kind, name) for kind, name, _ in modules)]
    _write(root / "sentence_bert_config.json", {"max_seq_length": max_length or min(limits), "do_lower_case": False})
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
