"""How the original PyTorch releases of rope-vit and DeiT-III map onto ours; read by `hf_ext.conversion`.

Originals: github.com/naver-ai/rope-vit, whose ``pytorch_model.bin`` has the parameters under ``model``. No file of a
release states a setting: all are told by the parameters' names and shapes, but for what the folder's name says.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hf_ext.models.rope_vit.configuration_rope_vit import RoPEViTConfig
from hf_ext.models.rope_vit.modeling_rope_vit import RoPEViTForImageClassification
from hf_ext.models.rope_vit.processing_rope_vit import vit_image_processor

# Of no release of TensorFlow.
FAMILIES: tuple[dict[str, Any], ...] = ()

# Every published model has it.
_HEAD_SIZE = 64
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def settings(state: Mapping[str, Tensor], words: frozenset[str]) -> dict[str, Any]:
    """Fields of the config of a release.

    Args:
        state: the original parameters by name.
        words: those of the folder's name, which tell rope-vit's axial rotation with absolute positions from a DeiT-III
            without any rotation.

    Raises:
        ValueError: if it cannot be told which model it is.
    """
    hidden_size = state["cls_token"].shape[-1]
    patch_size = state["patch_embed.proj.weight"].shape[-1]
    if hidden_size % _HEAD_SIZE:
        raise ValueError(f"the width must be a multiple of the size of a head, {_HEAD_SIZE}, got {hidden_size}")
    fields: dict[str, Any] = {
        "hidden_size": hidden_size,
        "num_hidden_layers": len({name.split(".")[1] for name in state if name.startswith("blocks.")}),
        "num_attention_heads": hidden_size // _HEAD_SIZE,
        "intermediate_size": state["blocks.0.mlp.fc1.weight"].shape[0],
        "qkv_bias": "blocks.0.attn.qkv.bias" in state,
        "patch_size": patch_size,
        "num_channels": state["patch_embed.proj.weight"].shape[1],
        "num_labels": state["head.weight"].shape[0],
        "use_ape": "pos_embed" in state,
    }
    # None of these is needed to use the model; that of an axial one without absolute positions is stated nowhere.
    patches = state["pos_embed"].shape[1] if "pos_embed" in state else len(state.get("freqs_t_x", ()))
    if patches:
        side = round(patches**0.5)
        if side * side != patches:
            raise ValueError(f"the places of patches must be those of a square image, got {patches}")
        fields["image_size"] = side * patch_size
    if "freqs" in state:
        return fields | {"rope_kind": "mixed", "rope_theta": 10.0}
    axial = {"rope_kind": "axial", "rope_theta": 100.0, "first_axis": "column"}
    if not fields["use_ape"] or "rope" in words:
        return fields | axial
    if "deit" in words:
        return fields | {"rope_kind": "none"}
    raise ValueError(
        "the folder's name must be that of the release, rope_axial_ape_deit_... or deit_..., as the files of the two "
        "are alike"
    )


def image_processor(config: RoPEViTConfig) -> Any:
    """What makes inputs of images as the releases were evaluated: the middle of the image, its shorter side resized."""
    height, width = config.image_shape
    return vit_image_processor(
        height,
        width,
        size={"shortest_edge": height},
        do_center_crop=True,
        crop_size={"height": height, "width": width},
        # Bicubic.
        resample=3,
        **_IMAGENET,
    )


STATE_DICTS: tuple[dict[str, Any], ...] = (
    {
        "name": "rope_vit",
        "title": "rope-vit or DeiT-III",
        "key": "model",
        "known_by": ("cls_token", "patch_embed.proj.weight", "blocks.0.gamma_1", "blocks.0.attn.qkv.weight"),
        "names": {"head.": "classifier.", "": "rope_vit."},
        # Coordinates, which are computed.
        "ignored": ("freqs_t_x", "freqs_t_y"),
        "settings": settings,
        "config": RoPEViTConfig,
        "model": RoPEViTForImageClassification,
        "processor": image_processor,
    },
)
