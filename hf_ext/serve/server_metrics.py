"""What a server measures of itself, for Prometheus."""

from collections.abc import Callable
from typing import Any

from hf_ext.extras import extra

with extra("serve", "serving models"):
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.platform_collector import PlatformCollector
    from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ServerMetrics:
    """Counts requests and batches; each server has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        where: Any = {"registry": self._registry}
        self._requests = Counter("hf_ext_requests", "Requests answered.", ["path", "method", "status"], **where)
        self._seconds = Histogram(
            "hf_ext_request_seconds", "From a request to its answer.", ["path"], buckets=_SECONDS, **where
        )
        self._texts = Counter("hf_ext_texts", "Texts that a model ran.", ["model"], **where)
        self._batches = Histogram(
            "hf_ext_batch_texts", "Texts of a batch.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128), **where
        )
        self._run = Histogram(
            "hf_ext_batch_seconds", "What a model took for a batch.", ["model"], buckets=_SECONDS, **where
        )
        self._waiting = Gauge("hf_ext_waiting_texts", "Texts that wait for a model.", ["model"], **where)

    def request(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request by the path of its route; status 0: the client left."""
        # A method may be any word.
        known = method if method in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        self._requests.labels(path, known, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, model: str) -> Callable[[int, float], None]:
        """What a model's `Batcher` tells."""

        def measure(documents: int, seconds: float) -> None:
            self._texts.labels(model).inc(documents)
            self._batches.labels(model).observe(documents)
            self._run.labels(model).observe(seconds)

        return measure

    def watch(self, model: str, waiting: Callable[[], int]) -> None:
        """Give the number of texts that wait for a model whenever somebody asks."""
        self._waiting.labels(model).set_function(waiting)

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
