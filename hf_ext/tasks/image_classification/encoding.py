"""Makes model inputs of images, when they are asked for."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers.image_utils import load_image

from hf_ext.extras import extra


class ImageDataset(Dataset[dict[str, Any]]):
    """Model inputs of images, each read when it is asked for: ``pixel_values`` ``[C, height, width]`` and ``labels``.

    Args:
        examples: ``{"image", "label"}``, as `read_labelled_images` gives them.
        processor: what makes inputs of images, Transformers'.
        label2id: number of each class.
        mirror: whether images are mirrored or not as a coin falls, anew in each epoch; for training.
        seed: of the coin. How it falls depends on it, the epoch and the example alone.
    """

    def __init__(
        self,
        examples: Sequence[Mapping[str, str]],
        processor: Any,
        label2id: Mapping[str, int],
        mirror: bool = False,
        seed: int = 0,
    ):
        self.examples = examples
        self.processor = processor
        self.label2id = label2id
        self.mirror = mirror
        self.seed = seed
        # Shared with workers, which may live longer than an epoch.
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draw for this epoch from now on; Trainer says so by itself once ``hf_ext`` is imported."""
        self.epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Inputs and class of an image.

        Raises:
            ValueError: naming the file, if it cannot be read to its end.
        """
        example = self.examples[index]
        with extra("images", "reading images"):
            from PIL import Image
        try:
            # In the colours, and the right way up, as the library's pipelines read them.
            with Image.open(example["image"]) as opened:
                image = load_image(opened)
        except OSError as error:
            raise ValueError(f"{example['image']} must be an image that can be read, got {error}") from error
        pixels = self.processor(images=image, return_tensors="pt")["pixel_values"][0]
        if self.mirror and random.Random(f"{self.seed} {int(self.epoch)} {index}").random() < 0.5:
            pixels = pixels.flip(-1)
        return {"pixel_values": pixels, "labels": self.label2id[example["label"]]}
