"""Texts as a tokenizer reads them, as one HTML page that needs no network."""

import os
from collections.abc import Iterable

from hf_ext.analysis.tokenized_text import TokenizedText
from hf_ext.atomic_file import atomic_write
from hf_ext.page_frame import page_frame

_STYLE = """\
body { line-height: 1.5; max-width: 64rem; }
p { margin: 1.6rem 0 .4rem; padding: .1rem .8rem; border-left: 3px solid #8884; overflow-wrap: anywhere;
    white-space: pre-wrap; }
.token { display: inline-block; padding: 0 .3em; margin: .1em 1px; background: #8883; text-align: center;
         white-space: pre; border-bottom: 3px solid transparent; }
.token small { display: block; font-size: .6em; opacity: .75; }
.told { border-color: hsl(28 90% 50%); }
ul { font-size: .85em; }
"""

_BODY = """\
{% for one in texts %}<p>{{ one.text }}</p>
<div>
{% for token in one.tokens %}{% set reasons = one.words[token.word].reasons if token.word is not none else () -%}
<span class="token{{ ' told' if reasons }}" title="
{{- '%d to %d' % (token.start, token.end) if token.end }}{{ '; ' if reasons }}{{ reasons | join('; ') }}">
{{- token.token }}<small>{{ token.id }}</small></span>
{% endfor %}</div>
<ul>
{% for word in one.words if word.reasons %}<li>{{ word.text }}: {{ word.reasons | join('; ') }}</li>
{% endfor %}</ul>
{% endfor %}"""


def write_token_page(path: str | os.PathLike[str], texts: Iterable[TokenizedText], title: str = "Tokens") -> None:
    """Write a page of texts with their tokens, their ids, and what is told of words that are not one token.

    Args:
        path: the file to write.
        texts: as :func:`hf_ext.analysis.tokenized_text` gives them.
        title: heading.
    """
    from jinja2 import Environment

    body = Environment(autoescape=True).from_string(_BODY).render(texts=list(texts))
    with atomic_write(path) as file:
        file.write(page_frame(title, _STYLE, body))
