"""What of the page needs no browser: its server asks nobody for anything."""

import asyncio

import pytest

gradio = pytest.importorskip("gradio", reason="the page needs the extra demo")

from hf_ext.web.app import takes_no_address  # noqa: E402
from hf_ext.web.headers import OnlyOurOwn  # noqa: E402


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
