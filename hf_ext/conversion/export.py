"""The other direction: a folder of ours to the files of an original release, for programs that read those."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.conversion.bundle import write_bundle
from hf_ext.conversion.checkpoint import Checkpoint
from hf_ext.conversion.errors import ConversionError, some
from hf_ext.conversion.families import Family, families
from hf_ext.conversion.folder import check_output, whole_folder
from hf_ext.conversion.quiet import quiet
from hf_ext.conversion.release import VOCABULARY_NAME, find_release
from hf_ext.conversion.report import ExportReport
from hf_ext.conversion.table import Row, count_layers, expand, to_variables
from hf_ext.tokenization.vocabulary import check_vocabulary, write_vocabulary

_ENCODER = "encoder"

# These fields of a config change nothing that the weights compute: they say how a model is run or trained.
_FREE = frozenset(
    {
        "bos_token_id",
        "classifier_dropout",
        "eos_token_id",
        "initializer_factor",
        "pad_token_id",
        "unpad",
        "use_cache",
    }
)


def export_release(
    directory: str | Path, output: str | Path, *, drop_head: bool = False, overwrite: bool = False
) -> ExportReport:
    """Write a model folder as an original release: config, TensorFlow checkpoint, vocab.txt.

    The inverse of `convert_release`, number for number, so that bert4keras loads what was trained here. The folder is
    written whole or not at all, and the checkpoint is read back and compared before it appears. Heads that the release
    knows and the folder lacks (a fine-tuned encoder has no MLM head) are left out, and the report says so.

    Args:
        directory: the model: config.json, weights, tokenizer files.
        output: the folder to write.
        drop_head: leave out parameters that an original release has no place for, such as a classifier. Without it
            they are refused.
        overwrite: replace the folder of a model or a release that is there.

    Raises:
        ConversionError: the model has no original, its config states what no original computes, or it has parameters or
            tokens that a release cannot hold.
    """
    source, target = Path(directory), Path(output)
    check_output(source, target, overwrite)
    family, config = _recognise(source)
    tokenizer, vocabulary = _read_vocabulary(source, config)
    with quiet():
        model, info = _load(source, family, config)
    kept, missing = _rows_to_write(source, family, model, info)
    extra = tuple(sorted(info["unexpected_keys"]))
    if extra and not drop_head:
        raise ConversionError(
            f"{source} has {len(extra)} parameters that a release of {family.title} has no place for ({some(extra)}); "
            "set drop_head (--drop-head) to leave them out"
        )
    variables = to_variables(kept, {name: _storable(tensor) for name, tensor in model.state_dict().items()})
    with whole_folder(target) as draft:
        settings = json.dumps(_settings(family, config), indent=2, ensure_ascii=False, sort_keys=True)
        (draft / family.config_name).write_text(f"{settings}\n", encoding="utf-8")
        write_vocabulary(vocabulary, draft / VOCABULARY_NAME)
        write_bundle(draft / family.checkpoint_name, variables)
        _check_written(draft, variables, vocabulary)
        files = {file.name: file.stat().st_size for file in sorted(draft.iterdir())}
    return ExportReport(
        title=family.title,
        source=source,
        output=target,
        variables=tuple(variables),
        absent=tuple(row.variable for row in missing),
        dropped=extra,
        elements=sum(tensor.numel() for tensor in variables.values()),
        notes=_notes(family, config, kept, tokenizer),
        files=files,
    )


def _recognise(source: Path) -> tuple[Family, PreTrainedConfig]:
    """The family whose original code computes what the folder's config states."""
    if not (source / "config.json").is_file():
        advice = "; merge the adapter into its model first" if (source / "adapter_config.json").is_file() else ""
        raise ConversionError(
            f"directory={str(source)!r} has no config.json; the folder of a model is expected{advice}"
        )
    stated, _ = PreTrainedConfig.get_config_dict(source)
    model_type = stated.get("model_type")
    known = [
        family
        for family in families().values()
        if model_type in (family.config.model_type, getattr(family.config, "own_type", None))
    ]
    if not known:
        types = sorted({str(family.config.model_type) for family in families().values()})
        raise ConversionError(
            f"{source}: model_type={model_type!r} has no original; one of {', '.join(types)} is expected"
        )
    differences = {}
    for family in known:
        config = family.config.from_pretrained(source)
        if not (found := _differences(family, config)):
            return family, config
        differences[family.title] = found
    title, found = min(differences.items(), key=lambda item: len(item[1]))
    seen = ", ".join(f"{name}={value!r} (there {wanted!r})" for name, (value, wanted) in found.items())
    raise ConversionError(f"{source / 'config.json'}: the original {title} computes something else: {seen}")


def _differences(family: Family, config: PreTrainedConfig) -> dict[str, tuple[Any, Any]]:
    """Fields of a config that a release of the family cannot have, with their values here and there."""
    names = {*family.fields.values(), *family.choice_fields.values()}
    names |= {name for fields in family.absent.values() for name in fields}
    stated = {name: getattr(config, name) for name in names}
    try:
        there = family.config(**{**stated, **family.constants}).to_dict()
    except (TypeError, ValueError, StrictDataclassError):
        # Fields of another family under the same model type may not go together with this one's constants.
        there = dict(family.constants)
    here = config.to_dict()
    # Fields that every config has do not change the numbers; a causal decoder is recognised by its attention mode.
    free = (_FREE | PreTrainedConfig().to_dict().keys() | family.token_fields.keys()) - family.constants.keys()
    if "attention_mode" in family.choice_fields:
        free |= {"is_decoder"}
    found = {name: (here.get(name), value) for name, value in there.items() if name not in free}
    mode = _attention_mode(family, config)
    if mode not in family.models:
        found["attention_mode"] = (mode, " or ".join(family.models))
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def _attention_mode(family: Family, config: PreTrainedConfig) -> str:
    if "attention_mode" not in family.choice_fields and len(family.models) == 1:
        return next(iter(family.models))
    stated = getattr(config, family.choice_fields.get("attention_mode", "attention_mode"), None)
    return stated or ("causal" if getattr(config, "is_decoder", False) else "bidirectional")


def _settings(family: Family, config: PreTrainedConfig) -> dict[str, Any]:
    """The original config: the keys that the family reads, and those whose one value its original code needs."""
    settings = {key: value for key, value in family.harmless.items() if value is not ...} | dict(family.settings)
    settings |= {key: getattr(config, name) for key, name in family.fields.items()}
    return {key: value for key, value in settings.items() if value is not None}


def _read_vocabulary(source: Path, config: PreTrainedConfig) -> tuple[PreTrainedTokenizerBase, dict[str, int]]:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source)
        vocabulary = check_vocabulary(tokenizer.get_vocab())
    except (OSError, ValueError, TypeError) as error:
        message = " ".join(str(error).split())
        raise ConversionError(f"{source} has no tokenizer whose vocabulary a vocab.txt can hold: {message}") from error
    if len(vocabulary) != config.vocab_size:
        raise ConversionError(
            f"{source}: the tokenizer has {len(vocabulary)} tokens, but config.json says "
            f"vocab_size={config.vocab_size}; resize the model's embeddings to the tokenizer"
        )
    return tokenizer, vocabulary


def _load(source: Path, family: Family, config: PreTrainedConfig) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    """The model with all the heads that the family's originals have, and what of it the folder lacks or has besides."""
    load: Any = family.model_classes(_attention_mode(family, config))[0].from_pretrained
    try:
        return load(source, config=config, dtype="auto", output_loading_info=True)
    except (ArithmeticError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        raise ConversionError(f"{source}: {' '.join(str(error).split())}") from error


def _rows_to_write(
    source: Path, family: Family, model: PreTrainedModel, info: Mapping[str, Any]
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """The rows whose parameters the folder has, and those of whole heads that it lacks."""
    state = model.state_dict()
    here = state.keys() - set(info["missing_keys"])
    backwards = [(parameter, variable, transform) for variable, parameter, transform in family.table]
    rows = [row for row in expand(family.table, count_layers(backwards, state)) if row.parameter in state]
    if strange := sorted(here - {row.parameter for row in rows} - (model.all_tied_weights_keys or {}).keys()):
        raise ConversionError(f"{source}: a release of {family.title} has no place for {some(strange)}")
    kept = tuple(row for row in rows if row.parameter in here)
    missing = tuple(row for row in rows if row.parameter not in here)
    parts = {_part(family, row) for row in kept} | {_ENCODER}
    if lost := [row.parameter for row in missing if _part(family, row) in parts]:
        raise ConversionError(f"{source} lacks {some(lost)}")
    return kept, missing


def _part(family: Family, row: Row) -> str:
    """What is there or absent together with a variable: an optional group, a head, or all the rest."""
    head = re.match(r"cls/\w+/", row.variable)
    return next((start for start in family.optional if row.variable.startswith(start)), head[0] if head else _ENCODER)


def _storable(tensor: Tensor) -> Tensor:
    """The tensor in a type that the originals read; every bfloat16 number is a float32 number."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _check_written(folder: Path, variables: Mapping[str, Tensor], vocabulary: Mapping[str, int]) -> None:
    release = find_release(folder)
    checkpoint = Checkpoint(release)
    if checkpoint.shapes.keys() != variables.keys() or release.vocabulary != vocabulary:
        raise ConversionError(f"{folder.name} does not come back from its files with the names it was written with")
    for name, tensor in variables.items():
        found = checkpoint.read(name)
        if found.dtype != tensor.dtype or not torch.equal(found, tensor):
            raise ConversionError(f"{name} does not come back from the written checkpoint as it was")


def _notes(
    family: Family, config: PreTrainedConfig, rows: tuple[Row, ...], tokenizer: PreTrainedTokenizerBase
) -> dict[str, str]:
    """What the files of a release do not state, and whoever loads it has to."""
    notes = {"attention mode": _attention_mode(family, config)}
    if family.pooler and any(row.variable.startswith(family.pooler) for row in rows):
        field = family.choice_fields.get("pooler")
        notes["pooler"] = getattr(config, field) if field else family.poolers[0]
    words = getattr(tokenizer, "user_words", None)
    notes["tokenizer"] = "character" if words is None else "word"
    if not tokenizer.init_kwargs.get("do_lower_case", True):
        notes["tokenizer"] += ", do_lower_case=False"
    if words:
        notes["user words"] = ", ".join(words)
    return notes
