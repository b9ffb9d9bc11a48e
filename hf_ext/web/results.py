"""What the pipelines of all tasks find, as escaped HTML."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from hf_ext.tasks.entities.page import highlight, label_hues
from hf_ext.web.arcs import MOST_ARCS, relation_arcs

Document = Mapping[str, Any]


def result_html(document: Document, found: str) -> Markup:
    """A document with what was found in it.

    Args:
        document: what a pipeline read, and under ``found`` what it gave, as
            `hf_ext.data.documents.with_found` puts them together.
        found: what it finds: ``"entities"``.
    """
    return _RENDERERS.get(found, _raw)(document, found)


def _entities(document: Document, found: str) -> Markup:
    entities = document[found]
    hues = label_hues(entity["label"] for entity in entities)
    rows = [(one["label"], one["text"], f"{one['start']}–{one['end']}", _number(one["score"])) for one in entities]
    return Markup("").join(
        (
            _text(highlight(document["text"], entities, hues)),
            _count(entities, "entity", "entities"),
            _table(("label", "text", "characters", "score"), rows),
        )
    )


def _relations(document: Document, found: str) -> Markup:
    relations = document[found]
    rows = [
        (
            one["subject"]["text"],
            one["predicate"],
            "，".join((one["object"]["text"], *(f"{slot['name']}: {slot['text']}" for slot in one.get("slots", ())))),
            _number(one["score"]),
        )
        for one in relations
    ]
    left_out = f"; arcs of the first {MOST_ARCS}" if len(relations) > MOST_ARCS else ""
    return Markup("").join(
        (
            Markup('<div class="hx-wide">{}</div>').format(relation_arcs(document["text"], relations)),
            _count(relations, "relation", "relations", left_out),
            _table(("subject", "predicate", "object", "score"), rows),
        )
    )


def _events(document: Document, found: str) -> Markup:
    events = document[found]
    hues = label_hues(one["role"] for event in events for one in event["arguments"])
    # An argument may be one of several events.
    marked = {
        (one["start"], one["end"], one["role"]): {"start": one["start"], "end": one["end"], "label": one["role"]}
        for event in events
        for one in event["arguments"]
    }
    card = Markup('<div class="hx-card"><b>{}</b> <small>{}</small>{}</div>')
    rows = [[(one["role"], one["text"]) for one in event["arguments"]] for event in events]
    cards = [card.format(event["type"], _number(event["score"]), _table((), own)) for event, own in zip(events, rows)]
    return Markup("").join(
        (
            _text(highlight(document["text"], list(marked.values()), hues)),
            _count(events, "event", "events"),
            Markup('<div class="hx-cards">{}</div>').format(Markup("").join(cards)),
        )
    )


def _classes(document: Document, found: str) -> Markup:
    texts = [_text(document[key]) for key in ("text", "text2") if key in document]
    return Markup("").join((*texts, bars((one["label"], one["score"]) for one in document[found])))


def _answers(document: Document, found: str) -> Markup:
    if "choices" in document:
        return _choices(document, found)
    answers = document[found]
    # Answers may overlap; each is marked by its rank, as the list below names it.
    spans = [
        {"start": one["start"], "end": one["end"], "label": f"{rank}", "score": one["score"]}
        for rank, one in enumerate(answers, 1)
        if one["answer"]
    ]
    hues = label_hues(one["label"] for one in spans)
    named = [(f"{rank}. {one['answer'] or 'no answer'}", one["score"]) for rank, one in enumerate(answers, 1)]
    return Markup("").join(
        (
            Markup('<p class="hx-question" dir="auto">{}</p>').format(document["question"]),
            _text(highlight(document["context"], spans, hues)),
            bars(named),
        )
    )


def _choices(document: Document, found: str) -> Markup:
    scores = {one["index"]: one["score"] for one in document[found]}
    rows = [
        Markup("<li{}>{}{}</li>").format(
            Markup(' class="chosen"') if index == document[found][0]["index"] else "",
            choice,
            Markup(" <small>{}</small>").format(_number(scores[index])) if index in scores else "",
        )
        for index, choice in enumerate(document["choices"])
    ]
    question = document.get("question")
    return Markup("").join(
        (
            _text(document["text"]),
            Markup('<p class="hx-question" dir="auto">{}</p>').format(question) if question else Markup(""),
            Markup('<ol class="hx-choices" dir="auto">{}</ol>').format(Markup("").join(rows)),
        )
    )


def _similarity(document: Document, found: str) -> Markup:
    texts = [_text(document[key]) for key in ("text1", "text2")]
    # A cosine may be below 0, of which a bar shows nothing.
    return Markup("").join((*texts, bars([("similarity", document[found])])))


def _paraphrases(document: Document, found: str) -> Markup:
    ranked = [(one["text"], one["similarity"]) for one in document[found]]
    return _text(document["text"]) + _count(ranked, "paraphrase", "paraphrases") + bars(ranked)


def _written(document: Document, found: str) -> Markup:
    turns = document.get("turns") or [document["text"]]
    said = [_text(turn) for turn in turns]
    return Markup("").join((*said, Markup('<div class="hx-written" dir="auto">{}</div>').format(document[found])))


def _raw(document: Document, found: str) -> Markup:
    """A document with what nothing here knows, as JSON."""
    shown = json.dumps(document, ensure_ascii=False, indent=2)
    return Markup('<pre class="hx-text">{}</pre>').format(shown)


def bars(rows: Iterable[tuple[str, float]]) -> Markup:
    """Names with their scores in [0, 1], each with a bar as long as it is large."""
    drawn = [
        Markup(
            '<tr><td class="name" dir="auto">{}</td><td class="bar"><div style="width: {}%"></div></td><td>{}</td></tr>'
        ).format(name, f"{100 * min(max(score, 0.0), 1.0):.1f}", _number(score))
        for name, score in rows
    ]
    return Markup('<table class="hx-bars">{}</table>').format(Markup("").join(drawn))


def _text(text: Any) -> Markup:
    return Markup('<div class="hx-text" dir="auto">{}</div>').format(text)


def _count(found: Sequence[Any], one: str, many: str, more: str = "") -> Markup:
    number = f"{len(found) or 'no'} {one if len(found) == 1 else many}"
    return Markup('<p class="hx-count">{}{}</p>').format(number, more)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    if not rows:
        return Markup("")
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in names)
    body = [
        Markup("<tr>{}</tr>").format(Markup("").join(Markup('<td dir="auto">{}</td>').format(cell) for cell in row))
        for row in rows
    ]
    return Markup('<div class="hx-wide"><table class="hx-table">{}{}</table></div>').format(
        Markup("<tr>{}</tr>").format(head) if names else "", Markup("").join(body)
    )


def _number(score: float) -> str:
    return escape(f"{score:.3f}")


_RENDERERS: dict[str, Callable[[Document, str], Markup]] = {
    "entities": _entities,
    "relations": _relations,
    "events": _events,
    "classes": _classes,
    "answers": _answers,
    "similarity": _similarity,
    "paraphrases": _paraphrases,
    "summary": _written,
    "reply": _written,
    "reconstruction": _written,
}
