"""The cloze job: labels as words that a masked language model puts into a pattern, from few examples or none."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from hf_ext.auto_map import mark_code
from hf_ext.carried_code import THIN
from hf_ext.metrics.calibration import LabelledLogits
from hf_ext.metrics.class_scores import (
    class_predictions,
    class_probabilities,
    classification_compute_metrics,
    scores_of_prediction,
)
from hf_ext.metrics.comparison import Comparison, Item, pair_items
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.cloze.collator import DataCollatorForCloze
from hf_ext.tasks.cloze.encoding import (
    ClozeEncoder,
    add_soft_tokens,
    encode_cloze,
    encode_unlabelled,
    soft_token_ids,
)
from hf_ext.tasks.cloze.files import read_cloze_texts, read_unlabelled_texts
from hf_ext.tasks.cloze.masked_model import AutoMaskedLanguageModel
from hf_ext.tasks.cloze.pattern import ClozePattern, text_of_field
from hf_ext.tasks.cloze.rows import ClozeRows
from hf_ext.tasks.cloze.soft_tokens import tune_tokens
from hf_ext.tasks.cloze.trainer import ClozeTrainer
from hf_ext.training.job_trainer import JobTrainer

PREDICTS = ("words", "labels")
_PATTERN = "Pattern"
# Of P-tuning, whose few parameters have far to go.
_SOFT_LEARNING_RATE = 6e-4


@dataclass
class ClozeJob(EncoderJob):
    """Classes of texts by the words that a masked language model puts into a pattern (PET, P-tuning).

    Files are those of :func:`hf_ext.tasks.cloze.read_cloze_texts`; the labels are those of the verbalizer, whether the
    training file has them or not. The model is scored before training too (``accuracy_before``), which is zero-shot.

    ``pipeline("cloze")`` predicts with the model, whose config has the pattern.
    """

    train_file: Path = option(
        'JSON lines {"text", "text2"?, "label"}, or with the keys of the pattern; TSV or CSV.', None, group="Files"
    )
    max_length: int = option(
        "Tokens of a text in its pattern; what is beyond is cut off the text, not the pattern.", 128, group="Lengths"
    )
    pattern: str | None = option(
        'A template such as "{mask}满意。{text}", a file of JSON or YAML, or one that comes with the package, as '
        "fewclue/tnews; else that of a model trained so.",
        None,
        group=_PATTERN,
    )
    verbalizer: Mapping[str, Any] = option(
        'The word of a label, as good=很, or its words, as good=["很","真"]; once for each label.',
        group=_PATTERN,
        aliases=["--word"],
        default_factory=dict,
    )
    shared_words: bool = option("Allow labels with the same word, whose scores always tie.", False, group=_PATTERN)
    soft_tokens: int | None = option(
        "So many tokens around the mask that mean nothing yet, half before it; they alone are trained (P-tuning). A "
        "pattern may also say by {soft} where they stand.",
        None,
        group=_PATTERN,
    )
    tune_all: bool = option("With soft tokens, train everything.", False, group=_PATTERN)
    unlabelled_file: Path | None = option(
        "More texts, whose tokens are masked and learnt, without the pattern.", None, group="Files", kw_only=True
    )
    predicts: str = option(
        "What is learnt at the masks: the label's word among the whole vocabulary, together with tokens masked at "
        "random, or the label, by a softmax over labels alone.",
        "words",
        group="Loss",
        choices=PREDICTS,
    )
    mlm_probability: float | None = option(
        "Share of the other tokens that is masked at random; else 0.15.", None, group="Loss"
    )
    mlm_weight: float | None = option(
        "With predicts=labels: what the tokens of unlabelled texts weigh beside the labels; else 0.0001.",
        None,
        group="Loss",
    )

    learns_unlabelled: ClassVar[bool] = True
    refused_methods: ClassVar[Mapping[str, str]] = {
        "adversarial=vat": "masked tokens of the unlabelled texts are learnt already",
        "lora": "soft tokens are what is trained in the place of all weights",
    }
    command: ClassVar[str] = "cloze"
    auto_class: ClassVar[Any] = AutoModelForMaskedLM
    trainer_class: ClassVar[type[JobTrainer]] = ClozeTrainer
    metric: ClassVar[str] = "accuracy"
    evaluates_first: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        **EncoderJob.defaults,
        "metric_for_best_model": "accuracy",
        # Of the few examples each epoch makes other batches.
        "train_sampling_strategy": "random",
        "per_device_train_batch_size": 32,
    }
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "num_train_epochs": 20}
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-5, "num_train_epochs": 10}

    def training_arguments(self, output_dir: str | PathLike[str], **given: Any) -> Any:
        """The training arguments that suit the job; soft tokens learn faster than a whole model would."""
        if self.soft_tokens and not self.tune_all and self.model is not None:
            given = {"learning_rate": _SOFT_LEARNING_RATE, **given}
        return super().training_arguments(output_dir, **given)

    def cloze_pattern(self) -> ClozePattern:
        """The pattern that the options say, or else that of the model.

        Raises:
            ValueError: if there is none, it cannot be used, or an option has no effect.
        """
        if self.pattern is None:
            saved = None if self.model is None else getattr(AutoConfig.from_pretrained(self.model), "cloze", None)
            if not saved:
                raise ValueError("pattern must be given, unless the model was trained with one, got none")
            for name in ("verbalizer", "shared_words", "soft_tokens"):
                if getattr(self, name):
                    raise ValueError(f"{name} goes with a pattern, got {getattr(self, name)} with that of the model")
            return ClozePattern.from_json(saved, f"{self.model}: cloze")
        pattern = ClozePattern.load(self.pattern)
        if self.shared_words:
            pattern = replace(pattern, shared_words=True)
        if self.verbalizer:
            pattern = pattern.with_verbalizer(self.verbalizer)
        return pattern if self.soft_tokens is None else pattern.with_soft_tokens(self.soft_tokens)

    def _checked_pattern(self) -> ClozePattern:
        """The pattern, by which other options may have no effect."""
        pattern = self.cloze_pattern()
        if self.predicts not in PREDICTS:
            raise ValueError(f"predicts must be one of {', '.join(PREDICTS)}, got {self.predicts!r}")
        if self.tune_all and not pattern.soft_tokens:
            raise ValueError("tune_all goes with soft tokens, of which the pattern has none, got True")
        if self.compress_to is not None and pattern.soft_tokens and not self.tune_all:
            raise ValueError(
                f"compress_to goes with tune_all where a pattern has soft tokens, which are trained alone, got "
                f"{self.compress_to} without it"
            )
        if self.predicts == "labels" and self.mlm_probability is not None and self.unlabelled_file is None:
            raise ValueError(
                "mlm_probability has no effect with predicts=labels and without unlabelled_file, got "
                f"{self.mlm_probability}"
            )
        if self.mlm_weight is not None and (self.predicts != "labels" or self.unlabelled_file is None):
            raise ValueError(
                f"mlm_weight goes with predicts=labels and an unlabelled_file, got {self.mlm_weight} without them"
            )
        if self.unlabelled_file is not None and self.mlm_probability == 0:
            raise ValueError("mlm_probability must be above 0 to learn from an unlabelled_file, got 0")
        return pattern

    def read(self) -> Files:
        """Texts with labels of the pattern."""
        pattern = self._checked_pattern()
        train, validation = (read_cloze_texts(path, pattern) for path in (self.train_file, self.validation_file))
        for name, examples in (("train_file", train), ("validation_file", validation)):
            self.check_examples(name, examples)
        if pattern.candidates is None:
            return Files(train, validation, pattern.labels)
        most = max(len(example[pattern.candidates]) for example in (*train, *validation))
        return Files(train, validation, [str(number) for number in range(most)])

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Texts with labels of the pattern."""
        return read_cloze_texts(path, self.cloze_pattern())

    def texts(self, example: Mapping[str, Any]) -> Iterable[str]:
        """The texts of the pattern with its words, and the words of labels."""
        pattern = self.cloze_pattern()
        yield from (segment.text for segment in pattern.segments(example) if segment.text)
        if pattern.candidates is None:
            yield from (word for words in pattern.words.values() for word in words)
        else:
            yield from example[pattern.candidates]

    def inputs_of(self, example: Mapping[str, Any]) -> Sequence[str]:
        """The texts alone."""
        pattern = self.cloze_pattern()
        own = () if pattern.candidates is None else example[pattern.candidates]
        return (*(text_of_field(example, name) for name in pattern.fields), *own)

    def token_counts(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase
    ) -> dict[str, tuple[list[int], int]]:
        """Tokens of texts in their pattern."""
        rows = ClozeEncoder(self.cloze_pattern(), tokenizer, 1 << 30)(examples)
        return {"max_length": ([len(row["input_ids"]) for row in rows], self.max_length)}

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names, with the pattern in its config; with soft tokens, of which it trains these.

        Raises:
            ValueError: if it takes fewer tokens than ``max_length``.
        """
        pattern = self.cloze_pattern()
        opener = self.auto_class if self.model is None else AutoMaskedLanguageModel
        model = self.open_model(opener, tokenizer, {})
        model.config.cloze = pattern.as_json()
        model.config.id2label = dict(enumerate(files.labels))
        model.config.label2id = {name: index for index, name in enumerate(files.labels)}
        if pattern.soft_tokens:
            add_soft_tokens(tokenizer, model, pattern.soft_tokens)
            if not self.tune_all:
                model = tune_tokens(model, soft_token_ids(tokenizer, pattern.soft_tokens))
        loaded: PreTrainedModel = model
        return loaded

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """Rows of texts in their pattern."""
        return encode_cloze(examples, self._pattern_of(model), tokenizer, self.max_length)

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator, the words of labels and metrics."""
        config: Any = model.config
        encoder = ClozeEncoder(self._pattern_of(model), tokenizer, self.max_length)
        return {
            "data_collator": DataCollatorForCloze(tokenizer, predicts="labels", mlm_probability=0.0),
            "words": encoder.words,
            "compute_metrics": classification_compute_metrics(config.id2label, multi_label=False),
        }

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also what is masked at random, and unlabelled texts."""
        options = self.evaluation_options(tokenizer, model, arguments)
        labelled = self.encode(files.train, tokenizer, model)
        options["weighed_by"] = labelled
        if self.mlm_weight is not None:
            options["mlm_weight"] = self.mlm_weight
        share = 0.15 if self.mlm_probability is None else self.mlm_probability
        if self.predicts == "words":
            words = options["words"]
            options["data_collator"] = DataCollatorForCloze(tokenizer, words, mlm_probability=share)
        elif self.unlabelled_file is not None:
            options["data_collator"] = DataCollatorForCloze(tokenizer, predicts="labels", mlm_probability=share)
        unlabelled = None
        if self.unlabelled_file is not None:
            pattern = self._pattern_of(model)
            more = read_unlabelled_texts(self.unlabelled_file, pattern)
            self.check_unlabelled(more)
            unlabelled = encode_unlabelled(more, pattern, tokenizer, self.max_length)
        paired = self.predicts == "labels"
        options["train_dataset"] = ClozeRows(labelled, unlabelled, paired=paired, seed=arguments.seed)
        return options

    def check_unlabelled(self, examples: Sequence[Mapping[str, Any]]) -> None:
        """Raise ValueError if there are no texts."""
        if not examples:
            raise ValueError(f"unlabelled_file must have {self.examples}, got none in {self.unlabelled_file}")

    def settle(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Put tuned embeddings into the model, and tell what it weighs in an ensemble."""
        model: Any = trainer.model
        if hasattr(model, "merge_and_unload"):
            merged = model.merge_and_unload()
            trainer.model = trainer.model_wrapped = merged
            mark_code(merged, trainer.processing_class, THIN)
        cloze: Any = trainer
        return {} if cloze.weight is None else {"train_accuracy_before": cloze.weight}

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Scores of labels, and the labels of the examples."""
        return trainer.predict(rows)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """:func:`hf_ext.metrics.classification_scores` of the examples."""
        config: Any = model.config
        return scores_of_prediction(found, config.id2label, multi_label=False)

    def labelled_logits(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> LabelledLogits:
        """Scores of the labels of each text."""
        found = self.find(trainer, rows, examples)
        return LabelledLogits(found.predictions, found.label_ids, about="the label of each text")

    def predictions(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> list[dict[str, Any]]:
        """The label of each text, of candidates its number, with the scores of all labels."""
        config: Any = model.config
        return class_predictions(found.predictions, config.id2label)

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The label of each text; worst are those that the model is surest of."""
        config: Any = model.config
        fields = self._pattern_of(model).fields
        comparisons = []
        for example, row in zip(examples, class_probabilities(found.predictions, multi_label=False)):
            index = int(row.argmax())
            item = Item(config.id2label[index], score=float(row[index]))
            outcomes = pair_items(self.items_of(example), [item])
            wrong = item.label != example["label"]
            texts = {name: text_of_field(example, name) for name in fields}
            comparisons.append(Comparison(texts, outcomes, badness=1 + float(row[index]) if wrong else 0.0))
        return comparisons

    def items_of(self, example: Mapping[str, Any]) -> Sequence[Item]:
        """The label of a text."""
        return [Item(example["label"])]

    def answer_of(self, example: Mapping[str, Any]) -> Hashable:
        """The label of a text."""
        return str(example["label"])

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """The table of labels, with the share of right answers before training and after."""
        before = f", before training {scores['accuracy_before']:.4f}" if "accuracy_before" in scores else ""
        return [*super().show(scores, source), f"accuracy {scores['accuracy']:.4f}{before}"]

    @staticmethod
    def _pattern_of(model: Any) -> ClozePattern:
        return ClozePattern.from_json(model.config.cloze, "the config's cloze")
