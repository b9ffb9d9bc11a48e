"""Pre-training on documents: masked tokens or words, next tokens, all tokens at once, pseudo-summaries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
)

from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.input_limit import check_input_length
from hf_ext.data.model_name import is_checkpoint
from hf_ext.data.text_lines import text_value
from hf_ext.metrics.perplexity import held_out_metrics, next_token_sums, token_sums
from hf_ext.models.roformer.sizes_roformer import SIZES, config_of_size
from hf_ext.models.t5_pegasus.sizes_t5_pegasus import config_of_size as t5_pegasus_of_size
from hf_ext.models.t5_pegasus.tokenization_t5_pegasus import MODEL_INPUT_NAMES
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.pretraining_job import Objective, PretrainingJob
from hf_ext.tasks.pretraining.all_tokens import BLIND_TO_ITSELF, DataCollatorForAllTokens, check_blind
from hf_ext.tasks.pretraining.document_encoding import DocumentEncoder
from hf_ext.tasks.pretraining.masked_trainer import MaskedTokensTrainer
from hf_ext.tasks.pretraining.packed_rows import IGNORED, fill_rows, join_rows, keeps_documents_apart, pad_rows
from hf_ext.tasks.pretraining.pseudo_summary import DataCollatorForPseudoSummary, split_sentences
from hf_ext.tasks.pretraining.recipes import RECIPES
from hf_ext.tasks.pretraining.whole_word_masking import DataCollatorForWholeWordMasking
from hf_ext.training.job_trainer import JobTrainer

DEFAULT_LENGTH = 512


@dataclass
class DocumentJob(PretrainingJob):
    """What the jobs on documents share."""

    family: str | None = option(
        "What a config by the name of its size is, by its model type, such as gau_alpha or nezha; else what suits the "
        "objective.",
        None,
        group="Start from",
        kw_only=True,
    )
    max_length: int | None = option(
        f"Tokens of a row; else the recipe's, or {DEFAULT_LENGTH}.", None, group="Lengths", kw_only=True
    )

    examples: ClassVar[str] = "documents"
    default_family: ClassVar[str] = "roformer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_length is not None and self.max_length < 3:
            raise ValueError(f"max_length must be at least 3, for [CLS], a token and [SEP], got {self.max_length}")
        if self.family is None:
            return
        if self.family not in CONFIG_MAPPING:
            raise ValueError(f"family must be the model type of a config, such as roformer, got {self.family!r}")
        if self.config not in SIZES:
            started = f"model={self.model!r}" if self.config is None else f"config={self.config!r}"
            raise ValueError(
                f"family goes with a config by the name of its size ({', '.join(SIZES)}), got {self.family!r} with "
                + started
            )

    @property
    def length(self) -> int:
        """Tokens of a row."""
        return self.max_length or DEFAULT_LENGTH

    @property
    def text_length(self) -> int | None:
        """Most tokens of a text, which the tokenizer is saved with."""
        return self.length

    def example_of(self, record: Mapping[str, Any], where: Any) -> dict[str, str]:
        """A document: the ``text`` of a record."""
        return {"text": text_value(record.get("text"), "text", where)}

    def config_fields(self) -> dict[str, Any]:
        """Fields of the config that the objective asks for, of a new model and of one that is gone on with."""
        return {}

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names.

        Raises:
            ValueError: if it cannot learn the objective, or takes fewer tokens than ``max_length`` or than there are.
        """
        if self.model is not None:
            config = AutoConfig.from_pretrained(self.model, **self.config_fields())
            self.check_config(config)
            model = self.auto_class.from_pretrained(self.model, config=config)
            self.add_new_words(model, tokenizer)
        else:
            config = self.new_config(tokenizer, **self.config_fields())
            self.check_config(config)
            model = self.auto_class.from_config(config)
        known = model.get_input_embeddings().num_embeddings
        if len(tokenizer) > known:
            raise ValueError(f"tokenizer must have at most the model's {known} tokens, got {len(tokenizer)}")
        check_input_length(self.length, model.config)
        return model

    def check_config(self, config: Any) -> None:
        """Refuse a model that cannot learn the objective.

        Raises:
            ValueError: naming it.
        """

    def new_config(self, tokenizer: PreTrainedTokenizerBase, **more: Any) -> Any:
        """The config that a model from scratch is made from."""
        own = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **more}
        name = str(self.config)
        if is_checkpoint(name):
            return AutoConfig.from_pretrained(name, **own)
        family = self.family or self.default_family
        if family == "roformer":
            return config_of_size(name, **own)
        if name not in SIZES:
            raise ValueError(f"config must be a folder or one of the sizes {', '.join(SIZES)}, got {name!r}")
        return _config_of_family(family, SIZES[name], self.length, own)


@dataclass
class _PackedJob(DocumentJob):
    """A job whose rows are tokens of documents."""

    packing: Literal["apart", "together", "none"] | None = option(
        "How documents share rows: apart, where they do not see each other; together, where they do; or none, where a "
        "row is of one document. Else apart for models that can, and none for others.",
        None,
        group="Stream",
        kw_only=True,
    )
    recipe: str | None = option(
        "Length, batches, rate and steps of a released model, for those that are not given.",
        None,
        group="Start from",
        choices=RECIPES,
        kw_only=True,
    )

    whole_words: ClassVar[bool] = False
    next_steps: ClassVar[tuple[str, ...]] = (
        "score {output_dir} --file FILE",
        "train TASK --model {output_dir}",
        *DocumentJob.next_steps,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packing not in (None, "apart", "together", "none"):
            raise ValueError(f"packing must be apart, together or none, got {self.packing!r}")
        if self.recipe is not None and self.recipe not in RECIPES:
            raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {self.recipe!r}")

    @property
    def length(self) -> int:
        """Tokens of a row."""
        return self.max_length or RECIPES.get(str(self.recipe), {}).get("max_length", DEFAULT_LENGTH)

    def training_arguments(self, output_dir: Any, **given: Any) -> Any:
        """The training arguments that suit the job, those of its recipe before its defaults."""
        names = {one.name for one in fields(self.arguments_class)}
        recipe = RECIPES[self.recipe] if self.recipe is not None else {}
        own = {name: value for name, value in recipe.items() if name in names}
        return super().training_arguments(output_dir, **{**own, **given})

    def objective(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, training: bool) -> Objective:
        """Rows of tokens; what is asked of them is the job's own, see `ask`."""
        encoder = DocumentEncoder(tokenizer, self.length, self.whole_words)
        packing = self._packing(model) if training else "none"
        batches = self.batches(tokenizer, packing == "apart")
        return Objective(_Rows(encoder, packing != "none"), self.ask(tokenizer), batches)

    def ask(self, tokenizer: PreTrainedTokenizerBase) -> Any:
        """What makes ``input_ids`` and ``labels`` of a row and a number."""
        raise NotImplementedError

    def batches(self, tokenizer: PreTrainedTokenizerBase, joined: bool) -> Any:
        """What makes batches of these, padded or joined."""
        return _Batches(tokenizer, joined)

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        return {
            "data_collator": self.batches(tokenizer, False),
            "compute_metrics": held_out_metrics,
            "preprocess_logits_for_metrics": token_sums,
        }

    def _packing(self, model: PreTrainedModel) -> str:
        if self.packing in ("together", "none"):
            return self.packing
        apart = keeps_documents_apart(model)
        if self.packing == "apart" and not apart:
            raise ValueError(
                f"packing must be together or none, as {type(model).__name__} does not keep documents of a row apart, "
                "got apart"
            )
        return "apart" if apart else "none"


@dataclass
class MaskedLanguageModelingJob(_PackedJob):
    """Masked tokens: BERT's objective, each token chosen by itself.

    Files have a document a line, or JSON lines with a ``text`` each, or are tables with such a column.
    """

    mlm_probability: float = option("Share of the tokens or words that is predicted.", 0.15, group="Loss", kw_only=True)

    auto_class: ClassVar[Any] = AutoModelForMaskedLM
    trainer_class: ClassVar[type[JobTrainer]] = MaskedTokensTrainer
    program: ClassVar[str] = "pretrain"
    command: ClassVar[str] = "mlm"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mlm_probability < 1:
            raise ValueError(f"mlm_probability must be between 0 and 1, got {self.mlm_probability}")

    def check_config(self, config: Any) -> None:
        """Refuse a model that sees all but the token, which the mask would hide twice, or only what is before it."""
        if config.model_type in BLIND_TO_ITSELF and getattr(config, "self_mask", True):
            raise ValueError(
                f"model must see its own tokens to learn from masked ones, got {config.model_type}; see t-ta"
            )
        mode = getattr(config, "attention_mode", None)
        if mode not in (None, "bidirectional") or getattr(config, "is_decoder", False):
            raise ValueError(f'attention_mode must be "bidirectional" to learn from masked tokens, got {mode!r}')

    def ask(self, tokenizer: PreTrainedTokenizerBase) -> Any:
        """Masks words."""
        return _Mask(DataCollatorForWholeWordMasking(tokenizer, self.mlm_probability))


@dataclass
class WholeWordMaskingJob(MaskedLanguageModelingJob):
    """Masked words: of a word all tokens are predicted or none, as WoBERT and RoFormer were trained."""

    program: ClassVar[str] = "pretrain"
    command: ClassVar[str] = "wwm"
    whole_words: ClassVar[bool] = True


@dataclass
class CausalLanguageModelingJob(_PackedJob):
    """Next tokens: a language model that reads from left to right."""

    auto_class: ClassVar[Any] = AutoModelForCausalLM
    program: ClassVar[str] = "pretrain"
    command: ClassVar[str] = "lm"

    def config_fields(self) -> dict[str, Any]:
        """Left to right."""
        if self.model is not None or is_checkpoint(str(self.config)):
            config: Any = AutoConfig.from_pretrained(str(self.model or self.config))
            # Other families' heads are causal by themselves, or by is_decoder.
            return {"attention_mode": "causal"} if hasattr(config, "attention_mode") else {"is_decoder": True}
        return {"attention_mode": "causal"}

    def ask(self, tokenizer: PreTrainedTokenizerBase) -> Any:
        """Asks for each token but the first of a document."""
        return ask_next_tokens

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        options = super().evaluation_options(tokenizer, model, arguments)
        return {**options, "preprocess_logits_for_metrics": next_token_sums}


@dataclass
class AllTokensJob(_PackedJob):
    """All tokens at once, each from all others: T-TA."""

    auto_class: ClassVar[Any] = AutoModelForMaskedLM
    program: ClassVar[str] = "pretrain"
    command: ClassVar[str] = "t-ta"
    default_family: ClassVar[str] = "t_ta"

    def check_config(self, config: Any) -> None:
        """Refuse a model whose output at a token sees this token."""
        check_blind(config)

    def new_config(self, tokenizer: PreTrainedTokenizerBase, **more: Any) -> Any:
        """The config that a model from scratch is made from, whose queries are made of the tokenizer's mask token."""
        config = super().new_config(tokenizer, **more)
        if hasattr(config, "mask_token_id"):
            config.mask_token_id = tokenizer.mask_token_id
            config.bos_token_id, config.eos_token_id = tokenizer.cls_token_id, tokenizer.sep_token_id
        return config

    def ask(self, tokenizer: PreTrainedTokenizerBase) -> Any:
        """Leaves rows as they are; batches ask for each token."""
        return _itself

    def batches(self, tokenizer: PreTrainedTokenizerBase, joined: bool) -> Any:
        """Batches whose labels are the ids of all tokens."""
        return DataCollatorForAllTokens(tokenizer, packed=joined)


@dataclass
class PseudoSummaryJob(DocumentJob):
    """Pseudo-summaries: to write the sentences of a document that say most of the rest, as T5-PEGASUS."""

    max_target_length: int = option("Tokens of a pseudo-summary.", 256, group="Lengths", kw_only=True)
    ratio: float = option("Least share of the pseudo-summary in a document.", 0.25, group="Loss", kw_only=True)

    auto_class: ClassVar[Any] = AutoModelForSeq2SeqLM
    program: ClassVar[str] = "pretrain"
    command: ClassVar[str] = "pegasus"
    default_family: ClassVar[str] = "t5_pegasus"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.ratio < 1:
            raise ValueError(f"ratio must be between 0 and 1, got {self.ratio}")

    def new_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """A tokenizer that cuts ``texts`` into characters, and gives what an encoder-decoder takes."""
        return build_char_tokenizer(texts, self.min_count, model_input_names=list(MODEL_INPUT_NAMES))

    def check_config(self, config: Any) -> None:
        """Refuse a model that writes no text of a text."""
        if not config.is_encoder_decoder:
            raise ValueError(f"model must be an encoder-decoder to write pseudo-summaries, got {config.model_type}")

    def new_config(self, tokenizer: PreTrainedTokenizerBase, **more: Any) -> Any:
        """The config that a model from scratch is made from."""
        own = {"decoder_start_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id, **more}
        if self.family in (None, "t5_pegasus") and not is_checkpoint(str(self.config)):
            own |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
            return t5_pegasus_of_size(str(self.config), **own)
        return super().new_config(tokenizer, **own)

    def objective(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, training: bool) -> Objective:
        """Documents of two sentences and more; the collator makes the summaries of what is trained on."""
        collate = self._collator(tokenizer, model)
        return Objective(_of_two_sentences, _itself, collate)

    def encode(self, examples: Any, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> Any:
        """The documents of an evaluation."""
        rows = super().encode(examples, tokenizer, model)
        if rows is not None and not rows:
            raise ValueError("the held-out documents must have one of two sentences, got none")
        return rows

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        # Rows are documents until they are collated.
        arguments.remove_unused_columns = False
        return {
            "data_collator": self._collator(tokenizer, model),
            "compute_metrics": held_out_metrics,
            "preprocess_logits_for_metrics": token_sums,
        }

    def _collator(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> DataCollatorForPseudoSummary:
        return DataCollatorForPseudoSummary(tokenizer, model, self.length, self.max_target_length, self.ratio)


def ask_next_tokens(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A row with its ids for labels, but for the first of each document, which none before it in the row predicts."""
    places = row.get("position_ids") or range(len(row["input_ids"]))
    return {**row, "labels": [id if place else IGNORED for id, place in zip(row["input_ids"], places)]}


@dataclass
class _Mask:
    """Masks a row by a number."""

    masks: DataCollatorForWholeWordMasking

    def __call__(self, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        ids, words = (torch.tensor(row[name])[None] for name in ("input_ids", "word_ids"))
        masked, labels = self.masks.mask_words(ids, words, torch.Generator().manual_seed(number))
        return {**row, "input_ids": masked[0].tolist(), "labels": labels[0].tolist()}


@dataclass
class _Rows:
    """Rows of documents."""

    encoder: DocumentEncoder
    filled: bool

    def __call__(self, documents: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        encoded = self.encoder(document["text"] for document in documents)
        pieces = [dict(zip(encoded, values)) for values in zip(*encoded.values())]
        return fill_rows(pieces, self.encoder.max_length) if self.filled else pieces


@dataclass
class _Batches:
    """Batches of rows that have labels."""

    tokenizer: PreTrainedTokenizerBase
    joined: bool

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return join_rows(rows) if self.joined else pad_rows(self.tokenizer, rows)


def _of_two_sentences(documents: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return [document for document in documents if len(split_sentences(document["text"])) > 1]


def _itself(row: Any, number: int) -> Any:
    return row


def _config_of_family(family: str, size: Mapping[str, Any], length: int, own: dict[str, Any]) -> Any:
    """A config of a size in another family, of about as many operations a token."""
    if family not in CONFIG_MAPPING:
        raise ValueError(f"family must be the model type of a config, such as roformer, got {family!r}")
    size = dict(size)
    if family in ("flash", "gau_alpha"):
        width = size["hidden_size"]
        # Two gated units take the place of a block, as in the released GAU-alpha.
        size |= {
            "num_hidden_layers": 2 * size["num_hidden_layers"],
            "num_attention_heads": 1,
            "intermediate_size": 2 * width,
            "attention_key_size": 128 if width >= 384 else 64,
        }
    kind: Any = CONFIG_MAPPING[family]
    known = {one.name for one in fields(kind)} - set(getattr(kind, "fixed_fields", ()))
    if "unpad" in known:
        size["unpad"] = True
    if "max_position_embeddings" in known:
        size["max_position_embeddings"] = max(length, 512)
    return AutoConfig.for_model(family, **{**size, **own})
