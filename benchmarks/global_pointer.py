"""GlobalPointer's and Efficient GlobalPointer's heads: memory and time of a training step and of decoding.

    python benchmarks/global_pointer.py --lengths 128 512 --types 10 50
    python benchmarks/global_pointer.py --lengths 4096 --types 50 --sides ours --resident --rounds 1
    python benchmarks/global_pointer.py --growth
    python benchmarks/global_pointer.py --plot

Sides: "ours" never holds the scores [B, C, L, L], "dense" is our readable form, and "bert4torch" is its head with its
sparse loss. "train" is forward and backward of head and loss from the hidden states, "decode" the spans above 0. The
sides have equal weights, and losses and gradients are compared before anything is timed. What the dense sides
would need is printed and kept in the CSV as ``scores_mb``: the bytes of one table of scores, of which a training step
holds several.

``--growth`` measures 128 to 4,096 tokens and 1, 10 and 50 types, one row a batch, into a CSV of its own, of which
``--plot`` makes ``docs/images/pointer_growth.png`` and prints a table. Peers run on up to 2,048 tokens, where that fits
in 8 GB; elsewhere their row says "does not fit" or "not run", and as peak memory what they would need: that at their
longest run, times the square of the ratio of the lengths.
"""

import argparse
import csv
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
GROWTH = harness.RESULTS / "global_pointer_growth.csv"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "pointer_growth.png"

# Peers' limits, in tokens and bytes; and a table of scores, in MB, from which on each side is timed once.
PEER_TOKENS, PEER_BYTES, ONCE_MB = 2048, 8e9, 64


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
    parser.add_argument("--growth", action="store_true", help="all lengths and types, one row a batch")
    parser.add_argument("--plot", action="store_true", help="make table and picture of the growth, and measure nothing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.output or GROWTH)
        return
    if arguments.growth:
        arguments.lengths, arguments.types, arguments.batch_size = [128, 512, 1024, 2048, 4096], [1, 10, 50], 1
        arguments.output = arguments.output or GROWTH
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
            for types in arguments.types:
                seen: dict[str, tuple[int, int]] = {}
                for length in sorted(arguments.lengths):
                    measure(arguments, head, kind, length, types, seen)


def measure(
    arguments: argparse.Namespace, head: str, kind: str, length: int, types: int, seen: dict[str, tuple[int, int]]
) -> None:
    """One case: all sides in turn, or a single call of ours and what the process took.

    Args:
        seen: of each side the longest case so far and its peak of bytes, which this case joins.
    """
    make = train if kind == "train" else decode
    hidden, labels = batch(arguments.batch_size, length, types, arguments.spans)
    hidden, labels = hidden.to(arguments.device), labels.to(arguments.device)
    needs = {side: round(peak * (length / tokens) ** 2) for side, (tokens, peak) in seen.items() if side != "ours"}
    needs = {side: need for side, need in needs.items() if length > PEER_TOKENS or need > PEER_BYTES}
    sides = [side for side in arguments.sides if side not in needs]
    modules = {side: module.to(arguments.device) for side, module in build(sides, head, types).items()}
    calls = {side: make(side, module, hidden, labels) for side, module in modules.items()}
    scores = arguments.batch_size * types * length**2 * 4 / 2**20
    case = {
        "head": head,
        "work": kind,
        "batch": arguments.batch_size,
        "tokens": length,
        "types": types,
        "scores_mb": f"{scores:.4g}" if scores < 1 else f"{scores:.0f}",
    }
    if not arguments.resident:
        once = scores >= ONCE_MB
        rounds = 1 if once else arguments.rounds
        measured = harness.compare(calls, rounds, device=arguments.device, warm_up=not once)
        rows = harness.report("global_pointer", case, measured, "ours", arguments.output, arguments.device)
        seen |= {side: (length, one.peak_bytes) for side, one in measured.items()}
        report_needs(arguments, rows[0], needs, measured["ours"].peak_bytes)
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


def report_needs(arguments: argparse.Namespace, ours: dict[str, Any], needs: dict[str, int], peak: int) -> None:
    """Rows of the sides that were left out, like that of ours."""
    empty = dict.fromkeys(("median_s", "time_ratio"), "")
    for side, need in needs.items():
        why = "does not fit" if need > PEER_BYTES else "not run"
        memory = {"peak_mb": f"{need / 2**20:.1f}", "memory_ratio": f"{need / max(peak, 1):.3f}", "rounds": 0}
        row = {**ours, "side": side, "least_s": why, **empty, **memory}
        print(f"{side}: {why} ({need / 1e9:.1f} GB)", flush=True)
        harness.append_rows(arguments.output or harness.RESULTS / "global_pointer.csv", [row])


def table(rows: list[dict[str, str]]) -> None:
    """Print the rows for docs/benchmarks.md: time and memory of ours, and in brackets the peers' over it."""
    lengths = list(dict.fromkeys(row["tokens"] for row in rows))
    for name, ratio, unit, scale in (("least_s", "time_ratio", "ms", 1000), ("peak_mb", "memory_ratio", "MB", 1)):
        print(f"| {unit} | | types | {' | '.join(f'{int(tokens):,}' for tokens in lengths)} |")
        print("|---" * (3 + len(lengths)) + "|")
        for head, work, types in dict.fromkeys((row["head"], row["work"], row["types"]) for row in rows):
            cells = []
            for tokens in lengths:
                case = (head, work, types, tokens)
                found = (row for row in rows if (row["head"], row["work"], row["types"], row["tokens"]) == case)
                sides = {row["side"]: row for row in found}
                peers = [sides[side] for side in SIDES[1:]]
                run = ", ".join(brief(float(row[ratio])) if int(row["rounds"]) else "-" for row in peers)
                cells.append(f"{brief(float(sides['ours'][name]) * scale)} ({run})")
            print(f"| {head.removesuffix('_global_pointer')} | {work} | {types} | {' | '.join(cells)} |")
        print()


def brief(number: float) -> str:
    """Two digits, or all before the point."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def plot(results: Path) -> None:
    """Time and memory over tokens, a line for each side and number of types; hollow where a side was not run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with results.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table(rows)
    works = list(dict.fromkeys((row["head"], row["work"]) for row in rows))
    figure, grid = pyplot.subplots(2, len(works), figsize=(4.5 * len(works), 8), sharex=True, squeeze=False)
    colours = dict(zip(dict.fromkeys(row["types"] for row in rows), ("tab:green", "tab:blue", "tab:red")))
    styles = dict(zip(SIDES, ("-", "--", ":")))
    for column, work in enumerate(works):
        for name, axes in zip(("least_s", "peak_mb"), grid[:, column]):
            for types, colour in colours.items():
                for side, style in styles.items():
                    line = [r for r in rows if (r["head"], r["work"], r["types"], r["side"]) == (*work, types, side)]
                    run = [r for r in line if int(r["rounds"])]
                    tokens = [int(r["tokens"]) for r in run]
                    label = f"{side}, C = {types}"
                    axes.loglog(tokens, [float(r[name]) for r in run], style, color=colour, marker=".", label=label)
                    left = [r for r in line if r not in run]
                    if name == "peak_mb" and left:
                        tokens = [int(r["tokens"]) for r in left]
                        axes.loglog(tokens, [float(r[name]) for r in left], "o", color=colour, fillstyle="none")
            axes.grid(alpha=0.3)
            axes.set_ylabel("CPU seconds" if name == "least_s" else "peak MB of tensors")
        grid[0, column].set_title(f"{work[0].replace('_', ' ')}, {work[1]}")
        ticks = sorted({int(row["tokens"]) for row in rows})
        grid[1, column].set_xticks(ticks, [str(tick) for tick in ticks])
        grid[1, column].minorticks_off()
        grid[1, column].set_xlabel("tokens")
    labels = {label: line for line, label in zip(*grid[0, 0].get_legend_handles_labels())}
    figure.legend(labels.values(), labels, loc="lower center", ncols=len(labels), fontsize=9)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=80)
    print(PICTURE)


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
        from bert4torch.layers import EfficientGlobalPointer as TheirEfficient, GlobalPointer as Theirs

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
        if side == "ours":
            loss = module.losses(*module.project(hidden), labels, mask, module.ordered).mean()
        elif side == "dense":
            loss = span_loss(module(hidden, mask), labels)
        else:
            loss = their_loss(module(hidden, mask), labels)
        loss.backward()
        call.gradient = hidden.grad  # type: ignore[attr-defined]
        # Here and not first: what a call frees of the one before it would be taken off its memory.
        hidden.grad = None
        module.zero_grad(set_to_none=True)
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
