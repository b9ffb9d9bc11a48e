"""CRF: loss with its gradients, and decoding, beside pytorch-crf, TorchCRF and bert4torch's.

    python benchmarks/crf.py --tags 9 31 --lengths 128 512 2048

Batches of 32 rows of lengths from half to the whole, padded on the right. The peers score a first and a last tag too;
these scores are zero. Their losses and gradients and the scores of their paths are compared with ours, for some rows in
float64, before anything is timed. Long rows, on which the peers' backward passes take seconds, are timed fewer times.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import harness
import peers

from hf_ext.ops.crf import crf_decode, crf_loss, crf_score

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Decode = Callable[[Tensor, Tensor], list[list[int]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, nargs="+", default=[9, 31])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds-of-long", type=int, default=1, help="rounds for losses on rows of over 1,024 tokens")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "crf.csv")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    for tags in arguments.tags:
        for length in arguments.lengths:
            measure(tags, length, arguments)


def measure(tags: int, length: int, arguments: argparse.Namespace) -> None:
    generator = torch.Generator().manual_seed(0)
    batch, device = arguments.batch, arguments.device
    emissions = torch.randn(batch, length, tags, generator=generator).to(device).requires_grad_()
    transitions = torch.nn.Parameter(torch.randn(tags, tags, generator=generator).to(device))
    labels = torch.randint(0, tags, (batch, length), generator=generator).to(device)
    rows = torch.linspace(length // 2, length, batch).long().to(device)
    mask = torch.arange(length, device=device) < rows[:, None]
    losses, decoders = sides(transitions)

    check(emissions, transitions, labels, mask)
    case = {"tags": tags, "length": length, "batch": batch}
    # What takes a few milliseconds is called several times in a row.
    repeats = max(1, 512 // length)
    training = {side: partial(step, loss, emissions, transitions, labels, mask) for side, loss in losses.items()}
    rounds = arguments.rounds_of_long if length > 1024 else arguments.rounds
    measured = harness.compare(training, rounds, repeats, device)
    harness.report("crf", {**case, "work": "loss and gradients"}, measured, "hf_ext", arguments.output, device)
    decoding = {side: partial(decode, emissions.detach(), mask) for side, decode in decoders.items()}
    measured = harness.compare(decoding, arguments.rounds, repeats, device)
    harness.report("crf", {**case, "work": "decoding"}, measured, "hf_ext", arguments.output, device)


def sides(transitions: torch.nn.Parameter) -> tuple[dict[str, Loss], dict[str, Decode]]:
    """Losses summed over rows, of emissions, tags and mask, and decoders of emissions and mask; weights are shared.

    Of the peers those that are installed.
    """
    tags = len(transitions)

    def cut(paths: Tensor, mask: Tensor) -> list[list[int]]:
        return [path[:length] for path, length in zip(paths.tolist(), mask.sum(1).tolist())]

    losses: dict[str, Loss] = {
        "hf_ext": lambda emissions, labels, mask: crf_loss(emissions, transitions, labels, mask).sum()
    }
    decoders: dict[str, Decode] = {
        "hf_ext": lambda emissions, mask: cut(crf_decode(emissions, transitions, mask)[0], mask)
    }
    if peers.installed("torchcrf"):
        import torchcrf

        first = torchcrf.CRF(tags, batch_first=True).to(transitions)
        first.transitions = transitions
        zero(first.start_transitions, first.end_transitions)
        losses["pytorch-crf"] = lambda emissions, labels, mask: -first(emissions, labels, mask, "sum")
        decoders["pytorch-crf"] = first.decode
    if peers.installed("TorchCRF"):
        import TorchCRF

        second = TorchCRF.CRF(tags, use_gpu=transitions.device.type == "cuda").to(transitions)
        second.trans_matrix = transitions
        zero(second.start_trans, second.end_trans)
        losses["TorchCRF"] = lambda emissions, labels, mask: -second(emissions, labels, mask).sum()
        decoders["TorchCRF"] = second.viterbi_decode
    if peers.installed("bert4torch", "httpx"):
        peers.import_bert4torch()
        from bert4torch.layers.crf import CRF

        third = CRF(tags).to(transitions)
        third.transitions = transitions
        zero(third.start_transitions, third.end_transitions)
        losses["bert4torch"] = lambda emissions, labels, mask: third(emissions, mask, labels, "sum")
        decoders["bert4torch"] = lambda emissions, mask: cut(third.decode(emissions, mask), mask)
    return losses, decoders


@torch.no_grad()
def zero(*scores: Tensor) -> None:
    """Make the scores of first and last tags say nothing."""
    for score in scores:
        score.zero_()


def step(loss: Loss, emissions: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """The loss and its gradients by emissions and transitions."""
    value = loss(emissions, labels, mask)
    # Gradients left with the tensors would be freed in the next call, and be taken off its memory.
    return value.detach(), *torch.autograd.grad(value, (emissions, transitions))


def check(emissions: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor) -> None:
    """All sides on every eighth row, in float64, in which rounding hides no difference."""
    emissions = emissions.detach()[::8].double().requires_grad_()
    labels, mask = labels[::8], mask[::8]
    transitions = torch.nn.Parameter(transitions.detach().double())
    losses, decoders = sides(transitions)
    results = []
    for loss in losses.values():
        results.append(step(loss, emissions, transitions, labels, mask))
    scores = []
    for decode in decoders.values():
        paths = [torch.tensor(path) for path in decode(emissions.detach(), mask)]
        padded = torch.nn.utils.rnn.pad_sequence(paths, batch_first=True, padding_value=-100).to(mask.device)
        padded = torch.nn.functional.pad(padded, (0, mask.shape[1] - padded.shape[1]), value=-100)
        scores.append(crf_score(emissions.detach(), transitions.detach(), padded))
    for number in range(1, len(losses)):
        for want, got in zip((*results[0], scores[0]), (*results[number], scores[number])):
            torch.testing.assert_close(got, want)


if __name__ == "__main__":
    main()
