"""A process that serves an application until it is told to stop."""

import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hf_ext.extras import extra
from hf_ext.serve.limits import Limits

with extra("serve", "serving models"):
    import uvicorn


def bind(host: str, port: int) -> socket.socket:
    """A socket of an address, on which nobody is heard yet.

    Args:
        host: such as ``"127.0.0.1"``.
        port: 0 takes one that is free.

    Raises:
        ValueError: if the address cannot be had.
    """
    bound = None
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # With the protocol named, asyncio sends the parts of an answer at once, where a client that is slow to
        # acknowledge the first would hold the next up for 40 ms.
        bound = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        if bound is not None:
            bound.close()
        raise ValueError(f"host and port must be an address to be had, got {host}:{port} ({error})") from None
    return bound


def run(app: Any, bound: socket.socket, limits: Limits, started: Callable[[], None] = lambda: None) -> None:
    """Serve an application on a socket until SIGTERM or SIGINT, and answer what was accepted before.

    Args:
        app: of ASGI.
        bound: as `bind` gives it.
        limits: of the server; it waits so many seconds for answers once it is told to stop.
        started: is called once requests are heard.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(limits.seconds) + 1,
        lifespan="on",
    )
    server = _Server(config, started)
    # The server itself takes the signal first, and gives it on once all is answered.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[bound])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()
