"""Parts of a file that is being computed, kept beside it until it is whole."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_ext.atomic_file import atomic_write, is_stream
from hf_ext.tasks.base.parts_folder import parts_folder


class KeptParts:
    """Numbered parts in a hidden folder beside the file of all of them, and what they were computed from.

    Args:
        output: the file of all parts.
        source: what the parts come from, by name: the file that is read, the model, the settings.
        resume: keep the parts that are there; else they are removed.

    Raises:
        ValueError: if the file is a pipe or a device, or the parts to resume from come from something else.
    """

    def __init__(self, output: str | os.PathLike[str], source: Mapping[str, Any], resume: bool = False) -> None:
        if is_stream(output):
            raise ValueError(f"output must be a file, beside which parts can be kept, got {os.fspath(output)}")
        self.folder = parts_folder(output)
        # As it is read again: without tuples, and with keys that are strings.
        wanted = json.loads(json.dumps(dict(source)))
        stated = self.folder / "source.json"
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.is_dir():
            seen = json.loads(stated.read_text(encoding="utf-8")) if stated.is_file() else {}
            others = sorted(name for name in {*wanted, *seen} if seen.get(name) != wanted.get(name))
            if others:
                raise ValueError(
                    f"resume must be of the run whose parts are in {self.folder}, got another {', '.join(others)}; "
                    "without resume all is computed anew"
                )
        self.folder.mkdir(exist_ok=True)
        with atomic_write(stated) as file:
            json.dump(wanted, file, ensure_ascii=False)

    def numbers(self) -> frozenset[int]:
        """The numbers of the parts that are there."""
        return frozenset(int(file.stem) for file in self.folder.glob("*.part"))

    def put(self, number: int, content: bytes) -> None:
        """Write a part."""
        with atomic_write(self._file(number), "wb") as file:
            file.write(content)

    def contents(self, count: int) -> Iterator[bytes]:
        """The contents of the first ``count`` parts, in their order.

        Raises:
            OSError: if one is not there.
        """
        return (self._file(number).read_bytes() for number in range(count))

    def remove(self) -> None:
        """Remove all parts, once the file of all of them is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:08d}.part"
