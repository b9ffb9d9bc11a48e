"""Texts with their entities highlighted, as one HTML page that needs no network."""

import os
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.page_frame import page_frame

MARK_STYLE = """\
mark[data-label] { color: inherit; background: hsl(var(--hue) 80% 50% / .22); border-radius: 4px;
                   border-bottom: 2px solid hsl(var(--hue) 70% 45%); padding: .12em .18em; margin: 0 .06em; }
/* A word joiner, so that no line begins with a label. */
mark[data-label]::after { content: "\\2060" attr(data-label); font-size: .62em; margin-left: .35em; opacity: .75;
                          vertical-align: .12em; }
mark[data-label].open::after { content: none; }
"""
"""How what `highlight` marks looks."""

_STYLE = """\
body { font-size: 17px; line-height: 2.3; max-width: 56rem; }
p { margin: 0 0 .7rem; padding: .1rem .8rem; border-left: 3px solid #8884; overflow-wrap: anywhere;
    white-space: pre-wrap; }
"""

_BODY = """\
<div>
{% for label, hue in hues.items() %}<mark data-label="{{ label }}" style="--hue: {{ hue }}">&nbsp;</mark>
{% endfor %}</div>
{% for text in texts %}<p>{{ text }}</p>
{% endfor %}
"""


def write_entity_page(
    path: str | os.PathLike[str], documents: Iterable[Mapping[str, Any]], title: str = "Entities"
) -> None:
    """Write a page of texts with their entities, nested and crossing ones included.

    Args:
        path: the file to write.
        documents: mappings with ``text`` and ``entities`` (``start``, ``end`` exclusive, ``label``, and ``score`` if
            there is one).
        title: heading.
    """
    from jinja2 import Environment

    documents = list(documents)
    hues = label_hues(entity["label"] for document in documents for entity in document["entities"])
    texts = [highlight(document["text"], document["entities"], hues) for document in documents]
    body = Environment(autoescape=True).from_string(_BODY).render(hues=hues, texts=texts)
    with atomic_write(path) as file:
        file.write(page_frame(title, _STYLE + MARK_STYLE, body))


def label_hues(labels: Iterable[Any]) -> dict[str, int]:
    """Degrees of the colour circle for each of the labels, far from one another however many there are."""
    # A golden angle apart.
    return {label: round(index * 137.5) % 360 for index, label in enumerate(sorted({str(one) for one in labels}))}


def highlight(text: str, entities: Sequence[Mapping[str, Any]], hues: Mapping[str, float] | None = None) -> Any:
    """Mark entities in a text, as escaped HTML (``markupsafe.Markup``).

    An entity that crosses the end of another is cut in two there, of which only the last has the label.

    Args:
        text: the text.
        entities: mappings with ``start``, ``end`` and ``label``.
        hues: degrees of the colour circle by label, given to each mark as ``--hue``; None gives none.
    """
    from markupsafe import Markup, escape

    # The outer entity opens first; of two that end together the later opened closes first.
    waiting: list[tuple[int, int, str, int, Mapping[str, Any]]] = []
    numbers = count()

    def wait(entity: Mapping[str, Any]) -> None:
        heappush(waiting, (entity["start"], -entity["end"], str(entity["label"]), next(numbers), entity))

    for entity in entities:
        wait(entity)
    html: list[str] = []
    stack: list[Mapping[str, Any]] = []

    def open_mark(entity: Mapping[str, Any], at_most: int) -> None:
        kind = ' class="open"' if entity["end"] > at_most else ""
        score = f' title="{entity["score"]:.3f}"' if "score" in entity else ""
        # With the mark, as a label from a file has no place in the style sheet: it could end a string there.
        hue = f' style="--hue: {hues[str(entity["label"])]}"' if hues is not None else ""
        html.append(f'<mark data-label="{escape(entity["label"])}"{kind}{hue}{score}>')

    position = 0
    while waiting or stack:
        start = waiting[0][0] if waiting else len(text)
        end = stack[-1]["end"] if stack else len(text) + 1
        if stack and end <= start:
            html.append(f"{escape(text[position:end])}</mark>")
            position = end
            stack.pop()
            continue
        entity = heappop(waiting)[-1]
        html.append(str(escape(text[position : entity["start"]])))
        position = entity["start"]
        limit = stack[-1]["end"] if stack else len(text)
        open_mark(entity, limit)
        if entity["end"] > limit:
            wait({**entity, "start": limit})
            entity = {**entity, "end": limit}
        stack.append(entity)
    html.append(str(escape(text[position:])))
    return Markup("".join(html))
