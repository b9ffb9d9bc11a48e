"""The page of a suite's report, in the style of the error reports."""

from collections.abc import Sequence

from hf_ext.tasks.base.report_template import STYLE

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style|safe }}</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for heading, columns, rows, below in tables %}
<details{% if loop.index < 4 %} open{% endif %}><summary>{{ heading }}</summary><div class="wide"><table>
<tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td><bdi>{{ cell }}</bdi></td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if below %}<p>{{ below }}</p>
{% endif %}</details>
{% endfor %}
</body>
</html>
"""


def report_page(title: str, tables: Sequence[tuple[str, list[str], list[list[str]], str]]) -> str:
    """The page, which needs no network and no other file.

    Args:
        title: of the page.
        tables: of each the heading, the names of columns, rows, and what is said below.
    """
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(_PAGE).render(title=title, tables=tables, style=STYLE)
