"""Errors are sentences, without anything of the server."""

import logging

import pytest
from page_parts import Page

from hf_ext.web.refusals import refusal


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("text must not be empty", "text must not be empty"),
        ("/srv/data/texts.txt:3: a line must be", "texts.txt:3: a line must be"),
        ("got '/srv/models/ner/config.json', and no other", "got 'config.json', and no other"),
        ("in C:\\models\\ner\\a.bin there is", "in a.bin there is"),
        ("got '1/2' and/or <b>\n甲</b>", "got '1/2' and/or <b> 甲</b>"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_what_can_be_mended_is_said(message, shown):
    page = Page(refusal(ValueError(message)))
    assert page.texts("p", "hx-error") == [shown]
    assert [name for name, _, _ in page.elements] == ["p"]


def test_what_is_ours_is_told_to_the_log_alone(caplog):
    with caplog.at_level(logging.ERROR):
        html = refusal(RuntimeError("/srv/secret and <b>"))
    assert "secret" not in html
    assert Page(html).texts("p") == [
        "This could not be answered: something went wrong here. The server's log says what."
    ]
    assert "/srv/secret and <b>" in caplog.text
