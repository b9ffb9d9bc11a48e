"""Text classification: train any encoder on files of labelled texts, with any loss of the table, score and save it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from math import inf, isfinite
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from hf_ext.data.listed_labels import listed_labels
from hf_ext.losses.cross_entropy import class_balanced_weights
from hf_ext.losses.table import LOSSES, MULTI_LABEL_LOSSES, SINGLE_LABEL_LOSSES, for_trainer
from hf_ext.metrics.calibration import LabelledLogits
from hf_ext.metrics.class_scores import class_predictions
from hf_ext.metrics.comparison import Comparison, Item, pair_items
from hf_ext.metrics.threshold_calibration import calibrate_thresholds
from hf_ext.tasks.base.head_choice import HEADS, head_of
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.pair_job import PairJob
from hf_ext.tasks.base.score_threshold import BEST, given_threshold, threshold_option
from hf_ext.tasks.classification.either_model import EitherModelForSequenceClassification
from hf_ext.tasks.classification.files import label_names, labels_of, read_labelled_texts, read_unlabelled_texts
from hf_ext.tasks.classification.metrics import (
    class_probabilities,
    classification_compute_metrics,
    predicted_classes,
    scores_of_prediction,
)

# What a threshold that is chosen lies below the probabilities that it lets through.
_MARGIN = 1e-6


@dataclass
class ClassificationJob(PairJob):
    """Classes of texts or of pairs of texts: one each, or any number.

    Files are in a format of :func:`hf_ext.tasks.classification.read_labelled_texts`; classes of the validation
    file must be among those of training, or of ``labels``. The file tells whether texts have one class or any number,
    or come in pairs. The loss "logit_adjusted" counts its ``prior`` in the training file unless it is given.

    ``pipeline("text-classification")`` predicts with the model; for texts with any number of classes it gives each a
    sigmoid, so a class is predicted where its score is above 0.5, that is, its logit above 0.
    """

    train_file: Path = option('JSON lines {"text", "text2"?, "label" or "labels"}, TSV or CSV.', None, group="Files")
    labels: list[str] | None = option(
        "All classes, in the order that the model is to have; else those of the training file, sorted.",
        None,
        group="Files",
        kw_only=True,
    )
    max_length: int = option("Tokens of a text or a pair; what is beyond is cut off.", 128, group="Lengths")
    loss: str | None = option(
        "Name of a loss; else cross_entropy, or multilabel_softmax for texts with any number of classes.",
        None,
        group="Loss",
        choices=SINGLE_LABEL_LOSSES + MULTI_LABEL_LOSSES,
    )
    loss_options: Mapping[str, Any] = option(
        "Option of the loss, as gamma=1.0; may be given several times.",
        group="Loss",
        aliases=["--loss-option"],
        default_factory=dict,
    )

    threshold: str | None = threshold_option()
    balance_classes: bool = option(
        "Weigh each text by how seldom its class is in the training file.", False, group="Loss", kw_only=True
    )
    class_weights: Mapping[str, Any] = option(
        "Weight of a class's texts in the loss, as sports=2.0; may be given several times. Others have 1.",
        group="Loss",
        aliases=["--class-weight"],
        default_factory=dict,
        kw_only=True,
    )
    head: str | None = option(
        "What scores the classes: the encoder's own head, or one linear layer over its first token, or over the mean "
        "or the largest of all tokens; else own, or the model's.",
        None,
        group="Head",
        choices=HEADS,
        kw_only=True,
    )

    command: ClassVar[str] = "classification"
    auto_class: ClassVar[Any] = EitherModelForSequenceClassification
    defaults: ClassVar[Mapping[str, Any]] = {**PairJob.defaults, "per_device_train_batch_size": 32}

    def __post_init__(self) -> None:
        super().__post_init__()
        given_threshold(self.threshold)
        labels = self.labels
        if labels is not None and not (
            labels and all(isinstance(one, str) and one.strip() for one in labels) and len({*labels}) == len(labels)
        ):
            raise ValueError(f"labels must be the names of one class or more, all different, got {labels!r:.200}")

    @property
    def labels_are_named(self) -> bool:
        """Whether ``labels`` says which classes there are."""
        return self.labels is not None

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """The table of classes, with the share of right answers."""
        averages = f"accuracy {scores['accuracy']:.4f}, macro F1 {scores['macro_f1']:.4f}"
        return [*super().show(scores, source), f"{averages} (head {scores['head']})"]

    def read(self) -> Files:
        """Labelled texts, all of one kind."""
        train = read_labelled_texts(self.train_file, self.labels)
        self.check_examples("train_file", train)
        names, multi_label = label_names(train), _multi_label(train)
        least = 1 if multi_label else 2
        if len(names) < least:
            wanted = "a class" if multi_label else "two classes"
            raise ValueError(f"train_file must have at least {wanted}, got {names} in {self.train_file}")
        names = names if self.labels is None else list(self.labels)
        validation = self.read_evaluation(self.validation_file, names)
        self.check_examples("validation_file", validation)
        # The first example of each file says of which kind it is.
        if train[0].keys() != validation[0].keys():
            seen = f"{', '.join(train[0])} and {', '.join(validation[0])}"
            raise ValueError(f"train_file and validation_file must have rows of one kind, got {seen}")
        if self.one_segment and "text2" not in train[0]:
            raise ValueError(f"one_segment needs pairs of texts, got single ones in {self.train_file}")
        if self.threshold is not None and not multi_label:
            raise ValueError(
                f"threshold goes with texts with any number of classes, got {self.threshold} with one class each"
            )
        names = self._in_order_of_head(names)
        # An unsuitable loss is refused before anything is loaded.
        self.training_loss(train, names)
        return Files(train, validation, names)

    def _in_order_of_head(self, names: list[str]) -> list[str]:
        """The classes as a trained head has them; those that are named must be its own."""
        suffixes = self.auto_class.suffixes_of(self.head)
        if self.labels is None:
            return list(self.head_labels(names, suffixes))
        trained = self.head_labels((), suffixes)
        if trained and {*trained} != {*names}:
            raise ValueError(
                f"labels must be those of the head that model has, {listed_labels(trained)}, got "
                f"{listed_labels(names)}; fine-tune the encoder that it was made from"
            )
        return list(trained or names)

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Labelled texts with no other classes than these."""
        return read_labelled_texts(path, labels)

    def read_unlabelled(self, path: Path, files: Files) -> list[dict[str, Any]]:
        """Texts or pairs, as those of training are, with any class."""
        first = files.train[0]
        label: dict[str, Any] = {"labels": []} if _multi_label(files.train) else {"label": files.labels[0]}
        return [{**texts, **label} for texts in read_unlabelled_texts(path, pairs="text2" in first)]

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The text, or both of a pair."""
        return (example[name] for name in ("text", "text2") if name in example)

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """Rows of texts or pairs with their classes.

        Raises:
            ValueError: if they have one class each and the model gives any number, or the other way round.
        """
        config: Any = model.config
        if _multi_label(examples) != _takes_many(config):
            kinds = "one class each", "any number of classes"
            wanted, seen = kinds[_takes_many(config)], kinds[_multi_label(examples)]
            raise ValueError(f"texts must have {wanted}, as the model gives them, got {seen}")
        return encode_labelled_texts(examples, tokenizer, config.label2id, self.max_length)

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        config: Any = model.config
        choices = MULTI_LABEL_LOSSES if _takes_many(config) else SINGLE_LABEL_LOSSES
        return {
            "data_collator": DataCollatorWithPadding(tokenizer),
            # The model's own does not take 0 and 1 as integers.
            "compute_loss_func": for_trainer(choices[0]),
            "compute_metrics": classification_compute_metrics(config.id2label, _takes_many(config), _threshold(config)),
        }

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also the loss."""
        loss = self.training_loss(files.train, files.labels, arguments.label_smoothing_factor)
        options = self.evaluation_options(tokenizer, model, arguments)
        return {**options, "compute_loss_func": loss, "smooths_labels": True}

    def settle(self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The threshold, where one is given or asked for."""
        if self.threshold is None:
            return {}
        model: Any = trainer.model
        if self.threshold == BEST:
            prediction = trainer.predict(rows)
            (score, *_), _ = calibrate_thresholds(prediction.predictions, prediction.label_ids, per_class=False)
            probability = float(torch.tensor(score, dtype=torch.float64).sigmoid())
            # A pipeline compares probabilities in float32. Where nothing right is found, any threshold will do.
            model.config.score_threshold = max(0.0, probability - _MARGIN) if isfinite(score) else 0.5
        return {"threshold": model.config.score_threshold}

    def find(self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Logits and classes of the examples."""
        return trainer.predict(rows)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """:func:`hf_ext.tasks.classification.classification_scores` of the examples, and the ``head``."""
        config: Any = model.config
        scores = scores_of_prediction(found, config.id2label, _takes_many(config), _threshold(config))
        return {**scores, "head": head_of(model)}

    def labelled_logits(self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]) -> LabelledLogits:
        """Logits of the classes of each text; of any number of classes, of each pair of a text and a class."""
        found: Any = trainer.predict(rows)
        if not _multi_label(examples):
            return LabelledLogits(found.predictions, found.label_ids, about="the class of each text")
        texts, classes = found.predictions.shape
        owners = np.arange(texts).repeat(classes)
        about = "whether a text has a class, for each text and class"
        return LabelledLogits(found.predictions.ravel(), found.label_ids.ravel(), owners, about=about)

    def predictions(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> list[dict[str, Any]]:
        """The class of each text, with all logits; of texts with any number of classes these."""
        config: Any = model.config
        if not _takes_many(config):
            return class_predictions(found.predictions, config.id2label)
        classes = predicted_classes(found.predictions, config.id2label, True, _threshold(config))
        return [{"labels": own} for own in classes]

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The classes of each text; worst are those that the model is surest of."""
        config: Any = model.config
        multi_label = _takes_many(config)
        classes = predicted_classes(found.predictions, config.id2label, multi_label, _threshold(config))
        comparisons = []
        for example, own, row in zip(examples, classes, class_probabilities(found.predictions, multi_label)):
            score = {label: float(row[index]) for label, index in config.label2id.items()}
            items = [Item(label, _place(label, multi_label), score=score[label]) for label in own]
            outcomes = pair_items(self.items_of(example), items)
            # Of what is missed the model is as sure as it thinks that the class is not there.
            sure = [score[one.found.label] for one in outcomes if one.kind != "right" and one.found]
            sure += [1 - score[one.true.label] for one in outcomes if one.kind == "missed" and one.true]
            texts = {name: example[name] for name in ("text", "text2") if name in example}
            comparisons.append(Comparison(texts, outcomes, badness=len(sure) + max(sure, default=0.0)))
        return comparisons

    def items_of(self, example: Mapping[str, Any]) -> Sequence[Item]:
        """The classes of a text."""
        return [Item(label, _place(label, "labels" in example)) for label in labels_of(example)]

    def training_loss(
        self,
        examples: Sequence[Mapping[str, Any]],
        names: Sequence[str],
        label_smoothing: float = 0.0,
    ) -> Any:
        """The loss for ``Trainer(compute_loss_func=...)``.

        Args:
            examples: of the training file.
            names: of the classes, in the order of their ids.
            label_smoothing: TrainingArguments' ``label_smoothing_factor``.

        Raises:
            ValueError: if it is of another kind than the labels, or has no such option, or no smoothing and it is asked
                for.
        """
        multi_label = _multi_label(examples)
        choices = MULTI_LABEL_LOSSES if multi_label else SINGLE_LABEL_LOSSES
        name = self.loss or choices[0]
        if name not in choices:
            kind = "any number of classes" if multi_label else "one class"
            raise ValueError(f"loss must be one of {', '.join(choices)} for texts with {kind}, got {name!r}")
        options = {option.replace("-", "_"): value for option, value in self.loss_options.items()}
        weights = self.weights_of_classes(examples, names)
        if weights is not None:
            takers = [one for one in choices if "weight" in signature(LOSSES[one]).parameters]
            if name not in takers:
                wanted = f"one of {', '.join(takers)}" if takers else "left out for texts with any number of classes"
                raise ValueError(f"class weights must go with a loss that takes them, {wanted}, got {name!r}")
            if "weight" in options:
                raise ValueError("class weights must be given once, got some among the options of the loss as well")
            options["weight"] = weights
        if name == "logit_adjusted":
            counts = Counter(label for example in examples for label in labels_of(example))
            absent = [label for label in names if not counts[label]]
            if absent and "prior" not in options:
                raise ValueError(
                    f"train_file must have all classes for the loss {name!r}, or its prior be given, got none of "
                    f"{listed_labels(absent)}"
                )
            options.setdefault("prior", [counts[label] for label in names])
        if label_smoothing:
            if name != "cross_entropy":
                raise ValueError(f"label_smoothing_factor must be 0 with the loss {name!r}, got {label_smoothing}")
            if options.setdefault("label_smoothing", label_smoothing) != label_smoothing:
                given = f"{label_smoothing} and {options['label_smoothing']}"
                raise ValueError(f"label_smoothing_factor must be the loss's label_smoothing, got {given}")
        return for_trainer(name, **options)

    def weights_of_classes(self, examples: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[float] | None:
        """The weight of each class, by its id; None where none are asked for.

        Args:
            examples: of the training file.
            names: of the classes, in the order of their ids.

        Raises:
            ValueError: if one is of no class, or below 0, or weights are given and counted too.
        """
        if not self.class_weights:
            counts = Counter(label for example in examples for label in labels_of(example))
            return (
                class_balanced_weights([counts[name] for name in names], beta=1).tolist()
                if self.balance_classes
                else None
            )
        if self.balance_classes:
            raise ValueError("give either balance_classes or class_weights, got both")
        for name, weight in self.class_weights.items():
            if name not in names:
                raise ValueError(f"class_weights must be of {', '.join(names)}, got one of {name!r}")
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < inf:
                raise ValueError(f"class_weights must be numbers of at least 0, got {weight!r} for {name!r}")
        return [float(self.class_weights.get(name, 1.0)) for name in names]

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names, with a head for the classes of the files.

        Raises:
            ValueError: if ``model`` takes fewer tokens than ``max_length``.
        """
        fields: dict[str, Any] = {
            "id2label": dict(enumerate(files.labels)),
            "label2id": {name: index for index, name in enumerate(files.labels)},
            "problem_type": f"{'multi' if _multi_label(files.train) else 'single'}_label_classification",
        }
        model: PreTrainedModel = self.open_model(self.auto_class, tokenizer, fields, head=self.head)
        threshold = given_threshold(self.threshold)
        if threshold is not None:
            model.config.score_threshold = threshold
        return model


def encode_labelled_texts(
    examples: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    label2id: Mapping[str, int],
    max_length: int,
) -> Dataset:
    """Model inputs and ``labels``: a class id, or for texts with any number of classes a row of 0 and 1.

    Args:
        examples: as :func:`hf_ext.tasks.classification.files.read_labelled_texts` gives them, all of one kind.
        tokenizer: of the model.
        label2id: id of each class.
        max_length: most tokens of a row; of a pair, the longer text is cut.
    """
    second = [example["text2"] for example in examples] if "text2" in examples[0] else None
    batch = tokenizer(
        [example["text"] for example in examples],
        second,
        truncation="longest_first" if second else True,
        max_length=max_length,
    )
    if "label" in examples[0]:
        labels: list[Any] = [label2id[example["label"]] for example in examples]
    else:
        # Columns are sorted by their id, not by their name.
        by_id = sorted(label2id, key=lambda name: label2id[name])
        labels = [[int(name in example["labels"]) for name in by_id] for example in examples]
    return Dataset.from_dict({**batch, "labels": labels})


def _place(label: str, multi_label: bool) -> str:
    """A class of several is there or not, and not taken for another."""
    return label if multi_label else ""


def _multi_label(examples: Sequence[Mapping[str, Any]]) -> bool:
    """Whether texts have any number of classes, and not one each."""
    return "labels" in examples[0]


def _takes_many(config: Any) -> bool:
    """Whether a model gives a text any number of classes."""
    return bool(config.problem_type == "multi_label_classification")


def _threshold(config: Any) -> float:
    """The least probability of a class that is found, where a text has any number of them."""
    return float(getattr(config, "score_threshold", 0.5))
