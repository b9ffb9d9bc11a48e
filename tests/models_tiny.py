"""The table of all families: tiny models of every class, with weights large enough that every parameter moves the
outputs, and batches for them.

A new family is a row in ``FAMILIES``; the tests of what all models have in common then hold it to the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from torch import Tensor
from transformers import (
    BertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedConfig,
    Qwen3Config,
)

import hf_ext

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
UNITS: dict[str, Any] = SIZES | {"num_attention_heads": 1, "attention_key_size": 8}
# The matrix of a gate begins so near to 0 that nobody would see it.
GATE: dict[str, Any] = {"gate_initializer_range": 20.0}
V2: dict[str, Any] = {"norm_type": "rms_norm", "use_bias": False}

ENCODER_HEADS = (
    "AutoModelForMaskedLM",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForMultipleChoice",
)
# Those that go over any encoder; what some give is made of pairs of tokens.
SPANS = "AutoModelForSpanExtraction"
TAGS = "AutoModelForSequenceLabeling"
RELATIONS = "AutoModelForRelationExtraction"
EVENTS = "AutoModelForEventExtraction"
HALF_POINTERS = "AutoModelForHalfPointerRelations"
EVENT_TAGS = "AutoModelForEventTagging"
ANSWERS = "AutoModelForReadingComprehension"
# One layer over one vector of a row.
LINEAR = "AutoModelForLinearClassification"
CHOICES = "AutoModelForLinearChoice"
ANY_ENCODER = (SPANS, TAGS, RELATIONS, EVENTS, ANSWERS, HALF_POINTERS, EVENT_TAGS, LINEAR, CHOICES)
DECODER_HEADS = ("AutoModelForCausalLM",)
# No Auto class gives this one.
UNILM_HEADS = (*DECODER_HEADS, "ForParaphrase")


class Variant(NamedTuple):
    """Settings of a family, the heads that are tested under them beside the base model, and fewer back ends if so."""

    fields: dict[str, Any]
    heads: tuple[str, ...]
    back_ends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """What the tests must know of a family.

    Attributes:
        config: its class.
        fields: of a tiny config.
        variants: settings over those, by name.
        back_ends: attention implementations that it has.
        types: number of token types; None: it takes no ``token_type_ids``.
        places: whether positions count, and not distances alone, so that padding on the left needs ``position_ids``.
        unpads: whether it has ``config.unpad``.
        attentions: whether it has attention weights to show.
        prefix: whether it takes the keys and values that prefix tuning learns.
        images: whether it reads images; tests of texts leave it out.
        ours: whether the models are this package's.
        close: how near the same numbers by other ways come in float64.
    """

    config: type[PreTrainedConfig]
    fields: dict[str, Any]
    variants: dict[str, Variant]
    back_ends: tuple[str, ...] = ("eager", "sdpa", "flex_attention")
    types: int | None = 2
    places: bool = False
    unpads: bool = True
    attentions: bool = True
    prefix: bool = True
    images: bool = False
    ours: bool = True
    close: float = 1e-11

    @property
    def paired(self) -> bool:
        """Whether it is an encoder and a decoder."""
        return self.config is hf_ext.T5PegasusConfig


FAMILIES: dict[str, Family] = {
    "roformer": Family(
        hf_ext.RoFormerConfig,
        SIZES,
        {
            "v1": Variant({}, ENCODER_HEADS + ANY_ENCODER),
            "v2": Variant(
                V2 | {"sequence_head": "softmax", "span_head": "global_pointer", "answer_head": "start_end"},
                ("AutoModelForMaskedLM", "AutoModelForSequenceClassification", TAGS, SPANS, ANSWERS),
            ),
            "factorized": Variant({"embedding_size": 16, "pooler_activation": "tanh"}, ("AutoModelForMaskedLM",)),
            "learnt frequencies": Variant({"trainable_frequencies": True}, ("AutoModelForMaskedLM",)),
            "causal": Variant({"attention_mode": "causal"}, DECODER_HEADS),
            "unilm": Variant({"attention_mode": "unilm", "pooler_activation": "linear"}, UNILM_HEADS),
            # Texts longer than in training.
            "far": Variant(
                {"attention_window": 5, "full_attention_layers": [-1], "log_n": "always", "key_norm": True},
                ("AutoModelForMaskedLM",),
            ),
        },
    ),
    "nezha": Family(
        hf_ext.NezhaConfig,
        SIZES | {"max_relative_position": 4},
        {
            "bidirectional": Variant({"pooler_activation": "tanh"}, (*ENCODER_HEADS, SPANS, EVENTS)),
            "causal": Variant({"attention_mode": "causal"}, DECODER_HEADS),
        },
        back_ends=("eager",),
    ),
    "urpe": Family(
        hf_ext.URPEConfig,
        SIZES | {"relative_buckets": 8, "relative_distance": 6, "gain_init": None},
        {
            "gain": Variant({"pooler_activation": "tanh"}, (*ENCODER_HEADS, SPANS, TAGS)),
            "l2, a table a layer": Variant(
                {"attention_normalization": "l2", "shared_tables": False, "gain_relu": True}, ("AutoModelForMaskedLM",)
            ),
            "a row a distance": Variant(
                {"attention_normalization": "none", "gain": None, "gain_init": 1.0, "relative_buckets": None}
                | {"relative_distance": 128, "max_position_embeddings": 5},
                ("AutoModelForMaskedLM",),
            ),
            "causal": Variant({"attention_mode": "causal"}, DECODER_HEADS),
        },
        back_ends=("eager", "flex_attention"),
    ),
    "unilm_bert": Family(
        hf_ext.UniLMBertConfig,
        SIZES,
        {
            "unilm": Variant({}, (*ENCODER_HEADS, TAGS, *UNILM_HEADS)),
            "factorized": Variant({"attention_mode": "bidirectional", "embedding_size": 16}, ("AutoModelForMaskedLM",)),
            "causal": Variant({"attention_mode": "causal", "pooler_activation": None}, DECODER_HEADS),
        },
        places=True,
    ),
    "gpt_cdial": Family(
        hf_ext.CDialGPTConfig,
        SIZES,
        {"causal": Variant({}, DECODER_HEADS)},
        types=60,
        places=True,
    ),
    "gau_alpha": Family(
        hf_ext.GAUAlphaConfig,
        UNITS,
        {
            "softmax plus": Variant({}, (*ENCODER_HEADS, TAGS, RELATIONS, ANSWERS, HALF_POINTERS)),
            "softmax": Variant({"normalization": "softmax"}, ("AutoModelForMaskedLM",)),
            "l2": Variant({"attention_normalization": "l2"}, ("AutoModelForMaskedLM",), ("eager", "flex_attention")),
        },
        back_ends=("gated_attention", "eager", "sdpa", "flex_attention"),
        prefix=False,
    ),
    "flash": Family(
        hf_ext.FLASHConfig,
        UNITS | {"chunk_size": 4},
        {
            "mixed chunk": Variant({}, (*ENCODER_HEADS, SPANS, EVENTS)),
            "quadratic": Variant({"attention": "quadratic"}, ("AutoModelForMaskedLM",)),
            "causal": Variant({"attention_mode": "causal"}, DECODER_HEADS),
        },
        back_ends=("eager",),
        unpads=False,
        attentions=False,
        prefix=False,
    ),
    "linear_roformer": Family(
        hf_ext.LinearRoFormerConfig,
        SIZES,
        {
            "exp": Variant({}, (*ENCODER_HEADS, SPANS)),
            "cosine": Variant({"attention_kernel": "cosine"}, ("AutoModelForMaskedLM",)),
            "wide elu": Variant({"attention_kernel": "elu", "feature_size": 12}, ("AutoModelForMaskedLM",)),
            "double softmax": Variant({"attention_kernel": "double_softmax"}, ("AutoModelForMaskedLM",)),
            "favor": Variant({"attention_kernel": "favor", "feature_size": 16}, ("AutoModelForMaskedLM",)),
            "causal": Variant({"attention_mode": "causal"}, DECODER_HEADS),
            "causal favor": Variant({"attention_mode": "causal", "attention_kernel": "favor"}, DECODER_HEADS),
        },
        back_ends=("eager",),
        attentions=False,
        prefix=False,
    ),
    "rope_vit": Family(
        hf_ext.RoPEViTConfig,
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "initializer_range": 0.3,
            "layer_scale_init_value": 0.5,
            "image_size": 8,
            "patch_size": 4,
        },
        {
            "axial": Variant({}, ("AutoModelForImageClassification",)),
            "mixed": Variant({"rope_kind": "mixed", "use_ape": True}, ("AutoModelForImageClassification",)),
            "scaled": Variant({"first_axis": "column", "coordinates": "scaled", "qkv_bias": False}, ()),
        },
        types=None,
        unpads=False,
        images=True,
    ),
    "token_mixer": Family(
        hf_ext.TokenMixerConfig,
        SIZES,
        {
            "gmlp": Variant(GATE, (*ENCODER_HEADS, SPANS, EVENTS)),
            "gmlp, causal": Variant(GATE | {"attention_mode": "causal"}, (TAGS,)),
            "gmlp, toeplitz": Variant(GATE | {"toeplitz": True, "embedding_size": 16}, ("AutoModelForMaskedLM",)),
            "amlp": Variant(GATE | {"mixer": "amlp", "attention_key_size": 8}, ("AutoModelForMaskedLM", TAGS)),
            "amlp, causal": Variant(GATE | {"mixer": "amlp", "toeplitz": True, "is_decoder": True}, ()),
            "fnet": Variant({"mixer": "fnet"}, ("AutoModelForMaskedLM", "AutoModelForSequenceClassification", ANSWERS)),
            "mlp": Variant({"mixer": "mlp", "pooler_activation": "tanh"}, ("AutoModelForMaskedLM", RELATIONS)),
            "synthesizer_random": Variant({"mixer": "synthesizer_random"}, ("AutoModelForTokenClassification",)),
            "synthesizer_dense": Variant({"mixer": "synthesizer_dense"}, ("AutoModelForMaskedLM",)),
            "synthesizer, factorised": Variant(
                {
                    "mixer": "synthesizer_dense",
                    "synthesizer_tile": 8,
                    "synthesizer_mixture": ["dot_product", "random"],
                },
                ("AutoModelForMaskedLM",),
            ),
            "external": Variant({"mixer": "external", "memory_size": 6}, ("AutoModelForMaskedLM",)),
        },
        back_ends=("eager",),
        attentions=False,
        prefix=False,
    ),
    "t5_pegasus": Family(
        hf_ext.T5PegasusConfig,
        {
            "vocab_size": 60,
            "d_model": 32,
            "d_ff": 48,
            "num_layers": 2,
            "num_heads": 4,
            "dropout_rate": 0.0,
            "decoder_start_token_id": 2,
            "eos_token_id": 3,
        },
        {"pair": Variant({}, ("AutoModelForSeq2SeqLM", "AutoModelForTextEncoding"))},
        back_ends=("eager", "sdpa"),
        types=None,
        unpads=False,
    ),
    "t_ta": Family(
        hf_ext.TTAConfig,
        SIZES,
        {
            "mask token": Variant({}, (*ENCODER_HEADS, TAGS)),
            "position": Variant({"query_input": "position", "pooler_activation": "tanh"}, ("AutoModelForMaskedLM",)),
            "fine-tuned": Variant({"self_mask": False}, ("AutoModelForSequenceClassification", SPANS)),
        },
        types=None,
        places=True,
        prefix=False,
    ),
    "univae": Family(
        hf_ext.UniVAEConfig,
        SIZES | {"half_length": 16, "latent_size": 10},
        {
            # The first is that of the tests of training, in which nothing may be drawn.
            "points": Variant({"latent": "none"}, ("ForTextAutoencoding",)),
            "sphere": Variant({"latent": "vmf"}, ("ForTextAutoencoding",)),
            "gaussian": Variant({"latent": "gaussian"}, ("ForTextAutoencoding",)),
        },
        types=None,
    ),
    # Transformers' own, which WoBERT is.
    "bert": Family(
        BertConfig,
        SIZES,
        {
            "absolute": Variant({}, ("AutoModelForMaskedLM", SPANS, RELATIONS, EVENT_TAGS, CHOICES)),
            "mean": Variant({"linear_pooling": "mean"}, (LINEAR,)),
        },
        back_ends=("eager", "sdpa"),
        places=True,
        unpads=False,
        ours=False,
    ),
    "electra": Family(
        ElectraConfig,
        SIZES | {"embedding_size": 16},
        {"factorized": Variant({"linear_pooling": "max"}, (TAGS, EVENTS, ANSWERS, LINEAR))},
        back_ends=("eager", "sdpa"),
        places=True,
        unpads=False,
        ours=False,
    ),
    "modernbert": Family(
        ModernBertConfig,
        SIZES | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
        {"rotary": Variant({}, (SPANS, EVENTS, ANSWERS, HALF_POINTERS))},
        back_ends=("eager", "sdpa"),
        types=None,
        unpads=False,
        ours=False,
        # Its softmax and its angles are float32 in any model.
        close=1e-5,
        prefix=False,
    ),
    "qwen3": Family(
        Qwen3Config,
        SIZES | {"num_key_value_heads": 2, "head_dim": 8},
        {"causal": Variant({}, (TAGS, RELATIONS))},
        # Eagerly in float64, what is left of a text is NaN: its softmax takes the mask for -inf.
        back_ends=("sdpa", "eager"),
        types=None,
        unpads=False,
        ours=False,
        close=1e-5,
    ),
}


class Case(NamedTuple):
    """A class of a family under settings."""

    family: Family
    fields: dict[str, Any]
    auto: str

    @property
    def model_class(self) -> Any:
        """The class."""
        if self.auto.startswith("For"):
            return getattr(hf_ext, self.base_class.__name__.removesuffix("Model") + self.auto)
        return auto_class(self.auto)._model_mapping[self.family.config]

    @property
    def opener(self) -> Any:
        """What a user opens a folder of the class with: the Auto class if there is one."""
        return self.model_class if self.auto.startswith("For") else auto_class(self.auto)

    @property
    def base_class(self) -> Any:
        """The family's model without a head."""
        return self._replace(auto="AutoModel").model_class

    @property
    def settings(self) -> dict[str, Any]:
        """What the model is to be told to return numbers that have gradients in evaluation."""
        asked = self.auto in ANY_ENCODER and self.auto not in (LINEAR, CHOICES)
        return {"output_logits": True} if asked else {}

    @property
    def chooses(self) -> bool:
        """Whether a row has choices."""
        return self.auto in ("AutoModelForMultipleChoice", CHOICES)

    @property
    def pairs(self) -> bool:
        """Whether the head scores pairs of tokens."""
        return self.auto in (SPANS, RELATIONS, EVENTS, ANSWERS)

    @property
    def is_base(self) -> bool:
        """Whether the outputs are hidden states."""
        return self.auto in ("AutoModel", "AutoModelForTextEncoding")

    @property
    def weights_add_up(self) -> bool:
        """Whether the attention weights of a query add up to 1."""
        config = self.config()
        plain = getattr(config, "attention_normalization", "softmax") == "softmax"
        return plain and getattr(config, "gain", None) is None

    def config(self, **fields: Any) -> Any:
        """A tiny config, with three labels where there is a choice."""
        # Where the product of powers is to be found in random scores.
        threshold = {"score_threshold": 0.05} if self.auto == HALF_POINTERS else {}
        return self.family.config(**(self.family.fields | {"num_labels": 3} | threshold | self.fields | fields))

    def make(self, back_end: str | None = None, dtype: torch.dtype = torch.float64, **fields: Any) -> Any:
        """A model in eval mode, the same weights for the same settings."""
        return make(self.model_class, self.config(**fields), back_end or self.family.back_ends[0], dtype)

    def batch(self, lengths: list[int], side: str = "right", seed: int = 0) -> dict[str, Tensor]:
        """Random rows of the given lengths, padded to the longest, with all that the model wants to be told.

        Of images as many, of more patches than the config's and not square.
        """
        if self.family.images:
            generator = torch.Generator().manual_seed(seed)
            return {"pixel_values": torch.randn(len(lengths), 3, 12, 8, generator=generator, dtype=torch.float64)}
        batch = tokens(lengths, side, seed)
        if self.family.types is None:
            del batch["token_type_ids"]
        if self.family.places and side == "left":
            batch["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        if self.auto == ANSWERS:
            # All but the first token of a text.
            batch["context_mask"] = batch["attention_mask"] * (batch["attention_mask"].cumsum(-1) > 1)
        if self.chooses:
            batch = {name: value.unflatten(0, (-1, 2)) for name, value in batch.items()}
        if self.family.paired and self.auto != "AutoModelForTextEncoding":
            generator = torch.Generator().manual_seed(seed + 1)
            batch["decoder_input_ids"] = torch.randint(4, 60, (len(lengths), 5), generator=generator)
        return batch

    def labels(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the head is trained with, a different number of labels in each row where that can be."""
        if self.family.images:
            return {"labels": torch.arange(len(batch["pixel_values"])) % 2}
        ids, real = batch["input_ids"], batch["attention_mask"]
        rows, first = torch.arange(len(ids)), real.argmax(-1)
        if self.auto in ("AutoModelForMaskedLM", "AutoModelForCausalLM", "ForTextAutoencoding"):
            return {"labels": ids.roll(1, -1).masked_fill((real == 0) | (ids % 4 == 0), -100)}
        if self.auto == "AutoModelForSeq2SeqLM":
            targets = batch["decoder_input_ids"].roll(-1, -1)
            return {"labels": targets.masked_fill(torch.arange(5) > rows[:, None] + 1, -100)}
        if self.auto == "ForParaphrase":
            return {"labels": ids.masked_fill((real == 0) | (batch["token_type_ids"] == 0), -100)}
        if self.auto in ("AutoModelForTokenClassification", TAGS, EVENT_TAGS):
            return {"labels": (ids % 3).masked_fill(real == 0, -100)}
        if self.auto == ANSWERS:
            # Of odd rows, and of those without a context, there is no answer.
            last = (real.sum(-1) - 1) * (rows % 2 == 0)
            return {"labels": torch.stack((last.clamp(max=1), last), dim=-1)}
        if self.pairs or self.auto == HALF_POINTERS:
            last = first + real.sum(-1) - 1
            columns = {
                SPANS: ((rows % 3, first, first), (rows % 3, first, last)),
                RELATIONS: ((rows % 3, first, first, first, last), ((rows + 1) % 3, last, last, first, first)),
                EVENTS: ((rows, rows % 3, first, first), (rows, (rows + 1) % 3, first, last)),
            }
            own = columns.get(self.auto, columns[RELATIONS])
            labels = torch.stack([torch.stack(one, dim=-1) for one in own], dim=1)
            labels[1::2, 1] = -100
            return {"labels": labels}
        if self.auto == "AutoModelForQuestionAnswering":
            return {"start_positions": first, "end_positions": first}
        return {"labels": rows % 2}


def auto_class(name: str) -> Any:
    """An Auto class, Transformers' or ours."""
    return getattr(transformers, name, None) or getattr(hf_ext, name)


def make(model_class: Any, config: Any, back_end: str = "sdpa", dtype: torch.dtype = torch.float64) -> Any:
    """A model in eval mode, the same weights for the same config, none of them at a default such as 0 or 1."""
    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # T5's tables of distances begin too small to be seen, and conditions of a norm at 0.
            if parameter.dim() <= 1 or "relative_attention_bias" in name or not parameter.any():
                parameter += 0.2 * torch.randn_like(parameter)
    model.set_attn_implementation(back_end)
    return model.to(dtype).eval()


def tokens(lengths: list[int], side: str = "right", seed: int = 0) -> dict[str, Tensor]:
    """Random rows of the given lengths, padded to the longest; the second half of each is of type 1."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    out = {name: torch.zeros(len(lengths), longest, dtype=torch.long) for name in ("input_ids", "token_type_ids")}
    mask = torch.zeros(len(lengths), longest, dtype=torch.long)
    for row, length in enumerate(lengths):
        cut = slice(0, length) if side == "right" else slice(longest - length, longest)
        out["input_ids"][row, cut] = torch.randint(1, SIZES["vocab_size"], (length,), generator=generator)
        out["token_type_ids"][row, cut] = (torch.arange(length) >= (length + 1) // 2).long()
        mask[row, cut] = 1
    return out | {"attention_mask": mask}


def packed(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The real tokens of a batch as one row; its positions say where a text begins."""
    real = batch["attention_mask"].bool()
    row = {name: value[real][None] for name, value in batch.items() if name != "attention_mask"}
    return row | {"position_ids": torch.cat([torch.arange(int(n)) for n in real.sum(-1)])[None]}


def cases(*autos: str, ours: bool = False, once: bool = False, images: bool = False) -> list[Any]:
    """Every class under every setting as parameters of a test.

    Args:
        *autos: Auto classes to keep; none: all.
        ours: leave out Transformers' own encoders, and what is under its own heads.
        once: take each class under its family's first settings alone, for what settings have no part in.
        images: take also those that read images.
    """
    found: dict[Any, Any] = {}
    for name, variant, case in all_cases():
        kept = (case.family.ours or not ours) and (images or not case.family.images)
        if kept and (not autos or case.auto in autos):
            key = (name, case.auto) if once else (name, variant, case.auto)
            test = f"{name}, {variant}, {case.auto.removeprefix('AutoModel') or 'base'}"
            found.setdefault(key, pytest.param(case, id=test))
    return list(found.values())


def all_cases() -> Iterator[tuple[str, str, Case]]:
    """Family, variant and case."""
    for name, family in FAMILIES.items():
        for variant, (fields, heads, back_ends) in family.variants.items():
            for auto in ("AutoModel", *heads):
                yield name, variant, Case(replace(family, back_ends=back_ends or family.back_ends), fields, auto)


# Our heads over encoders that are not.
ON_OTHERS = [case for case in cases(*ANY_ENCODER) if not case.values[0].family.ours]


def one_of_each(*autos: str, images: bool = False) -> list[Any]:
    """A case of each family of ours: the base model, or the first that there is of several Auto classes."""
    found = {}
    for auto in autos or ("AutoModel",):
        for name, _, case in all_cases():
            if case.auto == auto and case.family.ours and (images or not case.family.images):
                found.setdefault(name, pytest.param(case, id=name))
    return list(found.values())


# A head of each family that labels or predicts each token.
TOKEN_HEADS = one_of_each("AutoModelForTokenClassification", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM")
# Those that classify images.
IMAGE_HEADS = cases("AutoModelForImageClassification", images=True)


_CHOSEN = (
    ("gau_alpha", TAGS),
    ("nezha", EVENTS),
    ("roformer", RELATIONS),
    ("bert", SPANS),
    ("electra", ANSWERS),
    ("bert", EVENT_TAGS),
    ("gau_alpha", HALF_POINTERS),
    ("electra", EVENTS),
    ("flash", SPANS),
    ("modernbert", SPANS),
    ("qwen3", TAGS),
    ("qwen3", RELATIONS),
    ("roformer", LINEAR),
    ("bert", CHOICES),
)
# Each of our heads once in the first seven, and over encoders of all kinds.
OUR_HEADS = [
    next(
        pytest.param(case, id=f"{family}, {auto.removeprefix('AutoModel')}")
        for name, _, case in all_cases()
        if (name, case.auto) == (family, auto)
    )
    for family, auto in _CHOSEN
]
