"""Requests share batches and keep their answers."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from hf_ext.serve import Batcher
from hf_ext.serve.batcher import QueueFullError, StoppedError


class Doubler:
    """Doubles numbers, in batches that it remembers, once it is let."""

    def __init__(self):
        self.batches, self.entered, self.gate = [], threading.Event(), threading.Event()

    def __call__(self, numbers, options):
        self.entered.set()
        assert self.gate.wait(30)
        self.batches.append((list(numbers), options))
        return [2 * number for number in numbers]


@pytest.fixture
def double():
    return Doubler()


@pytest.fixture
def batcher(double):
    made = Batcher(double, batch=4, wait_ms=0, waiting=20)
    yield made
    double.gate.set()
    made.close()


def held(batcher, double):
    """A request that runs, behind which others wait."""
    first = batcher.submit([0])
    assert double.entered.wait(30)
    return first


def test_requests_share_a_batch_as_far_as_it_goes(batcher, double):
    futures = [held(batcher, double), *(batcher.submit([number, 10 * number]) for number in (1, 2, 3))]
    assert batcher.waiting == 6
    double.gate.set()
    assert [one.result(30) for one in futures] == [[0], [2, 20], [4, 40], [6, 60]]
    assert [numbers for numbers, _ in double.batches] == [[0], [1, 10, 2, 20], [3, 30]]
    assert batcher.waiting == 0


def test_those_with_equal_options_alone(batcher, double):
    futures = [held(batcher, double), *(batcher.submit([number], number % 2) for number in range(1, 6))]
    double.gate.set()
    assert [one.result(30) for one in futures] == [[2 * number] for number in range(6)]
    assert double.batches == [([0], None), ([1, 3, 5], 1), ([2, 4], 0)]


def test_a_large_request_is_a_batch_of_its_own(batcher, double):
    futures = [held(batcher, double), *(batcher.submit(numbers) for numbers in ([1], range(9), [2], []))]
    double.gate.set()
    assert [one.result(30) for one in futures] == [[0], [2], [2 * n for n in range(9)], [4], []]
    assert [len(numbers) for numbers, _ in double.batches] == [1, 2, 9]


def test_a_batch_waits_for_more_until_it_is_full():
    double = Doubler()
    double.gate.set()
    batcher = Batcher(double, batch=3, wait_ms=20_000, waiting=9)
    futures = [batcher.submit([number]) for number in range(3)]
    assert [one.result(10) for one in futures] == [[0], [2], [4]]
    assert len(double.batches) == 1
    # Nor does it wait once it is to stop.
    last = batcher.submit([7])
    batcher.close(10)
    assert last.result(0) == [14]
    assert not batcher.works


def test_a_request_behind_one_that_was_alone_does_not_wait():
    double = Doubler()
    double.gate.set()
    batcher = Batcher(double, batch=2, wait_ms=60_000, waiting=9)
    # Full by itself.
    assert batcher.submit([1, 2]).result(30) == [2, 4]
    assert [batcher.submit([number]).result(30) for number in range(3)] == [[0], [2], [4]]
    batcher.close()


def test_many_clients_get_their_own(batcher, double):
    double.gate.set()
    answers = {}

    def ask(number):
        for step in range(20):
            numbers = [100 * number + step] * (1 + (number + step) % 3)
            while True:
                try:
                    answers[number, step] = (numbers, batcher.submit(numbers, number % 2).result(30))
                    break
                except QueueFullError:
                    continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert len(answers) == 160
    assert all(found == [2 * number for number in numbers] for numbers, found in answers.values())
    assert max(len(numbers) for numbers, _ in double.batches) <= 4


def test_a_full_queue_takes_no_more(batcher, double):
    first = held(batcher, double)
    waiting = [batcher.submit(range(10)) for _ in range(2)]
    with pytest.raises(QueueFullError):
        batcher.submit([1])
    double.gate.set()
    assert not wait([first, *waiting], 30).not_done
    assert batcher.submit([1]).result(30) == [2]


def test_what_was_taken_is_answered_at_the_end(batcher, double):
    futures = [held(batcher, double), *(batcher.submit([number], number) for number in range(5))]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    while batcher.works:
        pass
    with pytest.raises(StoppedError):
        batcher.submit([1])
    double.gate.set()
    closing.join(30)
    assert [one.result(0) for one in futures] == [[0], [0], [2], [4], [6], [8]]


def test_a_cancelled_request_is_not_run(batcher, double):
    first, left, last = held(batcher, double), batcher.submit([1]), batcher.submit([2])
    assert left.cancel()
    assert not first.cancel()
    # Its room is another's at once.
    assert batcher.waiting == 1
    double.gate.set()
    assert (first.result(30), last.result(30)) == ([0], [4])
    assert [numbers for numbers, _ in double.batches] == [[0], [2]]
    assert batcher.waiting == 0


def test_the_first_of_a_batch_may_leave_while_it_waits_for_more():
    double = Doubler()
    double.gate.set()
    batcher = Batcher(double, batch=2, wait_ms=20_000, waiting=9)
    left = batcher.submit([1])
    assert left.cancel()
    assert batcher.waiting == 0
    futures = [batcher.submit([number]) for number in (2, 3)]
    assert [one.result(10) for one in futures] == [[4], [6]]
    assert double.batches == [([2, 3], None)]
    batcher.close(10)


def test_one_failure_is_not_the_others(batcher, double):
    first = held(batcher, double)
    futures = [batcher.submit([one]) for one in (1, None, 3)]
    double.gate.set()
    assert first.result(30) == [0]
    assert isinstance(futures[1].exception(30), TypeError)
    assert [futures[0].result(30), futures[2].result(30)] == [[2], [6]]
    assert batcher.works


@pytest.mark.parametrize("answers", [[], [1, 2]])
def test_answers_are_as_many_as_documents(answers):
    batcher = Batcher(lambda documents, options: answers, batch=1, wait_ms=0, waiting=1)
    error = batcher.submit([0]).exception(30)
    assert isinstance(error, RuntimeError)
    assert f"1 documents must have as many answers, got {len(answers)}" in str(error)
    batcher.close()


def test_batches_are_measured():
    told: list[tuple[int, float]] = []
    done: Future[None] = Future()

    def measure(documents, seconds):
        told.append((documents, seconds))
        done.set_result(None)

    batcher = Batcher(lambda documents, options: documents, 2, 0, 2, measure)
    batcher.submit([1, 2])
    done.result(30)
    batcher.close()
    ((documents, seconds),) = told
    assert documents == 2
    assert seconds >= 0
