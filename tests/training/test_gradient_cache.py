"""Gradients through a cache of embeddings, and embeddings gathered from several processes."""

import os
import socket
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from hf_ext.losses import cosent_pair_loss, simcse_loss
from hf_ext.ops.gather import gather_rows
from hf_ext.training.gradient_cache import RandomState, cached_backward

PAIRS = 6


def made(dropout=0.0):
    torch.manual_seed(0)
    layers = [nn.Linear(5, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 4)]
    model = nn.Sequential(*layers).double()
    generator = torch.Generator().manual_seed(1)
    batch = {"x": torch.randn(2 * PAIRS, 5, dtype=torch.float64, generator=generator)}
    labels = torch.randint(0, 3, (PAIRS,), generator=generator)
    return model, batch, labels


def gradients(model):
    return [parameter.grad.clone() for parameter in model.parameters()]


LOSSES = {
    "cosent": lambda labels: lambda vectors: cosent_pair_loss(vectors, labels),
    "simcse": lambda labels: simcse_loss,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("chunk_size", [1, 2, 5, 12, 100])
def test_gradients_are_those_of_the_whole_batch(loss, chunk_size):
    model, batch, labels = made()
    function = LOSSES[loss](labels)
    whole = function(model(batch["x"]))
    whole.backward()
    wanted = gradients(model)
    model.zero_grad()
    cached = cached_backward(lambda chunk: model(chunk["x"]), batch, function, chunk_size)
    torch.testing.assert_close(cached, whole.detach(), rtol=1e-12, atol=0)
    assert not cached.requires_grad
    for found, expected in zip(gradients(model), wanted):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("chunk_size", [1, 4, 12])
def test_dropout_is_that_of_the_first_pass(chunk_size):
    model, batch, labels = made(dropout=0.5)
    function = LOSSES["cosent"](labels)
    torch.manual_seed(7)
    # The same chunks with a graph, one after the other, draw the same masks.
    whole = function(torch.cat([model(chunk) for chunk in batch["x"].split(chunk_size)]))
    after = torch.get_rng_state()
    whole.backward()
    wanted = gradients(model)
    model.zero_grad()
    torch.manual_seed(7)
    cached = cached_backward(lambda chunk: model(chunk["x"]), batch, function, chunk_size)
    torch.testing.assert_close(cached, whole.detach(), rtol=1e-12, atol=0)
    for found, expected in zip(gradients(model), wanted):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    # What is drawn next does not depend on the second pass.
    assert torch.equal(torch.get_rng_state(), after)


def test_random_numbers_are_replayed():
    state = RandomState({"x": torch.zeros(1)})
    wanted, following = torch.rand(3), torch.rand(3)
    now = torch.get_rng_state()
    with state.replayed():
        assert torch.equal(torch.rand(3), wanted)
        assert torch.equal(torch.rand(3), following)
    assert torch.equal(torch.get_rng_state(), now)


def test_gradients_are_exchanged_with_the_last_chunk_only():
    model, batch, _ = made()
    events = []

    @contextmanager
    def no_sync():
        events.append("no_sync")
        yield

    def backward(scalar):
        events.append("backward")
        scalar.backward()

    cached_backward(lambda chunk: model(chunk["x"]), batch, simcse_loss, 5, backward, no_sync)
    assert events == ["no_sync", "backward", "no_sync", "backward", "backward"]


def test_wrong_input_is_refused():
    model, batch, _ = made()
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        cached_backward(model, batch, simcse_loss, 0)
    with pytest.raises(ValueError, match="at least one row"):
        cached_backward(model, {"x": torch.zeros(0, 5)}, simcse_loss, 3)
    with pytest.raises(ValueError, match="at least one row"):
        cached_backward(model, {}, simcse_loss, 3)


# Loss, rows of each process, and rows of a chunk; None: without the cache.
SPLITS = [("cosent", (3, 3), None), ("simcse", (4, 2), None), ("simcse", (3, 3), 4), ("cosent", (3, 3), 2)]


def process(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    for number, (loss, sizes, chunk_size) in enumerate(SPLITS):
        torch.save(part_of(rank, loss, sizes, chunk_size), f"{folder}/{number}-{rank}.pt")
    dist.destroy_process_group()


def part_of(rank, loss, sizes, chunk_size):
    """The loss and the gradients that one process has."""
    model, batch, labels = made()
    parallel = nn.parallel.DistributedDataParallel(model)
    start = sum(sizes[:rank])
    mine = {"x": batch["x"][2 * start : 2 * (start + sizes[rank])]}
    own = labels[start : start + sizes[rank]]

    def function(vectors):
        return LOSSES[loss](gather_rows(own))(gather_rows(vectors))

    if chunk_size is None:
        value = function(parallel(mine["x"]))
        value.backward()
    else:
        value = cached_backward(
            lambda chunk: parallel(chunk["x"]), mine, function, chunk_size, no_sync=parallel.no_sync
        )
    return value.detach(), gradients(model)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """The folder of what two processes found; they are started once, and not forked, as threads run by now."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    mp.start_processes(process, args=(port, str(folder)), nprocs=2, start_method="spawn")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SPLITS)), ids=[f"{loss}-{chunk}" for loss, _, chunk in SPLITS])
def test_two_processes_are_one_with_all_pairs(number, two_processes):
    loss, _, _ = SPLITS[number]
    model, batch, labels = made()
    whole = LOSSES[loss](labels)(model(batch["x"]))
    whole.backward()
    for rank in range(2):
        value, found = torch.load(two_processes / f"{number}-{rank}.pt")
        torch.testing.assert_close(value, whole.detach(), rtol=1e-12, atol=0)
        for one, expected in zip(found, gradients(model)):
            torch.testing.assert_close(one, expected, rtol=1e-10, atol=1e-12)


def test_one_process_has_its_own_rows():
    rows = torch.randn(3, 2)
    assert gather_rows(rows) is rows
