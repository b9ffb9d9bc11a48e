"""The job of a task: from files and a model to start from, to a trained, scored and saved model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
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
from hf_ext.data.input_limit import check_input_length
from hf_ext.metrics.score_table import score_table
from hf_ext.models.roformer.sizes_roformer import config_of_size
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.run_start import check_start, tell_files, tell_run
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.push_run import push_run
from hf_ext.training.quiet import quiet_libraries
from hf_ext.training.run_steps import (
    check_output_dir,
    measure_before,
    remove_checkpoints,
    save_run,
    train_with_progress,
)


@dataclass(frozen=True)
class Files:
    """What the files of a job hold.

    Attributes:
        train: examples to train on.
        validation: examples to evaluate on.
        labels: what the model is to tell apart, if it is labels.
    """

    train: Sequence[Mapping[str, Any]]
    validation: Sequence[Mapping[str, Any]]
    labels: Sequence[str] = ()


@dataclass
class Job:
    """What to train on, and a model to start from; the help of each field says what it is.

    The fields are the options of the job's command too, and the docstring's first line is that command's help.

    `run` calls the other methods in turn. A task overrides `read`, `load_model`, `encode`, `trainer_options`, `find`
    and `score`, and where it has to `texts`, `new_tokenizer`, `write` and `show`.
    """

    train_file: Path = option("What to train on.", group="Files")
    validation_file: Path = option("The same, to evaluate on.", group="Files")
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
    overwrite: bool = option("Replace a trained model in the output folder.", False, group="Files", kw_only=True)
    keep_checkpoints: bool = option(
        "Keep the checkpoints, with the state of the optimizer, when the run has ended; else they are there while it "
        "runs, to go on from after a break.",
        False,
        group="Files",
        kw_only=True,
    )

    command: ClassVar[str]
    """Name of its command under ``hf-ext train``; jobs that say the same are told apart by the choices of ``head``."""
    saved: ClassVar[str] = "the model, scores.json and curves.png"
    """What a run leaves in the output folder."""
    next_steps: ClassVar[tuple[str, ...]] = ("predict {output_dir} --file FILE", "push {output_dir} ORG/NAME")
    """Commands that use the model, with ``{output_dir}`` for its folder."""
    reads_windows: ClassVar[bool] = False
    """Whether a text with more tokens than a model takes is read in windows, and not cut off."""
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
    metric: ClassVar[str] = "f1"
    """The metric of an evaluation that progress shows."""
    plotted_metric: ClassVar[str | None] = None
    """The metric of curves, which lies in [0, 1]; None: the same."""
    evaluates_first: ClassVar[bool] = False
    """Whether the model is evaluated before training too, for ``<metric>_before`` among the scores."""
    trainer_class: ClassVar[type[JobTrainer]] = JobTrainer

    def __post_init__(self) -> None:
        if (self.model is None) == (self.config is None):
            given = "neither" if self.model is None else "both"
            raise ValueError(f"give either model (to fine-tune) or config (to train from scratch), got {given}")

    def training_arguments(self, output_dir: str | PathLike[str], **given: Any) -> Any:
        """The training arguments that suit the job.

        Args:
            output_dir: where to write.
            **given: fields of ``arguments_class``; for others the job's defaults are taken, then Transformers'.
        """
        start = self.defaults_from_scratch if self.model is None else self.defaults_fine_tuning
        # Without an accelerator there is nothing to pin memory for, and each loader would warn of it.
        pinned = {"dataloader_pin_memory": torch.accelerator.is_available()}
        return self.arguments_class(**{**pinned, **self.defaults, **start, **given, "output_dir": str(output_dir)})

    @quiet_libraries()
    def run(self, arguments: TrainingArguments) -> dict[str, Any]:
        """Train, evaluate and save into ``arguments.output_dir``.

        Written beside the model: ``scores.json``, the scores on the validation file, ``curves.png``, and what the task
        writes. With ``arguments.push_to_hub`` all of it is uploaded then.

        Returns:
            The scores.

        Raises:
            ValueError: if a file or an option cannot be used.
            PermissionError: if it is to be uploaded, and there is no token that may.
            ConnectionError: if the upload was broken off; what was written is whole, and `hf-ext push` takes it up.
        """
        check_output_dir(arguments, self.overwrite)
        check_start(self, arguments)
        files = self.read()
        for name, examples in (("train_file", files.train), ("validation_file", files.validation)):
            self.check_examples(name, examples)
        tell_files(self, files, arguments)
        tokenizer = self.load_tokenizer(text for example in files.train for text in self.texts(example))
        # Before a new model's weights are drawn.
        set_seed(arguments.seed)
        model = self.load_model(tokenizer, files)
        train, validation = (self.encode(examples, tokenizer, model) for examples in (files.train, files.validation))
        data = {"train_dataset": train, "eval_dataset": validation, "processing_class": tokenizer}
        options = data | self.trainer_options(tokenizer, model, files, arguments)
        trainer = self.trainer_class(model=model, args=arguments, **options)
        tell_run(self, trainer, files, (train, validation))
        before = measure_before(trainer, self.metric) if self.evaluates_first else None
        train_with_progress(trainer, self.metric)
        found = self.find(trainer, validation, files.validation)
        scores = self.score(found, files.validation, model)
        if before is not None:
            scores[f"{self.metric}_before"] = before
        save_run(trainer, scores, self.plotted_metric or self.metric)
        if trainer.is_world_process_zero():
            self.write(found, files.validation, model, Path(str(arguments.output_dir)))
        if not self.keep_checkpoints:
            remove_checkpoints(trainer)
        push_run(trainer)
        return scores

    def read(self) -> Files:
        """Read and check the files.

        Raises:
            ValueError: if one cannot be used, naming it.
        """
        raise NotImplementedError

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

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator, metrics and what else Trainer is given."""
        raise NotImplementedError

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """What the trained model says of examples, encoded as rows: of each, or scores at once."""
        raise NotImplementedError

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """Scores of what `find` found in examples."""
        raise NotImplementedError

    def write(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel, folder: Path) -> None:
        """Write more than the model and its scores."""

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

    def head_labels(self, labels: Sequence[str], suffix: str) -> Sequence[str]:
        """The labels of the model's head, in their order: those of a trained head, or ``labels`` for a new one.

        Args:
            labels: those of the training file.
            suffix: how the names of classes with such a head end.

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
                f"model has a head for the labels {sorted(trained)}, and train_file has {sorted(labels)}; "
                "fine-tune the encoder that it was made from"
            )
        return trained

    def check_examples(self, name: str, examples: Any) -> None:
        """Raise ValueError if the file of that name has nothing in it."""
        if not examples:
            raise ValueError(f"{name} must have {self.examples}, got none in {getattr(self, name)}")

    def show(self, scores: Mapping[str, Any]) -> list[Any]:
        """What the command prints of the scores: texts, and tables of rich."""
        return [score_table(scores, title=str(self.validation_file))]


@dataclass
class EncoderJob(Job):
    """A job on texts that have one limit of length."""

    max_length: int = option(
        "Tokens of a text, or of a pair that is read at once; what is beyond is cut off.", 128, group="Lengths"
    )

    saves_max_length: ClassVar[bool] = True
    """Whether ``max_length`` is that of single texts too, and saved with the tokenizer."""

    @property
    def text_length(self) -> int | None:
        """Most tokens of a text, which the tokenizer is saved with; None: it keeps its own."""
        return self.max_length if self.saves_max_length else None

    @property
    def row_length(self) -> int | None:
        """Most tokens of a row."""
        return self.max_length

    def open_model(
        self, auto_class: Any, tokenizer: PreTrainedTokenizerBase, fields: Mapping[str, Any], **head: Any
    ) -> Any:
        """The model that the job names.

        Args:
            auto_class: opens or makes it.
            tokenizer: of the model.
            fields: of the config.
            **head: options of the head.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``.
        """
        if self.model is None:
            return auto_class.from_config(self.new_config(tokenizer, **fields), **head)
        model = auto_class.from_pretrained(self.model, **fields, **head)
        self.check_length(model)
        return model

    def check_length(self, model: Any) -> None:
        """Raise ValueError if the model takes fewer tokens than ``max_length``."""
        check_input_length(self.max_length, model.config)


def is_checkpoint(name: str) -> bool:
    """Whether a name is that of a folder, a file or a repository on the Hub, and not that of a size."""
    return Path(name).exists() or "/" in name
