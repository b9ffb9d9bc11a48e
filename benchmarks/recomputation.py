"""Gradient checkpointing in each family: bytes kept for the backward pass, the peak of a step, and its time.

    python benchmarks/recomputation.py
    python benchmarks/recomputation.py --families roformer gau_alpha --length 512 --layers 24
    python benchmarks/recomputation.py --device cuda --hidden 768 --batch-size 16

A step is the forward pass of the blocks with dropout, without a head, and its backward pass. Bytes kept are those of
all memory that the forward pass made and that is still there at its end, the same on any machine. The article
(kexue.fm/archives/7367) says: three times the batch for a base model, four times for a large one, at a quarter more
time; more in deeper models.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForTextEncoding

sys.path.insert(0, str(Path(__file__).parent))

import harness

import hf_ext
from hf_ext.analysis import backward_bytes

VOCABULARY = 1000


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args(given)
    torch.set_num_threads(arguments.threads)
    for family in arguments.families:
        torch.manual_seed(0)
        calls, kept = {}, {}
        for side in ("all kept", "checkpointing"):
            model = make(family, arguments.hidden, arguments.layers, arguments.length).to(arguments.device).train()
            if side == "checkpointing":
                model.activation_checkpointing_enable({"use_reentrant": False})
            ids = torch.randint(VOCABULARY, (arguments.batch_size, arguments.length), device=arguments.device)
            loss = loss_of(model, ids)
            kept[side] = backward_bytes(loss)
            calls[side] = step_of(model, loss)
        case = {
            "family": family,
            "hidden": arguments.hidden,
            "layers": arguments.layers,
            "texts": arguments.batch_size,
            "tokens": arguments.length,
            "kept_mb": f"{kept['all kept'] / 2**20:.1f}",
            "kept_checkpointing_mb": f"{kept['checkpointing'] / 2**20:.1f}",
            "kept_ratio": f"{kept['all kept'] / kept['checkpointing']:.2f}",
        }
        sides = harness.compare(calls, arguments.rounds, device=arguments.device, wall=arguments.threads > 1)
        harness.report("recomputation", case, sides, "all kept", arguments.output, arguments.device)


def loss_of(model: Any, ids: Tensor) -> Callable[[], Tensor]:
    return lambda: model(input_ids=ids).last_hidden_state.float().square().mean()


def step_of(model: Any, loss: Callable[[], Tensor]) -> Callable[[], None]:
    def step() -> None:
        model.zero_grad()
        loss().backward()

    return step


def make(family: str, hidden: int, layers: int, length: int) -> Any:
    """A model of blocks of this width; of gated units twice as many, which have about as many weights."""
    fields = {
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, hidden // 64),
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": length,
    }
    gated = fields | {
        "num_hidden_layers": 2 * layers,
        "num_attention_heads": 1,
        "intermediate_size": 2 * hidden,
        "attention_key_size": 128,
    }
    t5 = {
        "vocab_size": VOCABULARY,
        "d_model": hidden,
        "num_heads": max(1, hidden // 64),
        "d_ff": 8 * hidden // 3,
        "num_layers": layers,
    }
    return FAMILIES[family](fields, gated, t5)


FAMILIES: dict[str, Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Any]] = {
    "roformer": lambda plain, *_: AutoModel.from_config(hf_ext.RoFormerConfig(**plain)),
    "roformer_v2": lambda plain, *_: AutoModel.from_config(
        hf_ext.RoFormerConfig(**plain, norm_type="rms_norm", use_bias=False)
    ),
    "nezha": lambda plain, *_: AutoModel.from_config(hf_ext.NezhaConfig(**plain)),
    "urpe": lambda plain, *_: AutoModel.from_config(hf_ext.URPEConfig(**plain)),
    "unilm_bert": lambda plain, *_: AutoModel.from_config(hf_ext.UniLMBertConfig(**plain)),
    "t_ta": lambda plain, *_: AutoModel.from_config(hf_ext.TTAConfig(**plain)),
    "gau_alpha": lambda _, gated, __: AutoModel.from_config(hf_ext.GAUAlphaConfig(**gated)),
    "flash": lambda _, gated, __: AutoModel.from_config(
        hf_ext.FLASHConfig(**gated, attention_probs_dropout_prob=0, chunk_size=64)
    ),
    "linear_roformer": lambda plain, *_: AutoModel.from_config(hf_ext.LinearRoFormerConfig(**plain)),
    "token_mixer": lambda plain, *_: AutoModel.from_config(hf_ext.TokenMixerConfig(**plain)),
    "t5_pegasus": lambda _, __, t5: AutoModelForTextEncoding.from_config(hf_ext.T5PegasusConfig(**t5)),
}

if __name__ == "__main__":
    main()
