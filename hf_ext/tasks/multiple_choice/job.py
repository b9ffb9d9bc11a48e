"""The job of `hf-ext train multiple-choice`: pick the right one of the choices of a question."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, ClassVar

from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from hf_ext.data.formats.chid import BLANK
from hf_ext.losses.table import for_trainer
from hf_ext.metrics.calibration import LabelledLogits
from hf_ext.metrics.class_scores import class_probabilities
from hf_ext.metrics.comparison import Comparison, Item, pair_items
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.head_choice import HEADS, head_of
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.multiple_choice.decoding import DECODINGS, assignment_solver, decoding_of
from hf_ext.tasks.multiple_choice.either_model import EitherModelForMultipleChoice
from hf_ext.tasks.multiple_choice.encoding import (
    NO_LABEL,
    ChoiceEncoder,
    DataCollatorForChoices,
    check_padding_choice,
)
from hf_ext.tasks.multiple_choice.files import read_choices
from hf_ext.tasks.multiple_choice.metrics import choice_scores, groups_of, logits_of_choices
from hf_ext.tasks.multiple_choice.trainer import MultipleChoiceTrainer
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.run_steps import predict_in_order

_CHOICES = "Choices"
_COUNTED_AT_ONCE = 1000


@dataclass
class MultipleChoiceJob(EncoderJob):
    """One of the choices of a question, such as reading comprehension (C3) or idioms for blanks (ChID).

    Files are in a format of :func:`hf_ext.tasks.multiple_choice.read_choices`. ``pipeline("multiple-choice")`` predicts
    with the model.
    """

    train_file: Path = option(
        'JSON lines {"text", "question"?, "choices", "label"}, or files of C3 or ChID.', None, group="Files"
    )
    max_length: int = option(
        "Tokens of a text with its question and a choice; what is beyond is cut off the longest of them.",
        512,
        group="Lengths",
    )
    head: str | None = option(
        "What scores a choice: one linear layer over its first token, or over the mean or the largest of all tokens, "
        "or the encoder's own head; else first_token, or the model's.",
        None,
        group="Head",
        choices=HEADS,
        kw_only=True,
    )
    decoding: str | None = option(
        "How the questions of a group take their choices: each its best, the surest first and no choice twice, or the "
        "best of all ways without a choice twice; else assignment where there are groups.",
        None,
        group=_CHOICES,
        choices=DECODINGS,
        config_field="choice_decoding",
        kw_only=True,
    )
    num_choices: int | None = option(
        "With padding_choice: choices of every question.",
        None,
        group=_CHOICES,
        config_field="num_choices",
        kw_only=True,
    )
    padding_choice: str | None = option(
        "Text of the choices that a question has too few, which may win; else these are left out.",
        None,
        group=_CHOICES,
        config_field="padding_choice",
        kw_only=True,
    )

    command: ClassVar[str] = "multiple-choice"
    auto_class: ClassVar[Any] = EitherModelForMultipleChoice
    trainer_class: ClassVar[type[JobTrainer]] = MultipleChoiceTrainer
    examples: ClassVar[str] = "questions"
    label_key: ClassVar[str | None] = "label"
    metric: ClassVar[str] = "accuracy"
    of_evaluation: ClassVar[tuple[str, ...]] = ("max_length", "decoding", "num_choices", "padding_choice")
    defaults: ClassVar[Mapping[str, Any]] = {
        **EncoderJob.defaults,
        "metric_for_best_model": "accuracy",
        # How long rows are is known once they are made.
        "train_sampling_strategy": "random",
        # Each has some four rows.
        "per_device_train_batch_size": 8,
        "per_device_eval_batch_size": 16,
    }
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-5, "num_train_epochs": 5}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding_choice(self.num_choices, self.padding_choice)

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """A line of right choices, and of other ways of decoding."""
        others = [f"{way} {scores[name]:.4f}" for way in DECODINGS if (name := f"accuracy_{way}") in scores]
        ways = f"{scores['decoding']}; {', '.join(others)}" if others else scores["decoding"]
        return [source, f"accuracy {scores['accuracy']:.4f} (head {scores['head']}, by {ways})"]

    def read(self) -> Files:
        """Questions with choices."""
        return Files(self._read(self.train_file), self.read_evaluation(self.validation_file, ()))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Questions with choices, which can be decoded as is asked for."""
        examples = self._read(path)
        if self.decoding not in (None, "argmax") and all(group is None for group in groups_of(examples)):
            raise ValueError(f"decoding={self.decoding} needs questions with a group, got none in {path}")
        if self.decoding_of(examples) == "assignment":
            # Before anything is loaded.
            assignment_solver()
        return examples

    def read_unlabelled(self, path: Path, files: Files) -> list[dict[str, Any]]:
        """Questions with choices; the label says no more than that the question counts."""
        return [{**example, "label": 0} for example in self._read(path)]

    def _read(self, path: Path) -> list[dict[str, Any]]:
        examples = read_choices(path)
        if self.num_choices is not None:
            # Choices beyond are left out, as of C3 in the original; one that is right cannot be.
            needed = 1 + max((example.get("label", 0) for example in examples), default=0)
            if needed > self.num_choices:
                raise ValueError(
                    f"num_choices must take in every right choice, the one of number {needed} too that is in {path}, "
                    f"got {self.num_choices}"
                )
        return examples

    def decoding_of(self, examples: Sequence[Mapping[str, Any]]) -> str:
        """How choices of these questions are made of logits."""
        return decoding_of(self.decoding, groups_of(examples))

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The text, the question and the choices."""
        yield from (example[name] for name in ("text", "question") if name in example)
        yield from example["choices"]
        if self.padding_choice is not None:
            yield self.padding_choice

    def inputs_of(self, example: Mapping[str, Any]) -> Sequence[str]:
        """Which of the blanks is asked for, too, but not how blanks are numbered, which no model reads."""
        texts = tuple(self.texts(example))
        if "blank" not in example:
            return texts
        sides = (BLANK.sub("#idiom#", side) for side in texts[0].split(example["blank"]))
        return ("#asked#".join(sides), *texts[1:])

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """Tokens of the longest row of each question."""
        encoder = ChoiceEncoder(tokenizer, 1 << 30, self.num_choices, self.padding_choice)
        # All rows at once would hold each text as often as it has choices.
        starts = range(0, len(examples), _COUNTED_AT_ONCE)
        batches = (encoder(examples[start : start + _COUNTED_AT_ONCE]) for start in starts)
        return {"max_length": ([max(map(len, own)) for rows in batches for own in rows], self.max_length)}

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names, which knows how choices are decoded and filled up.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``, or has no head of its own where that is asked for.
        """
        model: PreTrainedModel = self.open_model(self.auto_class, tokenizer, {}, head=self.head)
        for one in fields(self):
            name = one.metadata.get("config_field")
            # What a trained model had is not what it is trained with now.
            if name is not None and (getattr(self, one.name) is not None or hasattr(model.config, name)):
                setattr(model.config, name, getattr(self, one.name))
        return model

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Sequence[Mapping[str, Any]]:
        """The questions themselves: the collator makes rows of them."""
        return examples

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator, the way of decoding, and the loss."""
        return {
            "data_collator": DataCollatorForChoices(self._encoder(tokenizer)),
            # A family's own counts choices that are not there.
            "compute_loss_func": for_trainer("cross_entropy"),
            "decoding": self.decoding,
        }

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Logits ``[N, K]`` of the choices, -inf of what is none."""
        encoder = self._encoder(trainer.processing_class)
        return logits_of_choices(
            predict_in_order(trainer, rows), [len(encoder.choices_of(example)) for example in examples]
        )

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """:func:`hf_ext.tasks.multiple_choice.choice_scores` of the questions, and the ``head``."""
        labels = [example["label"] for example in examples]
        return {**choice_scores(found, labels, groups_of(examples), self.decoding), "head": head_of(model)}

    def labelled_logits(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> LabelledLogits:
        """Logits of the choices of each question; those of a group stay together, and are not shared out."""
        groups = groups_of(examples)
        names = [("", number) if group is None else ("group", group) for number, group in enumerate(groups)]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return LabelledLogits(
            self.find(trainer, rows, examples),
            [example["label"] for example in examples],
            [numbers[name] for name in names],
            about="the choice of each question by itself",
        )

    def predictions(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> list[dict[str, Any]]:
        """The number of the choice of each question, from 0, with the logits of all choices that it has."""
        taken = DECODINGS[self.decoding_of(examples)](found, groups_of(examples))
        return [
            {"label": label, "logits": [logit for logit in row if logit > -inf]}
            for label, row in zip(taken.tolist(), found.tolist())
        ]

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The choice of each question beside the right one; worst are those that the model is surest of."""
        taken = DECODINGS[self.decoding_of(examples)](found, groups_of(examples))
        comparisons = []
        for example, choice, row in zip(examples, taken.tolist(), class_probabilities(found, multi_label=False)):
            item = _item(example, choice, float(row[choice]))
            outcomes = pair_items(self.items_of(example), [item])
            wrong = choice != example["label"]
            parts = {name: example[name] for name in ("text", "question") if name in example}
            parts["choices"] = " | ".join(example["choices"])
            measures = {"accuracy": (1.0 - wrong, 1.0)}
            badness = 1 + float(row[choice]) if wrong else 0.0
            comparisons.append(Comparison(parts, outcomes, measures=measures, badness=badness))
        return comparisons

    def items_of(self, example: Mapping[str, Any]) -> Sequence[Item]:
        """The right choice, by its number."""
        return [_item(example, example["label"])] if example.get("label", NO_LABEL) != NO_LABEL else []

    def answer_of(self, example: Mapping[str, Any]) -> Hashable:
        """The right choice."""
        return example.get("label")

    def _encoder(self, tokenizer: Any) -> ChoiceEncoder:
        return ChoiceEncoder(tokenizer, self.max_length, self.num_choices, self.padding_choice)


def _item(example: Mapping[str, Any], choice: int, score: float | None = None) -> Item:
    # One that fills up a question has no text of its own.
    surface = example["choices"][choice] if choice < len(example["choices"]) else ""
    return Item(str(choice), surface=surface, score=score)
