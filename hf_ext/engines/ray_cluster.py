"""The Ray cluster that a run is on: one that is there, or one of this machine's own for as long as it is needed."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hf_ext.extras import extra

# Parts are small, and so is the memory in which they lie between processes.
_STORE_BYTES = 200 * 2**20


@contextmanager
def ray_cluster() -> Iterator[Any]:
    """Ray, connected: to the cluster of ``RAY_ADDRESS`` or of ``ray start``, or else to one that is started here.

    Raises:
        MissingExtraError: if Ray is not installed.
        ValueError: if the cluster that ``RAY_ADDRESS`` names is not there.
    """
    # Ray tells its makers what it is used for, unless told not to before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with extra("ray", "work on a cluster"):
        import ray
        import ray.data

    if ray.is_initialized():
        yield ray
        return
    _connect(ray)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # The address "auto" would also be that of a cluster that another run has for itself, and takes away at its end.
        # Where one of ``ray start`` is there, Ray refuses settings of the store.
        with suppress(ValueError):
            ray.init(**options, **own)
            return
    try:
        ray.init(**options)
    except ConnectionError as error:
        if address:
            raise ValueError(f"RAY_ADDRESS must be that of a Ray cluster, got {address}, where none answers") from error
        # One of ``ray start`` that was killed is still noted.
        ray.init(address="local", **options, **own)


def workers_of(ray: Any, workers: int | None, device: str | None) -> tuple[int, int]:
    """How many workers there are to be, and how many GPUs each is to have: one or none.

    Args:
        ray: connected.
        workers: how many; None: as many as there are GPUs, or else processors.
        device: of each worker; None: a GPU if the cluster has enough for all.

    Raises:
        ValueError: if the cluster has not so many.
    """
    there = {name: int(ray.cluster_resources().get(name, 0)) for name in ("CPU", "GPU")}
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    on_gpus = (device or "").startswith("cuda") or (device is None and there["GPU"] >= (workers or 1))
    kind = "GPU" if on_gpus else "CPU"
    count = workers or there[kind]
    if not 0 < count <= there[kind]:
        raise ValueError(f"workers must be at most the {there[kind]} {kind}s of the cluster, got {count}")
    return count, int(on_gpus)
