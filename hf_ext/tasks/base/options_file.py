"""Options of a job in a file of YAML or JSON."""

import json
import re
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
        read = json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(read, dict):
        raise ValueError(f"{path} must hold names of options with their values, got {type(read).__name__}")
    return {str(name): value for name, value in read.items()}


class _Loader(yaml.SafeLoader):
    """YAML 1.2: `no` is a word, as in "eval_strategy: no", and 1e-4 a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|false", re.IGNORECASE), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.\d+|\d+\.\d*|\d+(?=[eE]))([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)
