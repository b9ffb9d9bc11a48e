"""What the server says of itself to browsers: that a page of it loads nothing from elsewhere."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# The page's own scripts are written into it, and it makes some as it goes.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]

_Message = MutableMapping[str, Any]


class OnlyOurOwn:
    """ASGI middleware by which browsers refuse to load or to send anything elsewhere."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: _Message, receive: Any, send: Callable[[_Message], Awaitable[None]]) -> None:
        """Answer as the app does, with these headers."""

        async def with_headers(message: _Message) -> None:
            if message["type"] == "http.response.start":
                own = [name for name, _ in _HEADERS]
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in own]
                message = {**message, "headers": [*kept, *_HEADERS]}
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)
