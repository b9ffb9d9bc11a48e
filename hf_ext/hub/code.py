"""Code that goes along with a checkpoint, so that it loads with ``trust_remote_code=True``."""

import os
from pathlib import Path
from typing import Literal


def add_code(folder: str | os.PathLike[str], kind: Literal["thin", "full"] = "thin") -> list[Path]:
    """Give a checkpoint the code that ``trust_remote_code=True`` loads it with.

    Args:
        folder: a checkpoint, with its ``config.json``, and its tokenizer if it has one.
        kind: ``"thin"``: a few lines that import this package, which has to be installed; ``"full"``: the modules of
            this package that the checkpoint needs, which then need not be.

    Returns:
        The files of code.

    Raises:
        ValueError: for another kind, a folder without ``config.json``, or one that loads without this package.
    """
    raise NotImplementedError
