"""From the settings of an original release to the fields of a config; what is not understood is refused."""

from collections.abc import Mapping
from math import inf
from typing import Any

from transformers.activations import ACT2FN

from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.release import Release

REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
)

# Values that a model can have, whatever the family calls the field: a lower bound of a whole number, which is 1 where
# none is given, or a number of a range.
_AT_LEAST = {"num_hidden_layers": 0, "type_vocab_size": 0}
_WHOLE = frozenset(
    {
        *_AT_LEAST,
        "attention_head_size",
        "attention_key_size",
        "embedding_size",
        "hidden_size",
        "intermediate_size",
        "max_position_embeddings",
        "max_relative_position",
        "num_attention_heads",
        "vocab_size",
    }
)
_RATES = frozenset({"attention_probs_dropout_prob", "hidden_dropout_prob"})

# Left over in the files from Google's BERT. The originals' code reads none of them.
HARMLESS: Mapping[str, Any] = {
    "directionality": "bidi",
    "pooler_type": "first_token_transform",
    "pooler_fc_size": ...,
    "pooler_num_attention_heads": ...,
    "pooler_num_fc_layers": ...,
    "pooler_size_per_head": ...,
}


def config_fields(release: Release, fields: Mapping[str, str], harmless: Mapping[str, Any]) -> dict[str, Any]:
    """The config fields that a release's settings state.

    Args:
        release: whose settings are read.
        fields: original key -> config field.
        harmless: original key -> the one value that changes nothing (`...`: any value), besides those of `HARMLESS`.

    Raises:
        ConversionError: a required key is absent, a key is unknown, a harmless key has a value that is not, or no model
            can have a value.
    """
    settings = {key: value for key, value in release.settings.items() if value is not None}
    allowed = {**HARMLESS, **harmless}
    file = release.config_file
    if missing := [key for key in REQUIRED if key not in settings]:
        raise ConversionError(f"{file} lacks {', '.join(missing)}")
    if unknown := [key for key in settings if key not in fields and key not in allowed]:
        seen = ", ".join(f"{key}={settings[key]!r}" for key in unknown)
        raise ConversionError(
            f"{file}: {seen} is not understood and could change what the model computes; "
            f"known keys: {', '.join(sorted({*fields, *allowed}))}"
        )
    for key, wanted in allowed.items():
        if key in settings and key not in fields and wanted is not ... and settings[key] != wanted:
            raise ConversionError(f"{file}: {key}={settings[key]!r}; only {wanted!r} is understood")
    activation = settings["hidden_act"]
    if "hidden_act" in fields and not (isinstance(activation, str) and activation in ACT2FN):
        raise ConversionError(f"{file}: hidden_act={activation!r}; one of {', '.join(sorted(ACT2FN))} is expected")
    for key in settings.keys() & fields.keys():
        if wanted := _refusal(key, settings[key]):
            raise ConversionError(f"{file}: {key}={settings[key]!r}; {wanted} is expected")
    return {fields[key]: value for key, value in settings.items() if key in fields}


def _refusal(key: str, value: Any) -> str | None:
    """What is wanted of a key whose value no model can have; None if it is fine."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _WHOLE:
        least = _AT_LEAST.get(key, 1)
        # What PyTorch counts by has 63 bits.
        fine = number and isinstance(value, int) and least <= value < 2**63
        return None if fine else f"a whole number of at least {least}"
    if key in _RATES:
        return None if number and 0 <= value < 1 else "a number of at least 0 and less than 1"
    if key == "initializer_range":
        return None if number and 0 <= value < inf else "a number of at least 0"
    return None
