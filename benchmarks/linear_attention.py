"""Linear attention and FLASH beside sdpa over the length of the text: where the lines cross, and where counts say so.

    python benchmarks/linear_attention.py --threads 1 2
    python benchmarks/linear_attention.py --parts attention features --lengths 256 1024

parts:

- attention: the operation alone, heads as in a base model, forward and "train", which is backward too; linear attention
  with as many features as a head is wide and with four times as many, causal and not, beside sdpa;
- block: a block of RoFormer with each of them, and two units of FLASH, which have about as many parameters;
- step: a step of generation after that many tokens, by a block;
- features: Performer's random features beside e^x of as many numbers, and what a draw costs.

Where a line crosses that of sdpa is read off between two lengths, on a logarithmic scale. Beside it stands where the
multiplications of the matrix products are equal (kexue.fm/archives/8610), those that a causal kernel could leave out
counted half. Peak memory has to stay below that of one matrix of weights. Several threads are timed on the wall. The
fast path is compared with its definition before anything is timed.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.models.flash import FLASHConfig, FLASHForCausalLM, FLASHForMaskedLM
from hf_ext.models.linear_roformer import (
    LinearRoFormerConfig,
    LinearRoFormerForCausalLM,
    LinearRoFormerForMaskedLM,
)
from hf_ext.models.roformer import RoFormerConfig, RoFormerForCausalLM, RoFormerForMaskedLM
from hf_ext.ops.linear_attention import linear_attention, random_features
from hf_ext.ops.linear_attention.chunked import CHUNK_SIZE
from hf_ext.ops.linear_attention.naive import naive_linear_attention

HEAD, VOCABULARY, FLASH_KEY, FLASH_CHUNK = 64, 100, 128, 256
PARTS = ("attention", "block", "step", "features")
# Times as many features as a head is wide.
WIDTHS = {"linear": 1, "linear x4": 4}
Calls = Mapping[str, Callable[[], Any]]


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 256, 512, 1024, 2048, 4096, 8192])
    parser.add_argument("--modes", nargs="+", default=["bidirectional", "causal"], choices=("bidirectional", "causal"))
    parser.add_argument("--work", nargs="+", default=["forward", "train"], choices=("forward", "train"))
    parser.add_argument("--heads", type=int, default=12, help=f"of {HEAD} numbers each")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "linear_attention.csv")
    options = parser.parse_args(given)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    check()
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name in options.parts:
            for mode in options.modes if name in ("attention", "block") else ["causal" if name == "step" else ""]:
                for work in options.work if name in ("attention", "block") else [name]:
                    run(name, mode, work, options, threads)


def run(part: str, mode: str, work: str, options: argparse.Namespace, threads: int) -> None:
    """Measure a part at all lengths, and say where it crosses."""
    causal, found = mode == "causal", {}
    models = build(causal, options) if part in ("block", "step") else {}
    for length in options.lengths:
        if part == "attention":
            calls = attentions(causal, work, length, options)
        elif part == "features":
            calls = features(length, options)
        else:
            calls = {side: blocks(model, work, length, options) for side, model in models.items()}
        repeats = max(1, 2048 // length) * (10 if part == "step" else 1)
        sides = harness.compare(
            calls, options.rounds, repeats, device=options.device, wall=threads > 1 and options.device == "cpu"
        )
        case = {"part": part, "mode": mode, "work": work, "tokens": length, "heads": options.heads}
        ours = "exp" if part == "features" else "linear"
        harness.report("linear_attention", case | {"dtype": options.dtype}, sides, ours, options.output, options.device)
        found[length] = {side: measured.least for side, measured in sides.items()}
        for side, measured in sides.items():
            if part == "attention" and side in WIDTHS and length >= 32 * HEAD * WIDTHS[side]:
                held = length * length * 4 * options.heads
                if measured.peak_bytes >= held:
                    raise SystemExit(
                        f"{side} holds {measured.peak_bytes} bytes at {length} tokens, [L, L] holds {held}"
                    )
    if part in ("attention", "block"):
        for side in (side for side in next(iter(found.values())) if side != "sdpa"):
            times = [(length, sides[side], sides["sdpa"]) for length, sides in found.items()]
            print(
                f"{part} {mode} {work}, {threads} threads: {side} is faster than sdpa {crossing(times)}; "
                f"by the count of its products from {predicted(part, side, causal, options.heads):,.0f} tokens"
            )


def check() -> None:
    """Stop unless the fast path computes what its definition says."""
    torch.manual_seed(0)
    parts = [torch.randn(1, 2, 300, 8, dtype=torch.float64) for _ in range(3)]
    for causal in (False, True):
        for kernel, omega in (("exp", None), ("favor", random_features(16, 8))):
            wanted = naive_linear_attention(*parts, kernel, causal, omega=omega)
            found = linear_attention(*parts, kernel, causal, omega=omega)
            if (error := (found - wanted).abs().max().item()) > 1e-10:
                raise SystemExit(f"the fast path of {kernel} differs from its definition by {error:.2e}")


def attentions(causal: bool, work: str, length: int, options: argparse.Namespace) -> Calls:
    """The operation alone."""

    def inputs(features: int) -> list[Tensor]:
        sizes = (features, features, HEAD)
        dtype = getattr(torch, options.dtype)
        shape = 1, options.heads, length
        return [
            torch.randn(*shape, size, device=options.device, dtype=dtype, requires_grad=work == "train")
            for size in sizes
        ]

    calls: dict[str, Callable[[], Tensor]] = {
        side: partial(linear_attention, *inputs(HEAD * times), causal=causal) for side, times in WIDTHS.items()
    }
    calls["sdpa"] = partial(F.scaled_dot_product_attention, *inputs(HEAD), is_causal=causal)
    if work == "forward":
        return calls
    return {side: partial(backward, call) for side, call in calls.items()}


def backward(call: Callable[[], Tensor]) -> None:
    """Forward and backward."""
    call().sum().backward()


def build(causal: bool, options: argparse.Namespace) -> dict[str, Any]:
    """Each side's model."""
    torch.manual_seed(0)
    hidden = HEAD * options.heads
    shared: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": hidden, "is_decoder": causal}
    block = {"num_hidden_layers": 1, "num_attention_heads": options.heads, "intermediate_size": 4 * hidden}
    block["attention_probs_dropout_prob"] = 0
    units = {"num_hidden_layers": 2, "intermediate_size": 2 * hidden, "chunk_size": FLASH_CHUNK}
    linear = LinearRoFormerForCausalLM if causal else LinearRoFormerForMaskedLM
    models: dict[str, Any] = {
        side: linear(LinearRoFormerConfig(**shared, **block, feature_size=HEAD * times))
        for side, times in WIDTHS.items()
    }
    models["sdpa"] = (RoFormerForCausalLM if causal else RoFormerForMaskedLM)(RoFormerConfig(**shared, **block))
    models["flash"] = (FLASHForCausalLM if causal else FLASHForMaskedLM)(FLASHConfig(**shared, **units))
    return {side: model.to(options.device, getattr(torch, options.dtype)) for side, model in models.items()}


def blocks(model: Any, work: str, length: int, options: argparse.Namespace) -> Callable[[], Any]:
    """The encoder of a model alone, or a step of generation after a text."""
    ids = torch.randint(1, VOCABULARY, (1, length), device=options.device)
    model.train(work == "train")

    def train() -> None:
        model.base_model(ids).last_hidden_state.sum().backward()
        model.zero_grad()

    if work == "train":
        return train
    if work == "forward":
        return torch.no_grad()(
            partial(model.base_model, ids, **({"use_cache": False} if model.config.is_decoder else {}))
        )
    with torch.no_grad():
        cache = model(ids, use_cache=True, logits_to_keep=1).cache
    return torch.no_grad()(partial(model, ids[:, -1:], cache=cache))


def features(length: int, options: argparse.Namespace) -> Calls:
    """Random features beside e^x, as many of each, bidirectional; and the draw alone."""
    dtype = getattr(torch, options.dtype)
    query, key, value = (
        torch.randn(1, options.heads, length, HEAD, device=options.device, dtype=dtype) for _ in range(3)
    )
    wide = [torch.cat([x] * 4, dim=-1) for x in (query, key)]
    omega = random_features(4 * HEAD, HEAD).to(options.device)
    return {
        "exp": partial(linear_attention, query, key, value),
        "favor": partial(linear_attention, query, key, value, "favor", omega=omega[:HEAD]),
        "exp x4": partial(linear_attention, *wide, value),
        "favor x4": partial(linear_attention, query, key, value, "favor", omega=omega),
        "draw x4": partial(random_features, 4 * HEAD, HEAD),
    }


def crossing(times: Iterable[tuple[int, float, float]]) -> str:
    """From where on the first of two times is less, as far as the lengths show it."""
    ratios = [(length, math.log(ours / theirs)) for length, ours, theirs in sorted(times)]
    if ratios[0][1] < 0:
        return f"from {ratios[0][0]:,} tokens or less"
    for (short, before), (long, after) in pairwise(ratios):
        if before >= 0 > after:
            at = math.exp(math.log(short) + math.log(long / short) * before / (before - after))
            return f"from {at:,.0f} tokens"
    return f"at none of up to {ratios[-1][0]:,} tokens"


def predicted(part: str, side: str, causal: bool, heads: int) -> float:
    """The length from which the products of a side have fewer multiplications than those beside sdpa.

    For a token: sdpa 2 n h d, by causality half; linear 2 h M d, and C h (M + d) more in chunks of a causal text. In a
    block the projections of wider queries and keys come to it, 2 H h (M - d).
    """
    hidden = heads * HEAD
    a_token = (1 if causal else 2) * hidden
    if side == "flash":
        # Two units for projections and feed-forward of a block; the quadratic form of FLASH halves nothing.
        inner = 2 * hidden
        projections = 2 * (hidden * (2 * inner + FLASH_KEY) + inner * hidden) - 12 * hidden * hidden
        more = projections + 2 * (FLASH_CHUNK * (FLASH_KEY + inner) + 2 * FLASH_KEY * inner)
        return max(0.0, more / a_token)
    wide = HEAD * WIDTHS[side]
    more = 2 * heads * wide * HEAD + (CHUNK_SIZE * heads * (wide + HEAD) if causal else 0)
    if part == "block":
        more += 2 * hidden * heads * (wide - HEAD)
    return more / a_token


if __name__ == "__main__":
    main()
