"""The frame of a page: the title is text, rules and content are as they are given, and nothing is fetched."""

import re

import pytest
from page_parts import Page

from hf_ext.page_frame import page_frame


@pytest.mark.parametrize("title", ["", "甲", "<script>alert('1')</script>\"&", "{body} {0} %s"])
def test_the_title_is_text(title):
    page = Page(page_frame(title, "", ""))
    assert page.is_whole
    assert page.texts("title") == page.texts("h1") == [title]
    assert not page.all("script")


def test_rules_and_content_are_as_they_are_given():
    style, body = "p { color: {red}; }\n", "<p>{title} &amp; {0}</p>"
    html = page_frame("a", style, body)
    assert html.index("h1 {") < html.index(style) < html.index("</style>") < html.index("<h1>") < html.index(body)
    assert Page(html).texts("p") == ["{title} & {0}"]
    assert not re.search(r"https?:|src=|@import|url\(", html)
