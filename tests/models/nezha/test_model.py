"""NEZHA's folders of Transformers 4, which have no field for the pooler that they hold."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from models_tiny import make, tokens
from transformers import AutoConfig, AutoModel

import hf_ext

SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}


@pytest.mark.parametrize("architecture", ["NezhaForPreTraining", "NezhaModel", None])
@pytest.mark.parametrize("version", [{"transformers_version": "4.20.1"}, {"transformers_version": "3.4.0"}, {}])
def test_folder_of_transformers_4(architecture: str | None, version: dict[str, str], tmp_path: Path) -> None:
    """The pooler of the original, and with it the vector that Transformers 4 gave."""
    made = make(hf_ext.NezhaModel, hf_ext.NezhaConfig(**SIZE, pooler_activation="tanh"), "eager", torch.float32)
    prefix = "" if architecture == "NezhaModel" else "nezha."
    torch.save({prefix + name: value for name, value in made.state_dict().items()}, tmp_path / "pytorch_model.bin")
    settings = {**SIZE, **version, "model_type": "nezha", "architectures": [architecture] if architecture else None}
    (tmp_path / "config.json").write_text(json.dumps(settings | {"max_relative_position": 64, "layer_norm_eps": 1e-7}))
    batch = tokens([6, 3])
    with torch.no_grad():
        wanted = made(**batch)
        torch.testing.assert_close(wanted.pooler_output, made.pooler.dense(wanted.last_hidden_state[:, 0]).tanh())
        for opener in (AutoModel, hf_ext.NezhaModel):
            model, report = opener.from_pretrained(tmp_path, output_loading_info=True)
            assert not any(report.values())
            torch.testing.assert_close(model.eval()(**batch).pooler_output, wanted.pooler_output, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooler", [None, "tanh", "linear"])
def test_own_folders_say_what_they_have(pooler: str | None, tmp_path: Path) -> None:
    hf_ext.NezhaConfig(**SIZE, pooler_activation=pooler).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).pooler_activation == pooler
    assert hf_ext.NezhaConfig.from_dict(AutoConfig.from_pretrained(tmp_path).to_dict()).pooler_activation == pooler
