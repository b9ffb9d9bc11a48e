"""From texts with relations to what half pointers learn, and back: objects and slots alike hang on the subject."""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from hf_ext.data.linked_spans import SLOT_MARK
from hf_ext.data.span_encoding import TokenBorders
from hf_ext.data.windows import Window
from hf_ext.tasks.relations.encoding import (
    DataCollatorForRelationExtraction,
    RelationEncoder,
    join_slots,
    merge_links,
)
from hf_ext.tasks.relations.files import link_name

if TYPE_CHECKING:
    from torch import Tensor

_NONE = [-100, -100]


class HalfPointerEncoder(RelationEncoder):
    """Encodes batches of texts with relations as `RelationEncoder`, but for the slots of complex objects.

    A label is a link from the subject to an object or to a slot, under the name that
    :func:`~hf_ext.tasks.relations.files.link_name` gives. Which object a slot completes is not told by it: that of a
    subject with several is the first, see `join_by_subject`, and the others count as lost.
    """

    lost_where: ClassVar[str] = (
        "have a part that begins or ends inside a token, or a slot that another object of the subject takes, or fit in "
        "no window"
    )

    def locate(
        self, text: str, annotations: Sequence[Mapping[str, Any]], borders: TokenBorders
    ) -> Sequence[Sequence[int]]:
        """The links of a row."""
        links = []
        for relation in annotations:
            predicate, subject = relation["predicate"], borders.tokens(relation["subject"])
            parts = [(link_name(predicate), relation["object"])]
            parts += [(link_name(predicate, slot["name"]), slot) for slot in relation.get("slots") or ()]
            for name, part in parts:
                label, place = self._id(name), borders.tokens(part)
                if subject and place:
                    links.append([label, *subject, *place])
        return links

    def merge(self, found: list[list[dict[str, Any]]], windows: Sequence[Window]) -> list[dict[str, Any]]:
        """The relations of a text, from what is in each of its windows."""
        return join_by_subject(merge_links(found, windows))


class DataCollatorForHalfPointers(DataCollatorForRelationExtraction):
    """Pads as `DataCollatorForRelationExtraction`; rows may have the ``subject`` that `draw_subject` gives them."""

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> "dict[str, Tensor]":
        """A batch of ``[B, L]`` model inputs, ``[B, M, 5]`` labels and ``[B, 2]`` subjects."""
        import torch

        batch = super().__call__(rows)
        if "subject" in rows[0]:
            batch["subject"] = torch.stack([torch.as_tensor(row["subject"], dtype=torch.long) for row in rows])
        return batch


def draw_subject(row: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """A row with the ``subject`` whose objects it is to teach; for :class:`hf_ext.data.DrawnRows`.

    As in the original, its first token is that of any subject of the row, and its last token any last token of a
    subject that is not before it: so a span that is no subject is drawn too, which has no objects.

    Args:
        row: of `HalfPointerEncoder`.
        chance: to draw with.

    Returns:
        The row, with -100 for the subject's tokens if it has no relation.
    """
    subjects = list(dict.fromkeys((label[1], label[2]) for label in row["labels"]))
    if not subjects:
        return {**row, "subject": _NONE}
    first = chance.choice([start for start, _ in subjects])
    last = chance.choice([end for _, end in subjects if end >= first])
    return {**row, "subject": [first, last]}


def join_by_subject(links: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Relations from links of subjects to objects and to slots.

    A relation for each object. Slots go to the object of their subject and predicate; if it has several, to the first
    in the text, and are left out if it has none. Of several values of a slot the best is taken.

    Returns:
        Dicts ``{"predicate", "subject", "object", "slots", "score"}``, the score the least of the links'.
    """
    subjects: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for link in links:
        subjects.setdefault(_place(link["subject"]), []).append(link)
    return [relation for own in subjects.values() for relation in join_slots(_slots_of_objects(own))]


def _slots_of_objects(links: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The links of one subject as `join_slots` takes them, where slots are linked from objects."""
    objects: dict[str, Mapping[str, Any]] = {}
    best: dict[str, Mapping[str, Any]] = {}
    for link in links:
        name = link["predicate"]
        if SLOT_MARK not in name:
            if name not in objects or _place(link["object"]) < _place(objects[name]):
                objects[name] = link["object"]
        elif name not in best or link["score"] > best[name]["score"]:
            best[name] = link
    found = [link for link in links if SLOT_MARK not in link["predicate"]]
    for name, link in best.items():
        owner = objects.get(name.partition(SLOT_MARK)[0])
        if owner is not None:
            found.append({**link, "subject": owner})
    return found


def _place(span: Mapping[str, Any]) -> tuple[int, int]:
    return span["start"], span["end"]
