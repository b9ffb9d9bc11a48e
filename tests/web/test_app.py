"""What of the page needs no browser: its server asks nobody for anything."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from known_page import KnownPipeline, entities
from page_parts import Page

from hf_ext.tasks.base.saved_model import predictors
from hf_ext.web import app
from hf_ext.web.app import tab_names, takes_no_address
from hf_ext.web.headers import OnlyOurOwn
from hf_ext.web.opened_model import OpenedModel

gradio = pytest.importorskip("gradio", reason="the page needs the extra demo")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "web.md"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], ["a"]),
        (["a", "b"], ["a", "b"]),
        (["a", "b", "a"], ["a 1", "b", "a 2"]),
        (["a 2", "a", "a", "a"], ["a 2", "a 1", "a 3", "a 4"]),
        (["a", "a", "a 1", "a 1"], ["a 2", "a 3", "a 1 1", "a 1 2"]),
    ],
)
def test_no_two_tabs_have_one_name(names, expected):
    assert tab_names(names) == expected


@pytest.mark.parametrize("kind", [gradio.File, gradio.Image])
def test_a_field_of_files_fetches_nothing(kind, tmp_path):
    field = takes_no_address(kind())
    for path in ("https://example.org/a.txt", "HTTP://example.org/a.txt", str(tmp_path / "absent.txt")):
        with pytest.raises(ValueError, match="a file must be sent, not named"):
            asyncio.run(field.async_move_resource_to_block_cache(path))
    field.GRADIO_CACHE = str(tmp_path / "cache")
    file = tmp_path / "a.txt"
    file.write_text("甲", encoding="utf-8")
    moved = asyncio.run(field.async_move_resource_to_block_cache(str(file)))
    with open(moved, encoding="utf-8") as copy:
        assert copy.read() == "甲"
    assert asyncio.run(field.async_move_resource_to_block_cache(None)) is None


def test_headers_stand_once_and_the_rest_stays():
    async def app(scope, receive, send):
        headers = [(b"Referrer-Policy", b"unsafe-url"), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"a"})

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(OnlyOurOwn(app)({"type": "http"}, None, send))
    start, body = sent
    assert body == {"type": "http.response.body", "body": b"a"}
    names = [name.lower() for name, _ in start["headers"]]
    assert len(names) == len({*names})
    assert (b"referrer-policy", b"no-referrer") in start["headers"]
    assert (b"content-type", b"text/html") in start["headers"]
    # What is no answer of HTTP is not touched.
    sent.clear()
    asyncio.run(OnlyOurOwn(app)({"type": "websocket"}, None, send))
    assert (b"Referrer-Policy", b"unsafe-url") in sent[0]["headers"]


def test_the_examples_of_the_document_run(monkeypatch, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    served = []
    monkeypatch.setattr(app, "serve", lambda blocks, port, ready: served.append((blocks, port, ready)))
    kind = predictors()["span-extraction"]
    opened = OpenedModel("model", "model gives entities", KnownPipeline(kind, entities))
    monkeypatch.setattr(OpenedModel, "open", lambda name, sample: replace(opened, sample=sample))

    async def run():
        for block in blocks:
            exec(block, {})

    # Outside of a loop Gradio makes one that it leaves open.
    asyncio.run(run())
    ((page, port, ready),) = served
    assert isinstance(page, gradio.Blocks)
    assert (port, ready, page.analytics_enabled) == (7860, print, False)
    assert Page((tmp_path / "found.html").read_text(encoding="utf-8")).texts("mark") == ["林一舟"]
