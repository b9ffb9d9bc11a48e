"""What is wrong with a submission, ours or one made elsewhere: names, encoding, JSON, ids, labels, spans, answers."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

from hf_ext.suites.submission.encoding import decoded_lines
from hf_ext.suites.submission.expected import OBJECTS, SubmissionFile
from hf_ext.suites.submission.faults import Fault, Faults
from hf_ext.suites.submission.lines import check_lines
from hf_ext.suites.submission.names import right_names
from hf_ext.suites.submission.objects import check_object

# What macOS and Windows put beside files.
_JUNK = (".DS_Store", "Thumbs.db", "desktop.ini")


def validate(
    path: str | os.PathLike[str] | IO[bytes],
    files: Sequence[SubmissionFile],
    zip_name: str | None = None,
    limit: int = 10,
) -> list[Fault]:
    """All that is wrong with a zip, file by file.

    Errors are what a site cannot read, scores against other rows, or counts as wrong throughout: a wrong or missing
    name, a folder, a byte order mark, a blank line, what is no JSON, ids that are missing, repeated, unknown or in
    another order, labels that are no class. Warnings are what has been scored all the same, or a row that is surely
    wrong: ids that count the lines, an idiom twice on a line, an answer that is not in its context.

    Args:
        path: the zip, or a stream of one.
        files: what it should have in it.
        zip_name: what the zip has to be called.
        limit: how many faults of a kind are listed for a file; how many more there are is said behind them.

    Returns:
        The faults of the zip, then those of its files in the order of ``files``; none if it is fine.

    Raises:
        OSError: if there is no such file, or it cannot be read.
    """
    name = Path(path).name if isinstance(path, str | os.PathLike) else "submit.zip"
    faults = Faults(name, limit)
    if zip_name is not None and name != zip_name:
        faults.warn(None, "name", f"the zip must be called {zip_name}")
    try:
        with ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            found = _assigned(entries, files, faults)
            inside = [_check_entry(archive, entry, file, limit) for file, entry in found]
    except BadZipFile as error:
        faults.add(None, "zip", f"the submission must be a zip: {error}")
        return faults.all()
    return [*faults.all(), *(fault for own in inside for fault in own)]


def validate_file(path: str | os.PathLike[str], file: SubmissionFile, limit: int = 10) -> list[Fault]:
    """All that is wrong with one file of a submission, not in a zip, whatever it is called.

    Args:
        path: of the file.
        file: what it has to have.
        limit: how many faults of a kind are listed.

    Raises:
        OSError: if it cannot be read.
    """
    return _check_content(os.fspath(path), Path(path).read_bytes(), file, limit)


def _assigned(
    entries: Sequence[ZipInfo], files: Sequence[SubmissionFile], faults: Faults
) -> list[tuple[SubmissionFile, ZipInfo]]:
    """The files that are there, each with its entry of the zip; faults of names are added."""
    expected = {file.name: file for file in files}
    found: dict[str, ZipInfo] = {}
    others: list[tuple[str, ZipInfo]] = []
    for path, count in Counter(entry.filename for entry in entries).items():
        if count > 1:
            faults.add(None, "name", f"{path} must be in the zip once, got {count}")
    opens_all = any(file.any_name for file in files)
    for entry in entries:
        name = entry.filename.replace("\\", "/").rpartition("/")[2]
        if name in _JUNK or name.startswith("._"):
            what = "which the scorer would read" if opens_all else "which is none of the submission"
            faults.add(None, "name", f"the zip has {entry.filename}, {what}", "error" if opens_all else "warning")
            continue
        if name != entry.filename:
            faults.add(None, "name", f"the zip must be flat: {entry.filename} must be called {name}")
        if name in expected:
            found[name] = entry
        else:
            others.append((name, entry))
    missing = [file for file in files if file.name not in found]
    free = [file for file in missing if file.any_name]
    for file, (_, entry) in zip(free, list(others)):
        found[file.name] = entry
        del others[0]
    missing = [file for file in missing if file.name not in found]
    for name, _ in others:
        right = right_names(name, [file.name for file in missing] or expected)
        should = f"; it should be {' or '.join(right)}" if right else ""
        faults.add(None, "name", f"{name} is no name of this submission{should}")
    for file in missing:
        if file.required:
            faults.add(None, "missing", f"the zip must have {file.name}")
    return [(file, found[file.name]) for file in files if file.name in found]


def _check_entry(archive: ZipFile, entry: ZipInfo, file: SubmissionFile, limit: int) -> list[Fault]:
    try:
        data = archive.read(entry)
    # RuntimeError: it is encrypted; NotImplementedError: packed in a way that Python does not know.
    except (BadZipFile, ZlibError, EOFError, RuntimeError, NotImplementedError) as error:
        faults = Faults(entry.filename, limit)
        faults.add(None, "zip", f"the file cannot be unpacked: {error}")
        return faults.all()
    return _check_content(entry.filename, data, file, limit)


def _check_content(name: str, data: bytes, file: SubmissionFile, limit: int) -> list[Fault]:
    faults = Faults(name, limit)
    lines = decoded_lines(data, faults)
    if lines is not None:
        (check_object if file.kind in OBJECTS else check_lines)(lines, file, faults)
    return faults.all()
