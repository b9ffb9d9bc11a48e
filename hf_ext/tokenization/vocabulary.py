"""Vocabulary files of the word models: one entry a line, the id is the line's number from 0."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from hf_ext.atomic_file import atomic_write

# The released word vocabularies have 58 % and more, the character ones none but what a user puts in their spare places.
_SHARE_OF_WORDS = 0.05

_IDEOGRAPHS = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]{2,}")


def read_vocabulary(path: str | os.PathLike[str]) -> dict[str, int]:
    """Entries of a ``vocab.txt`` with their ids, or of the model part of a ``tokenizer.json``.

    Lines end at ``"\\n"`` alone: released files have an empty line and U+2028 as entries, which count. As in the
    originals, an entry is what stands before the first white space of its line, unless that is all there is.

    Raises:
        ValueError: if an entry occurs twice, or a ``tokenizer.json`` holds no dictionary of entries.
    """
    path = Path(path)
    if path.suffix == ".json":
        model = json.loads(path.read_text(encoding="utf-8")).get("model", {})
        if not isinstance(model.get("vocab"), dict):
            kind = model.get("type")
            raise ValueError(f"{path} holds a model of type {kind!r} without a vocabulary of entries; wanted WordPiece")
        return check_vocabulary(model["vocab"])
    text = path.read_bytes().decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    entries = text.removesuffix("\n").split("\n")
    vocabulary: dict[str, int] = {}
    for index, entry in enumerate(map(_first_field, entries)):
        first = vocabulary.setdefault(entry, index)
        if first != index:
            raise ValueError(f"{path} has the entry {entry!r} twice, in lines {first + 1} and {index + 1}; wanted once")
    return vocabulary


def write_vocabulary(vocabulary: Mapping[str, int], path: str | os.PathLike[str]) -> None:
    """Write the entries in the order of their ids, so that `read_vocabulary` gives ``vocabulary`` back."""
    entries = sorted(vocabulary, key=vocabulary.__getitem__)
    for entry in entries:
        if "\n" in entry:
            raise ValueError(f"vocabulary entry {entry!r} holds a line break, which a vocab.txt cannot hold")
        if entry != _first_field(entry):
            raise ValueError(f"vocabulary entry {entry!r} holds white space, at which a vocab.txt would cut it")
    with atomic_write(path) as file:
        file.writelines(f"{entry}\n" for entry in entries)


def _first_field(line: str) -> str:
    fields = line.split(maxsplit=1)
    return fields[0] if fields else line


def check_vocabulary(vocabulary: object) -> dict[str, int]:
    """The argument as a dictionary, if it maps entries to the ids 0, 1, ..., each once.

    Raises:
        TypeError: if it is not a mapping of strings to integers.
        ValueError: if ids are missing or occur twice.
    """
    if not isinstance(vocabulary, Mapping):
        raise TypeError(
            f"vocab must be a path or a dict of entries to ids, got {type(vocabulary).__name__}: {vocabulary!r:.80}"
        )
    for entry, index in vocabulary.items():
        if not isinstance(entry, str) or isinstance(index, bool) or not isinstance(index, int):
            raise TypeError(f"vocab must map strings to integers, got {entry!r}: {index!r}")
    missing = set(range(len(vocabulary))).difference(vocabulary.values())
    if missing:
        raise ValueError(
            f"vocab has {len(vocabulary)} entries but not the id {min(missing)}; "
            f"wanted the ids 0 to {len(vocabulary) - 1}, each once"
        )
    return dict(vocabulary)


def count_words(vocabulary: Mapping[str, int]) -> int:
    """How many entries are words of several ideographs."""
    return sum(_IDEOGRAPHS.fullmatch(entry) is not None for entry in vocabulary)


def has_words(vocabulary: Mapping[str, int]) -> bool:
    """Whether a vocabulary is a word model's: more than a twentieth of its entries are words of several ideographs."""
    return count_words(vocabulary) > _SHARE_OF_WORDS * len(vocabulary)


def check_special_tokens(entries: Mapping[str, int], special: Mapping[str, object], added: set[str]) -> None:
    """Raise a ValueError unless each special token is an entry or one of the ``added`` tokens."""
    for name, token in special.items():
        if token is None and name != "mask_token":
            raise ValueError(f"{name} is None; wanted an entry of the vocabulary")
        if token is not None and str(token) not in entries and str(token) not in added:
            raise ValueError(
                f"{name} {str(token)!r} is not among the {len(entries)} entries of the vocabulary "
                f"(the first are {list(entries)[:3]}); wanted a vocabulary that has it, or another {name}"
            )
