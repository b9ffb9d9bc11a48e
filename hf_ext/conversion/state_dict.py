"""The conversion of an original PyTorch release, a file with the parameters by their names.

A family joins by a tuple ``STATE_DICTS`` in its file `hf_ext/models/<family>/conversion_<family>.py`, of the arguments
of `StateDictFamily`.
"""

import importlib
import importlib.util
import pkgutil
import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

import hf_ext.models
from hf_ext.conversion.choices import Choice
from hf_ext.conversion.errors import ConversionError, some
from hf_ext.conversion.folder import whole_folder
from hf_ext.conversion.quiet import quiet
from hf_ext.conversion.report import ConversionReport

FILE_NAME = "pytorch_model.bin"


@dataclass(frozen=True, kw_only=True)
class StateDictFamily:
    """All that the conversion of one family's releases needs to know.

    Attributes:
        name: what ``--family`` takes.
        title: what a reader calls it.
        key: where the file has the parameters.
        known_by: names of parameters that every release of the family has.
        names: beginnings of the original's names, and of ours in their stead; the first that fits counts.
        ignored: parameters that are not needed.
        settings: fields of the config, of the original's parameters and the words of the folder's name; it raises
            ValueError for what it does not understand.
        config: the config class.
        model: the model class.
        processor: makes the image processor of a config.
    """

    name: str
    title: str
    key: str
    known_by: tuple[str, ...]
    names: Mapping[str, str]
    ignored: tuple[str, ...]
    settings: Callable[[Mapping[str, Tensor], frozenset[str]], dict[str, Any]]
    config: type[PreTrainedConfig]
    model: type[PreTrainedModel]
    processor: Callable[[Any], Any]

    def rename(self, name: str) -> str:
        """Our name of a parameter."""
        start = next(one for one in self.names if name.startswith(one))
        return self.names[start] + name.removeprefix(start)


def is_state_dict_release(folder: Path) -> bool:
    """Whether a folder holds the file of such a release, and no model of Transformers."""
    return (folder / FILE_NAME).is_file() and not (folder / "config.json").is_file()


def state_dict_families() -> dict[str, StateDictFamily]:
    """All families by name."""
    found = {}
    for folder in pkgutil.iter_modules(hf_ext.models.__path__):
        module = f"hf_ext.models.{folder.name}.conversion_{folder.name}"
        if folder.ispkg and importlib.util.find_spec(module):
            for declaration in getattr(importlib.import_module(module), "STATE_DICTS", ()):
                found[declaration["name"]] = StateDictFamily(**declaration)
    return found


def convert_state_dict(source: Path, target: Path, family: str | None = None) -> ConversionReport:
    """Convert a release to a folder that `from_pretrained` loads; it is written whole or not at all.

    Args:
        source: the release, under its own name.
        target: the folder to write: config.json, model.safetensors, preprocessor_config.json.
        family: name of the family.

    Raises:
        ConversionError: the file is damaged, or has parameters that are not understood.
    """
    file = source / FILE_NAME
    content = _load(file)
    chosen, choice = _recognise(content, file, family)
    state: dict[str, Tensor] = content[chosen.key]
    words = frozenset(re.split(r"[^a-z0-9]+", source.resolve().name.lower())) - {""}
    try:
        config = chosen.config(**chosen.settings(state, words))
    except (KeyError, ValueError) as error:
        raise ConversionError(f"{file} is not understood as {chosen.title}: {error}") from error
    used = tuple(name for name in state if name not in chosen.ignored)
    parameters = {chosen.rename(name): state[name] for name in used}
    make: Any = chosen.model
    with quiet(), whole_folder(target) as draft:
        model, problems = make.from_pretrained(
            None, config=config, state_dict=dict(parameters), dtype=torch.float32, output_loading_info=True
        )
        if wrong := {kind: sorted(map(str, found)) for kind, found in problems.items() if found}:
            raise ConversionError(f"the parameters of {file} do not fill a {chosen.model.__name__}: {wrong}")
        model.save_pretrained(draft)
        chosen.processor(config).save_pretrained(draft)
        written = make.from_pretrained(draft).state_dict()
        for name, tensor in parameters.items():
            if not torch.equal(written[name], tensor.float()):
                raise ConversionError(f"{name} does not come back from the written file as it was read")
        files = {one.name: one.stat().st_size for one in sorted(draft.iterdir())}
    stated = ("rope_kind", "rope_theta", "first_axis", "use_ape", "image_size")
    shown = ", ".join(f"{name}={value}" for name in stated if (value := getattr(config, name, None)) is not None)
    return ConversionReport(
        title=chosen.title,
        checkpoint=file,
        output=target,
        architecture=chosen.model.__name__,
        choices=(choice, Choice("settings", shown, "by its parameters and the folder's name")),
        variables=used,
        ignored=tuple(name for name in state if name in chosen.ignored),
        parameters=tuple(parameters),
        elements=sum(tensor.numel() for tensor in parameters.values()),
        dtype="float32",
        files=files,
    )


def _load(file: Path) -> Mapping[str, Any]:
    try:
        # What it was trained with lies beside the parameters of some; other classes are not unpickled.
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConversionError(f"{file} cannot be read as a file of PyTorch: {reason}") from error
    if not isinstance(content, Mapping):
        raise ConversionError(f"{file} holds a {type(content).__name__}; parameters by name are expected")
    return content


def _recognise(content: Mapping[str, Any], file: Path, name: str | None) -> tuple[StateDictFamily, Choice]:
    known = state_dict_families()
    if name is not None and name not in known:
        raise ConversionError(f"family={name!r} (--family); one of {', '.join(sorted(known))} is expected")
    for family in known.values() if name is None else (known[name],):
        state = content.get(family.key)
        if not isinstance(state, Mapping) or not set(family.known_by) <= state.keys():
            continue
        if strange := sorted(str(key) for key, value in state.items() if not isinstance(value, Tensor)):
            raise ConversionError(f"{file} has what is no parameter: {some(strange)}")
        return family, Choice("family", family.name, "by its parameters" if name is None else "given")
    wanted = " or ".join(f"those of {family.title} under {family.key!r}" for family in known.values())
    raise ConversionError(f"{file} must have {wanted}, got {some(sorted(map(str, content)))}")
