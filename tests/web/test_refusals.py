"""Errors are sentences, without anything of the server."""

import logging

import pytest
from known_page import raise_in_package
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
        ("file:/etc/passwd", "file:passwd"),
        ("file:///etc/passwd", "file:passwd"),
        ("at:/srv/x/y", "at:y"),
        ("at:C:\\models\\a.bin", "at:a.bin"),
        ("</srv/x/y>", "<y>"),
        ("<b>/srv/x/y", "<b>y"),
        ("in \\\\server\\models\\a.bin", "in a.bin"),
        ("data/a.txt and ./b/c and ../d/e", "data/a.txt and ./b/c and ../d/e"),
    ],
)
def test_what_can_be_mended_is_said(message, shown):
    with pytest.raises(ValueError) as raised:
        raise_in_package(message)
    page = Page(refusal(raised.value))
    assert page.texts("p", "hx-error") == [shown]
    assert [name for name, _, _ in page.elements] == ["p"]


def by_a_library():
    raise ValueError("/srv/secret and <b>")


def by_a_system():
    raise OSError("/srv/secret and <b>")


@pytest.mark.parametrize("fail", [by_a_library, by_a_system])
def test_what_is_ours_is_told_to_the_log_alone(fail, caplog):
    with pytest.raises((ValueError, OSError)) as raised:
        fail()
    with caplog.at_level(logging.ERROR):
        html = refusal(raised.value)
    assert "secret" not in html
    assert Page(html).texts("p") == [
        "This could not be answered: something went wrong here. The server's log says what."
    ]
    assert "/srv/secret and <b>" in caplog.text
