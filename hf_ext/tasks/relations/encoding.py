"""From texts with relations to model inputs with token positions, and back."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from hf_ext.data.span_collator import DataCollatorForSpanExtraction
from hf_ext.data.span_encoding import SpanEncoder, decode_spans, token_borders
from hf_ext.data.windows import decode_windows, merge_spans
from hf_ext.tasks.relations.files import SLOT_MARK, link_name

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy import ndarray


class DataCollatorForRelationExtraction(DataCollatorForSpanExtraction):
    """Pads model inputs with the tokenizer, and ``labels`` to ``[B, M, 5]`` with -100."""

    label_width = 5


class RelationEncoder(SpanEncoder):
    """Encodes batches of texts with relations; a text longer than ``max_length`` gives several rows.

    As `SpanEncoder`, with ``{"text": [...], "relations": [[{"predicate", "subject", "object", "slots"}]]}`` as
    `read_relations` gives them, and ``labels`` ``[predicate, subject's first token, its last, object's first, its
    last]``. A slot of a complex object is a link from the object to the slot, under the name that `link_name` gives:
    so a subject keeps apart several objects of one predicate, each with slots of its own. ``label2id`` has the ids of
    these names.
    """

    annotations: ClassVar[str] = "relations"

    def _locate(
        self, text: str, entities: Sequence[Mapping[str, Any]], offsets: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[int, list[int]]]:
        firsts, lasts = token_borders(text, offsets)

        def tokens(span: Mapping[str, Any]) -> list[int]:
            first, last = firsts.get(span["start"]), lasts.get(span["end"])
            return [first, last] if first is not None and last is not None and first <= last else []

        for number, relation in enumerate(entities):
            subject, object_ = tokens(relation["subject"]), tokens(relation["object"])
            predicate = self._label(link_name(relation["predicate"]))
            if not subject or not object_:
                continue
            yield number, [predicate, *subject, *object_]
            for slot in relation.get("slots") or ():
                link = self._label(link_name(relation["predicate"], slot["name"]))
                if place := tokens(slot):
                    yield number, [link, *object_, *place]

    def _label(self, name: str) -> int:
        if name not in self.label2id:
            raise ValueError(f"predicate must be one of {sorted(self.label2id)}, got {name!r}")
        return self.label2id[name]


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


def merge_links(
    links: Sequence[Sequence[Mapping[str, Any]]], windows: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Merge the links found in overlapping windows of one text; see `merge_spans` for when an entity counts as cut.

    Args:
        links: for each window what `decode_links` gives.
        windows: (start, end) of each window as offsets into the text, in their order.

    Returns:
        Each link once, with its best score, in the order of the text.
    """
    entities = [[{**one[role], "label": ""} for one in row for role in ("subject", "object")] for row in links]
    whole = {(span["start"], span["end"]) for span in merge_spans(entities, windows)}
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for link in (one for row in links for one in row):
        subject, object_ = ((link[role]["start"], link[role]["end"]) for role in ("subject", "object"))
        key = (*subject, *object_, link["predicate"])
        if {subject, object_} <= whole and (key not in best or link["score"] > best[key]["score"]):
            best[key] = dict(link)
    return [best[key] for key in sorted(best)]


def join_slots(links: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Relations from links: each object takes the slots that are linked to it; slots without an object are left out.

    An object with several values for one slot gives a relation for each of them.

    Returns:
        Dicts ``{"predicate", "subject", "object", "slots", "score"}``, the score the least of the links'.
    """
    slots: dict[tuple[str, int, int], dict[str, list[dict[str, Any]]]] = {}
    for link in links:
        predicate, mark, name = link["predicate"].partition(SLOT_MARK)
        if mark:
            owner = slots.setdefault((predicate, link["subject"]["start"], link["subject"]["end"]), {})
            owner.setdefault(name, []).append({"name": name, **link["object"], "score": link["score"]})
    relations = []
    for link in links:
        if SLOT_MARK in link["predicate"]:
            continue
        own = slots.get((link["predicate"], link["object"]["start"], link["object"]["end"]), {})
        for chosen in product(*(own[name] for name in sorted(own))):
            score = min((link["score"], *(slot["score"] for slot in chosen)))
            plain = [{key: slot[key] for key in ("name", "start", "end", "text")} for slot in chosen]
            relations.append({**link, "slots": plain, "score": score})
    return relations


def decode_relation_dataset(
    predictions: "Sequence[Any] | ndarray",
    encoded: "Dataset",
    texts: Sequence[str],
    id2label: Mapping[int, str],
) -> list[list[dict[str, Any]]]:
    """The relations of each text from the predictions for all rows of an encoded dataset, windows merged.

    Args:
        predictions: ``[N, K, 6]``, one entry for each row of ``encoded``, in their order.
        encoded: what :meth:`RelationEncoder.encode_dataset` returned.
        texts: the texts in their order before encoding.
        id2label: name of each link.

    Raises:
        ValueError: if there is not one prediction for each row.
    """

    def decode(row: Any, offsets: Any, text: str) -> list[dict[str, Any]]:
        return decode_links(row, offsets, id2label, text)

    return [join_slots(merge_links(*pair)) for pair in decode_windows(predictions, encoded, texts, decode)]
