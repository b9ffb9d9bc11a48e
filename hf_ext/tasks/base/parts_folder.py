"""Where parts of a file are kept until it is whole."""

import hashlib
import os
from pathlib import Path


def parts_folder(path: str | os.PathLike[str]) -> Path:
    """The hidden folder beside a file that is named after it, and after no other.

    Args:
        path: the file, or a link to it.
    """
    target = Path(os.path.realpath(path))
    name = target.name
    # A name has 255 bytes at most, of which there have to be some left; files of many parts often begin alike.
    if len(os.fsencode(name)) > 200:
        name = f"{name[:40]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"
    return target.with_name(f".{name}.parts")
