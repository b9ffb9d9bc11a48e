"""Flat zips of submission files, written and opened."""

import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from hf_ext.atomic_file import atomic_write
from hf_ext.suites.submission.expected import SubmissionFile
from hf_ext.suites.submission.faults import Fault
from hf_ext.suites.submission.validation import validate

Content = Sequence[Mapping[str, Any]] | Mapping[str, Any]
"""What a file of a submission has: the objects of its lines, or its one object."""

# The oldest time that a zip can say: the same content gives the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)
_SHOWN = 5


def submission_bytes(content: Content) -> bytes:
    """A file of a submission: UTF-8 without escapes, LF line ends, no blank lines; one object with a line an entry."""
    if isinstance(content, Mapping):
        return (json.dumps(content, ensure_ascii=False, indent=4) + "\n").encode()
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in content).encode()


def pack(
    contents: Mapping[str, Content], path: str | os.PathLike[str], files: Sequence[SubmissionFile] = ()
) -> list[Fault]:
    """Write files of a submission into a flat zip, if nothing is wrong with them.

    The zip is written whole or not at all; the same contents give the same bytes.

    Args:
        contents: the content of each file, by its name.
        path: the zip, in a folder that exists. CLUE's site wants it called ``submit.zip``.
        files: what each has to have, see `validate`; with none, the names alone are checked.

    Returns:
        The warnings; a zip with errors is not written.

    Raises:
        ValueError: if there is no content, a name is not flat, or `validate` finds an error.
    """
    if not contents:
        raise ValueError("contents must have one file or more, got none")
    deep = next((name for name in contents if not name or "/" in name or "\\" in name), None)
    if deep is not None:
        raise ValueError(f"a file of a flat zip must have a name without folders, got {deep!r}")
    stream = io.BytesIO()
    with ZipFile(stream, "w") as archive:
        for name, content in contents.items():
            entry = ZipInfo(name, _TIME)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, submission_bytes(content))
    faults = validate(stream, files) if files else []
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        shown = "; ".join(map(str, errors[:_SHOWN]))
        raise ValueError(f"{len(errors)} faults, and nothing was written to {os.fspath(path)}: {shown}")
    with atomic_write(path, "wb") as file:
        file.write(stream.getvalue())
    return faults
