"""What is around the content of an HTML page that is one file and needs no network."""

from html import escape

_FRAME = """<!DOCTYPE html>
<html lang="zh">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }}
{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def page_frame(title: str, style: str, body: str) -> str:
    """A whole page.

    Args:
        title: of the page, and its heading: a text, which is escaped.
        style: rules of CSS, which come after the frame's own.
        body: HTML, with all that is text in it escaped, to stand below the heading.
    """
    return _FRAME.format(title=escape(title), style=style, body=body)
