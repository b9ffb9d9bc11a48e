"""CRF: loss with its gradients, and decoding, beside pytorch-crf and TorchCRF.

    python benchmarks/crf.py --tags 9 31 --lengths 128 512 2048

Batches of 32 rows of lengths from half to the whole, padded on the right. The peers score a first and a last tag too;
these scores are zero. Their loss and their gradients, the paths' scores and ours are compared before anything is timed.
The peers' losses are left out on rows longer than ``--longest-peer``.
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
    parser.add_argument("--longest-peer", type=int, default=2048, help="longest rows that the peers' losses run on")
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

    with_peers = length <= arguments.longest_peer
    check(emissions, transitions, labels, mask, with_peers)
    case = {"tags": tags, "length": length, "batch": batch}
    chosen = losses if with_peers else {"hf_ext": losses["hf_ext"]}
    calls = {side: partial(step, loss, emissions, transitions, labels, mask) for side, loss in chosen.items()}
    measured = harness.compare(calls, arguments.rounds, device=device)
    harness.report("crf", {**case, "work": "loss and gradients"}, measured, "hf_ext", arguments.output, device)
    decoding = {side: partial(decode, emissions.detach(), mask) for side, decode in decoders.items()}
    measured = harness.compare(decoding, arguments.rounds, device=device)
    harness.report("crf", {**case, "work": "decoding"}, measured, "hf_ext", arguments.output, device)


def sides(
    transitions: torch.nn.Parameter,
) -> tuple[dict[str, Loss], dict[str, Callable[[Tensor, Tensor], list[list[int]]]]]:
    """Losses summed over rows, of emissions, tags and mask, and decoders of emissions and mask; weights are shared."""
    import TorchCRF
    import torchcrf

    tags = len(transitions)
    first = torchcrf.CRF(tags, batch_first=True).to(transitions)
    second = TorchCRF.CRF(tags, use_gpu=transitions.device.type == "cuda").to(transitions)
    first.transitions, second.trans_matrix = transitions, transitions
    with torch.no_grad():
        for scores in (first.start_transitions, first.end_transitions, second.start_trans, second.end_trans):
            scores.zero_()

    def ours(emissions: Tensor, mask: Tensor) -> list[list[int]]:
        paths = crf_decode(emissions, transitions, mask)[0].tolist()
        return [path[:length] for path, length in zip(paths, mask.sum(1).tolist())]

    losses: dict[str, Loss] = {
        "hf_ext": lambda emissions, labels, mask: crf_loss(emissions, transitions, labels, mask).sum(),
        "pytorch-crf": lambda emissions, labels, mask: -first(emissions, labels, mask, "sum"),
        "TorchCRF": lambda emissions, labels, mask: -second(emissions, labels, mask).sum(),
    }
    return losses, {"hf_ext": ours, "pytorch-crf": first.decode, "TorchCRF": second.viterbi_decode}


def step(loss: Loss, emissions: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    emissions.grad = transitions.grad = None
    value = loss(emissions, labels, mask)
    value.backward()
    return value.detach()


def check(emissions: Tensor, transitions: Tensor, labels: Tensor, mask: Tensor, with_peers: bool) -> None:
    """Both sides in float64, in which rounding hides no difference."""
    emissions = emissions.detach().double().requires_grad_()
    transitions = torch.nn.Parameter(transitions.detach().double())
    losses, decoders = sides(transitions)
    for side in ("pytorch-crf", "TorchCRF") if with_peers else ():
        results = []
        for name in ("hf_ext", side):
            value = step(losses[name], emissions, transitions, labels, mask)
            results.append((value, emissions.grad, transitions.grad))
        for want, got in zip(*results):
            torch.testing.assert_close(got, want)
    scores = []
    for decode in decoders.values():
        paths = [torch.tensor(path) for path in decode(emissions.detach(), mask)]
        padded = torch.nn.utils.rnn.pad_sequence(paths, batch_first=True, padding_value=-100).to(mask.device)
        scores.append(crf_score(emissions.detach(), transitions.detach(), padded))
    for got in scores[1:]:
        torch.testing.assert_close(got, scores[0])


if __name__ == "__main__":
    main()
