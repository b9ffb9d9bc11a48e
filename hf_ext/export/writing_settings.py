"""How a model writes: what of its generation settings counts, and that none is passed over in silence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

# Settings that change nothing, or have these values, at which they change nothing.
_PLAIN: Mapping[str, Any] = {
    "do_sample": False,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "remove_invalid_values": False,
    "renormalize_logits": False,
}
_WITHOUT_EFFECT = frozenset(
    {
        # Only where tokens are drawn.
        *("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"),
        # Only the first text is given.
        "num_return_sequences",
        *("use_cache", "return_dict_in_generate", "pad_token_id", "transformers_version"),
        *("output_scores", "output_logits", "output_attentions", "output_hidden_states"),
        # Where a small model helps a large one.
        *("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
        *("assistant_lookbehind", "target_lookbehind", "is_assistant"),
    }
)
_READ = frozenset(
    {
        *("max_length", "min_length", "max_new_tokens", "min_new_tokens", "num_beams", "length_penalty"),
        *("early_stopping", "suppress_tokens", "bos_token_id", "eos_token_id", "decoder_start_token_id"),
    }
)
_OF_BEAMS = ("length_penalty", "early_stopping")
# What is written where a model says nothing of it.
_DEFAULT_NEW_TOKENS = 20


@dataclass(frozen=True)
class WritingSettings:
    """How a text is written.

    Attributes:
        start: the token that the decoder starts with.
        ends: tokens that end a text.
        max_length: most tokens, the first included.
        min_length: tokens before which none ends it.
        num_beams: beginnings that are kept at each token; with one the likeliest token is taken.
        length_penalty: the power of the number of tokens that a beginning's score is divided by.
        early_stopping: whether to stop with the first ``num_beams`` texts; "never": not before none can be better.
        suppressed: tokens that are never written.

    Raises:
        ValueError: naming the setting and its value, if it must not have it.
    """

    start: int
    ends: Sequence[int]
    max_length: int
    min_length: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    suppressed: Sequence[int] = ()

    def __post_init__(self) -> None:
        for name, least in (("max_length", 2), ("min_length", 0), ("num_beams", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")
        if not isinstance(self.length_penalty, (int, float)):
            raise ValueError(f"length_penalty must be a number, got {self.length_penalty!r}")
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise ValueError(f"early_stopping must be true, false or 'never', got {self.early_stopping!r}")

    @classmethod
    def of(cls, generation: Any) -> Self:
        """What `transformers.GenerationConfig` says of a model.

        Raises:
            ValueError: naming the setting, if one has an effect that is none of these.
        """
        fields = generation.to_diff_dict().items()
        given = {name: value for name, value in fields if value is not None and not name.startswith("_")}
        for name, value in given.items():
            if name not in _READ | _WITHOUT_EFFECT and (name not in _PLAIN or value != _PLAIN[name]):
                raise ValueError(f"{name} must not be set for a model to be exported to ONNX, got {value!r}")
        start = given.get("decoder_start_token_id", given.get("bos_token_id"))
        if start is None:
            raise ValueError("decoder_start_token_id must be set for a model to be exported to ONNX, got None")
        ends = given.get("eos_token_id", [])
        settings = {name: given[name] for name in ("num_beams", *_OF_BEAMS) if name in given}
        new, least = given.get("max_new_tokens"), given.get("min_new_tokens")
        return cls(
            start=start,
            ends=ends if isinstance(ends, list) else [ends],
            max_length=given.get("max_length", _DEFAULT_NEW_TOKENS + 1) if new is None else new + 1,
            min_length=given.get("min_length", 0) if least is None else least + 1,
            suppressed=given.get("suppress_tokens", ()),
            **settings,
        )

    def changed(self, **options: Any) -> Self:
        """These with others for some, as a call asks for.

        Raises:
            ValueError: naming the option, if it must not have its value, or has no effect.
        """
        settings = replace(self, **{name: value for name, value in options.items() if value is not None})
        for name in _OF_BEAMS:
            if settings.num_beams == 1 and options.get(name) is not None:
                raise ValueError(f"{name} goes with num_beams above 1, got {options[name]!r} with one beam")
        return settings
