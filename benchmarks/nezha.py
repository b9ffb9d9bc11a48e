"""NEZHA at base width: its attention as ours does it, and as ports do, with an [L, L, D] tensor of positions.

    python benchmarks/nezha.py --layers 4

bert4torch 0.6.2 cannot be the peer: its NEZHA leaves out the scaling of the scores, and stops with an error before
Python 3.12. So the peer is our own model with the ports' attention in place of ours; that both give the same outputs
is checked.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

import harness
from roformer import batch, call_transformers, check, work

from hf_ext.models.nezha import NezhaConfig, NezhaModel, modeling_nezha
from hf_ext.ops.relative_attention import relative_attention

CASES = {"full 8x128": [128] * 8, "full 2x512": [512] * 2, "ragged x8": [24, 60, 128, 300, 33, 410, 90, 200]}


def ports_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    table: Tensor,
    mask: Tensor | None,
    scaling: float,
    dropout: float,
    first_query: Any,
) -> tuple[Tensor, Tensor]:
    """The same attention with the positions of all pairs as a tensor ``[L, L, D]``."""
    reach = len(table) // 2
    places = torch.arange(key.shape[2], device=query.device)
    positions = table[(places - places[:, None]).clamp(-reach, reach) + reach]
    scores = query @ key.transpose(2, 3) + torch.einsum("bnid,ijd->bnij", query, positions)
    scores = scores * scaling
    if mask is not None:
        scores = scores + mask
    weights = nn.functional.dropout(scores.softmax(-1), p=dropout)
    return weights @ value + torch.einsum("bnij,ijd->bnid", weights, positions), weights


def call_with(attention: Any, model: nn.Module, ids: Tensor) -> Tensor:
    """Hidden states of the model under one of the two ways to attend."""
    modeling_nezha.relative_attention = attention
    return call_transformers(model, ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4, help="number of blocks")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "nezha.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    settings = {"vocab_size": 12000, "num_hidden_layers": arguments.layers}
    ours = NezhaModel(NezhaConfig(**settings, unpad=True)).to(arguments.device)
    peer = NezhaModel(NezhaConfig(**settings)).to(arguments.device)
    peer.load_state_dict(ours.state_dict())
    sides = {
        "hf_ext": (ours, partial(call_with, relative_attention, ours)),
        "[L, L, D]": (peer, partial(call_with, ports_attention, peer)),
    }
    for name, lengths in CASES.items():
        ids = batch(lengths).to(arguments.device)
        check(sides, ids)
        for kind in ("forward", "train"):
            calls = {side: work(model, call, ids, kind) for side, (model, call) in sides.items()}
            measured = harness.compare(calls, arguments.rounds, device=arguments.device)
            case = {"case": name, "work": kind, "layers": arguments.layers, "fill": f"{(ids > 0).float().mean():.2f}"}
            harness.report("nezha", case, measured, "hf_ext", arguments.output, arguments.device)


if __name__ == "__main__":
    main()
