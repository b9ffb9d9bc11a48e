"""Work over a file on Ray Data: parts are computed by workers that each hold the model, in whatever order they end."""

import json
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from hf_ext.engines.digests import file_digest
from hf_ext.engines.file_work import FileWork, PartFunction, parts_of
from hf_ext.engines.kept_parts import KeptParts
from hf_ext.engines.ray_cluster import ray_cluster, workers_of
from hf_ext.extras import MissingExtraError
from hf_ext.tasks.base.head_guard import OtherHeadError
from hf_ext.version import __version__

# Errors that are raised as what they are where the run was started; of any other the name of its class is told.
_ERRORS: dict[str, type[Exception]] = {
    one.__name__: one for one in (MissingExtraError, OtherHeadError, OSError, TypeError, ValueError)
}


def run_on_ray(
    work: FileWork,
    output: str | os.PathLike[str],
    workers: int | None = None,
    device: str | None = None,
    resume: bool = False,
) -> int:
    """Compute a file from another on a Ray cluster; what it holds does not depend on the number of workers.

    The file is read once before any work, so that a mistake in its last line costs nothing, and once during it, on the
    machine that calls this; only the model has to be there on the others. The output appears once it is complete; until
    then its parts are in a hidden folder beside it. A worker that dies is started again, and what it was at is computed
    again. Neither file is held in memory.

    Args:
        work: what is computed, of which file.
        output: the file to write.
        workers: how many, each with a GPU or a processor and a model of its own; None: as many as the cluster has GPUs,
            or else processors.
        device: of the workers; None: GPUs if the cluster has enough.
        resume: go on with the parts of a run that was cut off.

    Returns:
        The number of documents.

    Raises:
        ValueError: if a document is not as the work wants it, the parts to resume from are of another file or other
            settings, or the cluster has fewer processors than workers.
    """
    from rich.console import Console
    from rich.progress import Progress

    target = Path(output)
    if target.is_file() and target.samefile(work.file):
        raise ValueError(f"output must not be the file that is read, got {target} for both")
    total = sum(1 for _ in work.documents())
    source = {"file": file_digest(work.file), "version": __version__, **work.settings()}
    parts = KeptParts(target, source, resume)
    count = -(-total // work.part_size)
    done = parts.numbers()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("computing parts", total=count, completed=len(done))
        for number, content in _computed(work, done, count - len(done), workers, device) if len(done) < count else ():
            parts.put(number, content)
            progress.advance(task)
    work.write(target, parts.contents(count))
    parts.remove()
    return total


def _computed(
    work: FileWork, done: frozenset[int], left: int, workers: int | None, device: str | None
) -> Iterator[tuple[int, bytes]]:
    """The numbers and the contents of the parts that are not done, as they come."""
    with ray_cluster() as ray, _data_context(ray):
        count, gpus = workers_of(ray, workers, device)
        here = next(node for node in ray.nodes() if node["NodeID"] == ray.get_runtime_context().get_node_id())
        # It reads for all, and needs no processor of its own: on a small machine there is none left.
        reading = {"num_cpus": 0, "resources": {f"node:{here['NodeManagerAddress']}": 0.001}}
        computing = {"num_cpus": 1, "num_gpus": gpus, "fn_constructor_args": (work,)}
        read = ray.data.from_items([0]).map_batches(_Reader(work, done), batch_size=None, **reading)
        pool = ray.data.ActorPoolStrategy(size=min(count, left))
        computed = read.map_batches(_Worker, batch_size=1, batch_format="pyarrow", compute=pool, **computing)
        for table in computed.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for row in table.to_pylist():
                if row["failed"]:
                    raise _error_of(row["content"])
                yield row["number"], row["content"]


class _Reader:
    """Reads the parts that are not done, wherever it is called."""

    def __init__(self, work: FileWork, done: frozenset[int]) -> None:
        self.work, self.done = work, done

    def __call__(self, _: Any) -> Iterator[Any]:
        for number, documents in parts_of(self.work.documents(), self.work.part_size):
            if number not in self.done:
                yield _row(number, json.dumps(documents).encode())


class _Worker:
    """Computes parts; the model is loaded with the first.

    What goes wrong is given as what was computed is: Ray would tell of it in words of its own, and retry a constructor.
    """

    def __init__(self, work: FileWork) -> None:
        self.work = work

    @cached_property
    def compute(self) -> PartFunction:
        return self.work.open()

    def __call__(self, table: Any) -> Any:
        (row,) = table.to_pylist()
        try:
            return _row(row["number"], self.compute(row["number"], json.loads(row["content"])))
        except Exception as error:
            return _row(row["number"], _told(error), failed=True)


def _row(number: int, content: bytes, failed: bool = False) -> Any:
    """A table of one row. As an array of NumPy, bytes would lose zeros at their end."""
    import pyarrow

    contents = pyarrow.array([content], pyarrow.large_binary())
    return pyarrow.table({"number": [number], "content": contents, "failed": [failed]})


def _told(error: Exception) -> bytes:
    """What is to be known of an error elsewhere. It is no pickle, which would be code of whoever made it."""
    kind = next((name for name, one in _ERRORS.items() if isinstance(error, one)), "")
    message = str(error) if kind else f"{type(error).__name__}: {error}"
    trace = "".join(traceback.format_exception(error))
    return json.dumps({"kind": kind, "message": message, "trace": trace}).encode()


def _error_of(told: bytes) -> Exception:
    """An error as `_told` tells of it, with the place where it was raised as a note."""
    given = json.loads(told)
    error = _ERRORS.get(given["kind"], RuntimeError)(given["message"])
    error.add_note(given["trace"])
    return error


@contextmanager
def _data_context(ray: Any) -> Iterator[None]:
    """Ray Data's settings of a run: a part a block, and no reports beside our own."""
    context = ray.data.DataContext.get_current()
    wanted = {"target_max_block_size": 1, "enable_progress_bars": False}
    before = {name: getattr(context, name) for name in wanted}
    logger = logging.getLogger("ray.data")
    level = logger.level
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        logger.setLevel(level)
