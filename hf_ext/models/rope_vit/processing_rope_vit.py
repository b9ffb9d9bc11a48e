"""The image processor of the vision transformer, which is ViT's."""

from types import ModuleType
from typing import Any

from transformers.utils import is_torchvision_available, is_vision_available

from hf_ext.import_hooks import when_imported
from hf_ext.models.rope_vit.configuration_rope_vit import RoPEViTConfig


def register_image_processors() -> None:
    """Have ``AutoImageProcessor`` give ViT's, once it is imported and Pillow is there."""
    when_imported("transformers.models.auto.image_processing_auto", _register)


def vit_image_processor(height: int, width: int, **options: Any) -> Any:
    """A new image processor, by the library that is there.

    Args:
        height: that images are resized to, in pixels.
        width: the same.
        **options: of ViT's image processor.
    """
    classes = _classes()
    make = classes.get("torchvision", classes["pil"])
    return make(**{"size": {"height": height, "width": width}, **options})


def _classes() -> dict[str, Any]:
    """ViT's image processors by what they resize with; Pillow has to be there."""
    from transformers import ViTImageProcessorPil

    if not is_torchvision_available():
        return {"pil": ViTImageProcessorPil}
    from transformers import ViTImageProcessor

    return {"pil": ViTImageProcessorPil, "torchvision": ViTImageProcessor}


def _register(module: ModuleType) -> None:
    if not is_vision_available():
        return
    classes = _classes()
    module.AutoImageProcessor.register(RoPEViTConfig, image_processor_classes=classes, exist_ok=True)
