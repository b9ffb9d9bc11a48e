"""Writing a folder as a whole or not at all."""

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.release import CONFIG_NAMES


def check_output(source: Path, output: Path, overwrite: bool) -> None:
    """Refuse an output that would destroy something.

    Raises:
        ConversionError: `output` is a file, is or holds `source`, or holds files and `overwrite` is not set or it is no
            folder of a model or a release.
    """
    if source.resolve().is_relative_to(output.resolve()):
        raise ConversionError(f"output={str(output)!r} is or holds the input {str(source)!r}; name another folder")
    if output.exists() and not output.is_dir():
        raise ConversionError(f"output={str(output)!r} is a file; a folder is expected")
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not overwrite:
        raise ConversionError(f"output={str(output)!r} is not empty; set overwrite (--overwrite) to replace it")
    if not any((output / name).is_file() for name in CONFIG_NAMES):
        raise ConversionError(
            f"output={str(output)!r} has no config file ({', '.join(CONFIG_NAMES)}), so it holds no model and is not "
            "replaced"
        )


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A new folder beside `output` that takes its place when the block ends well, and is removed when it does not."""
    output = output.resolve()
    made = _make_parents(output.parent)
    draft, old = (output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.{kind}") for kind in ("partial", "old"))
    try:
        draft.mkdir()
        yield draft
        if output.is_dir():
            # What only its owner could read stays so.
            draft.chmod(stat.S_IMODE(output.stat().st_mode))
            os.replace(output, old)
        try:
            os.replace(draft, output)
        except BaseException:
            with suppress(FileNotFoundError):
                os.replace(old, output)
            raise
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _make_parents(folder: Path) -> list[Path]:
    """Make a folder and those it is in; returns the ones that were not there, the innermost first."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made
