"""What tests of the server ask and serve: applications in this process, and predictors that do what they are told."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import httpx
import pytest

from hf_ext.serve import Limits, make_app


class Echo:
    """Finds a text in itself; with gates it runs when it is let."""

    found = "texts"
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("text",),)
    optional: ClassVar[tuple[str, ...]] = ()
    predict_options: ClassVar[Mapping[str, str]] = {"threshold": "threshold", "top_k": "most"}

    def __init__(self, fails: Callable[[str], Exception | None] = lambda text: None) -> None:
        self.fails = fails
        self.batches: list[tuple[list[Any], dict[str, Any]]] = []
        self.entered, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, inputs: list[Any], batch_size: int, **options: Any) -> list[Any]:
        self.batches.append((list(inputs), options))
        self.entered.set()
        assert self.gate.wait(30)
        for one in inputs:
            if (error := self.fails(one)) is not None:
                raise error
        return [[{"text": one, **options}] for one in inputs]

    @property
    def sizes(self) -> list[int]:
        """Of the batches so far."""
        return [len(inputs) for inputs, _ in self.batches]


def asked(
    predictors: Mapping[str, Any], talk: Callable[[httpx.AsyncClient], Awaitable[Any]], limits: Limits | None = None
) -> Any:
    """What a conversation with an application gives, which is closed then."""

    async def run() -> Any:
        app = make_app(predictors, limits)
        # Unknown errors are answers too, as over a socket.
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server", timeout=30) as client,
        ):
            return await talk(client)

    return asyncio.run(run())


def post(predictors: Mapping[str, Any], path: str, body: Any, limits: Limits | None = None) -> httpx.Response:
    """The answer to one request."""

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        # With escapes, which may say what UTF-8 cannot.
        return await client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})

    return asked(predictors, talk, limits)


def sentence(answer: httpx.Response) -> str:
    """What a refusal says; it has the form that all have."""
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    assert error["type"] == ("server_error" if answer.status_code >= 500 else "invalid_request_error")
    return str(error["message"])


def near(value: Any, within: float = 1e-6) -> Any:
    """The same, with numbers that need only be near."""
    if isinstance(value, dict):
        return {name: near(part, within) for name, part in value.items()}
    if isinstance(value, list):
        return [near(part, within) for part in value]
    return pytest.approx(value, rel=1e-4, abs=within) if isinstance(value, float) else value
