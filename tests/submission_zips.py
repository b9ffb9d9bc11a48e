"""Zips of submissions, right and wrong, for the tests of what checks and packs them."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any


def written(content: Any) -> bytes:
    """The bytes of a file: as they are, of a text, of one object, or of objects a line each."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, dict):
        return json.dumps(content, ensure_ascii=False, indent=1).encode()
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in content).encode()


def zipped(contents: Mapping[str, Any]) -> io.BytesIO:
    """A zip of files by their names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, written(content))
    return stream
