"""All that is settled about a conversion before a variable is read: the family, the choices, the config, the shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import PreTrainedConfig, PreTrainedModel

from hf_ext.conversion.checkpoint import Checkpoint
from hf_ext.conversion.choices import NO_POOLER, Choice, choose_attention_mode, choose_pooler
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.families import Family, recognise, rows_of
from hf_ext.conversion.release import Release, find_release
from hf_ext.conversion.settings import config_fields
from hf_ext.conversion.table import Row, count_layers


@dataclass(frozen=True)
class Plan:
    """What will be converted into what: each row takes one variable of the checkpoint to one parameter of the model."""

    release: Release
    checkpoint: Checkpoint
    family: Family
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...]
    config: PreTrainedConfig
    model: type[PreTrainedModel]
    dtype: torch.dtype


def make_plan(directory: Path, family_name: str | None, attention_mode: str | None, pooler: str | None) -> Plan:
    """Settle the conversion of a release folder; the options are those of `convert_release`.

    Raises:
        ConversionError: the release is incomplete, not understood, or its files do not belong together.
    """
    release = find_release(directory)
    checkpoint = Checkpoint(release)
    family, family_choice = recognise(release, checkpoint, family_name, attention_mode)
    rows = rows_of(family, checkpoint)
    mode = choose_attention_mode(attention_mode, release, tuple(family.models))
    has_pooler = family.pooler is not None and any(row.variable.startswith(family.pooler) for row in rows)
    choices = (family_choice, mode, choose_pooler(pooler, has_pooler, mode, family.poolers))
    _check_sizes(release, count_layers(family.table, checkpoint.shapes))
    config = _make_config(release, family, rows, choices)
    model, rows = _choose_model(release, checkpoint, rows, family.model_classes(mode.value), config)
    return Plan(
        release, checkpoint, family, rows, choices, config, model, checkpoint.dtype(row.variable for row in rows)
    )


def _check_sizes(release: Release, layers: int) -> None:
    """The numbers that a config shares with the vocabulary and with the names of the variables."""
    stated = release.settings
    for key, found, where in (
        ("num_hidden_layers", layers, f"{release.checkpoint.name} has {layers} layers"),
        ("vocab_size", len(release.vocabulary), f"vocab.txt has {len(release.vocabulary)} tokens"),
    ):
        if key in stated and stated[key] != found:
            raise ConversionError(
                f"{release.folder}: {release.config_file.name} says {key}={stated[key]!r}, but {where}; "
                "they are of different releases"
            )


def _make_config(
    release: Release, family: Family, rows: tuple[Row, ...], choices: tuple[Choice, ...]
) -> PreTrainedConfig:
    fields: dict[str, Any] = {**config_fields(release, family.fields, family.harmless), **family.constants}
    for start, values in family.absent.items():
        if not any(row.variable.startswith(start) for row in rows):
            fields |= values
    fields |= {field: release.vocabulary.get(token) for field, token in family.token_fields.items()}
    for choice in choices:
        if choice.name in family.choice_fields:
            fields[family.choice_fields[choice.name]] = None if choice.value == NO_POOLER else choice.value
    try:
        return family.config(**fields)
    except (ArithmeticError, TypeError, ValueError, StrictDataclassError) as error:
        raise ConversionError(f"{release.config_file}: {' '.join(str(error).split())}") from error


def parameter_shapes(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters that a saved checkpoint of the model has; tied ones are in it once."""
    with torch.device("meta"):
        model = model_class(config)
    tied = model.all_tied_weights_keys or {}
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}


def _choose_model(
    release: Release,
    checkpoint: Checkpoint,
    rows: tuple[Row, ...],
    model_classes: tuple[type[PreTrainedModel], ...],
    config: PreTrainedConfig,
) -> tuple[type[PreTrainedModel], tuple[Row, ...]]:
    """The first model with the parameters of the rows, in the same shapes, and the rows under its names.

    If none fits, the error is about the first one.
    """
    try:
        shapes = {model_class: parameter_shapes(model_class, config) for model_class in model_classes}
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise ConversionError(f"{release.config_file} makes no model: {' '.join(str(error).split())}") from error
    named = {model_class: _named_rows(rows, model_class, shapes[model_class]) for model_class in model_classes}
    model = next(
        (one for one in model_classes if shapes[one].keys() == {row.parameter for row in named[one]}), model_classes[0]
    )
    wanted, rows = shapes[model], named[model]
    made = {row.parameter: row.parameter_shape(checkpoint.shapes[row.variable]) for row in rows}
    variables = {row.parameter: row.variable for row in rows}
    config_name = release.config_file.name
    if missing := sorted(wanted.keys() - made.keys()):
        raise ConversionError(
            f"{checkpoint.prefix} has nothing for {missing[0]} ({len(missing)} such), which {config_name} makes"
        )
    if extra := sorted(made.keys() - wanted.keys()):
        raise ConversionError(
            f"{checkpoint.prefix} has {variables[extra[0]]} ({len(extra)} such), but {config_name} makes no {extra[0]}"
        )
    if wrong := [name for name in made if made[name] != wanted[name]]:
        name = wrong[0]
        raise ConversionError(
            f"{checkpoint.prefix}: {variables[name]} makes a parameter of shape {list(made[name])}, but {config_name} "
            f"asks for {list(wanted[name])} ({len(wrong)} of {len(made)} differ); they are of different releases"
        )
    return model, rows


def _named_rows(
    rows: tuple[Row, ...], model_class: type[PreTrainedModel], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Row, ...]:
    """The rows as the model names its parameters: one without a head has them without the name it has in a head."""
    prefix = f"{model_class.base_model_prefix}."
    if any(name.startswith(prefix) for name in shapes):
        return rows
    return tuple(replace(row, parameter=row.parameter.removeprefix(prefix)) for row in rows)
