"""The one way benchmarks measure: the sides of a case take turns in one process, and a CSV keeps what came out.

Time on a CPU is the process's own CPU time, or the time on the wall where several threads share the work, whose times
add up; on a GPU it is wall time between synchronisations. Other load on the machine stretches CPU time too, as
processors share caches and execution units, so the sides take turns and the least time counts. Peak memory is that of
the tensors one call allocates, counted by the allocator: the same on any machine, unlike a process's resident size,
which keeps what the other side has touched.
"""

import csv
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

# The profiler announces itself on stderr unless told not to before torch is imported.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch
from torch.profiler import ProfilerActivity, profile

RESULTS = Path(__file__).parent / "results"


@dataclass
class Side:
    """One side's measurements of a case.

    Attributes:
        seconds: of each round.
        peak_bytes: most bytes of tensors alive at once in one call, beyond those alive before it.
    """

    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    @property
    def least(self) -> float:
        """The least time: what the work costs when nothing disturbs it."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median time."""
        return statistics.median(self.seconds)


def compare(
    calls: Mapping[str, Callable[[], Any]],
    rounds: int = 3,
    repeats: int = 1,
    device: str = "cpu",
    warm_up: bool = True,
    wall: bool = False,
) -> dict[str, Side]:
    """Measure calls that do the same work, taking turns.

    Args:
        calls: side to a call without arguments.
        rounds: how often each side is timed; one call more warms it up.
        repeats: calls in each timing, for work too short for the clock.
        device: "cpu" or "cuda".
        warm_up: make one call more before that whose memory is measured; without, for work of many seconds.
        wall: take the time on the wall on a CPU too.

    Returns:
        Side to its measurements, seconds for one call.
    """
    sides = {name: Side() for name in calls}
    for name, call in calls.items():
        if warm_up:
            call()
        sides[name].peak_bytes = peak_bytes(call, device)
    for round_ in range(rounds):
        # Each side is first in turn, so that none always finds the caches of the same neighbour.
        names = list(calls)
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            gc.collect()
            started = _clock(device, wall)
            for _ in range(repeats):
                calls[name]()
            sides[name].seconds.append((_clock(device, wall) - started) / repeats)
    return sides


def peak_bytes(call: Callable[[], Any], device: str = "cpu") -> int:
    """Most bytes of tensors alive at once within ``call``, beyond those alive before it."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        call()
    alive = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak


def report(
    name: str,
    case: Mapping[str, Any],
    sides: Mapping[str, Side],
    ours: str,
    path: Path | None = None,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Print a case's measurements, the ratios of each side to ``ours``, and append them to ``results/<name>.csv``.

    A ratio above 1 says that the side is slower, or needs more memory, than ours.
    """
    own = sides[ours]
    rows = []
    for side, measured in sides.items():
        rows.append(
            {
                **case,
                "side": side,
                "least_s": f"{measured.least:.5f}",
                "median_s": f"{measured.median:.5f}",
                "time_ratio": f"{measured.least / own.least:.3f}",
                "peak_mb": f"{measured.peak_bytes / 2**20:.1f}",
                "memory_ratio": f"{measured.peak_bytes / max(own.peak_bytes, 1):.3f}",
                "rounds": len(measured.seconds),
                **machine(device),
            }
        )
        label = " ".join(str(value) for value in case.values())
        row = rows[-1]
        print(
            f"{label:40} {side:14} {row['least_s']:>9} s  x{row['time_ratio']:<7}"
            f"{row['peak_mb']:>9} MB  x{row['memory_ratio']}",
            flush=True,
        )
    append_rows(path or RESULTS / f"{name}.csv", rows)
    return rows


def append_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to a CSV file, with a header if it is new.

    Raises:
        ValueError: if the file has other columns.
    """
    rows = list(rows)
    columns = list(rows[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    if not new:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file))
        if header != columns:
            raise ValueError(f"{path.name} has the columns {header}, got {columns}; move the old file away")
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def machine(device: str = "cpu") -> dict[str, str]:
    """Where and when: processor, cores, threads in use, versions, day."""
    processor = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {
        "machine": f"{processor}, {os.cpu_count()} cores",
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _clock(device: str, wall: bool = False) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() if wall or device == "cuda" else time.process_time()
