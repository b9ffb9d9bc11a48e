"""Which formats there are, and which of them a file is in: told by its content, whatever its name.

A format is a module of this folder with a `Format` called ``FORMAT``. It is found by its file; nothing lists it. What
it reads is given to every task in one form, by the name of what is in it:

- ``"entities"``: ``{"text", "entities": [{"start", "end", "label"}]}``
- ``"relations"``: ``{"text", "relations": [{"predicate", "subject": span, "object": span, "slots": [{"name", ...}]}]}``
- ``"events"``: ``{"text", "events": [{"type", "trigger": span, "arguments": [{"role", "start", "end"}]}]}``
- ``"classes"``: ``{"text", "labels": [str]}``, or other names of texts
- ``"targets"``: ``{"text", "targets": [str]}``, texts to be written
- ``"choices"``: ``{"text", "choices": [str], "label": index}``, perhaps with ``"question"``, ``"blank"``,
  ``"group"`` or ``"id"``

A span is ``{"start", "end"}`` in code points of the text, ``end`` exclusive. An example without the second key is not
labelled. Whatever has a place of its own holds it as ``where``. The tasks check the values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, fail

Example = tuple[FileLine, dict[str, Any]]
_Labelled = TypeVar("_Labelled", bound=tuple[FileLine | str, Mapping[str, Any]])


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        name: as errors and the command line have it.
        found: whether a file is in it. No file is in two.
        reads: the examples of a file, each after its place, by what is read from it.
        writes: what is written of examples, one after the other, by what is in them; see `write_records`.
        whole: whether the records are the items of one JSON array, rather than a line each.
    """

    name: str
    found: Callable[[Source], bool]
    reads: Mapping[str, Callable[[Source], Iterable[Example]]]
    writes: Mapping[str, Callable[[Mapping[str, Any], int], Any]] = field(default_factory=dict)
    whole: bool = False


@cache
def formats() -> Mapping[str, Format]:
    """All formats by their names."""
    package = __name__.rpartition(".")[0]
    modules = (import_module(one.name) for one in iter_modules(import_module(package).__path__, f"{package}."))
    found = (module.FORMAT for module in modules if hasattr(module, "FORMAT"))
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def format_of(source: Source) -> Format | None:
    """The format of a file; None if it is in none of these."""
    return next((one for one in formats().values() if one.found(source)), None)


def read_as(content: str, source: Source) -> Iterator[Example] | None:
    """What a file in one of the formats has of some content, each example after its place.

    Args:
        content: ``"entities"``, ``"relations"``, ``"events"``, ``"classes"``, ``"targets"`` or ``"choices"``.
        source: the file.

    Returns:
        The examples as they are read, or None if the file is in no such format.

    Raises:
        TextFileError: naming the file and the line, if its format has other content, or the file cannot be read.
    """
    known = format_of(source)
    if known is None:
        if source.is_folder:
            fail(source.path, "a folder must have files of brat, TEXT.ann beside TEXT.txt", "none")
        return None
    if content not in known.reads:
        has = ", ".join(known.reads)
        fail(source.start, f"there must be {content}", f"a file in the format {known.name}, which has {has}")
    return iter(known.reads[content](source))


def all_or_none(examples: Iterable[_Labelled], key: str, wanted: str) -> list[_Labelled]:
    """Examples of which all are labelled, or none is, as in files to be predicted.

    Raises:
        TextFileError: naming the first that is not while others are.
    """
    read = list(examples)
    lacking = [(where, example) for where, example in read if key not in example]
    if lacking and len(lacking) < len(read):
        where, example = lacking[0]
        fail(where, wanted, sorted(example))
    return read
