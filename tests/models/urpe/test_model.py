"""What is URPE's own: its tables and their start, and what it refuses; `models_tiny` holds it to all else."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from models_tiny import FAMILIES, make, tokens
from torch import Tensor
from transformers import AutoConfig, AutoModelForMaskedLM

import hf_ext
from hf_ext.models.urpe import URPEConfig, URPEForCausalLM, URPEForMaskedLM, URPEModel

# Of the library's own call of flex attention: a flag that PyTorch deprecates, and of running uncompiled.
pytestmark = [
    pytest.mark.filterwarnings("ignore:_compile flag on create_block_mask:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
]

LENGTHS = [9, 4, 1, 6]
TINY: dict[str, Any] = FAMILIES["urpe"].fields
PLAIN: dict[str, Any] = {"gain": None, "gain_init": 1.0}


def tiny(
    model_class: Any = URPEModel, back_end: str = "eager", dtype: torch.dtype = torch.float64, **fields: Any
) -> Any:
    return make(model_class, URPEConfig(**(TINY | fields)), back_end, dtype)


def run(model: Any, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model(**batch).last_hidden_state


def test_a_gain_of_one_is_plain_attention() -> None:
    batch = tokens(LENGTHS)
    plain, urpe = tiny(**PLAIN), tiny()
    urpe.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        urpe.encoder.tables.gain.weight.fill_(1)
    assert torch.equal(run(urpe, batch), run(plain, batch))
    with torch.no_grad():
        urpe.encoder.tables.gain.weight[2] += 0.5
    assert not torch.allclose(run(urpe, batch), run(plain, batch))


def test_plain_attention_with_a_bias_is_that_of_t5() -> None:
    """One layer's attention against scores with a bias gathered for each pair."""
    model = tiny(num_hidden_layers=1, **PLAIN)
    states = torch.randn(2, 7, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    layer = model.encoder.layer[0].attention.self
    with torch.no_grad():
        found, _ = layer(states, tables=model.encoder.tables())
        query, key, value = (
            one(states).view(2, 7, 4, 8).transpose(1, 2) for one in (layer.query, layer.key, layer.value)
        )
        # Of eight buckets two to each side hold a distance each, the third all from 2 to 3, the fourth those beyond.
        numbers = {0: 3, 1: 4, 2: 5, 3: 5, 4: 6, 5: 6, 6: 6}
        rows = [[3 + (1 if j > i else -1) * (numbers[abs(j - i)] - 3) for j in range(7)] for i in range(7)]
        bias = model.encoder.tables.bias.weight[torch.tensor(rows)].permute(2, 0, 1)
        weights = (query @ key.mT / math.sqrt(8) + bias).softmax(-1)
    torch.testing.assert_close(found, (weights @ value).transpose(1, 2).flatten(2), atol=1e-12, rtol=0)


def test_distances_beyond_the_table_are_those_at_its_end() -> None:
    short, long = (tiny(relative_buckets=None, relative_distance=128, max_position_embeddings=n) for n in (4, 20))
    state = short.state_dict()
    for name in ("encoder.tables.bias.weight", "encoder.tables.gain.weight"):
        table = state[name]
        assert table.shape == (7, 4)
        state[name] = torch.cat((table[:1].expand(16, -1), table, table[-1:].expand(16, -1)))
    long.load_state_dict(state)
    batch = tokens(LENGTHS)
    torch.testing.assert_close(run(short, batch), run(long, batch), atol=1e-12, rtol=0)


def test_tables_of_each_layer() -> None:
    shared, own = tiny(), tiny(shared_tables=False)
    state = {name: value for name, value in shared.state_dict().items() if ".tables." not in name}
    for name in ("bias", "gain"):
        table = shared.state_dict()[f"encoder.tables.{name}.weight"]
        state |= {f"encoder.layer.{layer}.attention.self.tables.{name}.weight": table for layer in range(2)}
    own.load_state_dict(state)
    batch = tokens(LENGTHS)
    assert torch.equal(run(own, batch), run(shared, batch))


def test_a_gain_below_0_counts_as_0_under_relu() -> None:
    batch = tokens(LENGTHS)
    plain, relu = tiny(), tiny(gain_relu=True)
    assert (plain.encoder.tables.gain.weight < 0).any()
    assert not torch.equal(run(plain, batch), run(relu, batch))
    with torch.no_grad():
        plain.encoder.tables.gain.weight.relu_()
    assert torch.equal(run(plain, batch), run(relu, batch))


@pytest.mark.parametrize(("start", "mean"), [(1.0, 1.0), (0.25, 0.25), (None, 0.0)])
def test_gains_begin_as_the_config_says(start: float | None, mean: float, tmp_path: Path) -> None:
    config = URPEConfig(**(TINY | {"gain_init": start, "relative_buckets": 64, "relative_distance": 128}))
    model = URPEForMaskedLM(config)
    gain = model.urpe.encoder.tables.gain.weight
    assert gain.shape == (63, 4)
    assert float(gain.detach().mean()) == pytest.approx(mean, abs=0.1)
    assert bool((gain == mean).all()) == (start is not None)
    state = {name: value for name, value in model.state_dict().items() if "tables.gain" not in name}
    loaded = URPEForMaskedLM.from_pretrained(None, config=config, state_dict=state)
    assert bool((loaded.urpe.encoder.tables.gain.weight == mean).all()) == (start is not None)


def test_names_of_parameters() -> None:
    names = set(tiny(URPEForMaskedLM).state_dict())
    assert {"urpe.encoder.tables.bias.weight", "urpe.encoder.tables.gain.weight"} <= names
    assert not any("position" in name for name in names)


@pytest.mark.parametrize("normalization", ["softmax", "l2", "none"])
def test_the_future_tells_in_nothing(normalization: str) -> None:
    """Bit by bit, in both forms of attention."""
    ids = tokens([9])["input_ids"]
    other = ids.clone()
    other[0, 5] = (other[0, 5] + 1) % 60
    for back_end in ("eager", "flex_attention"):
        model = tiny(URPEForCausalLM, back_end, attention_mode="causal", attention_normalization=normalization)
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            found, changed = (model(input_ids=x).logits[0] for x in (ids, other))
        assert torch.equal(found[:5], changed[:5])
        assert not torch.allclose(found[5:], changed[5:])


@pytest.mark.parametrize("back_end", ["sdpa", "flash_attention_2"])
def test_fused_kernels_are_refused(back_end: str) -> None:
    with pytest.raises((ValueError, ImportError), match=r"(?i)does not support|flash"):
        tiny().set_attn_implementation(back_end)


def test_dropout_is_refused_under_flex_attention() -> None:
    model = tiny(back_end="flex_attention", attention_probs_dropout_prob=0.1).train()
    with pytest.raises(ValueError, match=r"attention_probs_dropout_prob must be 0 .* flex attention.*got 0\.1"):
        model(input_ids=torch.ones(1, 3, dtype=torch.long))


REFUSED: dict[str, dict[str, Any]] = {
    "relative_buckets must be even and at least 4, or None, got 7": {"relative_buckets": 7},
    "relative_distance must be more than a quarter of relative_buckets=64, got 6": {"relative_buckets": 64},
    "relative_distance has no effect without relative_buckets, got 6": {"relative_buckets": None},
    "gain must be \"toeplitz\" or None, got 'dense'": {"gain": "dense"},
    "gain_init and gain_relu have no effect .* got gain_init=None": {"gain": None},
    "attention_normalization must be one of .* got 'l1'": {"attention_normalization": "l1"},
    "add_cross_attention must be False": {"add_cross_attention": True, "is_decoder": True},
    "position_embedding_type must be 'relative'": {"position_embedding_type": "absolute"},
}


@pytest.mark.parametrize(("message", "fields"), REFUSED.items(), ids=[str(f) for f in REFUSED.values()])
def test_refused_settings(message: str, fields: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=message):
        URPEConfig(**(TINY | fields))


def test_auto_classes() -> None:
    config = AutoConfig.for_model("urpe", **TINY)
    assert type(config) is hf_ext.URPEConfig
    assert type(AutoModelForMaskedLM.from_config(config)) is hf_ext.URPEForMaskedLM
