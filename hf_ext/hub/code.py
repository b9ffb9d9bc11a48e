"""Code that goes along with a checkpoint, so that it loads with ``trust_remote_code=True``."""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from transformers import AutoConfig, AutoTokenizer

from hf_ext.atomic_file import atomic_write
from hf_ext.auto_map import model_auto_map, tokenizer_auto_map
from hf_ext.carried_code import FILES, FULL, THIN, entry_of, references
from hf_ext.hub.full_code import MADE, full_code, header
from hf_ext.hub.saved_classes import class_named
from hf_ext.version import __version__

logger = logging.getLogger(__name__)

_KINDS = {"thin": THIN, "full": FULL}
_CONFIG, _TOKENIZER = "config.json", "tokenizer_config.json"
# One of these is in the folder of any tokenizer of ours.
_VOCABULARIES = ("vocab.txt", "tokenizer.json")


def add_code(folder: str | os.PathLike[str], kind: Literal["thin", "full"] = "thin") -> list[Path]:
    """Give a checkpoint the code that ``trust_remote_code=True`` loads it with.

    ``auto_map`` of its ``config.json`` and ``tokenizer_config.json`` then names the classes; code of the other kind
    goes away. What is loaded from the folder and saved elsewhere is saved with its code.

    Args:
        folder: a checkpoint, with its ``config.json``, and its tokenizer if it has one.
        kind: ``"thin"``: a few lines that import this package, which has to be installed; ``"full"``: the modules of
            this package that the checkpoint needs, which then need not be.

    Returns:
        The files of code.

    Raises:
        ValueError: for another kind, a folder without ``config.json``, or one of which nothing is this package's.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    folder = Path(folder)
    if not (folder / _CONFIG).is_file():
        advice = "; merge the adapter into its model first" if (folder / "adapter_config.json").is_file() else ""
        raise ValueError(f"folder must have a {_CONFIG}, got {folder} without one{advice}")
    entry = _KINDS[kind]
    files = {_CONFIG: _config_with_code(folder, entry), _TOKENIZER: _tokenizer_with_code(folder, entry)}
    maps = [settings["auto_map"] for settings in files.values() if settings]
    if not maps:
        raise ValueError(f"folder must have a model or a tokenizer of hf_ext, got {folder}, which loads without it")
    # First the code, so that no file names what is not there.
    written = _write(folder, maps)
    for name, settings in files.items():
        if settings:
            with atomic_write(folder / name) as file:
                file.write(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    _clear(folder, written)
    return written


def write_code(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the files of code that a checkpoint names, anew where they are there; those that it does not name go away.

    Args:
        folder: where a model or a tokenizer has been saved.
    """
    folder = Path(folder)
    written = _write(folder, [_read(folder / name).get("auto_map") for name in (_CONFIG, _TOKENIZER)])
    _clear(folder, written)
    return written


def _config_with_code(folder: Path, entry: str) -> dict[str, Any] | None:
    """The settings of a model with the classes that load it; None where it is Transformers' own."""
    # Code of others is not run to find out what it is.
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    architecture = next(iter(config.architectures or ()), "")
    try:
        model_class = class_named(architecture)
    except AttributeError:
        model_class = None
    auto_map = model_auto_map(type(config), model_class, entry)
    if not auto_map:
        return None
    settings = _read(folder / _CONFIG)
    if settings.get("model_type") != config.to_dict()["model_type"]:
        # Of a type that Transformers would read as something else.
        settings = json.loads(config.to_json_string())
    return settings | {"auto_map": auto_map}


def _tokenizer_with_code(folder: Path, entry: str) -> dict[str, Any] | None:
    """The settings of a tokenizer with the class that loads it; None where it loads without, or there is none."""
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        return None
    tokenizer_class = type(AutoTokenizer.from_pretrained(folder, trust_remote_code=False))
    settings = _read(folder / _TOKENIZER)
    if getattr(tokenizer_class, "needs_code", None) is False:
        # All that such a tokenizer does is in the files that it saves, and not in those of others.
        saved = settings.get("tokenizer_class") == tokenizer_class.__name__ and (folder / "tokenizer.json").is_file()
    else:
        saved = not hasattr(tokenizer_class, "needs_code")
    return None if saved else settings | {"auto_map": tokenizer_auto_map(tokenizer_class, entry)}


def _write(folder: Path, auto_maps: Iterable[Any]) -> list[Path]:
    """Write the files of code that auto maps name."""
    named = {reference for auto_map in auto_maps if entry_of(auto_map) for reference in references(auto_map)}
    names: dict[str, set[str]] = {THIN: set(), FULL: set()}
    for entry, _, name in (reference.partition(".") for reference in named):
        if entry in names:
            names[entry].add(name)
    texts: dict[str, str] = {}
    if names[THIN]:
        texts[f"{THIN}.py"] = _thin_code()
    if names[FULL]:
        texts |= full_code(_classes(names[FULL]))
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            with atomic_write(path) as file:
                file.write(text)
    return [folder / name for name in sorted(texts)]


def _classes(names: Iterable[str]) -> Iterator[type]:
    for name in sorted(names):
        try:
            yield class_named(name)
        except AttributeError as error:
            # Of a folder that a newer version has made; what is being saved is not to be lost over it.
            logger.warning("The code that is saved has not all that its folder names: %s", error)


def _thin_code() -> str:
    first = header("for the package of that name")
    return f'''{first}"""The classes of this checkpoint, which are in the package hf_ext."""

from hf_ext.hub import saved_with

__getattr__ = saved_with("{__version__}")
'''


def _clear(folder: Path, kept: Iterable[Path]) -> None:
    """Take away files of code that were made and are not among those kept."""
    made = MADE.removesuffix(__version__)
    for path in set(folder.glob(FILES)) - set(kept):
        if made in path.read_text(encoding="utf-8", errors="replace")[:1000]:
            path.unlink()


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return settings
