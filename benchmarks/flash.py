"""FLASH from 1,024 to 16,384 tokens beside quadratic attention: our RoFormer and FLASH's own quadratic form.

    python benchmarks/flash.py --lengths 1024 4096 16384

Two gated attention units stand beside one block of RoFormer, which has about as many parameters; all are causal, from
random weights, without dropout of attention weights, one text a batch. "train" is forward and backward; "step" is one
step of generation after that many tokens. The quadratic form, which keeps all its weights, stops at 4,096 tokens. The
fast path is compared with its definition before anything is timed.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.models.flash import FLASHConfig, FLASHForCausalLM
from hf_ext.models.roformer import RoFormerConfig, RoFormerForCausalLM
from hf_ext.ops.mixed_chunk_attention import mixed_chunk_attention
from hf_ext.ops.mixed_chunk_attention.naive import naive_mixed_chunk_attention

VOCABULARY = 100
SIDES = ("flash", "flash quadratic", "roformer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192, 16384])
    parser.add_argument("--kinds", nargs="+", default=["train", "step"], choices=("train", "step"))
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--chunk-size", type=int, default=256)
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "flash.csv")
    arguments = parser.parse_args()
    if "flash" not in arguments.sides:
        parser.error(f"--sides must name flash, which the others are compared with, got {arguments.sides}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    check()
    models = build(arguments.sides, arguments.hidden_size, arguments.chunk_size)
    models = {side: model.to(arguments.device, getattr(torch, arguments.dtype)) for side, model in models.items()}
    for kind in arguments.kinds:
        for length in arguments.lengths:
            ids = torch.randint(1, VOCABULARY, (1, length), device=arguments.device)
            make, repeats = (train, 1) if kind == "train" else (step, 20)
            calls = {
                side: make(model, ids) for side, model in models.items() if side != "flash quadratic" or length <= 4096
            }
            measured = harness.compare(calls, arguments.rounds, repeats, device=arguments.device)
            case = {"work": kind, "tokens": length, "hidden": arguments.hidden_size, "dtype": arguments.dtype}
            harness.report("flash", case, measured, "flash", arguments.output, arguments.device)


def check() -> None:
    """Stop unless the fast path computes what its definition says."""
    torch.manual_seed(0)
    parts = [torch.randn(1, 700, size, dtype=torch.float64) for size in (16, 16, 16, 16, 8)]
    wanted = naive_mixed_chunk_attention(*parts, 256, True)
    error = (mixed_chunk_attention(*parts, 256, True) - wanted).abs().max().item()
    if error > 1e-10:
        raise SystemExit(f"the fast path differs from its definition by {error:.2e}")


def build(names: list[str], hidden_size: int, chunk_size: int) -> dict[str, Any]:
    """Each side's model."""
    torch.manual_seed(0)
    shared: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": hidden_size, "is_decoder": True}
    models: dict[str, Any] = {}
    for name in names:
        if name == "roformer":
            sizes = {
                "num_hidden_layers": 1,
                "num_attention_heads": hidden_size // 64,
                "intermediate_size": 4 * hidden_size,
            }
            # FLASH drops no attention weights; without it RoFormer runs in a fused kernel too, in linear memory.
            models[name] = RoFormerForCausalLM(RoFormerConfig(**shared, **sizes, attention_probs_dropout_prob=0.0))
        else:
            attention = "mixed_chunk" if name == "flash" else "quadratic"
            sizes = {"num_hidden_layers": 2, "intermediate_size": 2 * hidden_size, "chunk_size": chunk_size}
            models[name] = FLASHForCausalLM(FLASHConfig(**shared, **sizes, attention=attention))
    return models


def train(model: Any, ids: Tensor) -> Callable[[], None]:
    """Forward and backward of the loss over all tokens."""

    def call() -> None:
        model.train()
        model(ids, labels=ids).loss.backward()
        model.zero_grad()

    return call


def step(model: Any, ids: Tensor) -> Callable[[], None]:
    """One more token after those of the text."""
    model.eval()
    with torch.no_grad():
        cache = model(ids, use_cache=True, logits_to_keep=1).cache

    @torch.no_grad()
    def call() -> None:
        model(ids[:, -1:], cache=cache)

    return call


if __name__ == "__main__":
    main()
