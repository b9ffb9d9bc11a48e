"""Digests by which a run that is taken up again knows its file and its model."""

import hashlib
import os
from pathlib import Path

from transformers.utils import cached_file


def file_digest(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_digest(name: str | os.PathLike[str]) -> str:
    """A digest of all files of a model's folder; of a name on the Hub that of its name and revision."""
    folder = Path(name)
    digest = hashlib.sha256()
    if folder.is_dir():
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            digest.update(f"{file.relative_to(folder).as_posix()} {file_digest(file)}\n".encode())
    else:
        # The Hub's library keeps the files of a revision in a folder that is named after it.
        config = cached_file(os.fspath(name), "config.json", _raise_exceptions_for_missing_entries=False)
        digest.update(f"{os.fspath(name)} {Path(config).parent.name if config else ''}".encode())
    return digest.hexdigest()
