"""What a file of a submission has to have, for the test file that it answers."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

LINES = ("label", "answer", "entities", "relations", "events")
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
