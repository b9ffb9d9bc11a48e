"""The conversion of a release: every variable is used once, every parameter filled, and all or nothing written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from hf_ext.conversion.checkpoint import Checkpoint
from hf_ext.conversion.choices import Choice, choose_attention_mode, choose_pooler, choose_tokenizer
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.families import Family, recognise, rows_of
from hf_ext.conversion.folder import check_output, whole_folder
from hf_ext.conversion.release import Release, find_release
from hf_ext.conversion.report import ConversionReport
from hf_ext.conversion.settings import config_fields
from hf_ext.conversion.table import Row, to_parameters
from hf_ext.conversion.tokenizer import make_tokenizer


@dataclass(frozen=True)
class _Plan:
    """All that is settled before a variable is read."""

    release: Release
    checkpoint: Checkpoint
    family: Family
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...]
    config: PreTrainedConfig
    model: type[PreTrainedModel]


def convert_release(
    directory: str | Path,
    output: str | Path,
    family: str | None = None,
    *,
    attention_mode: str | None = None,
    pooler: str | None = None,
    tokenizer: str | None = None,
    overwrite: bool = False,
) -> ConversionReport:
    """Convert the folder of an original TensorFlow release to a folder that `from_pretrained` loads.

    The folder is written whole or not at all. What the files of a release do not state is an option here; one left out
    is taken from the folder's name, the config and the vocabulary, and the report says so.

    Args:
        directory: the release: a config file, a checkpoint, vocab.txt.
        output: the folder to write: config.json, model.safetensors, tokenizer files.
        family: name of the family, such as "roformer".
        attention_mode: "bidirectional", "unilm" or "causal".
        pooler: activation of the pooler, "tanh" or "linear".
        tokenizer: "word" or "character".
        overwrite: replace a model folder that is there.

    Raises:
        ConversionError: TensorFlow is absent, or the release is incomplete, damaged, contradicts itself or is not
            understood.
    """
    source, target = Path(directory), Path(output)
    check_output(source, target, overwrite)
    plan = _plan(source, family, attention_mode, pooler)
    tokenizer_choice = choose_tokenizer(tokenizer, plan.release.vocabulary)
    parameters = _read(plan)
    with _quiet(), whole_folder(target) as draft:
        _load(plan, parameters).save_pretrained(draft)
        make_tokenizer(plan.release, tokenizer_choice, plan.config).save_pretrained(draft)
        _check_saved(plan, parameters, draft)
        files = {file.name: file.stat().st_size for file in sorted(draft.iterdir())}
    used = tuple(row.variable for row in plan.rows)
    return ConversionReport(
        title=plan.family.title,
        checkpoint=plan.checkpoint.prefix,
        output=target,
        architecture=plan.model.__name__,
        choices=(*plan.choices, tokenizer_choice),
        variables=used,
        ignored=tuple(sorted(plan.checkpoint.shapes.keys() - set(used))),
        parameters=tuple(parameters),
        elements=sum(tensor.numel() for tensor in parameters.values()),
        dtype=str(_dtype(plan)).removeprefix("torch."),
        files=files,
    )


def load_state_dict(
    directory: str | Path,
    family: str | None = None,
    *,
    attention_mode: str | None = None,
    pooler: str | None = None,
) -> tuple[PreTrainedConfig, dict[str, Tensor]]:
    """The config and the parameters of an original release, without writing; arguments as in `convert_release`.

    Tied parameters are given once, under the name that a saved checkpoint has.
    """
    plan = _plan(Path(directory), family, attention_mode, pooler)
    return plan.config, _read(plan)


def _plan(directory: Path, family_name: str | None, attention_mode: str | None, pooler: str | None) -> _Plan:
    release = find_release(directory)
    checkpoint = Checkpoint(release)
    family, family_choice = recognise(release, checkpoint, family_name)
    rows = rows_of(family, checkpoint)
    mode = choose_attention_mode(attention_mode, release)
    if mode.value not in family.models:
        raise ConversionError(f"attention_mode={mode.value!r}; {family.title} has {', '.join(family.models)}")
    present = any(row.variable.startswith("bert/pooler/") for row in rows)
    pooler_choice = choose_pooler(pooler, present, mode)
    config = _config(release, family, mode, pooler_choice)
    plan = _Plan(
        release, checkpoint, family, rows, (family_choice, mode, pooler_choice), config, family.models[mode.value]
    )
    _check_shapes(plan)
    return plan


def _config(release: Release, family: Family, mode: Choice, pooler: Choice) -> PreTrainedConfig:
    fields: dict[str, Any] = config_fields(release, family.fields, family.harmless)
    fields |= {**family.constants, "attention_mode": mode.value, "pooler_activation": pooler.value}
    size = len(release.vocabulary)
    if size != fields["vocab_size"]:
        raise ConversionError(
            f"{release.config_file.name} says vocab_size={fields['vocab_size']}, but vocab.txt has {size} tokens; "
            "they are of different releases"
        )
    ids = {token: index for index, token in enumerate(release.vocabulary)}
    fields["pad_token_id"] = ids.get("[PAD]")
    if mode.value != "bidirectional":
        # The originals generate from [CLS] to [SEP].
        fields |= {"bos_token_id": ids.get("[CLS]"), "eos_token_id": ids.get("[SEP]")}
    try:
        return family.config(**fields)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise ConversionError(f"{release.config_file}: {' '.join(str(error).split())}") from error


def _check_shapes(plan: _Plan) -> None:
    """Hold the rows against the model that the config makes: the same parameters, in the same shapes."""
    with torch.device("meta"):
        model = plan.model(plan.config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for alias in model.all_tied_weights_keys:
        wanted.pop(alias, None)
    shapes = {row.parameter: row.parameter_shape(plan.checkpoint.shapes[row.variable]) for row in plan.rows}
    variables = {row.parameter: row.variable for row in plan.rows}
    config, prefix = plan.release.config_file.name, plan.checkpoint.prefix
    if missing := sorted(wanted.keys() - shapes.keys()):
        raise ConversionError(
            f"{prefix} has no variable for {len(missing)} parameters that {config} makes: {missing[:3]}"
        )
    if extra := sorted(shapes.keys() - wanted.keys()):
        raise ConversionError(f"{prefix} has {len(extra)} variables that {config} makes no parameter for: "
                              f"{[variables[name] for name in extra[:3]]}")  # fmt: skip
    wrong = [name for name in shapes if shapes[name] != wanted[name]]
    if wrong:
        name = wrong[0]
        raise ConversionError(
            f"{prefix}: {variables[name]} makes a parameter of shape {list(shapes[name])}, but {config} asks for "
            f"{list(wanted[name])} ({len(wrong)} of {len(shapes)} differ); they are of different releases"
        )


def _read(plan: _Plan) -> dict[str, Tensor]:
    types = {plan.checkpoint.dtypes[row.variable] for row in plan.rows}
    if len(types) > 1:
        raise ConversionError(f"{plan.checkpoint.prefix}: variables of several types ({', '.join(sorted(types))})")
    return to_parameters(plan.rows, {row.variable: plan.checkpoint.read(row.variable) for row in plan.rows})


def _dtype(plan: _Plan) -> torch.dtype:
    dtype = getattr(torch, plan.checkpoint.dtypes[plan.rows[0].variable])
    assert isinstance(dtype, torch.dtype)
    return dtype


def _load(plan: _Plan, parameters: dict[str, Tensor]) -> PreTrainedModel:
    """A model with these parameters and no other, as `from_pretrained` makes it."""
    model, info = plan.model.from_pretrained(
        None, config=plan.config, state_dict=dict(parameters), dtype=_dtype(plan), output_loading_info=True
    )
    _check_info(info)
    return model


def _check_saved(plan: _Plan, parameters: dict[str, Tensor], folder: Path) -> None:
    """Load what was written, and hold it against what was read."""
    model, info = plan.model.from_pretrained(folder, output_loading_info=True)
    _check_info(info)
    state = model.state_dict()
    for name, tensor in parameters.items():
        if not torch.equal(state[name], tensor):
            raise ConversionError(f"{name} does not come back from the written file as it was read")


def _check_info(info: dict[str, Any]) -> None:
    if problems := {kind: sorted(map(str, found)) for kind, found in info.items() if found}:
        raise ConversionError(f"the parameters do not fill the model: {problems}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's progress bars, which say nothing here."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
