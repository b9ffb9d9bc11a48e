"""Texts as a tokenizer reads them, as one HTML page that needs no network."""

import os
from collections.abc import Iterable

from hf_ext.analysis.tokenized_text import TokenizedText
from hf_ext.atomic_file import atomic_write

_PAGE = """<!DOCTYPE html>
<html lang="zh">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; max-width: 64rem;
       margin: 2rem auto; padding: 0 1rem; }
p { margin: 1.6rem 0 .4rem; padding: .1rem .8rem; border-left: 3px solid #8884; overflow-wrap: anywhere;
    white-space: pre-wrap; }
.token { display: inline-block; padding: 0 .3em; margin: .1em 1px; background: #8883; text-align: center;
         white-space: pre; border-bottom: 3px solid transparent; }
.token small { display: block; font-size: .6em; opacity: .75; }
.told { border-color: hsl(28 90% 50%); }
ul { font-size: .85em; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
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
{% endfor %}</body>
</html>
"""


def write_token_page(path: str | os.PathLike[str], texts: Iterable[TokenizedText], title: str = "Tokens") -> None:
    """Write a page of texts with their tokens, their ids, and what is told of words that are not one token.

    Args:
        path: the file to write.
        texts: as :func:`hf_ext.analysis.tokenized_text` gives them.
        title: heading.
    """
    from jinja2 import Environment

    page = Environment(autoescape=True).from_string(_PAGE).render(title=title, texts=list(texts))
    with atomic_write(path) as file:
        file.write(page)
