"""Options of a job in a file of YAML or JSON."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml", ".json")


def read_options_file(path: Path) -> dict[str, Any]:
    """The options by the names that the file has for them.

    Raises:
        ValueError: naming the file, if it cannot be read or holds something else.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a file of options ends in one of {', '.join(SUFFIXES)}, got {str(path)!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        read = json.loads(text, object_pairs_hook=_unique) if path.suffix == ".json" else yaml.load(text, _Loader)
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(read, dict):
        raise ValueError(f"{path} must hold names of options with their values, got {type(read).__name__}")
    return {str(name): value for name, value in read.items()}


class _Loader(yaml.SafeLoader):
    """YAML 1.2: `no` is a word, as in "eval_strategy: no", 1e-4 a number, and a date what it looks like."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys differ."""
        return _unique(
            (self.construct_object(key, True), self.construct_object(value, True)) for key, value in node.value
        )


_RESOLVED = {
    "bool": (r"(true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "int": (r"[-+]?(0|[1-9]\d*)$", "-+0123456789"),
    "float": (
        r"[-+]?(\.\d+|\d+\.\d*|\d+(?=[eE]))([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$",
        "-+0123456789.",
    ),
    "timestamp": None,
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _RESOLVED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _name, _rule in _RESOLVED.items():
    if _rule is not None:
        _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(_rule[0]), list(_rule[1]))


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = value
    return found
