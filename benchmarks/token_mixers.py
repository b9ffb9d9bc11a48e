"""gMLP and FNet beside RoFormer at equal parameters, and Transformers' FNet beside ours.

    python benchmarks/token_mixers.py --layers 4

RoFormer has ``--layers`` blocks, FNet half as many again, and gMLP twice as many of a width that makes its parameters
equal; the embeddings are not counted. "train" is forward and backward. Our sides run unpadded, RoFormer without
dropout of attention weights; our FNet transforms each text over its own tokens, that of Transformers whole rows,
padding included. Outputs of both FNets of the same weights are compared, padding aside, before anything is timed.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import FNetConfig, FNetModel

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.models.roformer import RoFormerConfig, RoFormerModel
from hf_ext.models.token_mixer import TokenMixerConfig, TokenMixerModel

VOCABULARY = 100
LONGEST = 512
SIDES = ("roformer", "gmlp", "fnet", "transformers fnet")
# Lengths of the rows of a batch.
CASES = {
    "8 x 128": [128] * 8,
    "2 x 512": [512] * 2,
    "4 titles and 4 passages": [22, 18, 25, 20, 480, 350, 400, 290],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4, help="number of RoFormer's blocks, even")
    parser.add_argument("--hidden-size", type=int, default=768, help="a multiple of 64")
    parser.add_argument("--only", default="", help="only the cases with this in their name")
    parser.add_argument("--kinds", nargs="+", default=["forward", "train"], choices=("forward", "train"))
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "token_mixers.csv")
    arguments = parser.parse_args()
    if "roformer" not in arguments.sides:
        parser.error(f"--sides must name roformer, which the others are compared with, got {arguments.sides}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    torch.set_num_threads(arguments.threads)
    check(arguments.hidden_size)
    models = build(arguments.layers, arguments.hidden_size)
    parameters = {side: count(model) for side, model in models.items()}
    if max(parameters.values()) > 1.01 * min(parameters.values()):
        raise SystemExit(f"the sides have different numbers of parameters: {parameters}")
    models = {side: models[side].to(arguments.device) for side in arguments.sides}
    for name, lengths in CASES.items():
        if arguments.only not in name:
            continue
        batch = {key: value.to(arguments.device) for key, value in rows(lengths).items()}
        for kind in arguments.kinds:
            calls = {side: work(model, batch, kind) for side, model in models.items()}
            measured = harness.compare(calls, arguments.rounds, device=arguments.device)
            case = {
                "case": name,
                "work": kind,
                "hidden": arguments.hidden_size,
                "layers": arguments.layers,
                "parameters": parameters["roformer"],
            }
            harness.report("token_mixers", case, measured, "roformer", arguments.output, arguments.device)


def build(layers: int, hidden_size: int) -> dict[str, Any]:
    """Each side's model."""
    torch.manual_seed(0)
    shared: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": hidden_size, "max_position_embeddings": LONGEST}
    unpadded = {**shared, "unpad": True}
    attention = {
        "num_hidden_layers": layers,
        "num_attention_heads": hidden_size // 64,
        "intermediate_size": 4 * hidden_size,
        "attention_probs_dropout_prob": 0.0,
    }
    roformer = RoFormerModel(RoFormerConfig(**unpadded, **attention))
    # What is left for the two matrices of a block beside that of its tokens.
    left = count(roformer) / (2 * layers) - LONGEST**2 - LONGEST - 3 * hidden_size
    width = 2 * round(left / (3 * hidden_size + 4))
    gmlp = TokenMixerConfig(**unpadded, num_hidden_layers=2 * layers, intermediate_size=width)
    fourier: dict[str, Any] = {"num_hidden_layers": layers * 3 // 2, "intermediate_size": 4 * hidden_size}
    ours = TokenMixerModel(TokenMixerConfig(**unpadded, **fourier, mixer="fnet"))
    stock = FNetModel(FNetConfig(**shared, **fourier, type_vocab_size=2, pad_token_id=0), add_pooling_layer=False)
    return {"roformer": roformer, "gmlp": TokenMixerModel(gmlp), "fnet": ours, "transformers fnet": stock}


def count(model: Any) -> int:
    """Parameters of the blocks."""
    return sum(parameter.numel() for parameter in model.encoder.parameters())


def rows(lengths: list[int]) -> dict[str, Tensor]:
    """A batch of rows of these lengths."""
    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(1, VOCABULARY, mask.shape, generator=generator) * mask
    return {"input_ids": ids, "attention_mask": mask}


def check(hidden_size: int) -> None:
    """Stop unless both FNets give the same of the same weights where nothing is padded."""
    models = build(2, hidden_size)
    ours, stock = models["fnet"].eval(), models["transformers fnet"].eval()
    given = ours.state_dict()
    weights = {}
    for name in stock.state_dict():
        own = name.replace("embeddings.projection", "embeddings_project").replace("fourier.output", "mixing")
        parts = own.split(".")
        weights[name] = given[".".join([*parts[:3], "block", *parts[3:]]) if parts[0] == "encoder" else own]
    stock.load_state_dict(weights)
    batch = rows([100, 100])
    with torch.no_grad():
        error = (ours(**batch).last_hidden_state - stock(batch["input_ids"]).last_hidden_state).abs().max().item()
    if error > 1e-4:
        raise SystemExit(f"the two FNets differ by {error:.2e}")


def work(model: Any, batch: dict[str, Tensor], kind: str) -> Callable[[], None]:
    """A call without arguments that runs the model forward, or forward and backward."""
    if isinstance(model, FNetModel):
        batch = {"input_ids": batch["input_ids"]}

    @torch.no_grad()
    def forward() -> None:
        model.eval()
        model(**batch)

    def train() -> None:
        model.train()
        model(**batch).last_hidden_state.square().mean().backward()
        model.zero_grad()

    return forward if kind == "forward" else train


if __name__ == "__main__":
    main()
