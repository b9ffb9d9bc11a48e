"""Which models tell equal tokens apart, as the article and its reasons say of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models_tiny import FAMILIES, Case, make

import hf_ext
from hf_ext.analysis import PositionProbe, probe_positions

# Rows of weights that add up to 1 over values without positions, and all else.
FAILS: dict[str, tuple[str, dict[str, Any]]] = {
    "rotary positions": ("roformer", {}),
    "rotary positions, RoFormer-V2": ("roformer", {"norm_type": "rms_norm", "use_bias": False}),
    "rotary positions, causal": ("roformer", {"attention_mode": "causal"}),
    "rotary positions, learnt": ("roformer", {"trainable_frequencies": True}),
    "a bias before softmax": ("urpe", {"gain": None, "gain_init": 1.0}),
    "a bias before softmax, causal": ("urpe", {"gain": None, "gain_init": 1.0, "attention_mode": "causal"}),
    "a bias before softmax, T5": ("t5_pegasus", {}),
    "gated units with softmax": ("gau_alpha", {}),
    "gated units with plain softmax": ("gau_alpha", {"normalization": "softmax"}),
    "rotary positions, ModernBERT": ("modernbert", {}),
    "rotary positions, Qwen3": ("qwen3", {}),
}
PASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "absolute positions": ("unilm_bert", {}),
    "absolute positions, causal": ("gpt_cdial", {}),
    "absolute positions, BERT": ("bert", {}),
    "rotated values": ("roformer", {"rotary_value": True}),
    "positions in the values": ("nezha", {}),
    "positions in the values, causal": ("nezha", {"attention_mode": "causal"}),
    "squared ReLU": ("flash", {"attention": "quadratic"}),
    "squared ReLU and linear attention": ("flash", {}),
    "squared ReLU, causal": ("flash", {"attention_mode": "causal"}),
    "a gain after softmax": ("urpe", {}),
    "a gain after softmax, causal": ("urpe", {"attention_mode": "causal"}),
    "l2": ("urpe", {"attention_normalization": "l2", "gain": None, "gain_init": 1.0}),
    "no denominator": ("urpe", {"attention_normalization": "none", "gain": None, "gain_init": 1.0}),
    "gated units with l2": ("gau_alpha", {"attention_normalization": "l2"}),
}


def probed(family: str, fields: dict[str, Any], **options: Any) -> PositionProbe:
    model = Case(FAMILIES[family], fields, "AutoModel").make("eager")
    return probe_positions(model, 12, **options)


@pytest.mark.parametrize(("family", "fields"), FAILS.values(), ids=FAILS)
def test_fails(family: str, fields: dict[str, Any]) -> None:
    """The states are equal up to rounding, until another token stands before or behind them."""
    found = probed(family, fields)
    assert found.spread < (1e-12 if FAMILIES[family].ours and family != "t5_pegasus" else 1e-6)
    assert not found.tells_positions
    assert probed(family, fields, before=[2]).tells_positions
    sees_ahead = family != "qwen3" and fields.get("attention_mode") != "causal"
    assert probed(family, fields, after=[2, 3]).tells_positions == sees_ahead


@pytest.mark.parametrize(("family", "fields"), PASSES.values(), ids=PASSES)
def test_passes(family: str, fields: dict[str, Any]) -> None:
    assert probed(family, fields).tells_positions


def test_gain_that_has_learnt_nothing() -> None:
    """URPE begins as plain attention."""
    config = hf_ext.URPEConfig(**(FAMILIES["urpe"].fields | {"gain_init": 1.0}))
    model = make(hf_ext.URPEModel, config, "eager")
    assert probe_positions(model).spread < 1e-12
    with torch.no_grad():
        model.encoder.tables.gain.weight[0, 0] = 1.1
    assert probe_positions(model).tells_positions


def test_heads_and_modes_and_types() -> None:
    """A head is probed below it; the model itself stays as it is."""
    model = make(hf_ext.NezhaForMaskedLM, FAMILIES["nezha"].config(**FAMILIES["nezha"].fields), "eager", torch.bfloat16)
    model.train()
    assert probe_positions(model) == probe_positions(model.base_model)
    assert model.training
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 1}, "length must be at least 2.*got 1"),
        ({"token_id": 60}, r"token_id must be in \[0, 60\), got 60"),
        ({"token_id": -1}, r"token_id must be in \[0, 60\), got -1"),
    ],
)
def test_refused(options: dict[str, int], message: str) -> None:
    model = Case(FAMILIES["roformer"], {}, "AutoModel").make()
    with pytest.raises(ValueError, match=message):
        probe_positions(model, **options)


def test_verdicts_of_the_reference(golden: Path) -> None:
    """The same kinds of attention fail and pass there, by an independent transcription of one layer each."""
    with np.load(golden / "urpe" / "io.npz") as file:
        spread = {name.removeprefix("probe."): float(value) for name, value in file.items() if "probe." in name}
    equal = {name for name, value in spread.items() if value < 1e-12}
    assert equal == {"no_position", "no_position_causal", "rope", "rope_causal", "additive_bias"}
    assert set(spread) - equal == {
        "urpe",
        "l2",
        "relu_squared_over_n",
        "relative_vectors_in_values",
        "linear_attention_rope_numerator",
    }
