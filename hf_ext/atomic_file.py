"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO]:
    """Open a draft beside ``path`` that takes its place when the block ends, and goes away if the block fails.

    Args:
        path: the file to write, in a folder that exists; what is there stays until the new file is complete.
        mode: ``"w"`` for UTF-8 text with LF line ends, ``"wb"`` for bytes.
    """
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(draft, mode, **text) as file:  # type: ignore[call-overload]
            yield file
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
