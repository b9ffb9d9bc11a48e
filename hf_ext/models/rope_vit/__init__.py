"""The vision transformer with rotary positions; importing registers it with the Auto classes."""

from hf_ext.models.rope_vit.configuration_rope_vit import RoPEViTConfig
from hf_ext.models.rope_vit.modeling_rope_vit import RoPEViTForImageClassification, RoPEViTModel
from hf_ext.models.rope_vit.processing_rope_vit import register_image_processors
from hf_ext.registration import register_family

__all__ = ["RoPEViTConfig", "RoPEViTForImageClassification", "RoPEViTModel"]

register_family(
    RoPEViTConfig,
    {"AutoModel": RoPEViTModel, "AutoModelForImageClassification": RoPEViTForImageClassification},
    adapter_targets=("qkv",),
)
register_image_processors()
