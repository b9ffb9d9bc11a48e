"""What is kept for the backward pass, counted by hand, and what gradient checkpointing leaves of it."""

from typing import Any

import pytest
import torch
from model_outputs import gradients
from models_tiny import TOKEN_HEADS, Case
from torch import nn
from trainer_runs import labelled

from hf_ext.analysis import backward_bytes


def test_bytes_are_those_counted_by_hand():
    weight, x = torch.randn(6, 5, requires_grad=True), torch.randn(3, 6)
    # Of x W nothing new is kept for W; of its tanh the result, for itself and for the sum of squares; and the loss.
    assert backward_bytes(lambda: (x @ weight).tanh().square().sum()) == 4 * (3 * 5 + 1)
    # Both are kept where both are needed.
    assert backward_bytes(lambda: (x @ weight).exp().tanh().sum()) == 4 * (2 * 3 * 5 + 1)
    # Views are of one piece, of which a part keeps the whole.
    assert backward_bytes(lambda: (x @ weight).exp()[:1].tanh().sum()) == 4 * (3 * 5 + 5 + 1)


def test_what_has_no_gradient_is_refused():
    with pytest.raises(ValueError, match="forward must give a loss that has a gradient"):
        backward_bytes(lambda: torch.ones(3).sum())


def kept(model: nn.Module, batch: dict[str, Any]) -> int:
    torch.manual_seed(3)
    return backward_bytes(lambda: model(**batch).loss)


@pytest.mark.parametrize("case", TOKEN_HEADS)
def test_checkpointing_keeps_less_and_changes_nothing(case: Case):
    """With dropout everywhere: the layers that run again draw the same."""
    batch = labelled(case, [24, 20])
    depth: dict[str, Any] = {"num_layers": 6} if case.family.paired else {"num_hidden_layers": 6}
    names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate")
    known = case.config().to_dict()
    # Linear attention has no weights to drop.
    fields = {name: 0.2 for name in names if name in known and known[name] is not None}
    if case.family.config.fixed_fields.get("attention_probs_dropout_prob") == 0:
        fields.pop("attention_probs_dropout_prob")
    if "half_length" in case.family.fields:
        depth |= {"half_length": 24}
    found, sizes = [], []
    for checkpointing in (False, True):
        model = case.make(**depth, **fields).train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        sizes.append(kept(model, batch))
        torch.manual_seed(3)
        loss = model(**batch).loss
        loss.backward()
        found.append((loss.detach(), gradients(model)))
    torch.testing.assert_close(*found, atol=1e-11, rtol=1e-9)
    assert sizes[1] < 0.6 * sizes[0]
