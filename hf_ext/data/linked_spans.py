"""Labelled spans and links between them, as annotation tools have them, to relations and events, and back.

A relation is a link from subject to object with its predicate; a slot of a complex object is a link from the object
with ``predicate|slot``. An event is a span labelled with its type, its trigger, with a link to each argument.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hf_ext.data.text_lines import FileLine, fail

SLOT_MARK = "|"
"""Separates a predicate from the slot of its complex object in the name of a link: ``"获奖|inWork"``."""
_SPAN = ("start", "end")


class Link(NamedTuple):
    """A link from one span to another, each by its name."""

    label: Any
    source: Any
    target: Any
    where: FileLine


def named_spans(spans: Iterable[tuple[Any, Mapping[str, Any]]], where: FileLine) -> dict[Any, Mapping[str, Any]]:
    """Spans by their names, which links have.

    Raises:
        TextFileError: naming the place, if two have the same name, as those of a place with two labels.
    """
    named: dict[Any, Mapping[str, Any]] = {}
    for name, span in spans:
        if name in named:
            fail(where, "a span that links lead to must have a name of its own, and one label", name)
        named[name] = span
    return named


def relations_of(spans: Mapping[Any, Mapping[str, Any]], links: Sequence[Link]) -> list[dict[str, Any]]:
    """Relations ``{"predicate", "subject", "object", "slots", "where"}``.

    Args:
        spans: ``{"start", "end"}`` by their names.
        links: between them.

    Raises:
        TextFileError: naming the place of a link to what is not there, or of a slot that no relation has.
    """
    relations: list[tuple[Any, dict[str, Any]]] = []
    slots = []
    for link in links:
        source, target = (_at(spans, name, link.where) for name in (link.source, link.target))
        if not isinstance(link.label, str):
            fail(link.where, "a link must have a label", link.label)
        predicate, mark, slot = link.label.partition(SLOT_MARK)
        if mark:
            slots.append((link, predicate, {"name": slot, **target}))
        else:
            relation = {"predicate": predicate, "subject": source, "object": target, "slots": [], "where": link.where}
            relations.append((link.target, relation))
    for link, predicate, completion in slots:
        whole = [one for end, one in relations if end == link.source and one["predicate"] == predicate]
        if len(whole) != 1:
            fail(
                link.where,
                f"a slot must complete the object of one relation {predicate!r}, not of {len(whole)}",
                link.label,
            )
        whole[0]["slots"].append(completion)
    return [relation for _, relation in relations]


def events_of(spans: Mapping[Any, Mapping[str, Any]], links: Sequence[Link]) -> list[dict[str, Any]]:
    """Events ``{"type", "trigger", "arguments", "where"}``: of each span that no link leads to.

    Args:
        spans: ``{"start", "end", "label", "where"}`` by their names.
        links: from triggers to arguments.

    Raises:
        TextFileError: naming the place of a link to what is not there, or from an argument.
    """
    for link in links:
        _at(spans, link.source, link.where)
        _at(spans, link.target, link.where)
    arguments = {link.target for link in links}
    for link in links:
        if link.source in arguments:
            fail(link.where, "the argument of an event must not be the trigger of another", link.label)
    return [
        {
            "type": span["label"],
            "trigger": span,
            "where": span["where"],
            "arguments": [
                {"role": link.label, **_at(spans, link.target, link.where)} for link in links if link.source == name
            ],
        }
        for name, span in spans.items()
        if name not in arguments
    ]


def spans_of_relations(
    relations: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[tuple[str, int, int]]]:
    """Spans ``{"start", "end", "label"}``, and links (label, number of a span, number of another), of relations."""
    spans = _Spans()
    for relation in relations:
        # The tools ask for a label of every span, and relations have none.
        source, target = (spans.number(relation[name], "entity") for name in ("subject", "object"))
        # A slot must say of which relation it is.
        if any(link[::2] == (relation["predicate"], target) for link in spans.links):
            target = spans.new(relation["object"], "entity")
        spans.links.append((relation["predicate"], source, target))
        for slot in relation.get("slots") or ():
            label = f"{relation['predicate']}{SLOT_MARK}{slot['name']}"
            spans.links.append((label, target, spans.number(slot, "entity")))
    return spans.all, spans.links


def spans_of_events(events: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[tuple[str, int, int]]]:
    """The same of events ``{"type", "trigger", "arguments"}``.

    Raises:
        ValueError: if an event has no trigger to be linked from.
    """
    spans = _Spans()
    for event in events:
        if event["trigger"] is None:
            raise ValueError(
                f"an event must have a trigger to be linked from, got none in one of type {event['type']!r}"
            )
        # A span of its own, as another event may have the same words and type.
        source = spans.new(event["trigger"], event["type"])
        for one in event["arguments"]:
            spans.links.append((one["role"], source, spans.number(one, "argument")))
    return spans.all, spans.links


class _Spans:
    """Spans without repetitions, by their numbers, and links between them."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self.links: list[tuple[str, int, int]] = []
        self._numbers: dict[tuple[Any, ...], int] = {}

    def number(self, span: Mapping[str, Any], label: str) -> int:
        key = (span["start"], span["end"], label)
        if key not in self._numbers:
            self._numbers[key] = self.new(span, label)
        return self._numbers[key]

    def new(self, span: Mapping[str, Any], label: str) -> int:
        self.all.append({**_place(span), "label": label})
        return len(self.all) - 1


def _place(span: Mapping[str, Any]) -> dict[str, Any]:
    return {name: span[name] for name in _SPAN}


def _at(spans: Mapping[Any, Mapping[str, Any]], name: Any, where: FileLine) -> dict[str, Any]:
    try:
        return _place(spans[name])
    # A name may be a list, in JSON.
    except (KeyError, TypeError):
        fail(where, "a link must be between spans that are there", name)
