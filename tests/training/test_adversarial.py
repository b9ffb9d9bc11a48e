"""Adversarial training and the gradient penalty, against the golden numbers and by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from trainer_runs import descent

from hf_ext.training import AdversarialTrainer, VirtualAdversarialTrainer, fgm_delta, virtual_adversarial_delta
from hf_ext.training.divergences import clean_divergence, pointer_tables_divergence
from hf_ext.training.input_embeddings import TokenVectors


class GoldenModel(nn.Module):
    """That of the golden numbers: a mean of embeddings, a tanh and a softmax."""

    def __init__(self, numbers, dtype=torch.float64):
        super().__init__()
        table = nn.Embedding(*numbers["param/E"].shape)
        self.embeddings = table
        for name in "AaWb":
            setattr(self, name, nn.Parameter(torch.tensor(numbers[f"param/{name}"], dtype=dtype)))
        table.weight = nn.Parameter(torch.tensor(numbers["param/E"], dtype=dtype))
        self.config = SimpleNamespace(model_type="golden")

    def get_input_embeddings(self):
        return self.embeddings

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        embedded = self.embeddings(input_ids)
        mask = attention_mask.unsqueeze(-1).to(embedded)
        hidden = torch.tanh((embedded * mask).sum(1) / mask.sum(1) @ self.A + self.a)
        logits = hidden @ self.W + self.b
        return {"loss": None if labels is None else F.cross_entropy(logits, labels), "logits": logits}


@pytest.fixture(scope="module")
def numbers(golden):
    with np.load(golden / "adversarial" / "io.npz") as file:
        return dict(file)


def batch(numbers):
    names = {"input_ids": "ids", "attention_mask": "mask", "labels": "labels"}
    return {name: torch.tensor(numbers[own]).long() for name, own in names.items()}


def trained(trainer_class, model, folder, **options):
    return trainer_class(model, descent(folder), train_dataset=[], **options)


def check_step(model, loss, numbers, name, dtype):
    loss.backward()
    tolerance = {"rtol": 0, "atol": 1e-10 if dtype == torch.float64 else 1e-4}
    torch.testing.assert_close(loss.detach(), torch.tensor(numbers[f"{name}_loss"], dtype=dtype), **tolerance)
    gradients = {"E": model.embeddings.weight.grad} | {part: getattr(model, part).grad for part in "AaWb"}
    for part, gradient in gradients.items():
        want = torch.tensor(numbers[f"{name}_grad/{part}"], dtype=dtype)
        torch.testing.assert_close(gradient, want, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fgm0.5", {}),
        ("fgm1.0", {"epsilon": 1.0}),
        ("fgm_output_batch", {"norm": "batch"}),
        ("fgm_output_row", {"norm": "row"}),
        ("gp_occurrence", {"method": "penalty"}),
        ("gp_matrix", {"method": "penalty", "norm": "matrix"}),
    ],
)
def test_losses_and_gradients_are_the_golden_ones(numbers, tmp_path, name, options, dtype):
    model = GoldenModel(numbers, dtype).train()
    trainer = trained(AdversarialTrainer, model, tmp_path, **options)
    check_step(model, trainer.compute_loss(model, batch(numbers)), numbers, name, dtype)
