"""Results as one HTML file that needs no network."""

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from hf_ext.web.results import result_html
from hf_ext.web.style import STYLE

_PAGE = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; max-width: 60rem;
       margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: 1.3rem; }}
{style}</style>
</head>
<body>
<h1>{title}</h1>
{results}
</body>
</html>
"""


def result_page(documents: Iterable[Mapping[str, Any]], found: str, title: str) -> Markup:
    """The page of documents with what was found in them.

    Args:
        documents: as of `hf_ext.web.results.result_html`.
        found: what was found in them: ``"entities"``.
        title: its heading.
    """
    return Markup(_PAGE).format(title=title, style=Markup(STYLE), results=result_list(documents, found))


def result_list(documents: Iterable[Mapping[str, Any]], found: str) -> Markup:
    """Documents with what was found in them, one below another."""
    one = Markup('<section class="hx-result">{}</section>')
    return Markup("\n").join(one.format(result_html(document, found)) for document in documents)
