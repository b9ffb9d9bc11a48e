"""A server in a process of its own: over a socket, from its start to its end."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from transformers import pipeline

from hf_ext.serve.server import bind

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(log: Path, *words: object) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """The process of ``hf-ext serve`` on a free port of loopback, and its address once it hears."""
    command = [sys.executable, "-m", "hf_ext_cli", "serve", *map(str, words), "--port", "0", "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SECRET": "of the environment"}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=log.parent)
    try:
        until = time.monotonic() + 120
        while not (found := re.search(r"serving on (http://127\.0\.0\.1:\d+)", log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_clients_over_a_socket_get_their_own_and_the_last_an_answer(folders, tmp_path):
    """Many at once; then SIGTERM comes while requests wait for a batch."""
    texts = [f"{one}写了{other}" for one in "林何谁" for other in ("长河", "春江", "甲", "乙丙", "丁")]
    classify = pipeline("classification", model=str(folders["classifier"]))
    wanted = {text: classify(text)[0]["score"] for text in texts}
    words = (f"a={folders['classifier']}", "--wait-ms", 4000, "--batch-size", 5, "--dtype", "float32")
    with (
        serving(tmp_path / "log", *words) as (process, address),
        httpx.Client(base_url=address, timeout=30) as client,
        ThreadPoolExecutor(15) as pool,
    ):

        def ask(text):
            with httpx.Client(base_url=address, timeout=30) as own:
                return own.post("/models/a/predict", json={"inputs": text})

        found = {text: answer.json()["results"] for text, answer in zip(texts, pool.map(ask, texts))}
        assert {text: one[0]["classes"][0]["score"] for text, one in found.items()} == pytest.approx(wanted, abs=1e-5)
        assert client.get("/ready").status_code == 200
        last = [pool.submit(ask, text) for text in texts[:2]]
        until = time.monotonic() + 20
        while 'hf_ext_waiting_texts{model="a"} 2.0' not in client.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        answers = [one.result(30) for one in last]
        assert [one.json()["results"] for one in answers] == [found[text] for text in texts[:2]]
        assert process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(address + "/health")
    # Nothing is said of requests but on errors, and nothing of what they asked.
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines() == [
        f"opening a from {folders['classifier']}",
        "a gives classes for text and text2 or text",
        f"serving on {address}",
    ]


def test_connections_send_each_part_of_an_answer_at_once():
    """What a slow acknowledgement of the first part would hold up for 40 ms."""

    async def nodelay():
        connected = asyncio.get_running_loop().create_future()

        class Connection(asyncio.Protocol):
            def connection_made(self, transport):
                sock = transport.get_extra_info("socket")
                connected.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        with bind("127.0.0.1", 0) as bound:
            server = await asyncio.get_running_loop().create_server(Connection, sock=bound)
            _, writer = await asyncio.open_connection(*bound.getsockname())
            found = await connected
            writer.close()
            server.close()
        return found

    assert asyncio.run(nodelay()) == 1


def test_an_address_that_is_taken():
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"host and port must be an address to be had, got 127.0.0.1:{port} \("):
            bind("127.0.0.1", port)
    with pytest.raises(ValueError, match=r"host and port must be an address to be had, got 192\.0\.2\.1:80 "):
        bind("192.0.2.1", 80)
