"""Results as one HTML file that needs no network."""

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from hf_ext.page_frame import page_frame
from hf_ext.web.results import result_html
from hf_ext.web.style import STYLE


def result_page(documents: Iterable[Mapping[str, Any]], found: str, title: str) -> Markup:
    """The page of documents with what was found in them.

    Args:
        documents: as of `hf_ext.web.results.result_html`.
        found: what was found in them: ``"entities"``.
        title: its heading.
    """
    return Markup(page_frame(title, STYLE, result_list(documents, found)))


def result_list(documents: Iterable[Mapping[str, Any]], found: str) -> Markup:
    """Documents with what was found in them, one below another."""
    one = Markup('<section class="hx-result">{}</section>')
    return Markup("\n").join(one.format(result_html(document, found)) for document in documents)
