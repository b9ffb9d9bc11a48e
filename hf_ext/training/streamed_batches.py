"""Batches of training made of a stream of examples, which go on from any place in it."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

PLACE = "place"
"""The key of a batch that says where in the stream the next one begins."""

Row = Mapping[str, Any]


class Place(NamedTuple):
    """The next row of a stream.

    Attributes:
        epoch: how often all examples have been read.
        block: how many blocks of examples of this epoch are behind.
        row: how many rows of this block are.
    """

    epoch: int = 0
    block: int = 0
    row: int = 0


class Stream(Protocol):
    """Examples that can be read from any of them on."""

    def read(self, first: int = 0) -> Iterator[Any]:
        """The examples from number ``first`` on."""


class StreamedBatches(IterableDataset[dict[str, Tensor]]):
    """Endless batches of rows that are made of examples as these come.

    Examples are read a block at a time; block and rows are put in an order that depends on the seed, the epoch and the
    block alone, and so is what is drawn for a row. So a batch is the same in every run, wherever that began, and the
    batches of several processes are together those of one. To go on inside an epoch, examples before the block are
    passed over unread, and those of the block encoded again.

    Args:
        examples: read anew in each epoch.
        encode: makes rows of a block of examples, always the same.
        make: makes of a row what is collated, by a number to draw with; only for the rows of this process.
        collate: makes a batch.
        batch_size: rows of a batch in this process.
        process: the number of this process.
        processes: how many there are.
        block_size: examples that are put in another order among each other, and encoded at once.
        seed: of all that is drawn.

    Raises:
        ValueError: if ``batch_size`` or ``block_size`` is not positive; when it is read, if no example makes a row.
    """

    def __init__(
        self,
        examples: Stream,
        encode: Callable[[list[Any]], Sequence[Row]],
        make: Callable[[Row, int], Any],
        collate: Callable[[list[Any]], dict[str, Tensor]],
        batch_size: int,
        process: int = 0,
        processes: int = 1,
        block_size: int = 2000,
        seed: int = 0,
    ):
        for name, value in (("batch_size", batch_size), ("block_size", block_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.examples, self.encode, self.make, self.collate = examples, encode, make, collate
        self.batch_size, self.process, self.processes = batch_size, process, processes
        self.block_size, self.seed = block_size, seed
        self.start, self.passed = Place(), 0

    def go_on(self, place: Place, passed: int) -> None:
        """Begin at a place from now on.

        Args:
            place: what the last batch before had under ``"place"``.
            passed: batches that are passed over; for these, which Trainer counts, nothing is read.
        """
        self.start, self.passed = place, passed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Batches, each with the `Place` of the next one under ``"place"``, int64 ``[3]``."""
        yield from ({} for _ in range(self.passed))
        rows = self._rows(self.start)
        first = self.process * self.batch_size
        while True:
            of_all = list(islice(rows, self.batch_size * self.processes))
            own = of_all[first : first + self.batch_size]
            batch = self.collate([self.make(row, self._number("draw", *place)) for place, row in own])
            yield {**batch, PLACE: torch.tensor(of_all[-1][0])}

    def _rows(self, start: Place) -> Iterator[tuple[Place, Row]]:
        """All rows from a place on, each with the place behind it."""
        for epoch in count(start.epoch):
            begun, found = start if epoch == start.epoch else Place(epoch), False
            examples = self.examples.read(begun.block * self.block_size)
            for block in count(begun.block):
                own = list(islice(examples, self.block_size))
                if not own:
                    break
                order = random.Random(self._number("order", epoch, block))
                order.shuffle(own)
                rows = list(self.encode(own))
                order.shuffle(rows)
                for number in range(begun.row if block == begun.block else 0, len(rows)):
                    found = True
                    yield Place(epoch, block, number + 1), rows[number]
            if not found and begun == Place(epoch):
                raise ValueError("the examples must make at least one row to train on, got none from all of them")

    def _number(self, *of: Any) -> int:
        # Of a string: seeds that are alike must not give draws that are.
        return random.Random(" ".join(map(str, (self.seed, *of)))).getrandbits(63)
