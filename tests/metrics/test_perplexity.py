"""Sums over tokens, of models that predict the token in its own place; the loss of all tokens, however batched."""

from math import exp, inf
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hf_ext.metrics import held_out_metrics, next_token_sums, token_sums


def by_hand(logits, labels):
    found = []
    for row, own in zip(logits.double(), labels):
        asked = [(scores, int(label)) for scores, label in zip(row, own) if label != -100]
        loss = sum(float(torch.logsumexp(scores, -1) - scores[label]) for scores, label in asked)
        right = sum(int(scores.argmax()) == label for scores, label in asked)
        found.append([loss, right, len(asked)])
    return torch.tensor(found, dtype=torch.double)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sums_are_those_of_each_token(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(3, 5, 7, generator=generator)).to(dtype)
    labels = torch.randint(7, (3, 5), generator=generator)
    labels[0, 1:3] = labels[2] = -100
    labels[1, 0] = int(logits[1, 0].argmax())
    torch.testing.assert_close(token_sums(logits, labels), by_hand(logits, labels), rtol=1e-5, atol=1e-6)
    # What follows in an output is left out.
    assert torch.equal(token_sums((logits, None), labels), token_sums(logits, labels))
    torch.testing.assert_close(
        next_token_sums(logits, labels), by_hand(logits[:, :-1], labels[:, 1:]), rtol=1e-5, atol=1e-6
    )


def test_metrics_are_of_all_tokens():
    sums = np.array([[2.0, 1, 1], [4.0, 1, 5], [0.0, 0, 0]])
    found = held_out_metrics(SimpleNamespace(predictions=sums))
    assert found == pytest.approx({"held_out_loss": 1.0, "perplexity": exp(1), "accuracy": 1 / 3})
    assert held_out_metrics(SimpleNamespace(predictions=np.array([[9e5, 0, 1]])))["perplexity"] == inf


def test_nothing_asked_is_an_error():
    with pytest.raises(ValueError, match="at least one token"):
        held_out_metrics(SimpleNamespace(predictions=np.zeros((2, 3))))
