"""The job of a task: from files and a model to start from, to a trained, scored and saved model."""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.listed_labels import listed_labels
from hf_ext.data.model_name import is_checkpoint
from hf_ext.data.token_types import leave_out_token_types
from hf_ext.metrics.calibration import LabelledLogits
from hf_ext.metrics.comparison import Comparison, Item
from hf_ext.metrics.score_table import score_table
from hf_ext.models.roformer.sizes_roformer import config_of_size
from hf_ext.tasks.base.data_source import file_of_lines, source_of, with_files
from hf_ext.tasks.base.job_card import card_facts, card_files
from hf_ext.tasks.base.methods.methods import Methods
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.run_end import end_run, report_errors, score_file
from hf_ext.tasks.base.run_start import check_start, tell_files, tell_run
from hf_ext.tasks.base.search import TRIALS_FILE, SearchOptions, run_search
from hf_ext.tasks.base.trained_model import evaluating_trainer, open_on_file
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.model_card.callback import ModelCardCallback
from hf_ext.training.patience import early_stopping
from hf_ext.training.quiet import quiet_libraries
from hf_ext.training.run_steps import (
    check_output_dir,
    measure_before,
    train_with_progress,
)


@dataclass(frozen=True)
class Files:
    """What the files of a job hold.

    Attributes:
        train: examples to train on.
        validation: examples to evaluate on, by which the best epoch is chosen.
        labels: what the model is to tell apart, if it is labels.
        test: examples to score the trained model on, where there is such a file.
        unlabelled: examples to learn from without their labels, where there is such a file.
    """

    train: Sequence[Mapping[str, Any]]
    validation: Sequence[Mapping[str, Any]]
    labels: Sequence[str] = ()
    test: Sequence[Mapping[str, Any]] | None = None
    unlabelled: Sequence[Mapping[str, Any]] | None = None


@dataclass
class Job(Methods, SearchOptions):
    """What to train on, and a model to start from; the help of each field says what it is.

    The fields are the options of the job's command too, and the docstring's first line is that command's help.

    `run` calls the other methods in turn, and `evaluate` some of them. A task names its `auto_class` and overrides
    `read`, `read_evaluation`, `load_model`, `encode`, `evaluation_options`, `find` and `score`, for its error report
    `compare` and `items_of`, and where it has to `trainer_options`, `labels_of_model`, `open_trained`, `texts`,
    `new_tokenizer`, `write` and `show`.
    """

    train_file: Path = option("What to train on.", None, group="Files")
    validation_file: Path = option("The same, to evaluate on.", None, group="Files")
    model: str | None = option(
        "Encoder to fine-tune: a name on the Hub or a folder. Either this or a config.", None, group="Start from"
    )
    config: str | None = option(
        "Train from scratch: the name of a size (tiny, small, medium, base), the folder or file of a config, or a name "
        "on the Hub (org/name).",
        None,
        group="Start from",
    )
    tokenizer: str | None = option(
        "Name or folder; else the model's, or for a new model the characters of the training file.",
        None,
        group="Start from",
    )
    test_file: Path | None = option(
        "The same, which neither trains nor chooses: the trained model is scored on it last.",
        None,
        group="Files",
        kw_only=True,
    )
    dataset: str | None = option(
        "Instead of files: a data set of the Hub (org/name), a folder of one, or a file of Parquet or Arrow.",
        None,
        group="Data set",
        kw_only=True,
    )
    dataset_config: str | None = option(
        "Which of several data sets of that name.", None, group="Data set", kw_only=True
    )
    train_split: str | None = option(
        "What of the data set to train on, such as train[:90%]; else train.", None, group="Data set", kw_only=True
    )
    validation_split: str | None = option(
        "What of it to evaluate on; else validation, valid or dev.", None, group="Data set", kw_only=True
    )
    test_split: str | None = option(
        "What of it to score the trained model on, as by a test file; else nothing.",
        None,
        group="Data set",
        kw_only=True,
    )
    columns: Mapping[str, str] = option(
        "A column by the name that files have for it, as text=review; may be given several times.",
        group="Data set",
        aliases=["--column"],
        default_factory=dict,
        kw_only=True,
    )
    streaming: bool = option(
        "Read no more of the data set than the splits ask for, as train[:1000].",
        False,
        group="Data set",
        kw_only=True,
    )
    patience: int | None = option(
        "Stop after so many evaluations in a row without a better one.", None, group="Stopping", kw_only=True
    )
    overwrite: bool = option("Replace a trained model in the output folder.", False, group="Files", kw_only=True)
    keep_checkpoints: bool = option(
        "Keep the checkpoints, with the state of the optimizer, when the run has ended; else, unless another "
        "save_total_limit is given, they are there while it runs, to go on from after a break.",
        False,
        group="Files",
        kw_only=True,
    )
    license: str | None = option(
        "Of the model, as the Hub writes it: apache-2.0.", None, group="Model card", kw_only=True
    )
    language: str | None = option("Of the texts, by its code: zh, or zh,en.", None, group="Model card", kw_only=True)

    command: ClassVar[str]
    """Name of its command under ``hf-ext train``; jobs that say the same are told apart by the choices of ``head``."""
    program: ClassVar[str] = "train"
    """The word that its command stands behind."""
    streams: ClassVar[bool] = False
    """Whether it reads files and data sets itself, as they come, and may do without texts to evaluate on."""
    auto_class: ClassVar[Any]
    """What opens a trained model."""
    written: ClassVar[tuple[str, ...]] = ()
    """The files that the task's `write` leaves in the output folder."""
    next_steps: ClassVar[tuple[str, ...]] = (
        "predict {output_dir} --file FILE",
        "evaluate {output_dir} --file FILE",
        "push {output_dir} ORG/NAME",
    )
    """Commands that use the model, with ``{output_dir}`` for its folder."""
    arguments_class: ClassVar[type[TrainingArguments]] = TrainingArguments
    """The class of its training arguments, whose fields are options of the command as well."""
    defaults: ClassVar[Mapping[str, Any]] = {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": "f1",
        "logging_steps": 20,
        "report_to": "none",
        # With all that is written of it, which is not there before the end.
        "hub_strategy": "end",
        "train_sampling_strategy": "group_by_length",
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 64,
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
    }
    """Training arguments where none are given, whatever it starts from."""
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "num_train_epochs": 10}
    """Those with a ``config``."""
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-5, "num_train_epochs": 5}
    """Those with a ``model``."""

    examples: ClassVar[str] = "texts"
    """What a file holds, in errors."""
    label_key: ClassVar[str | None] = None
    """The key that examples lack which are to be predicted, as those of published test files."""
    metric: ClassVar[str] = "f1"
    """The metric of an evaluation that progress shows."""
    plotted_metric: ClassVar[str | None] = None
    """The metric of curves, which lies in [0, 1]; None: the same."""
    evaluates_first: ClassVar[bool] = False
    """Whether the model is evaluated before training too, for ``<metric>_before`` among the scores."""
    trainer_class: ClassVar[type[JobTrainer]] = JobTrainer
    as_given: ClassVar[Any] = None
    """Of a job whose data sets became files: the job that was given; None: itself."""
    of_evaluation: ClassVar[tuple[str, ...]] = ()
    """The options that an evaluation of the trained model needs again."""
    reads_windows: ClassVar[bool] = False
    """Whether a text with more tokens than a model takes is read in windows, and not cut off."""

    @property
    def labels_are_named(self) -> bool:
        """Whether options say which labels there are; else those of training are all."""
        return False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_search()
        if (self.model is None) == (self.config is None):
            given = "neither" if self.model is None else "both"
            raise ValueError(f"give either model (to fine-tune) or config (to train from scratch), got {given}")

    @classmethod
    def saved(cls, folder: Path | None = None) -> str:
        """What a run leaves in the output folder; of one that has ended, what it has left there."""
        report = () if cls.compare is Job.compare else ("report.html",)
        files = ("README.md", "scores.json", *report, "curves.png", *cls.written)
        if folder is not None:
            files += (TRIALS_FILE,)
        there = [name for name in files if folder is None or (folder / name).is_file()]
        return " and ".join((", ".join(("the model", *there[:-1])), *there[-1:]))

    def training_arguments(self, output_dir: str | PathLike[str], **given: Any) -> Any:
        """The training arguments that suit the job.

        Args:
            output_dir: where to write.
            **given: fields of ``arguments_class``; for others the job's defaults are taken, then Transformers'.
        """
        start = self.defaults_from_scratch if self.model is None else self.defaults_fine_tuning
        # Without an accelerator there is nothing to pin memory for, and each loader would warn of it.
        there = torch.accelerator.is_available()
        own: dict[str, Any] = {"dataloader_pin_memory": there}
        if given.get("bf16") and not there:
            # Transformers asks for both, though there is nothing else to train on.
            own["use_cpu"] = True
        start = {**self.defaults, **start, **self.optimizer_arguments(given)}
        return self.arguments_class(**{**own, **start, **given, "output_dir": str(output_dir)})

    @quiet_libraries()
    def run(self, arguments: TrainingArguments) -> dict[str, Any]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json``, the scores; ``report.json`` and ``report.html``, what is wrong in the
        test file, or else in the validation file, and what the task writes of it; ``curves.png``; ``job.json``, by
        which `job_of_model` knows the job again; and the card, ``README.md``. With ``arguments.push_to_hub`` the folder
        is uploaded then, as by `hf-ext push`.

        Returns:
            The scores on the validation file, by which the best epoch was chosen; with a ``test_file``, also those on
            it, of the saved model, under ``"test"``.

        Raises:
            ValueError: if a file or an option cannot be used.
            PermissionError: if it is to be uploaded, and there is no token that may.
            ConnectionError: if the upload was broken off; what was written is whole, and `hf-ext push` takes it up.
        """
        if self.searches:
            return run_search(self, arguments)
        check_output_dir(arguments, self.overwrite)
        job = with_files(self)
        if job is not self:
            made: dict[str, Any] = job.run(arguments)
            return made
        stopping = None if self.patience is None else early_stopping(arguments, self.patience)
        check_start(self, arguments)
        card = card_facts(self)
        files = self._read_checked()
        tell_files(self, files, arguments)
        tokenizer = self.load_tokenizer(text for example in files.train for text in self.texts(example))
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model = self.load_model(tokenizer, files)
        self.prepare_model(model)
        leave_out_token_types(tokenizer, model.config)
        train, validation = (self.encode(examples, tokenizer, model) for examples in (files.train, files.validation))
        rows = self.rows_of_training(train, arguments)
        data = {"train_dataset": rows, "eval_dataset": validation, "processing_class": tokenizer}
        options = data | self.trainer_options(tokenizer, model, files, arguments)
        if files.unlabelled is not None:
            options["unlabelled_dataset"] = self.encode(files.unlabelled, tokenizer, model)
        options["callbacks"] = [*options.get("callbacks", ()), *self.method_callbacks()]
        trainer = self.trainer_with_methods(self.trainer_class)(model=model, args=arguments, **options)
        card.files = card_files(self, files)
        trainer.add_callback(ModelCardCallback(trainer, card, curves=False))
        if stopping is not None:
            trainer.add_callback(stopping)
        tell_run(self, trainer, files, (train, validation))
        before = measure_before(trainer, self.metric) if self.evaluates_first else None
        train_with_progress(trainer, self.metric)
        settled = self.settle(trainer, validation, files.validation)
        last = score_file(self, trainer, source_of(self, "validation"), files.validation, validation)
        scores = last.scores
        scores.update(settled)
        if before is not None:
            scores[f"{self.metric}_before"] = before
        card.scores = {last.source: dict(scores)}
        if files.test is not None:
            rows = self.encode(files.test, tokenizer, model)
            last = score_file(self, trainer, source_of(self, "test"), files.test, rows)
            scores["test"] = card.scores[last.source] = last.scores
        end_run(self, trainer, card, scores, last, files.train)
        return scores

    @quiet_libraries()
    def evaluate(
        self, file: Path | str, arguments: TrainingArguments, report: Path | str | None = None, name: str | None = None
    ) -> dict[str, Any]:
        """Score ``model``, which is trained, on a file.

        Args:
            file: like a validation file.
            arguments: say how to run, as those of `training_arguments`; only what concerns an evaluation counts.
            report: a folder to write ``report.json`` and ``report.html`` into; None: they are not written.
            name: what the report calls the file; None: as it is called.

        Returns:
            The scores.

        Raises:
            ValueError: if the file cannot be read, has nothing in it, or has labels that the model lacks.
        """
        if report is not None:
            Path(report).mkdir(parents=True, exist_ok=True)
        trainer, examples, rows = open_on_file(self, Path(file), arguments)
        scored = score_file(self, trainer, name or str(file), examples, rows)
        if report is not None and trainer.is_world_process_zero():
            report_errors(self, scored, trainer.model, Path(report))
        return scored.scores

    @quiet_libraries()
    def find_in(
        self, examples: Sequence[Mapping[str, Any]], arguments: TrainingArguments
    ) -> tuple[Any, PreTrainedModel]:
        """What ``model``, which is trained, says of examples.

        Args:
            examples: as `read_evaluation` gives them; what they have in place of labels has no effect.
            arguments: say how to run, as those of `evaluate`.

        Returns:
            What `find` gives, of which `predictions` tells, and the model.
        """
        tokenizer, model = self.trained_tokenizer(), self.open_trained()
        trainer = evaluating_trainer(self, tokenizer, model, arguments)
        return self.find(trainer, self.encode(examples, tokenizer, model), examples), model

    def _read_checked(self) -> Files:
        """All files: that of the test before training, so that a mistake in it is not found after hours."""
        files = self.read()
        for name, examples in (("train_file", files.train), ("validation_file", files.validation)):
            self.check_examples(name, examples)
        if self.test_file is not None:
            files = replace(files, test=self.read_evaluation(self.test_file, files.labels))
            self.check_examples("test_file", files.test)
        if self.unlabelled_file is not None and not self.learns_unlabelled:
            unlabelled = self.read_unlabelled(file_of_lines(self, Path(self.unlabelled_file)), files)
            self.check_examples("unlabelled_file", unlabelled)
            files = replace(files, unlabelled=unlabelled)
        return files

    def read(self) -> Files:
        """Read and check the files.

        Raises:
            ValueError: if one cannot be used, naming it.
        """
        raise NotImplementedError

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """The examples of a file to evaluate on.

        Args:
            path: the file.
            labels: what the model tells apart, where it is labels; the file must have no others.

        Raises:
            ValueError: if it cannot be used, naming it.
        """
        raise NotImplementedError

    def read_unlabelled(self, path: Path, files: Files) -> Sequence[Mapping[str, Any]]:
        """The examples of a file to learn from without labels; what they have in place of labels is not learnt.

        Args:
            path: the file.
            files: the others.

        Raises:
            ValueError: if it cannot be used, naming it.
        """
        raise NotImplementedError

    def labels_of_model(self, config: Any) -> Sequence[str]:
        """The labels that a trained model tells apart, as `read_evaluation` takes them."""
        return [config.id2label[number] for number in range(len(config.id2label))]

    def open_trained(self) -> Any:
        """The model that the job names, as it was trained."""
        return self.auto_class.from_pretrained(self.model)

    def trained_tokenizer(self) -> Any:
        """What the model that the job names was trained to read with."""
        return AutoTokenizer.from_pretrained(self.model)

    def lines_of_row(self, row: Mapping[str, Any]) -> Iterable[str]:
        """The lines of a file, as `read` reads it, for a row of a data set: one of JSON."""
        return (json.dumps(row, ensure_ascii=False, default=str),)

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The texts of an example, of whose characters a new tokenizer is made."""
        return (example["text"],)

    def load_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """The tokenizer that the job names, or one that cuts ``texts`` into characters."""
        name = self.tokenizer or self.model
        tokenizer = AutoTokenizer.from_pretrained(name) if name else self.new_tokenizer(texts)
        if self.text_length is not None:
            tokenizer.model_max_length = self.text_length
        return tokenizer

    @property
    def text_length(self) -> int | None:
        """Most tokens of a text, which the tokenizer is saved with; None: it keeps its own."""
        return None

    @property
    def row_length(self) -> int | None:
        """Most tokens of a row; None: it has no limit of its own."""
        return self.text_length

    def new_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """A tokenizer that cuts ``texts`` into characters."""
        return build_char_tokenizer(texts)

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names.

        Raises:
            ValueError: if it does not fit the files, or takes fewer tokens than ``max_length``.
        """
        raise NotImplementedError

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Any:
        """The dataset that Trainer is given of examples."""
        raise NotImplementedError

    def rows_of_training(self, rows: Any, arguments: TrainingArguments) -> Any:
        """What is trained on of the dataset that `encode` made: all of it, as it is."""
        return rows

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """What Trainer is given to train: what an evaluation needs, and more where the task has it."""
        return self.evaluation_options(tokenizer, model, arguments)

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """What Trainer is given to evaluate: collator and metrics."""
        raise NotImplementedError

    def settle(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Choose on the validation file what is left to choose of the trained model; entries for its scores."""
        return {}

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """What the trained model says of examples, encoded as rows: of each, or scores at once."""
        raise NotImplementedError

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """Scores of what `find` found in examples."""
        raise NotImplementedError

    def predictions(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> list[dict[str, Any]]:
        """What `find` found in each example, as a line of JSON has it: beside the answer what it was chosen by.

        Raises:
            ValueError: if the task has no such lines.
        """
        raise ValueError(f"the task must tell its predictions by the line, got {self.command}, which does not")

    def labelled_logits(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> LabelledLogits:
        """The logits of a trained model beside what is true, by which its probabilities can be judged.

        Raises:
            ValueError: if the task has no answers with a probability each.
        """
        raise ValueError(f"the task must give its answers probabilities, got {self.command}, which does not")

    def write(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel, folder: Path) -> None:
        """Write more than the model and its scores."""

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison] | None:
        """What `find` found beside what is true, of each example; None: the task has no error report."""
        return None

    def items_of(self, example: Mapping[str, Any]) -> Sequence[Item]:
        """What is labelled in an example, if anything is."""
        return ()

    def inputs_of(self, example: Mapping[str, Any]) -> Sequence[str]:
        """What a model reads of an example; examples with the same are the same."""
        return tuple(self.texts(example))

    def answer_of(self, example: Mapping[str, Any]) -> Hashable:
        """What a model is to say of an example; examples with the same inputs and others contradict each other."""
        return frozenset((item.name, item.place) for item in self.items_of(example))

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """By the option that limits it: the number of tokens of each example, and the limit."""
        return {}

    def count_lost(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, labels: Sequence[str]
    ) -> Sequence[int]:
        """How much that is labelled in each example cannot be learnt, as it meets no tokens; none if it always can."""
        return ()

    def new_config(self, tokenizer: PreTrainedTokenizerBase, **fields: Any) -> Any:
        """The config that a model from scratch is made from."""
        fields |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        name = str(self.config)
        return AutoConfig.from_pretrained(name, **fields) if is_checkpoint(name) else config_of_size(name, **fields)

    def head_options(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Fields of the head's config, from those of the job that give one.

        Args:
            tokenizer: of the model.
        """
        values = {one.metadata.get("config_field"): getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if name is not None and value is not None}

    def head_labels(self, labels: Sequence[str], suffix: str | tuple[str, ...]) -> Sequence[str]:
        """The labels of the model's head, in their order: those of a trained head, or ``labels`` for a new one.

        Args:
            labels: those of the training file.
            suffix: how the names of classes with such a head end, in any of these ways.

        Raises:
            ValueError: if a trained head lacks one of the labels.
        """
        if self.model is None:
            return labels
        config = AutoConfig.from_pretrained(self.model)
        if not any(name.endswith(suffix) for name in config.architectures or ()):
            return labels
        trained = [config.id2label[index] for index in range(len(config.id2label))]
        if not set(labels) <= set(trained):
            raise ValueError(
                f"model has a head for the labels {listed_labels(sorted(trained))}, which train_file's "
                f"{listed_labels(sorted({*labels} - {*trained}))} are not among; fine-tune the encoder that it was "
                "made from"
            )
        return trained

    def check_examples(self, name: str, examples: Any) -> None:
        """Raise ValueError if the file of that name has nothing in it, or nothing to learn or to score by."""
        if not examples:
            raise ValueError(f"{name} must have {self.examples}, got none in {getattr(self, name)}")
        if self.label_key is not None and any(self.label_key not in example for example in examples):
            raise ValueError(f"{name} must have {self.label_key}, got a file to be predicted, {getattr(self, name)}")

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """What a command prints of the scores on a file, by its name: texts, and tables of rich."""
        return [score_table(scores, title=source)]
