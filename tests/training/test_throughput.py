"""What is measured of a training: its seconds, the operations it takes, and those that there could be."""

import time

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_ext.training.progress import speed
from hf_ext.training.throughput import StepClock, flop_counter, matmul_peak, tokens_of


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_peak_is_some_operations_a_second_and_draws_nothing(dtype):
    state = torch.get_rng_state()
    peak = matmul_peak(dtype, torch.device("cpu"), seconds=0)
    # No processor is slower, and none as fast.
    assert 1e7 < peak < 1e16
    assert torch.equal(torch.get_rng_state(), state)


def test_products_are_counted_forward_and_backward():
    weight, x = torch.randn(5, 7, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    with flop_counter() as counted:
        (x @ weight).sum().backward()
    assert counted.get_total_flops() == 3 * 2 * 3 * 5 * 7


def test_attention_is_counted():
    query, key, value = (torch.randn(2, 3, 8, 4, requires_grad=True) for _ in range(3))
    with flop_counter() as counted:
        out = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    forward = counted.get_total_flops()
    assert forward == 2 * 2 * (2 * 3) * 8 * 8 * 4
    with flop_counter() as counted:
        out.sum().backward()
    assert 2 * forward <= counted.get_total_flops() <= 2.5 * forward


def test_tokens_are_the_real_ones():
    ids, mask = torch.ones(2, 4, dtype=torch.long), torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]])
    labels = torch.tensor([[5, -100], [5, 6]])
    assert tokens_of({"input_ids": ids}) == 8
    assert tokens_of({"input_ids": ids, "attention_mask": mask, "labels": labels}) == 5
    assert tokens_of({"input_ids": ids, "attention_mask": mask, "decoder_input_ids": labels, "labels": labels}) == 8


def test_a_clock_leaves_evaluations_and_checkpoints_out(monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock, about = StepClock(), (TrainingArguments(str(tmp_path), use_cpu=True), TrainerState(), TrainerControl())
    now[0] = 5
    clock.on_train_begin(*about)
    for event, seconds in (("step_end", 2), ("evaluate", 30), ("step_end", 3), ("save", 40), ("step_end", 1)):
        now[0] += seconds
        getattr(clock, f"on_{event}")(*about)
    assert clock.take() == 6
    assert clock.take() == 0


def test_the_bar_says_how_fast_it_is():
    assert speed({"loss": 1.0}) == ""
    assert speed({"tokens_per_second": 12345.6}) == "  12,346 tokens/s"
    assert speed({"tokens_per_second": 10.0, "share_of_peak": 0.256}) == "  10 tokens/s, 26% of peak"
