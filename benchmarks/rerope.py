"""ReRoPE's overhead beside RoPE: a text read at once, and one step of generation after it.

    python benchmarks/rerope.py --lengths 512 2048 4096 --window 512

A causal RoFormer of two blocks from random weights, one text a batch. "prefill" reads all tokens and keeps keys and
values; "step" runs one token more. ReRoPE merges two maps of scores in eager attention, so RoPE stands beside it twice:
eagerly, which is the price of the second map, and by sdpa, which is what one gives up. Before anything is timed, a
window as long as the text has to give RoPE's numbers, and a step the last row of a whole text.
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

from hf_ext.models.roformer import RoFormerConfig, RoFormerModel

VOCABULARY = 100
SIDES = ("rerope", "leaky rerope", "rope eager", "rope sdpa")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--kinds", nargs="+", default=["prefill", "step"], choices=("prefill", "step"))
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "rerope.csv")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    check()
    models = {
        side: build(side, arguments.hidden_size, arguments.window).to(arguments.device, getattr(torch, arguments.dtype))
        for side in SIDES
    }
    for kind in arguments.kinds:
        for length in arguments.lengths:
            ids = torch.randint(1, VOCABULARY, (1, length), device=arguments.device)
            make, repeats = (prefill, 1) if kind == "prefill" else (step, 20)
            calls = {side: make(model, ids) for side, model in models.items()}
            measured = harness.compare(calls, arguments.rounds, repeats, device=arguments.device)
            case = {
                "work": kind, "tokens": length, "window": arguments.window, "hidden": arguments.hidden_size,
                "dtype": arguments.dtype,
            }  # fmt: skip
            harness.report("rerope", case, measured, "rope eager", arguments.output, arguments.device)


def build(side: str, hidden_size: int, window: int) -> Any:
    """A side's model, the same weights for all."""
    torch.manual_seed(0)
    kind = side.replace(" ", "_") if "rerope" in side else "default"
    settings = {"rerope": {"window": window}, "leaky_rerope": {"window": window, "step": 16.0}}.get(kind, {})
    config = RoFormerConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden_size,
        num_hidden_layers=2,
        num_attention_heads=max(hidden_size // 64, 1),
        intermediate_size=4 * hidden_size,
        attention_mode="causal",
        rope_parameters={"rope_type": kind, "rope_theta": 10000.0, **settings},
    )
    model = RoFormerModel(config).eval()
    model.set_attn_implementation("sdpa" if side == "rope sdpa" else "eager")
    return model


@torch.no_grad()
def check() -> None:
    """Stop unless ReRoPE is RoPE within its window, and a step the last row of a whole text."""
    ids = torch.randint(1, VOCABULARY, (1, 40), generator=torch.Generator().manual_seed(0))
    plain = build("rope sdpa", 64, 0).double()(ids).last_hidden_state
    for side in ("rerope", "leaky rerope"):
        within = build(side, 64, 40).double()(ids).last_hidden_state
        model = build(side, 64, 7).double()
        whole = model(ids).last_hidden_state
        cache = model(ids[:, :-1], use_cache=True).cache
        last = model(ids[:, -1:], cache=cache).last_hidden_state
        error = max((within - plain).abs().max().item(), (last[:, 0] - whole[:, -1]).abs().max().item())
        if error > 1e-9 or torch.allclose(whole, plain):
            raise SystemExit(f"{side} differs from what it should be by {error:.2e}")


def prefill(model: Any, ids: Tensor) -> Callable[[], None]:
    """The whole text at once."""

    @torch.no_grad()
    def call() -> None:
        model(ids, use_cache=True)

    return call


def step(model: Any, ids: Tensor) -> Callable[[], None]:
    """One more token after those of the text."""
    with torch.no_grad():
        cache = model(ids, use_cache=True).cache

    @torch.no_grad()
    def call() -> None:
        model(ids[:, -1:], cache=cache)

    return call


if __name__ == "__main__":
    main()
