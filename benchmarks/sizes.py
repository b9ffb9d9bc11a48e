"""What machines of several sizes do in an hour with a base model: measured on a core, computed for GPUs.

    python benchmarks/sizes.py           # the table of docs/sizes.md

What a core does is what results/bfloat16.csv has of 8 texts of 400 tokens. What a GPU does is its peak by its maker's
data sheet, times a share that is assumed, over the operations of a token: two for each multiplication of the layers
(`hf_ext.analysis.layer_cost`), three times as many in training. Nothing of this package has run on a GPU.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.analysis.layer_cost import layer_cost
from hf_ext.models.roformer.sizes_roformer import config_of_size

SIZE, BATCH, LENGTH = "base", 8, 400
# Of texts as they are counted: those of 128 tokens.
TEXT = 128
# Dense products in bfloat16, operations a second.
PEAKS = {"L4": 121e12, "A100": 312e12, "H100": 989e12}
# Both are assumptions: the share of the peak that well-filled batches reach, and what is left of each of several GPUs
# that average gradients with each other.
SHARE = 0.35
LEFT = {1: 1.0, 8: 0.95, 32: 0.9}


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        machine: what it is.
        training: tokens an hour.
        inference: texts of `TEXT` tokens an hour.
        source: "measured" or "computed".
    """

    machine: str
    training: float
    inference: float
    source: str


def operations(length: int, training: bool = False) -> float:
    """Floating-point operations of a token in a text of so many, in the layers."""
    config = config_of_size(SIZE)
    forward = 2 * config.num_hidden_layers * layer_cost(config, length).total / length
    return 3 * forward if training else forward


def measured(rows: list[dict[str, Any]], what: str, kind: str) -> float:
    """Tokens an hour of one core, by the benchmark of bfloat16.

    Raises:
        ValueError: if it has not been measured once.
    """
    wanted = {"size": SIZE, "batch": str(BATCH), "length": str(LENGTH), "what": what, "side": kind, "threads": "1"}
    own = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    if len(own) != 1:
        raise ValueError(f"bfloat16.csv must have one row of {wanted}, got {len(own)}")
    return BATCH * LENGTH / float(own[0]["least_s"]) * 3600


def computed(peak: float, count: int, training: bool) -> float:
    """Tokens an hour of so many GPUs, in texts of `LENGTH` tokens to train on, and of `TEXT` to predict."""
    # Those that predict do not wait for each other.
    left = LEFT[count] if training else 1.0
    return peak * SHARE * count * left / operations(LENGTH if training else TEXT, training) * 3600


def lines(rows: list[dict[str, Any]]) -> Iterator[Line]:
    """The lines of the table, from the rows of results/bfloat16.csv."""
    for kind in ("float32", "bfloat16"):
        # A token costs less in a shorter text, which is left out: padding and overhead cost more.
        texts = measured(rows, "forward", kind) / TEXT
        yield Line(f"one core, {kind}", measured(rows, "train", kind), texts, "measured")
    for name, peak in PEAKS.items():
        for count in (1, 8) if name != "H100" else (1, 8, 32):
            where = {1: "one", 8: "eight", 32: "four machines of eight"}[count]
            yield Line(f"{where} {name}", computed(peak, count, True), computed(peak, count, False) / TEXT, "computed")


def table(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    head = f"| | trained tokens an hour | texts of {TEXT} tokens an hour | |\n|---|---|---|---|\n"
    return head + "".join(
        f"| {one.machine} | {_rounded(one.training)} | {_rounded(one.inference)} | {one.source} |\n"
        for one in lines(rows)
    )


def read() -> list[dict[str, Any]]:
    with (harness.RESULTS / "bfloat16.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _rounded(number: float) -> str:
    """Two digits that count, in thousands, millions or billions."""
    for unit, word in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= unit:
            return f"{float(f'{number / unit:.2g}'):g}{word}"
    return f"{float(f'{number:.2g}'):g}"


if __name__ == "__main__":
    print(table(read()), end="")
