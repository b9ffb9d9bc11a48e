"""One block of each mixer against numbers written from the formulas (golden/README_FORMULAS.md)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hf_ext.models.token_mixer import TokenMixerConfig, TokenMixerModel

SIZES: dict[str, Any] = {
    "vocab_size": 7,
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "intermediate_size": 16,
    "max_position_embeddings": 11,
}
# Names of the folder's weights, by our names of a block's.
NAMES: dict[str, dict[str, str]] = {
    "gmlp": {
        "LayerNorm": "LayerNorm",
        "proj_in": "i_dense",
        "proj_out": "o_dense",
        "spatial.LayerNorm": "gate.LayerNorm",
        "spatial.weight": "gate.weight",
        "spatial.bias": "gate.bias",
        "toeplitz": "gate.table",
        "attention.qkv": "attention.qkv",
        "attention.out": "attention.out",
    },
    "fnet": {
        "fourier.LayerNorm": "mixing.LayerNorm",
        "intermediate.dense": "intermediate.dense",
        "output.dense": "output.dense",
        "output.LayerNorm": "output.LayerNorm",
    },
    "mixer": {
        "token.LayerNorm": "token_norm",
        "token.in.weight": "tokens.i_weight",
        "token.in.bias": "tokens.i_bias",
        "token.out.weight": "tokens.o_weight",
        "token.out.bias": "tokens.o_bias",
        "channel.LayerNorm": "feature_norm",
        "intermediate.dense": "i_dense",
        "output.dense": "o_dense",
    },
    "synthesizer": {
        "random": "mixing.self.scores.random.weight",
        "dense.in": "mixing.self.scores.dense.hidden",
        "dense.out.weight": "mixing.self.scores.dense.weight",
        "dense.out.bias": "mixing.self.scores.dense.bias",
        "value": "mixing.self.value",
        "out": "mixing.output.dense",
    },
    "external": {
        "query": "mixing.self.query",
        "memory_key": "mixing.self.memory_key",
        "memory_value": "mixing.self.memory_value",
        "out": "mixing.output.dense",
    },
}
AMLP: dict[str, Any] = {"mixer": "amlp", "attention_key_size": 4}
# The folder's output: its weights, our settings, whether the mask is given.
CASES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "gmlp.masked": ("gmlp", {}, True),
    "gmlp.unpadded_batch": ("gmlp", {}, False),
    "gmlp.causal": ("gmlp", {"attention_mode": "causal"}, True),
    "gmlp.toeplitz": ("gmlp", {"toeplitz": True}, True),
    "amlp.masked": ("gmlp", AMLP, True),
    "amlp.causal": ("gmlp", AMLP | {"attention_mode": "causal"}, True),
    "fnet.as_padded": ("fnet", {"mixer": "fnet", "padding": "as_padded"}, True),
    "fnet.exact": ("fnet", {"mixer": "fnet"}, True),
    "mixer.masked": ("mixer", {"mixer": "mlp"}, True),
    "synthesizer.random": ("synthesizer", {"mixer": "synthesizer_random"}, True),
    "synthesizer.dense": ("synthesizer", {"mixer": "synthesizer_dense"}, True),
    "external.masked": ("external", {"mixer": "external", "memory_size": 5}, True),
}


def test_every_output_is_compared(golden: Path) -> None:
    outputs = {name for name in np.load(golden / "token_mixers" / "io.npz").files if not name.startswith("weights.")}
    assert outputs - {"hidden", "attention_mask"} == CASES.keys()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_blocks(golden: Path, name: str, dtype: torch.dtype) -> None:
    folder = golden / "token_mixers"
    io, close = np.load(folder / "io.npz"), json.loads((folder / "meta.json").read_text())["tolerance"]
    family, fields, masked = CASES[name]
    model = TokenMixerModel(TokenMixerConfig(**(SIZES | fields))).to(dtype).eval()
    block: Any = model.encoder.layer[0].block
    load(block, {key: io[key] for key in io.files if key.startswith(f"weights.{family}.")}, NAMES[family])
    mask = torch.from_numpy(io["attention_mask"])
    hidden = torch.from_numpy(io["hidden"]).to(dtype)
    alignment, real = model._align(mask if masked else None, None)
    with torch.no_grad():
        around = model._look_around(hidden, alignment, real)
        if family in ("synthesizer", "external"):
            found = block.mixing.output.dense(block.mixing.self(hidden, around)[0])
        else:
            found = block(hidden, around)
    real = mask.bool() if masked else torch.ones_like(mask).bool()
    tolerance = close[str(dtype).removeprefix("torch.")]
    torch.testing.assert_close(found[real], torch.from_numpy(io[name])[real].to(dtype), atol=tolerance, rtol=0)


def load(block: Any, weights: dict[str, np.ndarray], names: dict[str, str]) -> None:
    """Give a block its weights, and leave out those of other variants; norms that no numbers pass are left too."""
    parameters = dict(block.named_parameters())
    for key, value in weights.items():
        own = key.split(".", 2)[2]
        prefix = max((each for each in names if own == each or own.startswith(f"{each}.")), key=len)
        parameter = parameters.pop(names[prefix] + own.removeprefix(prefix), None)
        if parameter is not None:
            parameter.data.copy_(torch.from_numpy(value))
    rest = {name for name in parameters if not name.startswith(("mixing.output.LayerNorm", "intermediate", "output"))}
    assert not rest
