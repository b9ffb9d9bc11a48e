"""The page of a suite's report, in the style of the error reports."""

from collections.abc import Sequence

from hf_ext.page_frame import page_frame
from hf_ext.tasks.base.report_template import STYLE

_BODY = """\
{% for heading, columns, rows, below in tables %}
<details{% if loop.index < 4 %} open{% endif %}><summary>{{ heading }}</summary><div class="wide"><table>
<tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td><bdi>{{ cell }}</bdi></td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if below %}<p>{{ below }}</p>
{% endif %}</details>
{% endfor %}"""


def report_page(title: str, tables: Sequence[tuple[str, list[str], list[list[str]], str]]) -> str:
    """The page, which needs no network and no other file.

    Args:
        title: of the page.
        tables: of each the heading, the names of columns, rows, and what is said below.
    """
    from jinja2 import Environment

    return page_frame(title, STYLE, Environment(autoescape=True).from_string(_BODY).render(tables=tables))
