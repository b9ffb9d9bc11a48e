"""GlobalPointer's and Efficient GlobalPointer's heads: memory and time of a training step and of decoding.

    python benchmarks/global_pointer.py --lengths 128 512 --types 10 50
    python benchmarks/global_pointer.py --lengths 4096 --types 50 --sides ours --resident --rounds 1

Sides: "ours" never holds the scores [B, C, L, L], "dense" is our readable form, and "bert4torch" is its head with its
sparse loss. "train" is forward and backward of head and loss from the hidden states, "decode" the spans above 0. The
sides have equal weights, and losses and gradients are compared before anything is timed. What the dense sides
would need is printed and kept in the CSV as ``scores_mb``: the bytes of one table of scores, of which a training step
holds several.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.losses import span_loss
from hf_ext.modules.global_pointer import EfficientGlobalPointer, GlobalPointer
from hf_ext.ops.pointer import top_spans

HIDDEN, HEAD, TOP = 768, 64, 256
HEADS = {"global_pointer": GlobalPointer, "efficient_global_pointer": EfficientGlobalPointer}
SIDES = ("ours", "dense", "bert4torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=list(HEADS))
    parser.add_argument("--kinds", nargs="+", default=["train", "decode"], choices=("train", "decode"))
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--types", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--spans", type=int, default=20, help="labelled spans a row")
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--resident", action="store_true", help="one run, and the most memory of the whole process")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=None)
    arguments = parser.parse_args()
    if "ours" not in arguments.sides:
        parser.error(f"--sides must name ours, which the others are compared with, got {arguments.sides}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    if len(arguments.sides) > 1:
        check(arguments.sides)
    for head in arguments.heads:
        for kind in arguments.kinds:
            for length in arguments.lengths:
                for types in arguments.types:
                    measure(arguments, head, kind, length, types)


def measure(arguments: argparse.Namespace, head: str, kind: str, length: int, types: int) -> None:
    """One case: all sides in turn, or a single call of ours and what the process took."""
    make = train if kind == "train" else decode
    hidden, labels = batch(arguments.batch_size, length, types, arguments.spans)
    hidden, labels = hidden.to(arguments.device), labels.to(arguments.device)
    modules = {side: module.to(arguments.device) for side, module in build(arguments.sides, head, types).items()}
    calls = {side: make(side, module, hidden, labels) for side, module in modules.items()}
    scores = arguments.batch_size * types * length**2 * 4 / 2**20
    case = {
        "head": head,
        "work": kind,
        "batch": arguments.batch_size,
        "tokens": length,
        "types": types,
        "scores_mb": f"{scores:.0f}",
    }
    if not arguments.resident:
        measured = harness.compare(calls, arguments.rounds, device=arguments.device)
        harness.report("global_pointer", case, measured, "ours", arguments.output, arguments.device)
        return
    before = resident()
    started, wall = time.process_time(), time.perf_counter()
    calls["ours"]()
    seconds, wall = time.process_time() - started, time.perf_counter() - wall
    row = {
        **case,
        "cpu_s": f"{seconds:.2f}",
        "wall_s": f"{wall:.2f}",
        "resident_before_mb": f"{before:.0f}",
        "resident_peak_mb": f"{resident():.0f}",
        **harness.machine(arguments.device),
    }
    print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
    harness.append_rows(arguments.output or harness.RESULTS / "global_pointer_resident.csv", [row])


def resident() -> float:
    """The most megabytes that this process has had in memory at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)


def batch(rows: int, length: int, types: int, spans: int) -> tuple[Tensor, Tensor]:
    """Hidden states ``[B, L, H]`` and different spans ``[B, M, 3]``."""
    generator = torch.Generator().manual_seed(0)
    start = torch.stack([torch.randperm(length - 9, generator=generator)[:spans] + 1 for _ in range(rows)])
    end = start + torch.randint(0, 8, start.shape, generator=generator)
    labels = torch.stack((torch.randint(0, types, start.shape, generator=generator), start, end), dim=-1)
    return torch.randn(rows, length, HIDDEN, generator=generator), labels


def build(sides: list[str], head: str, types: int) -> dict[str, Any]:
    """Each side's head; ours and the dense one are the same module."""
    torch.manual_seed(0)
    ours = HEADS[head](HIDDEN, types, HEAD)
    ours.init_weights()
    modules: dict[str, Any] = {side: ours for side in sides if side != "bert4torch"}
    if "bert4torch" in sides:
        from peers import import_bert4torch

        import_bert4torch()
        from bert4torch.layers import EfficientGlobalPointer as TheirEfficient
        from bert4torch.layers import GlobalPointer as Theirs

        theirs = (Theirs if head == "global_pointer" else TheirEfficient)(HIDDEN, types, HEAD)
        state = {name: value.clone() for name, value in ours.state_dict().items()}
        if head == "efficient_global_pointer":
            # Theirs takes the two halves for start and end vectors, and the start's bias before the end's.
            halves = torch.cat((torch.arange(0, 2 * HEAD, 2), torch.arange(1, 2 * HEAD, 2)))
            state["p_dense.weight"], state["p_dense.bias"] = (
                state["p_dense.weight"][halves],
                state["p_dense.bias"][halves],
            )
            swapped = torch.arange(2 * types).view(-1, 2).flip(-1).flatten()
            state["q_dense.weight"] = state["q_dense.weight"][swapped][:, halves]
            state["q_dense.bias"] = state["q_dense.bias"][swapped]
        theirs.load_state_dict(state, strict=False)
        modules["bert4torch"] = theirs
    return modules


def train(side: str, module: Any, hidden: Tensor, labels: Tensor) -> Callable[[], Tensor]:
    """Forward and backward of head and loss; returns the loss."""
    hidden = hidden.clone().requires_grad_()
    mask = real_tokens(hidden)

    def call() -> Tensor:
        hidden.grad = None
        module.zero_grad(set_to_none=True)
        if side == "ours":
            loss = module.losses(*module.project(hidden), labels, mask, module.ordered).mean()
        elif side == "dense":
            loss = span_loss(module(hidden, mask), labels)
        else:
            loss = their_loss(module(hidden, mask), labels)
        loss.backward()
        call.gradient = hidden.grad  # type: ignore[attr-defined]
        return loss.detach()

    return call


def real_tokens(hidden: Tensor) -> Tensor:
    """All tokens but the first, whose span alone bert4torch's loss takes for padding."""
    mask = torch.ones(hidden.shape[:2], dtype=torch.long, device=hidden.device)
    mask[:, 0] = 0
    return mask


def their_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """bert4torch's sparse loss, with the labels of each type as it wants them: ``[B, C, M]`` cells, 0 where padded."""
    from bert4torch.losses import SparseMultilabelCategoricalCrossentropy

    length = scores.shape[-1]
    types = torch.arange(scores.shape[1], device=labels.device)[:, None]
    cells = (labels[..., 1] * length + labels[..., 2]).unsqueeze(1) * (labels[..., 0].unsqueeze(1) == types)
    loss: Tensor = SparseMultilabelCategoricalCrossentropy(mask_zero=True)(scores.flatten(2), cells).mean()
    return loss


def decode(side: str, module: Any, hidden: Tensor, labels: Tensor) -> Callable[[], Any]:
    """The spans above 0: ours the best 256 of each row, bert4torch's all."""
    mask = real_tokens(hidden)

    @torch.no_grad()
    def call() -> Any:
        if side == "ours":
            return module.top_spans(*module.project(hidden), TOP, mask, module.ordered)
        if side == "dense":
            return top_spans(module(hidden, mask), TOP)
        return (module(hidden, mask) > 0).nonzero()

    return call


def check(sides: list[str]) -> None:
    """Stop unless all sides compute the same."""
    for head in HEADS:
        hidden, labels = batch(2, 40, 3, 5)
        calls = {side: train(side, module, hidden, labels) for side, module in build(sides, head, 3).items()}
        found = {side: (call(), call.gradient) for side, call in calls.items()}  # type: ignore[attr-defined]
        for side, (loss, gradient) in found.items():
            # Theirs masks by -1e12 and clips what positives leave at 1e-7.
            gap = max((loss - found["ours"][0]).abs().item(), (gradient - found["ours"][1]).abs().max().item())
            if gap > 1e-4:
                raise SystemExit(f"{side} differs from ours by {gap:.2e} in loss or gradient of {head}")


if __name__ == "__main__":
    main()
