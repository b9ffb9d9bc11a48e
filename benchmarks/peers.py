"""Imports of the peers: what a fresh installation of them lacks is put right here, and nowhere else."""

import importlib
import importlib.util
import json
import sys
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


def installed(*modules: str) -> bool:
    """Whether all these modules can be imported."""
    return all(importlib.util.find_spec(module) is not None for module in modules)


def import_bert4torch() -> ModuleType:
    """Import bert4torch; its text models then work whether or not torchvision is there.

    bert4torch 0.6.2 imports torchvision for its vision models as soon as it is imported at all, and declares neither
    that nor httpx, so that ``pip install bert4torch`` alone cannot be imported. Where torchvision is absent an empty
    module stands in for it meanwhile: no text model uses it. httpx has to be installed.

    Raises:
        ModuleNotFoundError: if bert4torch or httpx is not installed.
    """
    if "bert4torch" in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return importlib.import_module("bert4torch")
    # Transformers looks for torchvision as well, and must find that there is none.
    importlib.import_module("transformers.modeling_utils")
    names = (
        "torchvision",
        "torchvision.transforms",
        "torchvision.transforms.v2",
        "torchvision.transforms.v2.functional",
    )
    for name in names:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    try:
        return importlib.import_module("bert4torch")
    finally:
        for name in names:
            del sys.modules[name]


def build_bert4torch(model: str, config: dict[str, Any]) -> Any:
    """bert4torch's encoder with fresh weights, from a config in its own file format."""
    import_bert4torch()
    from bert4torch.models import build_transformer_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bert4torch_config.json"
        path.write_text(json.dumps({"model": model, **config}), encoding="utf-8")
        return build_transformer_model(config_path=str(path))


def bert4torch_config(config: Any) -> dict[str, Any]:
    """The settings of a config of ours under bert4torch's names."""
    same = (
        "vocab_size",
        "embedding_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "max_position_embeddings",
        "type_vocab_size",
        "initializer_range",
        "layer_norm_eps",
        "pad_token_id",
    )
    return {name: getattr(config, name) for name in same}


def copy_to_bert4torch(source: Any, target: Any) -> None:
    """Give bert4torch's RoFormer the weights of ours or of the stock one, so that both compute the same.

    Raises:
        KeyError: if a parameter of the source has no place in the target.
    """
    import torch

    names = {
        "encoder.layer": "encoderLayer",
        "attention.self.query": "multiHeadAttention.q",
        "attention.self.key": "multiHeadAttention.k",
        "attention.self.value": "multiHeadAttention.v",
        "attention.output.dense": "multiHeadAttention.o",
        "attention.output.LayerNorm": "attnLayerNorm",
        "intermediate.dense": "feedForward.intermediateDense",
        "output.dense": "feedForward.outputDense",
        "output.LayerNorm": "ffnLayerNorm",
        "token_type_embeddings": "segment_embeddings",
        "embeddings.LayerNorm": "embeddings.layerNorm",
        "embeddings_project": "embeddings.embedding_hidden_mapping_in",
    }
    theirs = dict(target.named_parameters())
    with torch.no_grad():
        for name, parameter in source.named_parameters():
            for mine, other in names.items():
                name = name.replace(mine, other)
            theirs.pop(name).copy_(parameter)
    if theirs:
        raise KeyError(f"parameters of the target that the source lacks: {sorted(theirs)}")


def build_bert4torch_gau_alpha(source: Any) -> Any:
    """bert4torch's GAU-alpha with the weights of ours, computing what the original does.

    By itself bert4torch 0.6.2 computes something else: it has no norm after the embeddings, and its norms subtract the
    mean. Here it is given the original's norm in both places, which costs it less time than its own.

    Raises:
        KeyError: if a parameter of either side has no place in the other.
    """
    import torch
    from torch import Tensor, nn

    class OriginalNorm(nn.Module):
        def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            return nn.functional.rms_norm(x, x.shape[-1:], eps=source.config.layer_norm_eps)

    same = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "intermediate_size",
        "attention_key_size",
        "normalization",
        "attention_scale",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "max_position_embeddings",
        "type_vocab_size",
        "initializer_range",
        "use_bias",
        "pad_token_id",
    )
    config = {name: getattr(source.config, name) for name in same}
    target = build_bert4torch("gau_alpha", {**config, "num_attention_heads": 12, "pos_emb_type": "rotary"})
    target.embeddings.layerNorm = OriginalNorm()
    for layer in target.encoderLayer:
        layer.attnLayerNorm = OriginalNorm()
    theirs = dict(target.named_parameters())
    with torch.no_grad():
        for name, parameter in source.named_parameters():
            name = name.replace("encoder.layer", "encoderLayer").replace("token_type_", "segment_")
            for row, scale in enumerate(("q_scaleoffset.weight", "k_scaleoffset.weight")):
                if name.endswith(scale):
                    # Both scales are the rows of one parameter.
                    theirs[name.replace(scale, "offsetscale.gamma")][row].copy_(parameter)
                    break
            else:
                theirs.pop(name).copy_(parameter)
    if left := sorted(name for name in theirs if "offsetscale" not in name):
        raise KeyError(f"parameters of the target that the source lacks: {left}")
    return target
