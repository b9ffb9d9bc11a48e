"""Requests that arrive together, run together: a queue of bounded length and a thread that empties it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

logger = logging.getLogger(__name__)


class QueueFullError(Exception):
    """As many texts wait as may."""


class StoppedError(Exception):
    """No more is taken."""


@dataclass
class _Request:
    documents: Sequence[Any]
    options: Hashable
    future: "Future[list[Any]]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """Runs requests with the same options together, in a thread of its own.

    A batch is what waits when the thread is free, and what arrives within a few milliseconds of its first request, as
    long as it is not full. Behind a request that was alone, with none to follow it, the next does not wait: one client
    that asks again as soon as it is answered has no others to wait for. A request is never cut up: one with more
    documents than a batch is a batch of its own. Where several requests fail together, each is run by itself, so that
    none fails for another's sake.

    Args:
        run: what documents and the options of their requests give: an answer a document, in their order.
        batch: documents at which a batch is full.
        wait_ms: milliseconds that its first request waits for others.
        waiting: documents that may wait.
        measure: is told the number of documents of each batch, and the seconds that it took.

    Attributes:
        name: of the thread.
    """

    def __init__(
        self,
        run: Callable[[list[Any], Any], Sequence[Any]],
        batch: int,
        wait_ms: float,
        waiting: int,
        measure: Callable[[int, float], None] = lambda documents, seconds: None,
        name: str = "batcher",
    ) -> None:
        self._run, self._batch, self._wait, self._most_waiting = run, batch, wait_ms / 1000, waiting
        self._measure = measure
        self._queue: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._company = True
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Documents that wait now."""
        return self._waiting

    @property
    def works(self) -> bool:
        """Whether requests are taken and answered."""
        return self._thread.is_alive() and not self._stopped

    def submit(self, documents: Sequence[Any], options: Hashable = None) -> "Future[list[Any]]":
        """The answers to come; one that is cancelled before its batch begins leaves its room to others.

        Args:
            documents: of the request.
            options: it shares a batch with requests that have equal ones.

        Raises:
            QueueFullError: if there is no room.
            StoppedError: once it was closed.
        """
        request = _Request(documents, options)
        with self._changed:
            if not self.works:
                raise StoppedError
            if self._waiting + len(documents) > self._most_waiting:
                raise QueueFullError
            self._queue.append(request)
            self._waiting += len(documents)
            self._changed.notify()
        request.future.add_done_callback(self._leave)
        return request.future

    def close(self, timeout: float | None = None) -> None:
        """Take no more, answer what was taken, and end the thread, waiting for it that many seconds at most."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout)

    def _leave(self, future: "Future[list[Any]]") -> None:
        if not future.cancelled():
            return
        with self._changed:
            self._keep(lambda one: one.future is not future)
            self._changed.notify()

    def _work(self) -> None:
        while requests := self._next_batch():
            self._answer([one for one in requests if one.future.set_running_or_notify_cancel()])

    def _next_batch(self) -> list[_Request]:
        """The first that waits, and those behind it that it shares a batch with; none once all is done."""
        with self._changed:
            wait = self._wait if self._company else 0.0
            while not self._full():
                # The first may leave while it waits.
                left = self._queue[0].arrived + wait - time.monotonic() if self._queue else None
                if self._stopped or (left is not None and left <= 0):
                    break
                self._changed.wait(left)
            if not self._queue:
                return []
            chosen = self._fitting()
            taken = {id(one) for one in chosen}
            self._keep(lambda one: id(one) not in taken)
            self._company = len(chosen) > 1 or bool(self._queue)
            return chosen

    def _keep(self, stays: Callable[[_Request], bool]) -> None:
        self._queue = deque(filter(stays, self._queue))
        self._waiting = sum(len(one.documents) for one in self._queue)

    def _full(self) -> bool:
        return bool(self._queue) and sum(len(one.documents) for one in self._fitting()) >= self._batch

    def _fitting(self) -> list[_Request]:
        first, chosen, documents = self._queue[0], [], 0
        for one in self._queue:
            if one is first or (one.options == first.options and documents + len(one.documents) <= self._batch):
                chosen.append(one)
                documents += len(one.documents)
        return chosen

    def _answer(self, requests: list[_Request]) -> None:
        if not requests:
            return
        documents = [document for one in requests for document in one.documents]
        began = time.monotonic()
        try:
            answers = list(self._run(documents, requests[0].options))
            if len(answers) != len(documents):
                raise RuntimeError(f"{len(documents)} documents must have as many answers, got {len(answers)}")
        except Exception as error:
            if len(requests) == 1:
                requests[0].future.set_exception(error)
                return
            for one in requests:
                self._answer([one])
            return
        self._measure(len(documents), time.monotonic() - began)
        place = 0
        for one in requests:
            one.future.set_result(answers[place : place + len(one.documents)])
            place += len(one.documents)
