"""``job.json`` beside a saved model: the command that it was trained by, with the options that are no files."""

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from hf_ext.atomic_file import atomic_write
from hf_ext.version import __version__

JOB_FILE = "job.json"
_NOT_KEPT = {"Files", "Data set", "Start from"}


def write_job_file(job: Any, folder: Path) -> None:
    """Write what a job is, by its command, and its options but for those that name files and what it started from."""
    options = {one.name: getattr(job, one.name) for one in fields(job) if one.metadata.get("group") not in _NOT_KEPT}
    said = {"command": job.command, "options": options, "hf_ext_version": __version__}
    with atomic_write(folder / JOB_FILE) as file:
        # A loss may have options of any type; none is read again.
        json.dump(said, file, ensure_ascii=False, indent=2, default=str)


def read_job_file(model: str | os.PathLike[str]) -> Mapping[str, Any] | None:
    """What `write_job_file` wrote beside a model, a folder or a name on the Hub; None if nothing did.

    Raises:
        ValueError: if the file holds something else.
    """
    try:
        path = cached_file(str(model), JOB_FILE)
    except OSError:
        return None
    if path is None:
        return None
    try:
        said = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(said["command"], str) and isinstance(said["options"], dict):
            return dict(said)
    except (KeyError, TypeError, ValueError):
        pass
    raise ValueError(f"{path} must hold the command and the options of a job, as hf-ext train writes it")
