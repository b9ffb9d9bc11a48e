"""What a file of a submission has to have, for the test file that it answers."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LINES = ("label", "answer", "entities", "relations", "events", "lines")
"""The kinds of files with a JSON object on each line."""
OBJECTS = ("idioms", "answers")
"""The kinds of files that are one JSON object."""


@dataclass(frozen=True, kw_only=True)
class SubmissionFile:
    """A file of a submission. What is not said is not checked.

    The kinds, by what a row or an entry is:

    - ``"label"``: ``{"id", "label": str}``, a class, or with ``choices`` the number of a choice.
    - ``"answer"``: ``{"id", "answer": int}``, the number of a choice, as of FewCLUE's idioms.
    - ``"entities"``: ``{"id", "label": {type: {string: [[first, last]]}}}``, as CLUENER's.
    - ``"relations"``: ``{"text", "spo_list"}``, as DuIE's. Rows go by their texts, in any order.
    - ``"events"``: ``{"id", "event_list"}``, as DuEE's. Rows go by their ids, in any order.
    - ``"lines"``: objects of a form that is not known here, one for each row of the test file.
    - ``"idioms"``: ``tag: int`` in one object, as CHID's.
    - ``"answers"``: ``id: str`` in one object, as CMRC2018's and DuReader's.

    Attributes:
        name: of the file in the zip.
        kind: one of `LINES` or `OBJECTS`.
        ids: of the rows of the test file, in its order; tags of idioms, ids of questions. Of relations none.
        labels: the classes, types of entities, predicates, or ``"type|role"`` of events.
        texts: of each row; of questions the contexts, one for each of ``ids``.
        choices: how many choices each row has, numbered from 0.
        lines: of each tag of idioms the line that it is in.
        any_name: whether the zip has one file, under whatever name, as DuIE's scorer opens all that is there.
        required: whether a zip without it is wrong.

    Raises:
        ValueError: if there is no such kind, or ``texts``, ``choices`` or ``lines`` are not one for each of ``ids``.
    """

    name: str
    kind: str
    ids: Sequence[Any] = ()
    labels: Collection[str] = ()
    texts: Sequence[str] = ()
    choices: Sequence[int] = ()
    lines: Sequence[Hashable] = ()
    any_name: bool = False
    required: bool = True

    def __post_init__(self) -> None:
        if self.kind not in (*LINES, *OBJECTS):
            raise ValueError(f"kind of {self.name} must be one of {', '.join((*LINES, *OBJECTS))}, got {self.kind!r}")
        if self.kind == "relations" and self.ids:
            raise ValueError(f"{self.name} must have texts and no ids, as relations go by their texts")
        for name in ("texts", "choices", "lines"):
            values = getattr(self, name)
            if values and len(values) != len(self.ids) and self.kind != "relations":
                raise ValueError(f"{name} of {self.name} must be {len(self.ids)}, one for each id, got {len(values)}")


class OfficialRow(Protocol):
    """A row of a test file: its own id, or else its number from 0, and what a job reads of it."""

    @property
    def id(self) -> Any:
        """What the submission calls it."""

    @property
    def example(self) -> Mapping[str, Any]:
        """Its texts and choices."""


def file_of_rows(
    name: str,
    kind: str,
    rows: Iterable[OfficialRow],
    labels: Collection[str] = (),
    *,
    any_name: bool = False,
    required: bool = True,
) -> SubmissionFile:
    """What a file has to have, of the rows of its test file.

    Args:
        name: of the file in the zip.
        kind: one of `LINES` or `OBJECTS`.
        rows: in the order of the test file. Their examples have the ``context`` of a question, or the ``text`` of what
            has entities, relations or events; ``choices`` or ``candidates``; and the line of a blank as ``group``.
        labels: as in `SubmissionFile`.
        any_name: as there.
        required: as there.
    """
    listed = list(rows)
    examples = [row.example for row in listed]
    given: dict[str, Any] = {}
    if kind == "answers":
        given["texts"] = [example["context"] for example in examples]
    elif kind in ("entities", "relations", "events"):
        given["texts"] = [example["text"] for example in examples]
    else:
        choices = [example.get("choices", example.get("candidates")) for example in examples]
        if None not in choices:
            given["choices"] = [len(own) for own in choices]
        if kind == "idioms":
            given["lines"] = [example["group"] for example in examples]
    if kind != "relations":
        given["ids"] = [row.id for row in listed]
    return SubmissionFile(name=name, kind=kind, labels=labels, any_name=any_name, required=required, **given)
