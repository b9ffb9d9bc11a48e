"""Small models with a successor, and runs of Trainer over them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig, BertModel, Trainer

from hf_ext.training import ReplacementSchedule, attach_successor

DEEP = 4
LAYER = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "o",
    "intermediate.dense": "up",
    "output.dense": "down",
}
NORMS = {"attention.output.LayerNorm": "norm1", "output.LayerNorm": "norm2"}


def golden_case(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Arrays and description of the case."""
    data = {name: torch.from_numpy(value) for name, value in np.load(folder / "io.npz").items()}
    return data, json.loads((folder / "meta.json").read_text(encoding="utf-8"))


def bert_pair(data: dict[str, Tensor], sizes: dict[str, int]) -> list[Any]:
    """Predecessor and successor of the golden case, two models by themselves."""
    found = []
    for name in ("predecessor", "successor"):
        config = BertConfig(
            vocab_size=len(data[f"{name}/token"]),
            hidden_size=sizes["hidden"],
            num_hidden_layers=sizes[name],
            num_attention_heads=sizes["heads"],
            intermediate_size=sizes["inner"],
            max_position_embeddings=len(data[f"{name}/position"]),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        model: Any = BertModel(config, add_pooling_layer=False).double()
        weights = {
            f"embeddings.{kind}_embeddings.weight": data[f"{name}/{own}"]
            for kind, own in (("word", "token"), ("token_type", "segment"), ("position", "position"))
        }
        norms = {"embeddings.LayerNorm": "embed"}
        for layer in range(sizes[name]):
            for path, own in LAYER.items():
                weights[f"encoder.layer.{layer}.{path}.weight"] = data[f"{name}/layer{layer}.{own}"].T
                weights[f"encoder.layer.{layer}.{path}.bias"] = data[f"{name}/layer{layer}.{own}_bias"]
            norms |= {f"encoder.layer.{layer}.{path}": f"layer{layer}.{own}" for path, own in NORMS.items()}
        for path, own in norms.items():
            weights[f"{path}.weight"] = data[f"{name}/{own}_gamma"]
            weights[f"{path}.bias"] = data[f"{name}/{own}_beta"]
        model.load_state_dict(weights)
        found.append(model.eval())
    return found


def classifier(layers: int = DEEP, family: str = "bert", dropout: float = 0.0) -> Any:
    """A model of sequences, the same weights for the same arguments."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=12,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
        num_labels=3,
    )
    return AutoModelForSequenceClassification.from_config(config)


def rows(count: int = 16) -> list[dict[str, Any]]:
    """Texts of five tokens, each with a class."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 20, (count, 5), generator=generator)
    return [{"input_ids": row, "labels": int(row.sum()) % 3} for row in ids]


def theseus_run(folder: Path, schedule: ReplacementSchedule, model: Any = None, **arguments: Any) -> Trainer:
    """A run over a successor of two layers, not yet begun."""
    model = classifier() if model is None else model
    attach_successor(model, 2)
    settings = {"per_device_train_batch_size": 4, "max_steps": 4, "optim": "adamw_torch", "learning_rate": 0.01}
    return Trainer(
        model,
        descent(folder, **(settings | arguments)),
        train_dataset=rows(),
        eval_dataset=rows(5),
        callbacks=[schedule],
    )
