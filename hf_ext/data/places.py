"""Places in a text: where a string stands, and spans as files give them."""

from typing import Any

from hf_ext.data.text_lines import FileLine, fail


def locate(text: str, surface: str) -> dict[str, Any] | None:
    """Where a string first occurs in a text, as ``{"start", "end", "text"}``; None if nowhere.

    A place where the string does not cut a word or number in two comes before one where it does, and one with the same
    case of letters before another.
    """
    cut = None
    for haystack, needle in ((text, surface), (_lower(text), _lower(surface))):
        start = haystack.find(needle) if needle else -1
        while start >= 0:
            span = text_span(text, start, start + len(needle))
            if not _cuts(text, start) and not _cuts(text, start + len(needle)):
                return span
            cut = cut or span
            start = haystack.find(needle, start + 1)
    return cut


def text_span(text: str, start: int, end: int) -> dict[str, Any]:
    """``{"start", "end", "text"}`` of a place in a text."""
    return {"start": start, "end": end, "text": text[start:end]}


def checked_span(text: str, value: Any, name: str, where: FileLine | str) -> dict[str, Any]:
    """The span of an object with ``start`` and ``end``, without white space at its ends, of which no token is made.

    Raises:
        ValueError: naming the place, if the offsets are no integers, or the span is blank or outside the text.
    """
    if not isinstance(value, dict) or type(value.get("start")) is not int or type(value.get("end")) is not int:
        fail(where, f"{name} must be an object with integers 'start' and 'end'", value)
    if not 0 <= value["start"] < value["end"] <= len(text):
        seen = (value["start"], value["end"])
        fail(where, f"{name} must be a span that lies within the text of {len(text)} characters", seen)
    surface = text[value["start"] : value["end"]]
    start = value["start"] + len(surface) - len(surface.lstrip())
    if not surface.strip():
        fail(where, f"{name} must not be white space alone", surface)
    return text_span(text, start, start + len(surface.strip()))


def _lower(text: str) -> str:
    # Some capitals have two small letters, and would move what follows.
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)


def _cuts(text: str, place: int) -> bool:
    """Whether a place lies between two letters or digits of ASCII, which no border of tokens does."""
    pair = text[max(0, place - 1) : place + 1]
    return 0 < place < len(text) and pair.isascii() and pair.isalnum()
