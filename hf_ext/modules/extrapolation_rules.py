"""Which ways to read texts longer than in training cannot go together, and why: the one table, for code and docs."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from hf_ext.ops.window_attention import window_reach

RE_ROPE = ("rerope", "leaky_rerope")
"""Values of ``rope_type`` under which the distance that is rotated by stops growing, or grows slowly."""


@dataclass(frozen=True)
class Situation:
    """What a model runs in, beside its config; None or False: not known, or not so.

    Attributes:
        implementation: name of the attention back end.
        fixed_cache: whether the cache has a fixed size.
        whole_mask: whether ``attention_mask`` is ``[B, 1, Q, S]``.
    """

    implementation: str | None = None
    fixed_cache: bool = False
    whole_mask: bool = False


class Condition(NamedTuple):
    """What may be the case.

    Attributes:
        name: as the docs call it.
        seen: what the error says is there, of a config and a situation; empty where it is not the case.
    """

    name: str
    seen: Callable[[Any, Situation], str]


def _field(name: str, *values: Any) -> Callable[[Any, Situation], str]:
    """A field that has one of some values; none given: that is set at all."""

    def seen(config: Any, situation: Situation) -> str:
        value = getattr(config, name, None)
        here = value in values if values else value is not None and value is not False
        return f"{name}={value!r}" if here else ""

    return seen


def _rope_type(*values: str) -> Callable[[Any, Situation], str]:
    return lambda config, situation: f"rope_type={rope_type(config)!r}" if rope_type(config) in values else ""


def _back_end(start: str) -> Callable[[Any, Situation], str]:
    def seen(config: Any, situation: Situation) -> str:
        found = (situation.implementation or "").startswith(start)
        return f"attn_implementation={situation.implementation!r}" if found else ""

    return seen


def _mode(config: Any, *values: str) -> str:
    mode = config.resolved_attention_mode
    return f"attention_mode={mode!r}" if mode in values else ""


def _is(text: str, case: Callable[[Any, Situation], Any]) -> Callable[[Any, Situation], str]:
    return lambda config, situation: text if case(config, situation) else ""


def rope_type(config: Any) -> str:
    """The ``rope_type`` of a config."""
    return str((config.rope_parameters or {}).get("rope_type", "default"))


def _narrow(config: Any, situation: Situation) -> bool:
    """Whether ReRoPE's window ends inside the attention window."""
    window = (config.rope_parameters or {}).get("window", math.inf)
    causal = config.resolved_attention_mode == "causal"
    return config.attention_window is not None and window < max(window_reach(config.attention_window, causal))


REROPE = Condition('rope_type `"rerope"` or `"leaky_rerope"`', _rope_type(*RE_ROPE))
XPOS = Condition('rope_type `"xpos"`', _rope_type("xpos"))
OTHER_ROPE = Condition(
    'a rope_type but `"default"`',
    lambda config, situation: f"rope_type={rope_type(config)!r}" if rope_type(config) != "default" else "",
)
BIAS = Condition("position_bias", _field("position_bias"))
WINDOW = Condition("attention_window", _field("attention_window"))
FULL_LAYERS = Condition("full_attention_layers", _field("full_attention_layers"))
LOG_N = Condition("log_n", _field("log_n"))
KEY_NORM = Condition("key_norm", _field("key_norm"))
ROTARY_VALUE = Condition("rotary_value", _field("rotary_value"))
NOT_CAUSAL = Condition(
    'attention_mode `"bidirectional"` or `"unilm"`',
    lambda config, situation: _mode(config, "bidirectional", "unilm"),
)
UNILM = Condition('attention_mode `"unilm"`', lambda config, situation: _mode(config, "unilm"))
SDPA = Condition("sdpa", _back_end("sdpa"))
FLASH = Condition("flash attention", _back_end("flash_attention"))
FLEX = Condition("flex attention", _back_end("flex_attention"))
GATED = Condition("gated_attention, of GAU-alpha", _back_end("gated_attention"))
FIXED_CACHE = Condition("a cache of fixed size", _is("a cache of fixed size", lambda config, now: now.fixed_cache))
WHOLE_MASK = Condition(
    "an attention_mask `[B, 1, Q, S]`", _is("an attention_mask of 4 dimensions", lambda config, now: now.whole_mask)
)
ALL_WINDOWS = Condition(
    "attention_window in all layers",
    lambda config, now: "" if config.full_attention_layers else WINDOW.seen(config, now),
)
NO_WINDOW = Condition("no attention_window", _field("attention_window", None))
NO_FULL_LAYERS = Condition("no full_attention_layers", _field("full_attention_layers", None, []))
FULL_POSITIONS = Condition("full_attention_positions", _field("full_attention_positions", True))
NO_FAR_POSITIONS = Condition(
    "attention_window without full_attention_positions",
    lambda config, now: "" if config.full_attention_positions else WINDOW.seen(config, now),
)
PLACELESS = Condition(
    "full_attention_layers without full_attention_positions",
    lambda config, now: "" if config.full_attention_positions else FULL_LAYERS.seen(config, now),
)
NARROW = Condition("a window of ReRoPE smaller than it", _is("a smaller window of ReRoPE", _narrow))
FREQUENCIES = Condition("trainable_frequencies", _field("trainable_frequencies"))
OTHER_NORM = Condition(
    'an attention_normalization but `"softmax"`, of GAU-alpha',
    lambda config, now: (
        ""
        if getattr(config, "attention_normalization", "softmax") == "softmax"
        else _field("attention_normalization")(config, now)
    ),
)
LINEAR = Condition(
    "linear_roformer", _is("linear attention", lambda config, now: config.model_type == "linear_roformer")
)
SOFTMAX_PLUS = Condition('normalization `"softmax_plus"`, of GAU-alpha', _field("normalization", "softmax_plus"))

_TWO_MAPS = "two maps of scores are merged in front of the softmax, where a fused kernel lets nobody in"
_DECAY = "scores decay in front of the softmax; as factors of queries and keys the decay overflows in long texts"
_BIAS = "a bias for each pair and head takes the memory that a fused kernel saves"
_IN_KERNEL = "it makes keys and scores inside"
_LOCAL = "both make attention local, and no article has both"

RULES: tuple[tuple[Condition, Condition, str], ...] = (
    *((REROPE, back_end, _TWO_MAPS) for back_end in (SDPA, FLEX, FLASH, GATED)),
    *((XPOS, back_end, _DECAY) for back_end in (SDPA, FLEX, FLASH, GATED)),
    *((BIAS, back_end, _BIAS) for back_end in (SDPA, FLEX, FLASH, GATED)),
    (KEY_NORM, GATED, _IN_KERNEL),
    (WINDOW, GATED, _IN_KERNEL),
    (XPOS, NOT_CAUSAL, "on one of the two sides scores would grow with the distance"),
    (BIAS, NOT_CAUSAL, "it is the same on both sides, and cannot tell left from right"),
    (WINDOW, UNILM, "it would cut off the source, which all of the target sees"),
    (LOG_N, UNILM, "the number of keys grows along the target alone; no article says what it is to be in the source"),
    (BIAS, OTHER_ROPE, "a bias takes the place of the rotation"),
    (BIAS, WINDOW, _LOCAL),
    (XPOS, WINDOW, _LOCAL),
    (BIAS, FREQUENCIES, "a bias takes the place of the rotation"),
    (OTHER_ROPE, FREQUENCIES, "it computes frequencies, which here are learnt"),
    (BIAS, ROTARY_VALUE, "a bias takes the place of the rotation"),
    (REROPE, ROTARY_VALUE, "values are turned back by the query's place alone, not by a distance that is limited"),
    (XPOS, ROTARY_VALUE, "only scores decay, and no article has both"),
    (PLACELESS, ROTARY_VALUE, "these layers have no positions"),
    (REROPE, NO_FAR_POSITIONS, "within a window no distance is far, so it would have no effect"),
    (WINDOW, NARROW, "layers with a window turn by the plain distance"),
    (FULL_LAYERS, NO_WINDOW, "all layers see everything anyway"),
    (FULL_POSITIONS, NO_FULL_LAYERS, "it says what these have"),
    *((method, LINEAR, "it has no scores of pairs") for method in (REROPE, XPOS, BIAS, WINDOW, LOG_N, KEY_NORM)),
    (LOG_N, ALL_WINDOWS, "no query sees more keys than in training"),
    *((method, OTHER_NORM, "its scores end in a softmax") for method in (REROPE, XPOS, BIAS, WINDOW)),
    *(
        (OTHER_NORM, back_end, "a fused kernel divides by the sum of the weights, and ends there")
        for back_end in (SDPA, FLASH, GATED)
    ),
    (LOG_N, SOFTMAX_PLUS, "its scores grow with the logarithm already"),
    *((method, FIXED_CACHE, "distances are counted to the last key that there is") for method in (REROPE, XPOS, BIAS)),
    (WINDOW, FIXED_CACHE, "the keys of a window are the last that there are"),
    (WINDOW, WHOLE_MASK, "layers with a window and without take masks of their own"),
)
"""What cannot go with what, and why."""


def find_conflict(config: Any, situation: Situation) -> str | None:
    """What cannot go together and why, in a sentence; None: all can.

    Args:
        config: settings of a model, of the kind of `ExtrapolationConfig`.
        situation: what it runs in.
    """
    for method, other, reason in RULES:
        if (first := method.seen(config, situation)) and (second := other.seen(config, situation)):
            advice = '; use attn_implementation="eager"' if second.startswith("attn_implementation") else ""
            return f"{first} does not go with {second}: {reason}{advice}"
    return None


def check_combinations(config: Any, situation: Situation | None = None) -> None:
    """Refuse what cannot go together.

    Args:
        config: settings of a model, of the kind of `ExtrapolationConfig`.
        situation: what it runs in; None: only the settings are compared.

    Raises:
        ValueError: naming both and the reason.
    """
    if conflict := find_conflict(config, situation or Situation()):
        raise ValueError(conflict)


def rules_table() -> str:
    """The table as Markdown, for docs/length.md; rows of one reason are one."""
    rows: dict[tuple[str, str], list[str]] = {}
    for method, other, reason in RULES:
        rows.setdefault((method.name, reason), []).append(other.name)
    lines = ["| this | does not go with | as |", "|---|---|---|"]
    lines += [f"| {method} | {'; '.join(others)} | {reason} |" for (method, reason), others in rows.items()]
    return "\n".join(lines) + "\n"
