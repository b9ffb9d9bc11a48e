"""Classes of images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hf_ext.export.answers import Answers
from hf_ext.export.row_answers import class_scores
from hf_ext.extras import extra
from hf_ext.tasks.base.call_options import check_top_k
from hf_ext.tasks.image_classification.files import image_to_load

_USUAL_TOP_K = 5


class ImageAnswers(Answers):
    """What "image-classes" gives; images are resized by Pillow."""

    options: ClassVar[tuple[str, ...]] = ("top_k",)

    def __init__(self, folder: Path, *rest: Any) -> None:
        super().__init__(folder, *rest)
        self.processor = pillow_processor(folder)

    def answers(
        self, inputs: Sequence[Any], batch_size: int, top_k: int | None = None, **options: Any
    ) -> Iterator[Any]:
        """The likeliest classes of each image."""
        from transformers.image_utils import load_image

        check_top_k(top_k)
        for start in range(0, len(inputs), batch_size):
            images = [load_image(image_to_load(one)) for one in inputs[start : start + batch_size]]
            pixels = self.processor(images=images, return_tensors="np")["pixel_values"]
            logits = self.graphs["model"]({"pixel_values": pixels.astype(np.float32)})["logits"]
            for classes in class_scores(logits, self.config):
                yield classes[: top_k or _USUAL_TOP_K]


def image_shape(processor: Any) -> tuple[int, ...]:
    """The shape ``[channels, height, width]`` of what an image processor makes of any image.

    Raises:
        ValueError: if that depends on the image.
    """
    blank = (np.zeros(shape, np.uint8) for shape in ((96, 64, 3), (64, 96, 3)))
    shapes = {processor(images=one, return_tensors="np")["pixel_values"].shape[1:] for one in blank}
    if len(shapes) > 1:
        raise ValueError(f"an image processor must make images of one size of all, got {sorted(shapes)}")
    return tuple(shapes.pop())


def pillow_processor(folder: str | Path) -> Any:
    """What makes inputs of images, by Pillow and NumPy alone.

    Raises:
        MissingExtraError: if Pillow is not installed.
    """
    with extra("images", "reading images"):
        import PIL.Image  # noqa: F401
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder, backend="pil")
