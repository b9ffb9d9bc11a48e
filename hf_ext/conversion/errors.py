"""What a conversion raises."""

from collections.abc import Sequence


class ConversionError(ValueError):
    """A release cannot be converted; the message is one line that says what is wrong and what to do."""


def some(names: Sequence[str], limit: int = 3) -> str:
    """The first names of a list for a message, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
