"""The job of `hf-ext train reading-comprehension`: find the answers to questions in their texts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from hf_ext.atomic_file import atomic_write
from hf_ext.data.drawn_rows import DrawnRows
from hf_ext.data.windows import count_in_rows
from hf_ext.metrics.comparison import Comparison, Item, Outcome
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.pair_job import PairJob
from hf_ext.tasks.base.score_threshold import BEST
from hf_ext.tasks.reading_comprehension.answers import best_answer, decode_answer_dataset
from hf_ext.tasks.reading_comprehension.encoding import (
    DataCollatorForReadingComprehension,
    ReadingEncoder,
    draw_answer,
)
from hf_ext.tasks.reading_comprehension.files import read_questions
from hf_ext.tasks.reading_comprehension.head import ANSWER_HEADS, RANKINGS, AutoModelForReadingComprehension
from hf_ext.tasks.reading_comprehension.metrics import (
    answer_exact_match,
    answer_f1,
    best_null_threshold,
    reading_compute_metrics,
    reading_scores,
    reading_table,
    span_accuracy,
)
from hf_ext.training.divergences import Divergence, clean_span_divergence, span_divergence
from hf_ext.training.run_steps import predict_in_order

NEVER = "never"
"""The ``null_threshold`` of a model that always answers."""


@dataclass
class ReadingComprehensionJob(PairJob):
    """Answers to questions as spans of a text, with GlobalPointer or with a start and an end.

    Files are in a format of :func:`hf_ext.tasks.reading_comprehension.read_questions`.
    """

    train_file: Path = option("Questions on texts: SQuAD's, CMRC2018's or WebQA's JSON, or lines.", None, group="Files")
    max_length: int = option("Tokens of a question and a window of its text.", 512, group="Lengths")
    stride: int | None = option(
        "Tokens that two windows of a text share; else 128, or less in small windows.", None, group="Lengths"
    )
    max_question_length: int | None = option(
        "Tokens of a question, the rest is cut; else 64, or less in small windows.", None, group="Lengths"
    )
    window_step: int | None = option(
        "Instead of the stride: tokens from the beginning of a window to that of the next.", None, group="Lengths"
    )
    windows: bool = option(
        "Read a long text in windows; else it is cut off behind the first, and what is beyond not learnt.",
        True,
        group="Lengths",
    )
    draw_answers: bool = option(
        "Learn one of the true answers, drawn anew in each epoch; else the first.", False, group="Answers"
    )
    null_threshold: str | None = option(
        "No answer where it scores more than this number above the best, or best: the number with the best F1 on the "
        "validation file, or never: always answer. Saved with the model; else the model's, or 0 if training "
        "has questions without an answer.",
        None,
        group="Answers",
    )
    ranking: str | None = option(
        "What answers of several windows are compared by: the odds against no answer in their own window, or their "
        "score; else odds, or the model's.",
        None,
        group="Answers",
        choices=RANKINGS,
        config_field="answer_ranking",
    )
    head: str | None = option(
        "How spans are scored; else global_pointer, or the model's.",
        None,
        group="Head",
        choices=ANSWER_HEADS,
        config_field="answer_head",
    )
    head_size: int | None = option(
        "With a pointer: size of its vectors; else 64, or the model's.",
        None,
        group="Head",
        config_field="answer_head_size",
    )
    max_answer_tokens: int | None = option(
        "Most tokens of an answer; else 128, or the model's.", None, group="Answers", config_field="max_answer_tokens"
    )
    n_best: int | None = option(
        "Answers to rank for each question; else 20, or the model's.",
        None,
        group="Answers",
        config_field="answer_top_k",
    )

    auto_class: ClassVar[Any] = AutoModelForReadingComprehension
    examples: ClassVar[str] = "questions"
    of_evaluation: ClassVar[tuple[str, ...]] = (
        "max_length",
        "stride",
        "max_question_length",
        "window_step",
        "windows",
    )
    reads_windows: ClassVar[bool] = True
    command: ClassVar[str] = "reading-comprehension"
    written: ClassVar[tuple[str, ...]] = ("predictions.json", "nbest_predictions.json")
    label_key: ClassVar[str | None] = "answers"
    divergence: ClassVar[Divergence] = staticmethod(span_divergence)
    clean_divergence: ClassVar[Divergence] = staticmethod(clean_span_divergence)
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-5, "num_train_epochs": 3}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.null_threshold not in (None, BEST, NEVER):
            try:
                float(self.null_threshold)
            except ValueError as error:
                wanted = f"a number, {BEST} or {NEVER}"
                raise ValueError(f"null_threshold must be {wanted}, got {self.null_threshold!r}") from error
        if self.head in ("start_end", "start_end_row") and self.head_size is not None:
            raise ValueError(f"head_size goes with a pointer, got {self.head_size} with head={self.head!r}")

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """The table of questions with and without an answer."""
        return [reading_table(scores, title=source)]

    def read(self) -> Files:
        """Questions on texts, of which at least one is answered."""
        train, validation = read_questions(self.train_file), self.read_evaluation(self.validation_file, ())
        self.check_examples("train_file", train)
        if not any(answer["start"] >= 0 for example in train for answer in example.get("answers", ())):
            raise ValueError(f"train_file must have an answer that is in its text, got none in {self.train_file}")
        if self.null_threshold == BEST and all(example["answers"] for example in validation):
            raise ValueError(
                f"null_threshold {BEST} needs questions without an answer, got none in {self.validation_file}"
            )
        return Files(train, validation)

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Questions on texts."""
        return read_questions(path)

    def read_unlabelled(self, path: Path, files: Files) -> list[dict[str, Any]]:
        """Questions on texts, as if these had no answers."""
        return [{**example, "answers": []} for example in read_questions(path)]

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The question and its text."""
        return example["question"], example["context"]

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names, which knows when there is no answer.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``.
        """
        model = self.open_model(self.auto_class, tokenizer, {}, **self.head_options(tokenizer))
        config: Any = model.config
        if self.null_threshold == NEVER:
            config.null_threshold = None
        elif self.null_threshold is not None:
            config.null_threshold = 0.0 if self.null_threshold == BEST else float(self.null_threshold)
        elif config.null_threshold is None and not all(example["answers"] for example in files.train):
            config.null_threshold = 0.0
        return model

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """Rows of questions with windows of their texts."""
        return self._encoder(tokenizer).encode_dataset(Dataset.from_list([dict(example) for example in examples]))

    def rows_of_training(self, rows: Any, arguments: TrainingArguments) -> Any:
        """Also draws answers, where that is asked for."""
        return DrawnRows(rows, draw_answer, arguments.seed) if self.draw_answers else rows

    def _encoder(self, tokenizer: PreTrainedTokenizerBase) -> ReadingEncoder:
        lengths = (self.max_length, self.stride, self.max_question_length, self.window_step)
        return ReadingEncoder(tokenizer, *lengths, windows=self.windows)

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        config: Any = model.config
        return {
            "data_collator": DataCollatorForReadingComprehension(tokenizer),
            "compute_metrics": reading_compute_metrics(config.null_threshold),
        }

    def settle(self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The threshold of no answer, where the best is asked for."""
        if self.null_threshold != BEST:
            return {}
        config: Any = trainer.model.config  # type: ignore[union-attr]
        references = [[answer["text"] for answer in example["answers"]] for example in examples]
        config.null_threshold = best_null_threshold(self.find(trainer, rows, examples), references)
        return {"null_threshold": config.null_threshold}

    def find(
        self, trainer: Trainer, rows: Dataset, examples: Sequence[Mapping[str, Any]]
    ) -> list[list[dict[str, Any]]]:
        """The ranked answers to each question."""
        config: Any = trainer.model.config  # type: ignore[union-attr]
        contexts = [example["context"] for example in examples]
        predictions = predict_in_order(trainer, rows)
        may_lack = config.null_threshold is not None
        return decode_answer_dataset(predictions, rows, contexts, config.answer_top_k, may_lack, config.answer_ranking)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """:func:`hf_ext.tasks.reading_comprehension.reading_scores` of the best answers."""
        config: Any = model.config
        references = [[answer["text"] for answer in example["answers"]] for example in examples]
        scores = reading_scores([best_answer(own, config.null_threshold) for own in found], references)
        return {**scores, "span_accuracy": span_accuracy(found, [example["answers"] for example in examples])}

    def predictions(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> list[dict[str, Any]]:
        """The best answer to each question, empty if it has none, and all that are ranked."""
        config: Any = model.config
        return [{"answer": best_answer(own, config.null_threshold), "answers": own} for own in found]

    def count_lost(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]
    ) -> Sequence[int]:
        """Questions whose answers are in no window whole."""
        return count_in_rows(self._encoder(tokenizer), examples, ("question", "context", "answers"), "lost_answers")

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The best answer to each question beside the true one that is most like it."""
        config: Any = model.config
        comparisons = []
        for example, own in zip(examples, found):
            answer = best_answer(own, config.null_threshold)
            place = next((one for one in own if one["text"]), None)
            said = _item(place, place.get("probability")) if answer and place else None
            texts = [one["text"] for one in example["answers"]]
            right, f1 = answer_exact_match(answer, texts), answer_f1(answer, texts)
            comparisons.append(
                Comparison(
                    {"question": example["question"], "context": example["context"]},
                    _outcomes(example["answers"], said, bool(right)),
                    measures={"exact_match": (right, 1), "f1": (f1, 1)},
                    badness=2 - right - f1,
                )
            )
        return comparisons

    def items_of(self, example: Mapping[str, Any]) -> Sequence[Item]:
        """The answers to a question."""
        return [_item(one) for one in example["answers"]]

    def write(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel, folder: Path) -> None:
        """Write ``predictions.json`` and ``nbest_predictions.json``."""
        config: Any = model.config
        answers = [best_answer(own, config.null_threshold) for own in found]
        _write(folder / "predictions.json", examples, answers)
        _write(folder / "nbest_predictions.json", examples, found)


def _item(answer: Mapping[str, Any], score: float | None = None) -> Item:
    text, start = answer["text"], answer["start"]
    spans = (("", start, start + len(text)),) if start >= 0 else ()
    return Item("answer", (start, text), text, spans, score=score)


def _outcomes(answers: Sequence[Mapping[str, Any]], said: Item | None, right: bool) -> list[Outcome]:
    """What became of a question's answer: of several true ones, that which is most like what is said."""
    if not answers:
        none = Item("no answer")
        return [Outcome("right", none, none) if said is None else Outcome("invented", None, said)]
    if said is None:
        return [Outcome("missed", _item(answers[0]), None)]
    likeness = [
        (answer_exact_match(said.surface, [one["text"]]), answer_f1(said.surface, [one["text"]])) for one in answers
    ]
    best = max(range(len(answers)), key=lambda index: likeness[index])
    true = _item(answers[best])
    if right or any(likeness[best]):
        return [Outcome("right" if right else "cut", true, said)]
    return [Outcome("missed", true, None), Outcome("invented", None, said)]


def _write(path: Path, examples: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> None:
    """Write what belongs to each question, by its id."""
    with atomic_write(path) as file:
        json.dump(
            {example["id"]: value for example, value in zip(examples, values)}, file, ensure_ascii=False, indent=1
        )
