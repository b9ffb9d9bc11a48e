"""Batches of a stream: each example once an epoch, the same for any number of processes and from any place on."""

from itertools import islice

import pytest
import torch

from hf_ext.training import StreamedBatches
from hf_ext.training.streamed_batches import Place


class Numbers:
    """A stream of numbers; it notes how many it has given."""

    def __init__(self, count):
        self.count, self.given = count, 0

    def read(self, first=0):
        for number in range(first, self.count):
            self.given += 1
            yield number


def rows_of(numbers):
    """Of each number as many rows as it has tens, and one more; of every seventh none."""
    return [{"number": n, "row": row} for n in numbers if n % 7 for row in range(n // 10 + 1)]


def batches(count=23, **more):
    options = {"batch_size": 4, "block_size": 5, "seed": 3} | more
    return StreamedBatches(
        Numbers(count),
        rows_of,
        lambda row, number: [row["number"], row["row"], number % 1000],
        lambda rows: {"rows": torch.tensor(rows)},
        **options,
    )


def taken(stream, count):
    return list(islice(iter(stream), count))


def rows(found):
    return torch.cat([batch["rows"] for batch in found]).tolist()


ALL = sorted([row["number"], row["row"]] for row in rows_of(range(23)))


def test_an_epoch_has_every_row_once():
    found = rows(taken(batches(batch_size=1), 2 * len(ALL)))
    epochs = found[: len(ALL)], found[len(ALL) :]
    for epoch in epochs:
        assert sorted(row[:2] for row in epoch) == ALL
    # In another order, and with other draws.
    assert [row[:2] for row in epochs[0]] != [row[:2] for row in epochs[1]]
    assert {row[2] for row in epochs[0]} != {row[2] for row in epochs[1]}


def test_examples_stay_in_their_block():
    found = rows(taken(batches(batch_size=1), len(ALL)))
    assert [row[0] // 5 for row in found] == sorted(row[0] // 5 for row in found)
    assert [row[0] for row in found] != sorted(row[0] for row in found)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_it_goes_on_from_every_place(batch_size):
    whole = taken(batches(batch_size=batch_size), 60 // batch_size)
    for passed in range(1, len(whole)):
        stream = batches(batch_size=batch_size)
        stream.go_on(Place(*whole[passed - 1]["place"].tolist()), passed)
        found = taken(stream, len(whole))
        assert found[:passed] == [{}] * passed
        assert rows(found[passed:]) == rows(whole[passed:])


def test_what_lies_before_a_place_is_not_encoded():
    place = taken(batches(batch_size=1), 20)[-1]["place"].tolist()
    stream = batches(batch_size=1)
    stream.go_on(Place(*place), 0)
    taken(stream, 1)
    assert stream.examples.given <= 5


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_have_the_batches_of_one_together(processes):
    one = taken(batches(batch_size=2 * processes), 9)
    parts = [taken(batches(batch_size=2, process=n, processes=processes), 9) for n in range(processes)]
    for number, whole in enumerate(one):
        own = [part[number] for part in parts]
        assert torch.cat([batch["rows"] for batch in own]).tolist() == whole["rows"].tolist()
        assert all(batch["place"].tolist() == whole["place"].tolist() for batch in own)


def test_another_seed_is_another_order():
    assert rows(taken(batches(seed=4), 3)) != rows(taken(batches(), 3))


@pytest.mark.parametrize("count", [0, 1])
def test_a_stream_without_rows_is_refused(count):
    with pytest.raises(ValueError, match="at least one row"):
        taken(batches(count), 1)


@pytest.mark.parametrize("name", ["batch_size", "block_size"])
def test_sizes_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        batches(**{name: 0})
