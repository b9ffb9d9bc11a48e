"""The job of pre-training: streamed examples, an objective that needs no labels, held-out examples that measure it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from transformers import (
    AutoTokenizer,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.example_stream import ExampleStream
from hf_ext.data.word_vocabulary import frequent_words, with_words
from hf_ext.metrics.perplexity import held_out_metrics
from hf_ext.tasks.base.job import Files, Job
from hf_ext.tasks.base.option import option
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.new_words import add_words
from hf_ext.training.run_steps import predict_in_order
from hf_ext.training.stream_trainer import StreamTrainer, check_stream_arguments
from hf_ext.training.streamed_batches import StreamedBatches

METRIC = "held_out_loss"


@dataclass(frozen=True)
class Objective:
    """What a model learns of examples, from these to batches.

    Attributes:
        encode: rows of a block of examples, always the same.
        make: what is collated of a row, by a number that is all that is drawn with.
        collate: a batch with ``labels``.
    """

    encode: Callable[[list[Any]], Sequence[Any]]
    make: Callable[[Any, int], Any]
    collate: Callable[[list[Any]], dict[str, Any]]


@dataclass
class PretrainingJob(Job):
    """A job on a stream of examples without labels.

    A job names its `auto_class` and overrides `example_of`, `objective`, `load_model` and `evaluation_options`.
    """

    train_file: Path = option(
        "Texts, one a line, or JSON lines with a text each, or a table of Parquet or Arrow; or a folder of such files.",
        None,
        group="Files",
    )
    validation_file: Path = option(
        "The same, whose first examples are held out; else the first ones of the training texts are.",
        None,
        group="Files",
    )
    model: str | None = option(
        "Model to go on with: a name on the Hub or a folder. Either this or a config.", None, group="Start from"
    )
    validation_split: str | None = option(
        "What of the data set to hold out, as by a validation file.", None, group="Data set", kw_only=True
    )
    streaming: bool = option(
        "Read the data set as it comes, and not load all its files first.", True, group="Data set", kw_only=True
    )
    held_out: int = option(
        "Examples that are not trained on, and that the loss is measured on.", 500, group="Stream", kw_only=True
    )
    shuffle_buffer: int = option(
        "Examples that are read and put in another order at a time.", 2000, group="Stream", kw_only=True
    )
    min_count: int = option(
        "How often a character must occur to be one of a new vocabulary.", 1, group="Vocabulary", kw_only=True
    )
    words: int | None = option(
        "Add so many of the most frequent words of the texts to the vocabulary; those of a model that is gone on with "
        "begin as the mean of their tokens.",
        None,
        group="Vocabulary",
        kw_only=True,
    )
    vocabulary_examples: int = option(
        "Examples that a new vocabulary is made from, the first ones.", 100_000, group="Vocabulary", kw_only=True
    )

    program: ClassVar[str] = "pretrain"
    refused_methods: ClassVar[Mapping[str, str]] = {
        "r_drop": "logits are made where they are asked for alone",
        "adversarial=vat": "logits are made where they are asked for alone",
        "lora": "pre-training trains all weights",
    }
    streams: ClassVar[bool] = True
    metric: ClassVar[str] = METRIC
    plotted_metric: ClassVar[str | None] = "accuracy"
    trainer_class: ClassVar[type[JobTrainer]] = StreamTrainer
    next_steps: ClassVar[tuple[str, ...]] = ("push {output_dir} ORG/NAME",)
    defaults: ClassVar[Mapping[str, Any]] = {
        **Job.defaults,
        # Of all steps.
        "eval_strategy": "steps",
        "eval_steps": 0.05,
        "save_strategy": "steps",
        "save_steps": 0.05,
        "logging_steps": 50,
        "load_best_model_at_end": False,
        "metric_for_best_model": METRIC,
        "train_sampling_strategy": "random",
        "per_device_eval_batch_size": 16,
        "warmup_steps": 0.05,
    }
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3}
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-5}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("held_out", "shuffle_buffer", "min_count", "vocabulary_examples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.words is not None and self.words < 1:
            raise ValueError(f"words must be at least 1, got {self.words}")
        if self.tokenizer is not None and self.words is not None:
            raise ValueError(
                f"words has no effect on a tokenizer that is given, got {self.words} with {self.tokenizer}"
            )

    def run(self, arguments: TrainingArguments) -> dict[str, Any]:
        """As any job's; a stream needs to be told how many steps there are."""
        check_stream_arguments(arguments)
        return super().run(arguments)

    def read(self) -> Files:
        """The streams to train on and to evaluate on; the latter are read whole, as they are few."""
        train = self._stream("train")
        own = self._stream("validation")
        validation = list(train.part(0, self.held_out) if own is None else own.part(0, self.held_out))
        test = None if self.test_split is None else self._stream("test")
        train = train.part(len(validation)) if own is None else train
        if next(iter(train), None) is None:
            kept = (
                ""
                if own is not None
                else f" beside the {len(validation)} that are held out of held_out={self.held_out}"
            )
            raise ValueError(f"there must be {self.examples} to train on, got none{kept}")
        endless: Any = _Endless(train, self.vocabulary_examples)
        return Files(endless, validation, test=None if test is None else list(test))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[Any]:
        """The examples of a file, all of them."""
        return list(ExampleStream.of_files(path, self.example_of))

    def example_of(self, record: Mapping[str, Any], where: Any) -> Any:
        """An example from a record of a file or data set.

        Raises:
            ValueError: naming the place, if it is none.
        """
        raise NotImplementedError

    def objective(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, training: bool) -> Objective:
        """What is learnt.

        Args:
            tokenizer: of the model.
            model: that learns.
            training: whether batches are to be trained on; else each row is to be scored by itself.
        """
        raise NotImplementedError

    def load_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """The tokenizer that the job names, or one of characters; with ``words`` one that has words of ``texts``."""
        if self.words is not None:
            # Which are looked at twice.
            texts = list(texts)
        if self.tokenizer is None and self.model is None:
            tokenizer = self.new_tokenizer(texts)
        else:
            tokenizer = AutoTokenizer.from_pretrained(self.tokenizer or self.model)
        if self.words is not None:
            tokenizer = with_words(tokenizer, frequent_words(texts, self.words, tokenizer.get_vocab()))
        if self.text_length is not None:
            tokenizer.model_max_length = self.text_length
        return tokenizer

    def new_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """A tokenizer that cuts ``texts`` into characters."""
        return build_char_tokenizer(texts, self.min_count)

    def add_new_words(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Give a model that is gone on with embeddings of the words that ``words`` has added to its tokenizer."""
        if self.words is None or self.model is None:
            return
        before = AutoTokenizer.from_pretrained(self.model)
        entries = tokenizer.get_vocab()
        new = sorted(set(entries) - set(before.get_vocab()), key=lambda entry: entries[entry])
        add_words(model, before(new, add_special_tokens=False)["input_ids"])

    def encode(self, examples: Any, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> Any:
        """The rows of an evaluation, on each of which what is drawn is always the same; of a stream nothing yet."""
        if isinstance(examples, _Endless):
            return None
        objective = self.objective(tokenizer, model, training=False)
        return [objective.make(row, number) for number, row in enumerate(objective.encode(list(examples)))]

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also the batches of training, which are made as the stream comes."""
        objective = self.objective(tokenizer, model, training=True)
        train: Any = files.train
        seed = arguments.seed if arguments.data_seed is None else arguments.data_seed
        batches = StreamedBatches(
            train.stream,
            objective.encode,
            objective.make,
            objective.collate,
            arguments.train_batch_size,
            arguments.process_index,
            arguments.world_size,
            self.shuffle_buffer,
            seed,
        )
        return {**self.evaluation_options(tokenizer, model, arguments), "train_dataset": batches}

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Any]) -> Any:
        """Of each row what `hf_ext.metrics.token_sums` gives."""
        return predict_in_order(trainer, rows)

    def score(self, found: Any, examples: Sequence[Any], model: PreTrainedModel) -> dict[str, Any]:
        """Loss, perplexity and accuracy over all tokens that are asked for."""
        return held_out_metrics(EvalPrediction(predictions=found, label_ids=found))

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """A line of loss and accuracy."""
        return [
            source,
            f"loss of a token {scores[METRIC]:.4f} (perplexity {scores['perplexity']:.2f}), accuracy "
            f"{scores['accuracy']:.4f}",
        ]

    def _stream(self, part: str) -> Any:
        """The examples of a part; None where there is none of its own."""
        file, split = getattr(self, f"{part}_file"), getattr(self, f"{part}_split")
        if file is not None:
            if split is not None:
                raise ValueError(f"give either {part}_file or {part}_split, got both")
            if part == "train" and self.dataset is not None:
                raise ValueError("give either train_file or dataset, got both")
            return ExampleStream.of_files(file, self.example_of, self.columns)
        if self.dataset is None:
            if part == "train":
                raise ValueError("train_file must be given, or a dataset, got neither")
            if split is not None:
                raise ValueError(f"{part}_split goes with a dataset, got {split} without one")
            return None
        if split is None and part != "train":
            return None
        options = (self.dataset_config, self.columns, self.streaming, self.example_of)
        return ExampleStream.of_dataset(self.dataset, split or "train", *options)


@dataclass(frozen=True)
class _Endless:
    """The examples of training, which nobody counts: those that a vocabulary is made from are what they give."""

    stream: ExampleStream
    looked_at: int

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.stream), self.looked_at)
