"""Labels as an error lists them."""

from collections.abc import Collection

_SHOWN = 8


def listed_labels(labels: Collection[str]) -> str:
    """The first labels, and where there are more, how many there are in all: ``a, b, ... (119 in all)``."""
    rest = f", ... ({len(labels)} in all)" if len(labels) > _SHOWN else ""
    return ", ".join([*labels][:_SHOWN]) + rest
