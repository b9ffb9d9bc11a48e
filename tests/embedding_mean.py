"""The model of the golden numbers of adversarial training, and what is compared with them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Numbers = dict[str, np.ndarray]


def golden_numbers(golden: Path) -> Numbers:
    """All arrays of the case."""
    with np.load(golden / "adversarial" / "io.npz") as file:
        return dict(file)


class EmbeddingMean(nn.Module):
    """A mean of embeddings, a tanh and a softmax.

    Its embeddings have a name that searches by substring do not find.
    """

    def __init__(self, numbers: Numbers, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.wte = nn.Embedding(*numbers["param/E"].shape)
        self.wte.weight = nn.Parameter(torch.tensor(numbers["param/E"], dtype=dtype))
        for name in "AaWb":
            setattr(self, name, nn.Parameter(torch.tensor(numbers[f"param/{name}"], dtype=dtype)))
        self.config = SimpleNamespace(model_type="mean")

    def get_input_embeddings(self) -> nn.Embedding:
        """Those of tokens."""
        return self.wte

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> dict[str, Tensor | None]:
        """Loss and logits."""
        embedded: Any = self.wte(input_ids) if inputs_embeds is None else inputs_embeds
        assert attention_mask is not None
        mask = attention_mask.unsqueeze(-1).to(embedded)
        parameters: Any = self
        hidden = torch.tanh((embedded * mask).sum(1) / mask.sum(1) @ parameters.A + parameters.a)
        logits = hidden @ parameters.W + parameters.b
        return {"loss": None if labels is None else F.cross_entropy(logits, labels), "logits": logits}


def batch(numbers: Numbers) -> dict[str, Tensor]:
    """The rows of the case."""
    names = {"input_ids": "ids", "attention_mask": "mask", "labels": "labels"}
    return {name: torch.tensor(numbers[own]).long() for name, own in names.items()}


def gradients(model: EmbeddingMean) -> dict[str, Any]:
    """By the names of the case."""
    return {"E": model.wte.weight.grad} | {part: getattr(model, part).grad for part in "AaWb"}


def check_step(model: EmbeddingMean, loss: Tensor, numbers: Numbers, name: str) -> None:
    """A loss and its gradients are those of the case, within its tolerance."""
    dtype = model.wte.weight.dtype
    loss.backward()
    tolerance = {"rtol": 0, "atol": 1e-10 if dtype == torch.float64 else 1e-4}
    torch.testing.assert_close(loss.detach(), torch.tensor(numbers[f"{name}_loss"], dtype=dtype), **tolerance)
    for part, gradient in gradients(model).items():
        want = torch.tensor(numbers[f"{name}_grad/{part}"], dtype=dtype)
        torch.testing.assert_close(gradient, want, **tolerance)
