"""Files that are written whole or not at all."""

import errno
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_DESCRIPTOR = re.compile(r"/(?:dev|proc/(\d+)(?:/task/\d+)?)/fd/(\d+)")


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO]:
    """Open a draft of ``path`` that takes its place when the block ends, and goes away if the block fails.

    A file that is there stays until the new one is complete, and hands on its permissions. Writers of one path do not
    disturb each other: the last to end wins. What cannot be replaced, as a pipe, a device or ``/dev/stdout``, is opened
    at once and gets the whole content when the block ends; nothing if it fails.

    Args:
        path: the file to write, in a folder that exists.
        mode: ``"w"`` for UTF-8 text with LF line ends, ``"wb"`` for bytes.

    Raises:
        OSError: if ``path`` is a folder, may not be written, or its folder takes no files.
    """
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    if (stream := _open_stream(path)) is not None:
        with stream, tempfile.TemporaryFile(f"{mode}+", **text) as draft:
            yield draft
            draft.flush()
            content: Any = getattr(draft, "buffer", draft)
            content.seek(0)
            shutil.copyfileobj(content, stream)
        return
    target = Path(os.path.realpath(path))
    # A name of any length leaves room for what makes the draft's its own, also where several machines share the disk.
    draft_path = target.with_name(f".{target.name[:40]}.{uuid.uuid4().hex}.draft")
    try:
        with open(_create(draft_path, target), mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft_path, target)
    finally:
        draft_path.unlink(missing_ok=True)


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether `atomic_write` writes to what stands at a path as it is, as it does to a pipe or a device."""
    if _own_descriptor(path) is not None:
        return True
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def _open_stream(path: str | os.PathLike[str]) -> IO[bytes] | None:
    """What stands at a path open for writing, if it is there and no regular file; else None."""
    if (number := _own_descriptor(path)) is not None:
        return open(os.dup(number), "wb")
    # A folder is opened for the error that tells so.
    return open(path, "wb") if is_stream(path) or os.path.isdir(path) else None


def _own_descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of the open file of this process that a path stands for, as ``/dev/stdout`` does.

    It may be a regular file that others write too, so it is written on from where it is.
    """
    place = os.path.abspath(path)
    for _ in range(40):
        place = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
        if match := _DESCRIPTOR.fullmatch(place):
            return int(match[2]) if match[1] in (None, str(os.getpid())) else None
        if not os.path.islink(place):
            break
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    return None


def _create(draft: Path, target: Path) -> int:
    """Make the draft and give it the owner and the permissions of the file that it replaces, if there is one."""
    old = target.stat() if target.exists() else None
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    try:
        # Never open to more readers than it will be in the end.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if old is None else 0o600)
    except OSError as error:
        error.filename = str(target)
        raise
    if old is not None:
        with suppress(PermissionError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)
    return descriptor
