"""RoFormer at base size: ours, Transformers' own and bert4torch's, on full and on ragged batches.

    python benchmarks/roformer.py --layers 12

All sides hold the same weights, and their outputs are compared before anything is timed. The ragged batches have
the lengths of real texts: titles (TNEWS), passages (CMRC 2018, cut at 512), and four of each in one batch.
Our side runs with ``unpad=True`` throughout. Data is read from ``--data``.
"""

import argparse
import csv
import json
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import RoFormerConfig as StockConfig
from transformers.models.roformer.modeling_roformer import RoFormerModel as StockModel

sys.path.insert(0, str(Path(__file__).parent))

import harness
import peers

from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.models.roformer.modeling_roformer import RoFormerModel

VOCABULARY = 12000
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12, help="number of blocks; fewer for a quick look")
    parser.add_argument("--only", default="", help="only the cases with this in their name")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--sides", nargs="+", default=["hf_ext", "transformers", "bert4torch"])
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "roformer.csv")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    sides = build(arguments.sides, arguments.layers, arguments.device)
    for name, lengths in cases(arguments.data).items():
        if arguments.only not in name:
            continue
        ids = batch(lengths).to(arguments.device)
        check(sides, ids)
        for kind in ("forward", "train"):
            calls = {side: work(model, call, ids, kind) for side, (model, call) in sides.items()}
            measured = harness.compare(calls, arguments.rounds, device=arguments.device)
            case = {"case": name, "work": kind, "layers": arguments.layers, "fill": f"{(ids > 0).float().mean():.2f}"}
            harness.report("roformer", case, measured, "hf_ext", arguments.output, arguments.device)


Call = Callable[[Tensor], Tensor]


def build(names: list[str], layers: int, device: str, hidden: int = 768) -> dict[str, tuple[nn.Module, Call]]:
    """Each side: its model, and how it is called with ids ``[B, L]`` for hidden states ``[B, L, H]``."""
    torch.manual_seed(0)
    size: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "num_hidden_layers": layers,
        "embedding_size": hidden,
        "hidden_size": hidden,
        "num_attention_heads": hidden // 64,
        "intermediate_size": 4 * hidden,
    }
    ours = RoFormerModel(RoFormerConfig(**size, unpad=True)).to(device)
    sides: dict[str, tuple[nn.Module, Call]] = {}
    for name in names:
        if name == "hf_ext":
            sides[name] = ours, partial(call_transformers, ours)
        elif name == "transformers":
            # Its norms have one epsilon for all; that of the originals is 1e-7.
            stock = StockModel(StockConfig(**size, layer_norm_eps=1e-7)).to(device)
            missing, unexpected = stock.load_state_dict(ours.state_dict(), strict=False)
            if unexpected or set(missing) > {"encoder.embed_positions.weight"}:
                raise SystemExit(f"the stock model lacks weights {missing} and does not know {unexpected}")
            sides[name] = stock, partial(call_transformers, stock)
        else:
            peer = peers.build_bert4torch(
                "roformer", peers.bert4torch_config(ours.config) | {"pos_emb_type": "rotary"}
            ).to(device)
            peers.copy_to_bert4torch(ours, peer)
            sides[name] = peer, partial(call_bert4torch, peer)
    return sides


def call_transformers(model: nn.Module, ids: Tensor) -> Tensor:
    """Hidden states ``[B, L, H]`` of ids ``[B, L]``, with the mask that a tokenizer gives, full batches included."""
    return model(ids, attention_mask=ids.ne(0).long()).last_hidden_state


def call_bert4torch(model: nn.Module, ids: Tensor) -> Tensor:
    """The same; it makes its own mask where ids are 0, and wants token types."""
    return model([ids, torch.zeros_like(ids)])


def cases(data: Path) -> dict[str, list[int]]:
    """Batches as lists of lengths."""
    draw = random.Random(0)
    titles = [len(row[0]) + 2 for row in read_tsv(data / "tnews" / "dev.tsv")]
    passages = [min(len(text) + 2, 512) for text in read_passages(data / "cmrc2018" / "cmrc2018_trial.json")]
    return {
        "full 8x128": [128] * 8,
        "full 2x512": [512] * 2,
        "ragged tnews x32": draw.sample(titles, 32),
        "ragged cmrc2018 x4": draw.sample(passages, 4),
        "ragged tnews and cmrc2018 x8": draw.sample(titles, 4) + draw.sample(passages, 4),
    }


def read_tsv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row]


def read_passages(path: Path) -> list[str]:
    articles = json.loads(path.read_text(encoding="utf-8"))
    articles = articles["data"] if isinstance(articles, dict) else articles
    return [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]


def batch(lengths: list[int]) -> Tensor:
    """Random ids ``[B, L]`` of these lengths, 0 at padding."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, VOCABULARY, (len(lengths), max(lengths)), generator=generator)
    return ids.masked_fill(torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None], 0)


@torch.no_grad()
def check(sides: dict[str, tuple[nn.Module, Call]], ids: Tensor) -> None:
    """Stop unless all sides compute the same at real tokens."""
    outputs = {}
    for name, (model, call) in sides.items():
        model.eval()
        outputs[name] = call(ids)[ids > 0]
    for name, output in outputs.items():
        error = (output - outputs["hf_ext"]).abs().max().item()
        if error > TOLERANCE:
            raise SystemExit(f"{name} differs from hf_ext by {error:.2e}, more than {TOLERANCE:.0e}: not the same work")


def work(model: nn.Module, call: Call, ids: Tensor, kind: str) -> Callable[[], None]:
    """A forward pass without gradients, or a training step: forward, backward and AdamW, dropout on."""
    if kind == "forward":

        def forward() -> None:
            model.eval()
            with torch.no_grad():
                call(ids)

        return forward
    real = ids.gt(0).unsqueeze(-1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)

    def train() -> None:
        model.train()
        (call(ids) * real).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return train


if __name__ == "__main__":
    main()
