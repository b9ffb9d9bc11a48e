"""What a RoFormer config accepts, refuses, resolves and keeps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from roformer_tiny import TINY, V2, tiny_config
from transformers import AutoConfig

from hf_ext.models.roformer import RoFormerConfig, RoFormerForMaskedLM, RoFormerModel

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"norm_type": "layernorm"}, r"norm_type must be one of .*'rms_norm'.*got 'layernorm'"),
    ({"pooler_activation": "relu"}, r"pooler_activation must be one of .*got 'relu'"),
    ({"attention_mode": "prefix"}, r"attention_mode must be one of .*got 'prefix'"),
    ({"hidden_size": 36}, r"hidden_size must be .*hidden_size=36 and num_attention_heads=4"),
    ({"embedding_size": 16} | V2, r"embedding_size must equal hidden_size.*embedding_size=16 and hidden_size=32"),
    ({"is_decoder": True, "attention_mode": "bidirectional"}, r'attention_mode must be "causal" or "unilm"'),
    ({"add_cross_attention": True}, r"add_cross_attention needs is_decoder=True, got is_decoder=False"),
    ({"rope_parameters": {"rope_type": "lineal", "factor": 2.0}}, r"rope_type must be one of .*got 'lineal'"),
    ({"rope_parameters": {"partial_rotary_factor": 0.5}}, r"partial_rotary_factor must be 1.*got 0.5"),
    ({"position_embedding_type": "absolute"}, r"position_embedding_type must be 'rotary'.*got 'absolute'"),
    ({"normalization": "softmax_plus"}, r"normalization must be 'softmax'.*got 'softmax_plus'"),
    ({"attention_scale": False}, r"attention_scale must be True.*got False"),
    ({"norm_position": "pre"}, r"norm_position must be 'post'.*got 'pre'"),
    ({"is_glu": True}, r"is_glu must be False.*got True"),
    ({"shared_segment_embeddings": True}, r"shared_segment_embeddings must be False.*got True"),
    ({"hierarchical_position": 0.4}, r"hierarchical_position must be False.*got 0.4"),
    ({"num_hidden_layers": "two"}, r"num_hidden_layers"),
    ({"use_bias": "no"}, r"use_bias"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED)
def test_refused(fields: dict[str, Any], message: str) -> None:
    # The library wraps the error of a validator in one of its own, whose text holds it.
    with pytest.raises(StrictDataclassError, match=message):
        tiny_config(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"position_embedding_type": "rotary", "is_glu": None, "hierarchical_position": False},
        {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 1, "classifier_dropout": 0},
        {"eos_token_id": [3, 4]},
        {"pad_token_id": None},
        {"is_decoder": True, "attention_mode": "unilm"},
        {"num_hidden_layers": 0},
    ],
)
def test_accepted(fields: dict[str, Any]) -> None:
    model = RoFormerModel(tiny_config(**fields)).eval()
    assert model(torch.tensor([[1, 2]])).last_hidden_state.isfinite().all()


@pytest.mark.parametrize(
    ("fields", "mode"),
    [
        ({}, "bidirectional"),
        ({"is_decoder": True}, "causal"),
        ({"attention_mode": "causal"}, "causal"),
        ({"attention_mode": "unilm", "is_decoder": True}, "unilm"),
    ],
)
def test_resolved_attention_mode(fields: dict[str, Any], mode: str) -> None:
    assert tiny_config(**fields).resolved_attention_mode == mode


@pytest.mark.parametrize(("given", "resolved"), [(None, 32), (16, 16)])
def test_resolved_embedding_size(given: int | None, resolved: int) -> None:
    assert tiny_config(embedding_size=given).resolved_embedding_size == resolved


@pytest.mark.parametrize(
    ("fields", "theta", "kind"),
    [
        ({}, 10000.0, "default"),
        ({"rope_theta": 5e5}, 5e5, "default"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, 10000.0, "linear"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e6}}, 1e6, "linear"),
    ],
)
def test_rotary_settings_of_old_and_new_files(fields: dict[str, Any], theta: float, kind: str) -> None:
    rope = tiny_config(**fields).rope_parameters
    assert (rope["rope_theta"], rope["rope_type"]) == (theta, kind)


def test_round_trip(tmp_path: Path) -> None:
    config = tiny_config(attention_mode="unilm", pooler_activation="linear", unpad=True, num_labels=7)
    config.span_head_size = 32
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is RoFormerConfig
    assert again.to_dict() == config.to_dict() | {"_name_or_path": str(tmp_path)}
    assert again.span_head_size == 32


def test_a_change_that_breaks_a_rule_is_not_saved(tmp_path: Path) -> None:
    config = tiny_config()
    config.norm_type = "batch_norm"
    with pytest.raises(StrictDataclassError, match="norm_type must be one of"):
        config.save_pretrained(tmp_path)


@pytest.mark.parametrize("plan", ["base_model_tp_plan", "base_model_fsdp_plan"])
@pytest.mark.parametrize("fields", [{}, {"embedding_size": 16}, V2], ids=["v1", "factorized", "v2"])
def test_parallel_plans_name_modules(plan: str, fields: dict[str, Any]) -> None:
    """Each pattern is a module of each layer; the head has the same, under the encoder's name."""
    model = RoFormerForMaskedLM(tiny_config(**fields))
    layers = TINY["num_hidden_layers"]
    names = [name for name, _ in model.roformer.named_modules()]
    patterns = getattr(RoFormerConfig, plan)
    for pattern in patterns:
        found = [name for name in names if name in {pattern.replace("*", str(i)) for i in range(layers)}]
        assert len(found) == (layers if "*" in pattern else 1), pattern
    resolved = model.tp_plan if "tp" in plan else model.fsdp_plan
    head = model._tp_plan if "tp" in plan else {}
    own = {name: style for name, style in resolved.items() if name.startswith("cls.")}
    assert own.items() <= head.items()
    # The head over the vocabulary is split as its table is.
    assert own.get("cls.predictions.decoder") == ("colwise_gather_output" if "tp" in plan else None)
    encoder = {name: style for name, style in resolved.items() if name not in own}
    assert encoder == {f"roformer.{pattern}": style for pattern, style in patterns.items()}
    assert plan not in model.config.to_dict()
    if "tp" in plan:
        # All matrices of a layer are split, and those alone.
        start = "encoder.layer.*."
        split = {pattern.removeprefix(start) for pattern in patterns if pattern.startswith(start)}
        layer = model.roformer.encoder.layer[0]
        assert split == {name for name, module in layer.named_modules() if isinstance(module, torch.nn.Linear)}
