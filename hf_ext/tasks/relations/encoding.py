"""From texts with relations to model inputs with token positions, and back."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from hf_ext.data.linked_spans import SLOT_MARK
from hf_ext.data.span_collator import DataCollatorForSpanExtraction
from hf_ext.data.span_encoding import SpanEncoder, TokenBorders, decode_spans
from hf_ext.data.windows import Window, decode_windows, keep_uncut, trim
from hf_ext.tasks.relations.files import link_name

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy import ndarray

MOST_CHOICES = 256
"""Relations that one object may give beyond the best, by several values of its slots."""


class DataCollatorForRelationExtraction(DataCollatorForSpanExtraction):
    """Pads model inputs with the tokenizer, and ``labels`` to ``[B, M, 5]`` with -100."""

    label_width = 5


class RelationEncoder(SpanEncoder):
    """Encodes batches of texts with relations; a text longer than ``max_length`` gives several rows.

    As `SpanEncoder`, with ``{"text": [...], "relations": [[{"predicate", "subject", "object", "slots"}]]}`` as
    `read_relations` gives them, and ``labels`` ``[predicate, subject's first token, its last, object's first, its
    last]``. A slot of a complex object is a link from the object to the slot, under the name that `link_name` gives:
    so a subject keeps apart several objects of one predicate, each with slots of its own. ``label2id`` has the ids of
    these names. ``lost_entities`` counts relations that do not come back with all their slots.
    """

    annotations: ClassVar[str] = "relations"
    lost_where: ClassVar[str] = "have a part that begins or ends inside a token, or fit in no window"

    def locate(
        self, text: str, annotations: Sequence[Mapping[str, Any]], borders: TokenBorders
    ) -> Sequence[Sequence[int]]:
        """The links of a row."""
        links: list[Sequence[int]] = []
        for relation in annotations:
            subject, object_ = borders.tokens(relation["subject"]), borders.tokens(relation["object"])
            predicate = self._id(link_name(relation["predicate"]))
            slots = [(self._id(link_name(relation["predicate"], one["name"])), one) for one in _slots(relation)]
            if subject and object_:
                links.append([predicate, *subject, *object_])
                places = ((link, borders.tokens(slot)) for link, slot in slots)
                links += [[link, *object_, *place] for link, place in places if place]
        return links

    def decode(
        self, row: Sequence[Sequence[float]], offsets: Sequence[Sequence[int]], names: Mapping[int, str], text: str
    ) -> list[dict[str, Any]]:
        """What is in the predictions for a row, as `decode_links` takes them."""
        return decode_links(row, offsets, names, text)

    def merge(self, found: list[list[dict[str, Any]]], windows: Sequence[Window]) -> list[dict[str, Any]]:
        """The relations of a text, from what is in each of its windows."""
        return join_slots(merge_links(found, windows))

    def key(self, text: str, annotation: Mapping[str, Any]) -> Hashable:
        """Predicate, subject, object and slots."""

        def place(span: Mapping[str, Any]) -> tuple[int, int]:
            return trim(text, span["start"], span["end"])

        slots = frozenset((slot["name"], *place(slot)) for slot in _slots(annotation))
        return annotation["predicate"], place(annotation["subject"]), place(annotation["object"]), slots

    def _id(self, name: str) -> int:
        if name not in self.label2id:
            raise ValueError(f"predicate must be one of {sorted(self.label2id)}, got {name!r}")
        return self.label2id[name]


def _slots(relation: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return relation.get("slots") or ()


def decode_links(
    predictions: "Sequence[Sequence[float]] | ndarray",
    offsets: Sequence[Sequence[int]],
    id2label: Mapping[int, str],
    text: str,
) -> list[dict[str, Any]]:
    """The links of characters in one row's predictions.

    Args:
        predictions: ``[K, 6]`` of (predicate, subject's first token, its last, object's first, its last, score); rows
            with a negative predicate are padding.
        offsets: ``[L, 2]``, the row's ``offset_mapping``.
        id2label: name of each link.
        text: the text that the offsets point into.

    Returns:
        Dicts ``{"predicate", "subject", "object", "score"}``; links on tokens without text, such as [CLS], are left
        out.

    Raises:
        ValueError: if a span is not within the row's tokens.
    """
    links = []
    for predicate, *tokens, score in predictions:
        if predicate < 0:
            continue
        pair = [[0, *tokens[:2], score], [1, *tokens[2:], score]]
        found = decode_spans(pair, offsets, {0: "subject", 1: "object"}, text)
        if len(found) == 2:
            entities = {one["label"]: {key: one[key] for key in ("start", "end", "text")} for one in found}
            links.append({"predicate": id2label[int(predicate)], **entities, "score": float(score)})
    return links


def merge_links(links: Sequence[Iterable[Mapping[str, Any]]], windows: Sequence[Window]) -> list[dict[str, Any]]:
    """Merge the links found in overlapping windows of one text.

    A link takes the place from the first of its two entities to the last. If that touches a border inside the text, an
    entity may be cut, and the link is dropped as `keep_uncut` says: a window that sees one of the entities alone cannot
    tell of the link.

    Args:
        links: for each window what `decode_links` gives.
        windows: the windows in their order.

    Returns:
        Each link once, with its best score, in the order of the text.
    """
    keep = keep_uncut(windows)
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number, link in ((number, one) for number, row in enumerate(links) for one in row):
        subject, object_ = ((link[role]["start"], link[role]["end"]) for role in ("subject", "object"))
        key = (*subject, *object_, link["predicate"])
        better = key not in best or link["score"] > best[key]["score"]
        if better and keep(number, min(subject[0], object_[0]), max(subject[1], object_[1])):
            best[key] = dict(link)
    return [best[key] for key in sorted(best)]


def join_slots(links: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Relations from links: each object takes the slots that are linked to it; slots without an object are left out.

    An object with several values for one slot gives a relation for each of them, and one with several such slots for
    each choice. Choices grow as a product, so only the best are kept: one for each link from subject to object, and of
    the others in a text as many as there are links, or `MOST_CHOICES` if these are fewer.

    Returns:
        Dicts ``{"predicate", "subject", "object", "slots", "score"}``, the score the least of the links'.
    """
    slots: dict[tuple[str, int, int], dict[str, list[dict[str, Any]]]] = {}
    relations = []
    for link in links:
        predicate, mark, name = link["predicate"].partition(SLOT_MARK)
        if mark:
            owner = slots.setdefault((predicate, link["subject"]["start"], link["subject"]["end"]), {})
            owner.setdefault(name, []).append({"name": name, **link["object"], "score": link["score"]})
        else:
            relations.append(link)
    choices = {place: _best_choices([own[name] for name in sorted(own)]) for place, own in slots.items()}
    found = []
    for number, link in enumerate(relations):
        place = link["predicate"], link["object"]["start"], link["object"]["end"]
        for rank, chosen in enumerate(choices.get(place, [()])):
            score = min((link["score"], *(slot["score"] for slot in chosen)))
            plain = [{key: slot[key] for key in ("name", "start", "end", "text")} for slot in chosen]
            order = [(slot["start"], slot["end"]) for slot in chosen]
            found.append((rank > 0, -score, number, order, {**link, "slots": plain, "score": score}))
    found.sort(key=lambda one: one[:4])
    kept = found[: len(relations) + max(MOST_CHOICES, len(links))]
    return [relation for *_, relation in sorted(kept, key=lambda one: one[2:4])]


def _best_choices(slots: Iterable[Sequence[Mapping[str, Any]]]) -> list[tuple[Mapping[str, Any], ...]]:
    """Choices of a value for each slot, those of the best least score first: one, and at most `MOST_CHOICES` more."""
    best: list[tuple[float, tuple[Mapping[str, Any], ...]]] = [(inf, ())]
    for values in slots:
        longer = [(min(least, value["score"]), (*chosen, value)) for least, chosen in best for value in values]
        # What begins with one that is not among the best is not either.
        best = sorted(longer, key=lambda one: -one[0])[: MOST_CHOICES + 1]
    return [chosen for _, chosen in best]


def decode_relation_dataset(
    predictions: "Sequence[Any] | ndarray",
    encoded: "Dataset",
    texts: Sequence[str],
    id2label: Mapping[int, str],
    join: Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]] = join_slots,
) -> list[list[dict[str, Any]]]:
    """The relations of each text from the predictions for all rows of an encoded dataset, windows merged.

    Args:
        predictions: ``[N, K, 6]``, one entry for each row of ``encoded``, in their order.
        encoded: what :meth:`RelationEncoder.encode_dataset` returned.
        texts: the texts in their order before encoding.
        id2label: name of each link.
        join: makes relations of the links of a text.

    Raises:
        ValueError: if there is not one prediction for each row.
    """

    def decode(row: Any, offsets: Any, text: str) -> list[dict[str, Any]]:
        return decode_links(row, offsets, id2label, text)

    return [join(merge_links(*pair)) for pair in decode_windows(predictions, encoded, texts, decode)]
