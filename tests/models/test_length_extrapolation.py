"""RoFormer and GAU-alpha over texts longer than in training against a naive twin, in every layout and back end.

The twin sees one text at a time, and computes each pair of query and key by itself.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from models_tiny import SIZES, UNITS, make, packed, tokens
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, StaticCache

import hf_ext
from hf_ext.modules.extrapolation_rules import RULES, Situation, check_combinations, rules_table

LENGTHS = [9, 4, 1, 6]
TRAINED = 4
CLOSE: dict[str, Any] = {"atol": 1e-9, "rtol": 0}
CAUSAL = {"attention_mode": "causal"}
HWFA: dict[str, Any] = {"attention_window": 3, "full_attention_layers": [-1]}


def rope(kind: str, **settings: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, **settings}}


ROFORMER: dict[str, dict[str, Any]] = {
    **{kind: rope(kind, factor=3.0) for kind in ("ntk_old", "ntk_aware", "ntk_fixed", "ntk_mixed")},
    "ntk_mixed of the code": rope("ntk_mixed", factor=3.0, exponent=0.75),
    "rerope": rope("rerope", window=3),
    "leaky rerope": rope("leaky_rerope", window=2, step=2.5),
    "log n": {"log_n": "always"},
    "window": {"attention_window": 4},
    "key norm": {"key_norm": True},
    "hwfa": HWFA,
    "all that goes together": {
        **rope("rerope", window=4), **HWFA, "full_attention_positions": True, "log_n": "after_training",
        "key_norm": True,
    },
    "causal ntk": CAUSAL | rope("ntk_mixed", factor=3.0),
    "causal rerope": CAUSAL | rope("rerope", window=3) | {"log_n": "after_training"},
    "causal leaky rerope": CAUSAL | rope("leaky_rerope", window=2, step=2.5),
    "inverse leaky rerope": CAUSAL | rope("leaky_rerope", window=1, step=1 / 16),
    "causal log n": CAUSAL | {"log_n": "always"},
    "causal window": CAUSAL | {"attention_window": 3},
    "causal hwfa": CAUSAL | HWFA | {"log_n": "always"},
    "causal hwfa 2": CAUSAL | HWFA | rope("rerope", window=4) | {"full_attention_positions": True},
    "xpos": CAUSAL | rope("xpos", decay=0.8),
    **{kind: CAUSAL | {"position_bias": kind} for kind in ("alibi", "kerple_power", "kerple_log", "sandwich")},
}  # fmt: skip
GAU: dict[str, dict[str, Any]] = {
    "ntk": rope("ntk_fixed", factor=3.0),
    "rerope": rope("rerope", window=3),
    "leaky rerope": rope("leaky_rerope", window=2, step=2.5) | {"normalization": "softmax"},
    "log n": {"normalization": "softmax", "log_n": "after_training"},
    "window": {"attention_window": 5, "softmax_plus_min_keys": 1},
    "key norm": {"key_norm": True},
}


def back_ends(family: str, fields: dict[str, Any]) -> list[str]:
    """Those that go with some settings, by the table."""
    config = config_of(family, fields)
    names = ["eager", "sdpa"] + ["gated_attention"] * (family == "gau_alpha")
    found = []
    for name in names:
        try:
            check_combinations(config, Situation(name))
            found.append(name)
        except ValueError:
            pass
    return found


def config_of(family: str, fields: dict[str, Any], **more: Any) -> Any:
    sizes = {"max_position_embeddings": TRAINED, "num_hidden_layers": 3} | fields | more
    if family == "gau_alpha":
        return hf_ext.GAUAlphaConfig(**UNITS | sizes)
    return {"roformer": hf_ext.RoFormerConfig, "linear_roformer": hf_ext.LinearRoFormerConfig}[family](**SIZES | sizes)


def model_of(family: str, fields: dict[str, Any], back_end: str, model_class: Any = None, **more: Any) -> Any:
    model_class = model_class or {"roformer": hf_ext.RoFormerModel, "gau_alpha": hf_ext.GAUAlphaModel}[family]
    return make(model_class, config_of(family, fields, **more), back_end)


CASES = [("roformer", name, fields) for name, fields in ROFORMER.items()]
CASES += [("gau_alpha", name, fields) for name, fields in GAU.items()]
every = pytest.mark.parametrize(("family", "fields"), [pytest.param(f, x, id=f"{f}, {name}") for f, name, x in CASES])
causal = pytest.mark.parametrize(
    "fields", [pytest.param(x, id=name) for name, x in ROFORMER.items() if x.get("attention_mode") == "causal"]
)


def naive_frequencies(config: Any) -> list[float]:
    settings, size = config.rope_parameters, config.head_size
    kind, factor = settings["rope_type"], settings.get("factor", 1)
    out = []
    for i in range(size // 2):
        plain = 1e4 ** (-2 * i / size)
        if kind == "ntk_old":
            plain = (1e4 * factor) ** (-2 * i / size)
        elif kind == "ntk_aware":
            plain = (1e4 * factor ** (size / (size - 2))) ** (-2 * i / size)
        elif kind == "ntk_fixed":
            plain *= factor ** (-2 * (i + 1) / size)
        elif kind == "ntk_mixed":
            b = settings.get("exponent", 0.625)
            plain *= math.exp(-math.log(factor) / (size / 2) ** b * (i + 1) ** b)
        out.append(plain)
    return out


def naive_attention(layer: Any, query: Tensor, key: Tensor, value: Tensor, scale: Any = None) -> Tensor:
    """``[N, L, D]`` each, of one text and not rotated: pair by pair."""
    config, index = layer.config, layer.layer_idx
    settings, mode = config.rope_parameters, config.resolved_attention_mode
    heads, length, size = query.shape
    full = [x % config.num_hidden_layers for x in config.full_attention_layers or []]
    windowed = config.attention_window is not None and index not in full
    placed = config.attention_window is None or windowed or config.full_attention_positions
    frequencies = naive_frequencies(config)
    out = torch.zeros(heads, length, value.shape[-1], dtype=value.dtype)
    for h in range(heads):
        for i in range(length):
            scores, seen = [], []
            for j in range(length):
                d = i - j
                reach = (config.attention_window - 1) // 2 if windowed and mode != "causal" else None
                if mode == "causal" and d < 0:
                    continue
                if windowed and (d >= config.attention_window if mode == "causal" else abs(d) > reach):
                    continue
                turn = float(d)
                if (
                    settings["rope_type"] in ("rerope", "leaky_rerope")
                    and not windowed
                    and abs(d) >= settings["window"]
                ):
                    beyond = (abs(d) - settings["window"]) / settings.get("step", math.inf)
                    turn = math.copysign(settings["window"] + beyond, d)
                if config.position_bias or not placed:
                    turn = 0.0
                score = 0.0
                k = key[h, j] / key[h, j].norm() if config.key_norm else key[h, j]
                for p, frequency in enumerate(frequencies):
                    a, b = query[h, i, 2 * p : 2 * p + 2]
                    x, y = k[2 * p : 2 * p + 2]
                    angle = turn * frequency
                    score = score + (a * x + b * y) * math.cos(angle) + (a * y - b * x) * math.sin(angle)
                scores.append(score)
                seen.append(j)
            n = len(seen)
            factor = 1.0 if config.key_norm else size**-0.5
            if scale == "softmax_plus":
                factor *= math.log(max(n, config.softmax_plus_min_keys)) / math.log(512)
            if config.log_n and not windowed:
                log = math.log(n) / math.log(config.max_position_embeddings)
                factor *= max(log, 1.0) if config.log_n == "after_training" else log
            row = torch.stack(scores) * factor
            ds = torch.tensor([float(i - j) for j in seen], dtype=row.dtype)
            if settings["rope_type"] == "xpos":
                row = row * settings["decay"] ** ds
            if config.position_bias == "alibi":
                row = row - 2.0 ** (-8 * (h + 1) / heads) * ds
            elif config.position_bias:
                bias = layer.distance_bias
                r1 = bias.scale[h].exp().log1p()
                if config.position_bias == "sandwich":
                    row = row + r1 * sum((ds * f).cos() for f in frequencies)
                elif config.position_bias == "kerple_power":
                    row = row - r1 * ds ** (2 / (1 + (-bias.rate[h]).exp()))
                else:
                    row = row - r1 * (1 + bias.rate[h].exp().log1p() * ds).log()
            out[h, i] = row.softmax(-1) @ value[h, seen]
    return out


@torch.no_grad()
def naive(model: Any, ids: Tensor, types: Tensor) -> Tensor:
    """Hidden states ``[L, H]`` of one text ``[L]``."""
    state = model.embeddings(model.embeddings.word_embeddings(ids[None]), types[None], ())
    for layer in model.encoder.layer:
        if isinstance(model, hf_ext.GAUAlphaModel):
            unit, config = layer.gau, model.config
            inner, size = config.intermediate_size, config.attention_key_size
            gate, value, shared = unit.activation(unit.i_dense(state)).split((inner, inner, size), -1)
            query, key = shared * unit.q_scaleoffset.weight, shared * unit.k_scaleoffset.weight
            out = naive_attention(unit, query, key, value, config.normalization)
            state = layer.norm(state + unit.o_dense(gate * out))
            continue
        own = layer.attention.self
        heads = (own.heads(x(state))[0].transpose(0, 1) for x in (own.query, own.key, own.value))
        out = naive_attention(own, *heads).transpose(0, 1).flatten(1)[None]
        state = layer.attention.output(out, state)
        state = layer.output(layer.intermediate(state), state)
    return state[0]


def texts(batch: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    real = batch["attention_mask"].bool()
    return [(ids[m], types[m]) for ids, types, m in zip(batch["input_ids"], batch["token_type_ids"], real)]


@torch.no_grad()
def run(model: Any, batch: dict[str, Any], **options: Any) -> Tensor:
    return model(**batch, **options).last_hidden_state


@every
def test_naive_twin(family: str, fields: dict[str, Any]) -> None:
    """Padded on either side, unpadded, packed in one row and in two, on each back end that goes with it."""
    batch = tokens(LENGTHS)
    first = model_of(family, fields, "eager")
    wanted = torch.cat([naive(first, *text) for text in texts(batch)])
    plain = run(model_of(family, {"attention_mode": fields.get("attention_mode")}, "eager"), batch)
    if not (fields.get("position_bias") or fields.get("key_norm")):
        # The settings do something.
        assert (plain[batch["attention_mask"].bool()] - wanted).abs().max() > 1e-4
    for back_end in back_ends(family, fields):
        for unpad in (False, True):
            model = model_of(family, fields, back_end, unpad=unpad)
            for side in ("right", "left"):
                rows = tokens(LENGTHS, side)
                found = run(model, rows)[rows["attention_mask"].bool()]
                torch.testing.assert_close(found, wanted, **CLOSE)
        row = packed(batch)
        torch.testing.assert_close(run(model, row)[0], wanted, **CLOSE)
        twice = {name: value.repeat(2, 1) for name, value in row.items()}
        torch.testing.assert_close(run(model, twice)[1], wanted, **CLOSE)


@every
def test_gradients_and_half_precision(family: str, fields: dict[str, Any]) -> None:
    """Checkpointing gives the gradients of all parameters; bfloat16 is near."""
    batch = tokens([7, 3])
    gradients = []
    for again in (False, True):
        model = model_of(family, fields, back_ends(family, fields)[-1]).train()
        if again:
            model.gradient_checkpointing_enable()
        model(**batch).last_hidden_state.square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        if gradient is None:
            assert gradients[1][name] is None
            continue
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradients[1][name], gradient, **CLOSE)
    exact = run(model.eval(), batch)
    half = run(model.bfloat16(), batch)
    assert half.dtype == torch.bfloat16
    real = batch["attention_mask"].bool()
    assert (half.double() - exact)[real].square().mean().sqrt() < 0.1


@causal
def test_a_cache_changes_nothing(fields: dict[str, Any]) -> None:
    """One token after the other, several at once, and padding on the left give what the whole text gives."""
    for back_end in back_ends("roformer", fields):
        model = model_of("roformer", fields, back_end)
        batch = tokens([9, 6], "left")
        wanted = run(model, batch)
        real = batch["attention_mask"].bool()
        for sizes in ([4, 1, 1, 1, 1, 1], [1] * 9, [3, 4, 2]):
            cache, found, done = None, [], 0
            for size in sizes:
                cut = {name: value[:, done : done + size] for name, value in batch.items()}
                cut["attention_mask"] = batch["attention_mask"][:, : done + size]
                with torch.no_grad():
                    output = model(**cut, cache=cache, use_cache=True)
                cache, done = output.cache, done + size
                found.append(output.last_hidden_state)
            torch.testing.assert_close(torch.cat(found, 1)[real], wanted[real], **CLOSE)


@causal
def test_no_look_ahead(fields: dict[str, Any]) -> None:
    model = model_of("roformer", fields, back_ends("roformer", fields)[-1])
    batch = tokens([9])
    before = run(model, batch)
    batch["input_ids"][0, 6] = batch["input_ids"][0, 6] % 50 + 1
    after = run(model, batch)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.equal(before[:, 6:], after[:, 6:])


@causal
def test_generation(fields: dict[str, Any]) -> None:
    back_end = back_ends("roformer", fields)[-1]
    model = model_of("roformer", fields, back_end, hf_ext.RoFormerForCausalLM, is_decoder=True)
    batch = {name: value for name, value in tokens([7, 4], "left").items() if name != "token_type_ids"}
    options: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    cached, anew = (model.generate(**batch, use_cache=use, **options) for use in (True, False))
    assert torch.equal(cached, anew)
    alone = model.generate(batch["input_ids"][1:, 3:], **options)
    assert torch.equal(alone[0], cached[1, 3:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("roformer", ROFORMER["all that goes together"]),
        ("roformer", ROFORMER["causal hwfa"]),
        ("roformer", ROFORMER["kerple_power"]),
        ("roformer", ROFORMER["xpos"]),
        ("gau_alpha", GAU["leaky rerope"]),
        ("gau_alpha", GAU["window"]),
    ],
)
def test_compiled_form(family: str, fields: dict[str, Any]) -> None:
    model = model_of(family, fields, back_ends(family, fields)[0])
    batch = tokens(LENGTHS)
    wanted = run(model, batch)
    torch._dynamo.reset()
    found = run(torch.compile(model, backend="eager", fullgraph=True), batch)
    torch.testing.assert_close(found, wanted, **CLOSE)


class Hidden(nn.Module):
    """A model of ids, mask and types to hidden states."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """Hidden states ``[B, L, H]``."""
        return self.model(ids, mask, types, use_cache=False).last_hidden_state


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
@every
def test_traced(family: str, fields: dict[str, Any]) -> None:
    """A graph that is made with one text gives what the model gives of several, of other lengths."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    model = Hidden(model_of(family, fields, back_ends(family, fields)[-1], num_hidden_layers=2)).eval()
    one, batch = tokens([5]), tokens(LENGTHS)
    with torch.no_grad():
        graph = torch.jit.trace(model, tuple(one[name] for name in names), check_trace=False, strict=False)
        found, wanted = (each(*(batch[name] for name in names)) for each in (graph, model))
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(found[real], wanted[real], **CLOSE)


def test_positions_with_gaps() -> None:
    """Scores depend on the positions that are given: twice as far apart is the distance doubled."""
    batch = tokens([7])
    positions = 2 * torch.arange(7)[None]
    for fields in (rope("rerope", window=4), rope("leaky_rerope", window=4, step=2.0)):
        wide = run(model_of("roformer", fields, "eager"), batch | {"position_ids": positions})
        narrow = dict(fields["rope_parameters"], window=2)
        # With all frequencies doubled, too.
        model = model_of("roformer", {"rope_parameters": narrow}, "eager")
        assert not torch.allclose(wide, run(model, batch))
        doubled = run(model_of("roformer", fields, "eager"), batch | {"position_ids": positions + 100})
        torch.testing.assert_close(doubled, wide, **CLOSE)
    model = model_of("roformer", CAUSAL | {"position_bias": "alibi"}, "eager")
    with pytest.raises(ValueError, match=r"position_ids must grow by one.*got \[\[0, 2, 4"):
        model(**batch, position_ids=positions, use_cache=True)


def test_set_later() -> None:
    """A model that is there reads long texts otherwise once its config says so, and as before once it does not."""
    batch = tokens(LENGTHS)
    model = model_of("roformer", {}, "eager")
    before = run(model, batch)
    for fields in (rope("rerope", window=3), {"log_n": "after_training"}, {"attention_window": 3}):
        old = {name: getattr(model.config, name) for name in fields}
        for name, value in fields.items():
            setattr(model.config, name, value)
        torch.testing.assert_close(run(model, batch), run(model_of("roformer", fields, "eager"), batch))
        for name, value in old.items():
            setattr(model.config, name, value)
        assert torch.equal(run(model, batch), before)
    model.config.attention_window = 0
    with pytest.raises(ValueError, match="attention_window must be at least 1, got 0"):
        model(**batch)
    model.config.attention_window, model.config.position_bias = None, "alibi"
    with pytest.raises(ValueError, match="position_bias='alibi' does not go with attention_mode='bidirectional'"):
        model(**batch)
    model = model_of("roformer", CAUSAL, "eager")
    model.config.position_bias = "kerple_log"
    with pytest.raises(ValueError, match="position_bias must be set when the model is made, got 'kerple_log'"):
        model(**batch)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (rope("rerope"), r"'rerope' needs \['window'\], got \[\]"),
        (rope("ntk_old", factor=2.0, window=3), r"takes \['factor'\], got \['window'\]"),
        (rope("ntk_old", factor=0.5), "factor must be at least 1, got 0.5"),
        (rope("ntk_mixed", factor=2.0, exponent=-1.0), "exponent must be at least 0, got -1.0"),
        (rope("ntk_fixed", factor="two"), "factor must be a number, got 'two'"),
        (rope("rerope", window=0), "window must be a whole number of at least 1, got 0"),
        (rope("leaky_rerope", window=4, step=0), "step must be positive and finite, got 0"),
        (CAUSAL | rope("xpos", decay=1.5), "decay must be between 0 and 1, got 1.5"),
        ({"log_n": "yes"}, "log_n must be one of .*got 'yes'"),
        (CAUSAL | {"position_bias": "t5"}, "position_bias must be one of .*got 't5'"),
        ({"attention_window": 0}, "attention_window must be at least 1, got 0"),
        ({"attention_window": 3, "full_attention_layers": [3]}, r"must be in \[-3, 3\).*got 3"),
        ({"log_n": "always", "max_position_embeddings": 1}, "max_position_embeddings must be at least 2.*got 1"),
    ],
)
def test_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StrictDataclassError, match=message):
        config_of("roformer", fields)


LEARNT, L2 = {"trainable_frequencies": True}, {"attention_normalization": "l2"}

# For each row of the table a config that breaks it: settings that are refused at once, or in a situation.
BROKEN: list[tuple[str, dict[str, Any], Situation | None, str]] = [
    *(
        ("roformer", fields, Situation(back_end), rf"{name}.* does not go with attn_implementation='{back_end}'.*eager")
        for fields, name in (
            (rope("rerope", window=3), "rope_type='rerope'"),
            (CAUSAL | rope("xpos", decay=0.9), "rope_type='xpos'"),
            (CAUSAL | {"position_bias": "alibi"}, "position_bias='alibi'"),
        )
        for back_end in ("sdpa", "flex_attention", "flash_attention_2", "gated_attention")
    ),
    ("gau_alpha", {"key_norm": True}, Situation("gated_attention"), "key_norm=True does not go with"),
    ("gau_alpha", {"attention_window": 3}, Situation("gated_attention"), "attention_window=3 does not go with"),
    ("roformer", rope("xpos", decay=0.9), None, "'xpos' does not go with attention_mode='bidirectional'"),
    ("roformer", {"position_bias": "alibi"}, None, "'alibi' does not go with attention_mode='bidirectional'"),
    ("roformer", {"attention_mode": "unilm", "attention_window": 3}, None, "attention_window=3 .*'unilm'"),
    ("roformer", {"attention_mode": "unilm", "log_n": "always"}, None, "log_n='always' .*'unilm'"),
    ("roformer", CAUSAL | {"position_bias": "alibi"} | rope("ntk_old", factor=2.0), None, "'alibi' .*'ntk_old'"),
    ("roformer", CAUSAL | {"position_bias": "alibi", "attention_window": 3}, None, "'alibi' .*attention_window=3"),
    ("roformer", CAUSAL | {"attention_window": 3} | rope("xpos", decay=0.9), None, "'xpos' .*attention_window=3"),
    ("roformer", CAUSAL | {"position_bias": "alibi", **LEARNT}, None, "'alibi' .*trainable_frequencies=True"),
    ("roformer", LEARNT | rope("ntk_old", factor=2.0), None, "'ntk_old' .*trainable_frequencies=True"),
    *(
        ("linear_roformer", fields, None, f"{name} does not go with linear attention: it has no scores of pairs")
        for fields, name in (
            (rope("rerope", window=3), "rope_type='rerope'"),
            (CAUSAL | rope("xpos", decay=0.9), "rope_type='xpos'"),
            (CAUSAL | {"position_bias": "alibi"}, "position_bias='alibi'"),
            ({"attention_window": 3}, "attention_window=3"),
            ({"log_n": "always"}, "log_n='always'"),
            ({"key_norm": True}, "key_norm=True"),
        )
    ),
    *(
        ("gau_alpha", L2 | fields, None, f"{name} does not go with attention_normalization='l2'")
        for fields, name in (
            (rope("rerope", window=3), "rope_type='rerope'"),
            (CAUSAL | rope("xpos", decay=0.9), "rope_type='xpos'"),
            (CAUSAL | {"position_bias": "alibi"}, "position_bias='alibi'"),
            ({"attention_window": 3}, "attention_window=3"),
        )
    ),
    *(
        ("gau_alpha", L2, Situation(back_end), f"'l2' does not go with attn_implementation='{back_end}'.*eager")
        for back_end in ("sdpa", "flash_attention_2", "gated_attention")
    ),
    ("roformer", CAUSAL | {"position_bias": "alibi", "rotary_value": True}, None, "'alibi' .*rotary_value=True"),
    ("roformer", {"rotary_value": True} | rope("rerope", window=3), None, "'rerope' .*rotary_value=True"),
    ("roformer", CAUSAL | {"rotary_value": True} | rope("xpos", decay=0.9), None, "'xpos' .*rotary_value=True"),
    ("roformer", HWFA | {"rotary_value": True}, None, r"full_attention_layers=\[-1\] .*rotary_value=True"),
    ("roformer", {"attention_window": 3} | rope("rerope", window=3), None, "'rerope' .*attention_window=3: within"),
    (
        "roformer",
        {**HWFA, "attention_window": 9, "full_attention_positions": True} | rope("rerope", window=3),
        None,
        "attention_window=9 does not go with a smaller window of ReRoPE",
    ),
    ("roformer", {"full_attention_layers": [0]}, None, r"full_attention_layers=\[0\] .*attention_window=None"),
    (
        "roformer",
        {"full_attention_positions": True, "attention_window": 3},
        None,
        "full_attention_positions=True .*full_attention_layers=None",
    ),
    ("roformer", {"log_n": "always", "attention_window": 3}, None, "log_n='always' .*attention_window=3: no query"),
    ("gau_alpha", {"log_n": "after_training"}, None, "log_n='after_training' .*normalization='softmax_plus'"),
    ("roformer", CAUSAL | rope("rerope", window=3), Situation(fixed_cache=True), "'rerope' .*fixed size"),
    ("roformer", CAUSAL | rope("xpos", decay=0.9), Situation(fixed_cache=True), "'xpos' .*fixed size"),
    ("roformer", CAUSAL | {"position_bias": "alibi"}, Situation(fixed_cache=True), "'alibi' .*fixed size"),
    ("roformer", CAUSAL | {"attention_window": 3}, Situation(fixed_cache=True), "attention_window=3 .*fixed size"),
    ("roformer", {"attention_window": 3}, Situation(whole_mask=True), "attention_window=3 .*4 dimensions"),
]


@pytest.mark.parametrize(("family", "fields", "situation", "message"), BROKEN)
def test_what_does_not_go_together(
    family: str, fields: dict[str, Any], situation: Situation | None, message: str
) -> None:
    if situation is None:
        with pytest.raises(StrictDataclassError, match=message):
            config_of(family, fields)
        return
    config = config_of(family, fields)
    check_combinations(config)
    with pytest.raises(ValueError, match=message):
        check_combinations(config, situation)


def test_every_row_of_the_table_is_broken_above() -> None:
    """And the docs have the table."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "length.md").read_text(encoding="utf-8")
    assert f"<!-- hf_ext.modules.extrapolation_rules -->\n{rules_table()}<!-- end -->" in text
    broken = set()
    for family, fields, situation, _ in BROKEN:
        config = config_of(family, {})
        for name, value in fields.items():
            setattr(config, name, value)
        config.rope_parameters = fields.get("rope_parameters", config.rope_parameters)
        now = situation or Situation()
        broken |= {
            (method.name, other.name)
            for method, other, _ in RULES
            if method.seen(config, now) and other.seen(config, now)
        }
    assert {(method.name, other.name) for method, other, _ in RULES} - broken == set()


def test_back_end_that_is_chosen() -> None:
    """Without being told, one that can; told one that cannot, an error as soon as the model is made."""
    for family, fields, chosen in (
        ("roformer", {}, "sdpa"),
        ("roformer", rope("rerope", window=3), "eager"),
        ("roformer", {"attention_window": 3}, "sdpa"),
        ("gau_alpha", {}, "gated_attention"),
        ("gau_alpha", {"attention_window": 3}, "sdpa"),
        ("gau_alpha", rope("rerope", window=3), "eager"),
    ):
        config = config_of(family, fields)
        assert AutoModel.from_config(config).config._attn_implementation == chosen
    config = config_of("roformer", rope("rerope", window=3))
    with pytest.raises(ValueError, match="'rerope' does not go with attn_implementation='sdpa'"):
        AutoModel.from_config(config, attn_implementation="sdpa")
    model = AutoModel.from_config(config_of("roformer", rope("rerope", window=3)))
    with pytest.raises(ValueError, match="'rerope' does not go with attn_implementation='sdpa'"):
        model.set_attn_implementation("sdpa")


def test_cache_of_fixed_size() -> None:
    model = model_of("roformer", CAUSAL | {"attention_window": 3}, "sdpa", hf_ext.RoFormerForCausalLM)
    cache = StaticCache(model.config, max_cache_len=16)
    with pytest.raises(ValueError, match="attention_window=3 does not go with a cache of fixed size"):
        model(tokens([5])["input_ids"], cache=cache)
    # A factor alone does.
    fields = CAUSAL | {"log_n": "always", "is_decoder": True}
    model = model_of("roformer", fields, "sdpa", hf_ext.RoFormerForCausalLM)
    ids = tokens([5])["input_ids"]
    options: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    fixed = model.generate(ids, cache_implementation="static", disable_compile=True, **options)
    assert torch.equal(fixed, model.generate(ids, **options))


def test_opened_with_settings(tmp_path: Path) -> None:
    """A folder of a plain model, told as it is opened how to read."""
    plain = model_of("roformer", {}, "sdpa", hf_ext.RoFormerForMaskedLM)
    plain.save_pretrained(tmp_path)
    fields = rope("rerope", window=3) | {"log_n": "after_training"}
    model = hf_ext.RoFormerForMaskedLM.from_pretrained(tmp_path, dtype=torch.float64, **fields)
    assert model.config._attn_implementation == "eager"
    batch = tokens(LENGTHS)
    wanted = torch.cat([naive(model.roformer, *text) for text in texts(batch)])
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(run(model.roformer, batch)[real], wanted, **CLOSE)


def test_folder(tmp_path: Path) -> None:
    """Kept in a folder that Transformers' own RoFormer does not open for its own."""
    fields = CAUSAL | {"position_bias": "kerple_power", "is_decoder": True}
    model = model_of("roformer", fields, "eager", hf_ext.RoFormerForCausalLM)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    assert AutoConfig.from_pretrained(tmp_path).position_bias == "kerple_power"
    assert '"model_type": "roformer_v2"' in (tmp_path / "config.json").read_text(encoding="utf-8")
    ids = tokens([6])["input_ids"]
    torch.testing.assert_close(again(ids).logits, model(ids).logits)
    fresh = hf_ext.RoFormerModel(config_of("roformer", fields))
    slopes = torch.nn.functional.softplus(fresh.encoder.layer[0].attention.self.distance_bias.scale)
    torch.testing.assert_close(slopes, torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8]))
