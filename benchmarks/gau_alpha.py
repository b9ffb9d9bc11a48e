"""GAU-alpha at base width: the bare matrix products, bert4torch's, and our RoFormer of as many parameters.

    python benchmarks/gau_alpha.py --layers 4

The floor is the time of the products alone, of the same shapes, forward and backward. bert4torch's model holds our
weights and the original's norms, and outputs are compared before anything is timed. RoFormer has half as many blocks,
twice as large. Batches of 128, 512 and 2,048 tokens a row are full; the ragged one has the lengths of real texts: four
titles (TNEWS) and four passages (CMRC 2018, cut at 512). Our sides run with ``unpad=True``. No side drops
attention weights in training, as bert4torch's GAU-alpha never does. Data is read from ``--data``.
"""

import argparse
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

import harness
import peers
from roformer import Call, batch, call_bert4torch, call_transformers, check, read_passages, read_tsv, work

from hf_ext.models.gau_alpha.configuration_gau_alpha import GAUAlphaConfig
from hf_ext.models.gau_alpha.modeling_gau_alpha import GAUAlphaModel
from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.models.roformer.modeling_roformer import RoFormerModel

VOCABULARY = 12000
SIDES = ("hf_ext", "products", "bert4torch", "hf_ext RoFormer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24, help="number of blocks, even; fewer for a quick look")
    parser.add_argument("--only", default="", help="only the cases with this in their name")
    parser.add_argument("--kinds", nargs="+", default=["forward", "train"], choices=("forward", "train"))
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "gau_alpha.csv")
    arguments = parser.parse_args()
    if arguments.layers % 2:
        parser.error(f"--layers must be even, as RoFormer has half as many, got {arguments.layers}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    sides = build(arguments.sides, arguments.layers, arguments.device)
    for name, lengths in cases(arguments.data).items():
        if arguments.only not in name:
            continue
        ids = batch(lengths).to(arguments.device)
        check({side: sides[side] for side in sides if side != "hf_ext RoFormer"}, ids)
        for kind in arguments.kinds:
            calls = {side: work(model, call, ids, kind) for side, (model, call) in sides.items()}
            if "products" in arguments.sides:
                config: Any = sides["hf_ext"][0].config
                calls["products"] = products(config, lengths, kind == "train", arguments.device)
            measured = harness.compare(calls, arguments.rounds, device=arguments.device)
            case = {"case": name, "work": kind, "layers": arguments.layers, "fill": f"{(ids > 0).float().mean():.2f}"}
            harness.report("gau_alpha", case, measured, "hf_ext", arguments.output, arguments.device)


def build(names: list[str], layers: int, device: str, hidden: int = 768) -> dict[str, tuple[nn.Module, Call]]:
    """Each side but the products: its model, and how it is called with ids ``[B, L]``."""
    torch.manual_seed(0)
    same: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "unpad": True,
        "attention_probs_dropout_prob": 0.0,
    }
    config = GAUAlphaConfig(**same, num_hidden_layers=layers, intermediate_size=2 * hidden, softmax_plus_min_keys=1)
    ours = GAUAlphaModel(config).to(device)
    sides: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]] = {
        "hf_ext": (ours, partial(call_transformers, ours))
    }
    if "bert4torch" in names:
        peer = peers.build_bert4torch_gau_alpha(ours).to(device)
        sides["bert4torch"] = peer, partial(call_bert4torch, peer)
    if "hf_ext RoFormer" in names:
        blocks = {
            "num_hidden_layers": layers // 2,
            "num_attention_heads": hidden // 64,
            "intermediate_size": 4 * hidden,
        }
        roformer = RoFormerModel(RoFormerConfig(**same, **blocks)).to(device)
        sides["hf_ext RoFormer"] = roformer, partial(call_transformers, roformer)
    return sides


def products(
    config: GAUAlphaConfig, lengths: list[int], train: bool, device: str, dtype: torch.dtype = torch.float32
) -> Callable[[], None]:
    """The matrix products of all blocks and nothing else: two of the layers, two of attention, and their gradients."""
    hidden, inner, size = config.hidden_size, config.intermediate_size, config.attention_key_size
    tokens = sum(lengths)
    generator = torch.Generator().manual_seed(0)

    def random_matrix(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    x, up = random_matrix(tokens, hidden), random_matrix(tokens, hidden)
    first, last = random_matrix(2 * inner + size, hidden), random_matrix(hidden, inner)
    projected, gated = random_matrix(tokens, 2 * inner + size), random_matrix(tokens, inner)
    # Full batches are multiplied at once, rows of different lengths one by one.
    equal = len(set(lengths)) == 1
    shapes = [(len(lengths), lengths[0])] if equal else [(1, length) for length in lengths]
    pieces = [
        (random_matrix(rows, n, size), random_matrix(rows, n, inner), random_matrix(rows, n, n)) for rows, n in shapes
    ]

    def run() -> None:
        with torch.no_grad():
            for _ in range(config.num_hidden_layers):
                x @ first.T
                for key, value, weights in pieces:
                    key @ key.mT
                    weights @ value
                gated @ last.T
                if train:
                    up @ last
                    up.T @ gated
                    for key, value, weights in pieces:
                        value @ value.mT
                        weights.mT @ value
                        weights @ key
                        weights.mT @ key
                    projected @ first
                    projected.T @ x

    return run


def cases(data: Path) -> dict[str, list[int]]:
    """Batches as lists of lengths."""
    draw = random.Random(0)
    titles = [len(row[0]) + 2 for row in read_tsv(data / "tnews" / "dev.tsv")]
    passages = [min(len(text) + 2, 512) for text in read_passages(data / "cmrc2018" / "cmrc2018_trial.json")]
    return {
        "full 8x128": [128] * 8,
        "full 2x512": [512] * 2,
        "full 1x2048": [2048],
        "ragged tnews and cmrc2018 x8": draw.sample(titles, 4) + draw.sample(passages, 4),
    }


if __name__ == "__main__":
    main()
