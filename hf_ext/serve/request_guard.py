"""What stands around all requests: size, number, time, names for the log, who leaves, and errors nobody foresaw."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hf_ext.serve.limits import Limits

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Whoever is refused for want of room may come again after so many seconds.
RETRY_AFTER = {"Retry-After": "1"}


def error_body(status: int, message: str, request_id: str) -> dict[str, Any]:
    """What a refusal says, in the form of OpenAI's."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None, "request_id": request_id}}


class _TooLargeError(Exception):
    pass


class RequestGuard:
    """Reads the body of a request before the application sees it, and answers what it cannot.

    Every answer has an ``X-Request-ID``, by which the log tells of errors; a client hears no more of one than that.

    Args:
        app: the application, of ASGI.
        limits: of the server.
        observe: is told the path of the route, method, status and seconds of each request.
    """

    def __init__(
        self, app: Any, limits: Limits, observe: Callable[[str, str, int, float], None] = lambda *told: None
    ) -> None:
        self.app, self.limits, self.observe = app, limits, observe
        self.in_flight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, began, status = uuid.uuid4().hex, time.monotonic(), 0
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        async def refuse(code: int, sentence: str, headers: dict[str, str] | None = None) -> None:
            body = json.dumps(error_body(code, sentence, request_id)).encode()
            told = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
            # What is left of the body is not read.
            told |= {"Connection": "close"} if code in (408, 413) else {}
            raw = [(name.lower().encode(), value.encode()) for name, value in told.items()]
            await named({"type": "http.response.start", "status": code, "headers": raw})
            await named({"type": "http.response.body", "body": body})

        try:
            await self._answer(scope, receive, named, refuse)
        except Exception:
            logger.exception("request %s failed", request_id)
            if status:
                raise
            await refuse(500, f"the server failed at this request; its log has more under {request_id}")
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self.observe(route, scope["method"], status, time.monotonic() - began)

    async def _answer(self, scope: Message, receive: Receive, send: Send, refuse: Any) -> None:
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        # As many as there could be texts, and of each its body is held.
        if self.in_flight >= self.limits.waiting:
            await refuse(503, "the server has as many requests as it takes; try again later", RETRY_AFTER)
            return
        self.in_flight += 1
        try:
            try:
                body = await asyncio.wait_for(self._body(scope, receive), self.limits.seconds)
            except TimeoutError:
                await refuse(408, f"the body must arrive within {self.limits.seconds:g} seconds")
                return
            except _TooLargeError:
                await refuse(413, f"the body must have at most {self.limits.body_bytes} bytes, got more")
                return
            if body is not None:
                await self._unless_left(scope, body, receive, send)
        finally:
            self.in_flight -= 1

    async def _unless_left(self, scope: Message, body: bytes, receive: Receive, send: Send) -> None:
        """Answer a request whose body was read, but end it where the client leaves before the answer begins."""
        began = False

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        answering = asyncio.ensure_future(self.app(scope, _again(body, receive), noted))
        leaving = asyncio.ensure_future(receive())
        try:
            # All that comes after a body is that the client left, or has its whole answer.
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not began and not answering.done():
                return
            await answering
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _body(self, scope: Message, receive: Receive) -> bytes | None:
        """The body; None where the client left."""
        stated = dict(scope["headers"]).get(b"content-length", b"")
        if stated.isdigit() and int(stated) > self.limits.body_bytes:
            raise _TooLargeError
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.limits.body_bytes:
                raise _TooLargeError
        return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read, and then what else comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return waiting.pop() if waiting else await receive()

    return given
