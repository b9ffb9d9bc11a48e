"""The pipeline "image-classes": Transformers' own of images, as ``hf-ext predict`` runs it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers import AutoModelForImageClassification
from transformers.pipelines.image_classification import ImageClassificationPipeline

from hf_ext.extras import extra
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.task_pipeline import TaskPipeline
from hf_ext.tasks.image_classification.files import image_to_load


class ImageClassesPipeline(TaskPipeline, ImageClassificationPipeline):
    """Finds the classes of images with a model of `AutoModelForImageClassification`.

    ``pipeline("image-classes", model=folder)`` takes and gives what Transformers' ``pipeline("image-classification")``
    does, and also images as ``{"image": path}``, of which there must be a file.
    """

    found: ClassVar[str] = "classes"
    command: ClassVar[str | None] = "image-classification"
    endings: ClassVar[tuple[str, ...]] = ("ForImageClassification",)
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("image",),)
    predict_options: ClassVar[Mapping[str, str]] = {"top_k": "top_k"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        with extra("images", "reading images"):
            import PIL.Image  # noqa: F401
        super().__init__(*args, **kwargs)

    def preprocess(self, image: Any, timeout: float | None = None) -> Any:  # type: ignore[override]
        """Model inputs of an image.

        Raises:
            ValueError: if there is no file of the path that ``{"image": path}`` has.
        """
        return super().preprocess(image_to_load(image), timeout)


register_task("image-classes", ImageClassesPipeline, AutoModelForImageClassification, kind="image")
