"""Finding and reading the files of an original release folder: all but the checkpoint."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.hdf5 import KERAS_ADVICE, is_hdf5
from hf_ext.conversion.sorted_table import is_table
from hf_ext.tokenization.vocabulary import read_vocabulary

CONFIG_NAMES = ("bert_config.json", "gpt_config.json", "config.json")
CHECKPOINT_NAMES = ("bert_model.ckpt", "model.ckpt", "gpt.ckpt", "gpt_model.ckpt")
VOCABULARY_NAME = "vocab.txt"

_KERAS_SUFFIXES = (".h5", ".hdf5", ".keras", ".weights")
_SHARD = re.compile(r"\.data-\d{5}-of-\d{5}$")


@dataclass(frozen=True)
class Release:
    """A release folder as it was found.

    `checkpoint` is an HDF5 file, or else the prefix of the checkpoint's files, `settings` is the parsed config file,
    and `vocabulary` maps the tokens to their ids.
    """

    folder: Path
    config_file: Path
    settings: dict[str, Any]
    checkpoint: Path
    vocabulary: dict[str, int]

    @property
    def vocabulary_file(self) -> Path:
        """The file of the vocabulary, which some configs name."""
        return _vocabulary_file(self.folder, self.settings)

    @property
    def words(self) -> frozenset[str]:
        """The lower-cased words of the folder's own name, which say of some releases what their files do not."""
        return frozenset(re.split(r"[^a-z0-9]+", self.folder.resolve().name.lower())) - {""}


def find_release(directory: str | Path) -> Release:
    """Read the config and vocabulary of a release folder and find its checkpoint.

    Raises:
        ConversionError: a file is absent, unreadable, or there is more than one candidate for it.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ConversionError(f"directory={str(folder)!r} is not a folder; a folder of an original release is expected")
    checkpoint = _find_checkpoint(folder)
    config_file, settings = _find_settings(folder)
    return Release(
        folder=folder,
        config_file=config_file,
        settings=settings,
        checkpoint=checkpoint,
        vocabulary=_read_vocabulary(_vocabulary_file(folder, settings)),
    )


def _find_checkpoint(folder: Path) -> Path:
    indices = sorted(folder.glob("*.index"))
    named = [folder / name for name in CHECKPOINT_NAMES if (folder / f"{name}.index").is_file()]
    if len(named) == 1:
        return named[0]
    if len(indices) == 1:
        return indices[0].with_suffix("")
    if indices:
        found = ", ".join(index.name for index in indices)
        raise ConversionError(f"{folder} holds {len(indices)} checkpoints ({found}); leave the one to convert")
    orphans = sorted(file.name for file in folder.iterdir() if _SHARD.search(file.name))
    if orphans:
        wanted = _SHARD.sub(".index", orphans[0])
        raise ConversionError(f"{folder} has {orphans[0]} without its index file {wanted}; restore it from the release")
    files = sorted(file for file in folder.iterdir() if file.is_file())
    if hdf5 := [file for file in files if is_hdf5(file)]:
        if len(hdf5) == 1:
            return hdf5[0]
        found = ", ".join(file.name for file in hdf5)
        raise ConversionError(f"{folder} holds {len(hdf5)} HDF5 files ({found}); leave the one to convert")
    if kept := [file.name for file in files if file.suffix in _KERAS_SUFFIXES]:
        raise ConversionError(f"{folder} holds no TensorFlow checkpoint, but {kept[0]} of Keras; {KERAS_ADVICE}")
    if old := [file.name for file in files if is_table(file)]:
        raise ConversionError(
            f"{folder} holds {old[0]}, a checkpoint of TensorFlow's V1 format, which is not read; restore it by "
            "tf.compat.v1.train.Saver and save it again, which writes the V2 format"
        )
    raise ConversionError(f"{folder} holds no TensorFlow checkpoint: no file ends in .index")


def _find_settings(folder: Path) -> tuple[Path, dict[str, Any]]:
    files = [folder / name for name in CONFIG_NAMES if (folder / name).is_file()]
    # T-TA's has more in its name.
    files = files or sorted(folder.glob("config.*.json"))
    if not files:
        raise ConversionError(f"{folder} has no config file; one of {', '.join(CONFIG_NAMES)} is expected")
    parsed = [_read_settings(file) for file in files]
    if any(settings != parsed[0] for settings in parsed):
        raise ConversionError(
            f"{folder} has config files that disagree: {', '.join(file.name for file in files)}; leave one"
        )
    return files[0], parsed[0]


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConversionError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ConversionError(f"{file} holds a JSON {type(settings).__name__}; an object of settings is expected")
    return settings


def _vocabulary_file(folder: Path, settings: Mapping[str, Any]) -> Path:
    named = settings.get("vocab_file")
    plain = folder / VOCABULARY_NAME
    return folder / Path(named).name if isinstance(named, str) and not plain.is_file() else plain


def _read_vocabulary(file: Path) -> dict[str, int]:
    if not file.is_file():
        raise ConversionError(f"{file.parent} has no {file.name}")
    try:
        return read_vocabulary(file)
    except UnicodeDecodeError as error:
        raise ConversionError(f"{file} is not UTF-8 text: {error}") from error
    except ValueError as error:
        raise ConversionError(str(error)) from error
