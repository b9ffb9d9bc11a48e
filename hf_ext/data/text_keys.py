"""How files call the texts of a row, alone or in pairs."""

from collections.abc import Mapping
from typing import Any

TEXT_KEYS = (
    ("text1", "text2"),
    ("sentence1", "sentence2"),
    ("text", "text2"),
    ("text_a", "text_b"),
    ("sentence",),
    ("content",),
    ("review",),
)
"""Names of a text, and of the second of a pair."""


def text_keys_of(record: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names that a row has: one, or two of a pair whose second is there; None if it has none of these."""
    names = next((keys for keys in TEXT_KEYS if keys[0] in record), None)
    return names and tuple(name for name in names if name == names[0] or record.get(name) is not None)
