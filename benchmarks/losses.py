"""CoSENT beside the matrix of all pairs, sparse multi-label softmax beside dense, EXACT's two integrals.

    python benchmarks/losses.py --rounds 5

A call is the loss and its backward pass. The matrix of CoSENT is the one that the original and its ports make;
sentence-transformers' CoSENTLoss, which sorts too, runs where the package is installed, on the same scores. The dense
multi-label side makes its labels from the list of positives, as a training step has to. Values and gradients of the
sides are compared before anything is timed.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.losses import cosent_loss, exact_loss, multilabel_softmax_loss, sparse_multilabel_softmax_loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only the cases with this in their name")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "losses.csv")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    for name, (logits, sides, tolerance) in cases().items():
        if arguments.only not in name:
            continue
        logits = logits.to(arguments.device)
        check(logits, sides, tolerance)
        calls = {side: lambda loss=loss, x=logits: step(x, loss) for side, loss in sides.items()}
        measured = harness.compare(calls, arguments.rounds, device=arguments.device)
        harness.report("losses", {"case": name}, measured, "hf_ext", arguments.output, arguments.device)


Loss = Callable[[Tensor], Tensor]


def cases() -> dict[str, tuple[Tensor, dict[str, Loss], float]]:
    """Name -> logits, each side's loss of them, how far gradients may differ relative to the largest."""
    found: dict[str, tuple[Tensor, dict[str, Loss], float]] = {}
    for pairs in (256, 4096):
        labels = torch.rand(pairs)
        sides: dict[str, Loss] = {
            "hf_ext": lambda x, y=labels: cosent_loss(x, y.to(x.device)),
            "matrix": matrix(labels),
        }
        if importlib.util.find_spec("sentence_transformers") is not None:
            sides["sentence-transformers"] = sentence_transformers_cosent(labels)
        found[f"CoSENT, {pairs} pairs"] = torch.randn(pairs).tanh(), sides, 1e-3
    for classes in (1000, 100_000):
        index = torch.stack([torch.randperm(classes)[:8] for _ in range(32)])
        found[f"multi-label softmax, 32 x {classes}, 8 positives"] = (
            torch.randn(32, classes),
            {"hf_ext": lambda x, i=index: sparse_multilabel_softmax_loss(x, i.to(x.device)), "dense": dense(index)},
            1e-5,
        )
    for classes in (10, 50):
        labels = torch.arange(32) % classes
        found[f"EXACT, 32 x {classes}"] = (
            torch.randn(32, classes),
            {
                "hf_ext": lambda x, y=labels: exact_loss(x, y.to(x.device), integral="line"),
                "orthant, 64 points": lambda x, y=labels: exact_loss(x, y.to(x.device)),
            },
            0.2,
        )
    return found


def matrix(labels: Tensor) -> Loss:
    """All pairs of scores, those that ask for nothing at -1e12."""

    def loss(scores: Tensor) -> Tensor:
        own = labels.to(scores.device)
        terms = 20 * (scores[None, :] - scores[:, None])
        terms = terms - (own[:, None] <= own[None, :]) * 1e12
        return torch.cat((terms.new_zeros(1), terms.flatten())).logsumexp(0)

    return loss


def sentence_transformers_cosent(labels: Tensor) -> Loss:
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    # Without a model, and with scores in place of embeddings.
    peer: Any = CoSENTLoss(model=torch.nn.Identity(), similarity_fct=lambda first, _: first)
    return lambda scores: peer.compute_loss_from_embeddings([scores, scores], labels.to(scores.device))


def dense(index: Tensor) -> Loss:
    def loss(logits: Tensor) -> Tensor:
        labels = torch.zeros_like(logits).scatter_(1, index.to(logits.device), 1)
        return multilabel_softmax_loss(logits, labels)

    return loss


def step(logits: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    logits = logits.detach().requires_grad_()
    value = loss(logits)
    value.backward()
    assert logits.grad is not None
    return value.detach(), logits.grad


def check(logits: Tensor, sides: dict[str, Loss], tolerance: float) -> None:
    """Raise AssertionError if a side gives another value or gradient."""
    value, gradient = step(logits, sides["hf_ext"])
    for side, loss in sides.items():
        other, others = step(logits, loss)
        largest = float(gradient.abs().max())
        torch.testing.assert_close(other, value, rtol=1e-2 if tolerance > 0.1 else 1e-5, atol=0, msg=side)
        torch.testing.assert_close(others, gradient, rtol=0, atol=tolerance * largest, msg=side)


if __name__ == "__main__":
    main()
