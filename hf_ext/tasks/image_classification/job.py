"""Image classification: train any vision model on folders of images, score and save it."""

import json
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
    default_data_collator,
)

from hf_ext.data.model_name import is_checkpoint
from hf_ext.extras import extra
from hf_ext.losses.table import for_trainer
from hf_ext.metrics.calibration import LabelledLogits
from hf_ext.metrics.class_scores import class_probabilities, classification_compute_metrics, scores_of_prediction
from hf_ext.metrics.comparison import Comparison, Item, pair_items
from hf_ext.models.rope_vit.processing_rope_vit import vit_image_processor
from hf_ext.models.rope_vit.sizes_rope_vit import rope_vit_config
from hf_ext.tasks.base.job import Files, Job
from hf_ext.tasks.base.option import option
from hf_ext.tasks.image_classification.encoding import ImageDataset
from hf_ext.tasks.image_classification.files import digest, keep_image, read_labelled_images

_SUFFIX = "ForImageClassification"


@dataclass
class ImageClassificationJob(Job):
    """Classes of images, one each.

    Files are folders of images, a folder a class, or JSON lines; see `read_labelled_images`. Classes of the others must
    be among those of training. ``pipeline("image-classification")`` predicts with the model.
    """

    train_file: Path = option(
        'Folder of images with a folder for each class, or JSON lines {"image", "label"}.', None, group="Files"
    )
    model: str | None = option(
        "Vision model to fine-tune: a name on the Hub or a folder. Either this or a config.", None, group="Start from"
    )
    config: str | None = option(
        "Train from scratch: the name of a size (tiny, small, base, large), the folder or file of a config, or a name "
        "on the Hub (org/name).",
        None,
        group="Start from",
    )
    tokenizer: str | None = option(
        "Image processor, a name or folder; else the model's, or for a new model ViT's.", None, group="Start from"
    )
    image_size: int | None = option(
        "Pixels of a side that images are resized to; else those of the model's image processor.",
        None,
        group="Images",
        kw_only=True,
    )
    mirror: bool = option(
        "Mirror each training image or not as a coin falls, anew in each epoch.", False, group="Images", kw_only=True
    )
    new_head: bool = option(
        "Put a new head on a model whose own is for other classes.", False, group="Start from", kw_only=True
    )

    command: ClassVar[str] = "image-classification"
    refused_methods: ClassVar[Mapping[str, str]] = {"adversarial": "it moves the embeddings of tokens"}
    auto_class: ClassVar[Any] = AutoModelForImageClassification
    examples: ClassVar[str] = "images"
    defaults: ClassVar[Mapping[str, Any]] = {
        **Job.defaults,
        "per_device_train_batch_size": 32,
        "train_sampling_strategy": "random",
    }
    next_steps: ClassVar[tuple[str, ...]] = (
        "predict {output_dir} IMAGE",
        "evaluate {output_dir} --file FOLDER",
        "push {output_dir} ORG/NAME",
    )

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """The table of classes, with the share of right answers."""
        return [*super().show(scores, source), f"accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}"]

    def read(self) -> Files:
        """Images with their classes."""
        train = read_labelled_images(self.train_file)
        self.check_examples("train_file", train)
        names = sorted({example["label"] for example in train})
        if len(names) < 2:
            raise ValueError(f"train_file must have at least two classes, got {names} in {self.train_file}")
        validation = self.read_evaluation(self.validation_file, names)
        self.check_examples("validation_file", validation)
        return Files(train, validation, list(self.head_labels(names, _SUFFIX)))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, str]]:
        """Images with no other classes than these."""
        return read_labelled_images(path, labels)

    def head_labels(self, labels: Sequence[str], suffix: str | tuple[str, ...]) -> Sequence[str]:
        """The labels of the model's head: those of a trained head, or ``labels`` for a new one.

        Raises:
            ValueError: if a trained head lacks one of the labels, and no new one is asked for.
        """
        if self.new_head:
            return labels
        try:
            return super().head_labels(labels, suffix)
        except ValueError as error:
            raise ValueError(f"new_head must be given to put another head on the model: {error}") from None

    def lines_of_row(self, row: Mapping[str, Any]) -> Iterable[str]:
        """The line for a row of a data set, whose image is kept as a file unless the row has the path of one.

        Raises:
            ValueError: if there is no image in it.
        """
        image = row.get("image")
        if not isinstance(image, str) and not hasattr(image, "convert"):
            raise ValueError(f"a row must have an image under 'image', got {', '.join(row)}; name its column by column")
        kept = os.path.abspath(image) if isinstance(image, str) else str(keep_image(image))
        return (json.dumps({**row, "image": kept}, ensure_ascii=False, default=str),)

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """None."""
        return ()

    def inputs_of(self, example: Mapping[str, Any]) -> Sequence[str]:
        """What the file of an image holds, as far as images are told apart by it."""
        return (digest(example["image"]),)

    def load_tokenizer(self, texts: Iterable[str]) -> Any:
        """The image processor that the job names, the model's, or ViT's with the size of the config."""
        with extra("images", "reading images"):
            import PIL.Image  # noqa: F401
        name = self.tokenizer or self.model
        if not name:
            size = self.image_size or self.new_config().image_size
            return vit_image_processor(*((size, size) if isinstance(size, int) else size))
        processor = AutoImageProcessor.from_pretrained(name)
        if self.image_size is None:
            return processor
        return AutoImageProcessor.from_pretrained(name, **_sizes(processor, self.image_size))

    def trained_tokenizer(self) -> Any:
        """The image processor that the trained model was saved with."""
        return self.load_tokenizer(())

    def new_config(self, tokenizer: Any = None, **fields: Any) -> Any:
        """The config that a model from scratch is made from."""
        name = str(self.config)
        if is_checkpoint(name):
            return AutoConfig.from_pretrained(name, **fields)
        if self.image_size is not None:
            fields["image_size"] = self.image_size
        return rope_vit_config(name, **fields)

    def load_model(self, tokenizer: Any, files: Files) -> PreTrainedModel:
        """The model that the job names, with a head for the classes of the files.

        Raises:
            ValueError: if it reads other images than those with three colours.
        """
        fields: dict[str, Any] = {
            "id2label": dict(enumerate(files.labels)),
            "label2id": {name: index for index, name in enumerate(files.labels)},
            "problem_type": "single_label_classification",
        }
        if self.model is None:
            model: Any = self.auto_class.from_config(self.new_config(**fields))
        else:
            options = {"ignore_mismatched_sizes": True} if self.new_head else {}
            model = self.auto_class.from_pretrained(self.model, **fields, **options)
            if self.new_head:
                # A head for as many classes would have been loaded.
                fresh = self.auto_class.from_config(model.config)
                fresh.base_model.load_state_dict(model.base_model.state_dict())
                model = fresh
        if (channels := getattr(model.config, "num_channels", 3)) != 3:
            raise ValueError(f"the model's num_channels must be 3, red, green and blue, got {channels}")
        loaded: PreTrainedModel = model
        return loaded

    def encode(self, examples: Sequence[Mapping[str, str]], tokenizer: Any, model: PreTrainedModel) -> ImageDataset:
        """Images with their classes."""
        config: Any = model.config
        return ImageDataset(examples, tokenizer, config.label2id)

    def evaluation_options(
        self, tokenizer: Any, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        config: Any = model.config
        return {
            "data_collator": default_data_collator,
            "compute_metrics": classification_compute_metrics(config.id2label, multi_label=False),
        }

    def trainer_options(
        self, tokenizer: Any, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also the loss, and images that are mirrored."""
        options = self.evaluation_options(tokenizer, model, arguments)
        loss = for_trainer("cross_entropy", label_smoothing=arguments.label_smoothing_factor)
        options |= {"compute_loss_func": loss, "smooths_labels": True}
        if self.mirror:
            config: Any = model.config
            options["train_dataset"] = ImageDataset(files.train, tokenizer, config.label2id, True, arguments.seed)
        return options

    def find(self, trainer: Trainer, rows: ImageDataset, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Logits and classes of the images."""
        return trainer.predict(rows)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """:func:`hf_ext.metrics.classification_scores` of the images."""
        config: Any = model.config
        return scores_of_prediction(found, config.id2label, multi_label=False)

    def labelled_logits(
        self, trainer: Trainer, rows: ImageDataset, examples: Sequence[Mapping[str, Any]]
    ) -> LabelledLogits:
        """Logits of the classes of each image."""
        found = trainer.predict(rows)
        return LabelledLogits(found.predictions, found.label_ids, about="the class of each image")

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The class of each image; worst are those that the model is surest of."""
        config: Any = model.config
        comparisons = []
        for example, row in zip(examples, class_probabilities(found.predictions, multi_label=False)):
            index = int(row.argmax())
            item = Item(config.id2label[index], score=float(row[index]))
            outcomes = pair_items(self.items_of(example), [item])
            wrong = item.label != example["label"]
            # Without the folders above, which tell of the machine.
            parts = {"image": "/".join(Path(example["image"]).parts[-2:])}
            comparisons.append(Comparison(parts, outcomes, badness=1 + float(row[index]) if wrong else 0.0))
        return comparisons

    def items_of(self, example: Mapping[str, Any]) -> Sequence[Item]:
        """The class of an image."""
        return [Item(example["label"])]

    def answer_of(self, example: Mapping[str, Any]) -> Hashable:
        """The class of an image."""
        return example["label"]


def _sizes(processor: Any, side: int) -> dict[str, dict[str, int]]:
    """Options of an image processor like this one that makes images with this side."""
    square = {"height": side, "width": side}
    by_edge = getattr(processor.size, "shortest_edge", None)
    sizes = {"size": {"shortest_edge": side} if by_edge else square}
    return sizes | ({"crop_size": square} if getattr(processor, "crop_size", None) else {})
