"""What passes through a model, against sums over tensors that its layers give by themselves."""

import csv
import math

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, T5Config, T5Model

import hf_ext  # noqa: F401
from hf_ext.analysis import Moments, SecondMomentProbe

BATCH = {
    "input_ids": torch.tensor([[4, 5, 6, 0], [7, 8, 9, 3], [2, 0, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]),
}
REAL = BATCH["attention_mask"] == 1


def tiny(kind="bert", attention="eager", **fields):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    config = AutoConfig.for_model(kind, vocab_size=20, **{**sizes, **fields})
    model = AutoModel.from_config(config, attn_implementation=attention).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


def found(probe, module, kind):
    (row,) = [row for row in probe.rows if (row.module, row.kind) == (module, kind)]
    return row


def check(row, numbers):
    numbers = numbers.detach().double()
    wanted = (numbers.square().mean(), numbers.mean(), numbers.abs().max())
    assert (row.mean_square, row.mean, row.max) == pytest.approx(tuple(map(float, wanted)), rel=1e-4, abs=1e-6)
    assert row.count == numbers.numel()


def hooks_of(model):
    return [(len(one._forward_hooks), len(one._forward_pre_hooks)) for one in model.modules()]


@pytest.mark.parametrize(
    ("kind", "attention"),
    [("bert", "eager"), ("bert", "sdpa"), ("roformer", "eager"), ("roformer", "sdpa"), ("nezha", "eager")],
)
def test_outputs_scores_and_weights_of_real_tokens(kind, attention):
    model = tiny(kind, attention)
    with torch.no_grad():
        plain = model(**BATCH, output_hidden_states=True)
    written = tiny(kind, "eager")
    weights = written(**BATCH, output_attentions=True).attentions[1].detach()
    before = hooks_of(model)
    with SecondMomentProbe(model) as probe:
        outputs = model(**BATCH)
    torch.testing.assert_close(outputs.last_hidden_state, plain.last_hidden_state)
    check(found(probe, "", "output"), plain.last_hidden_state[REAL])
    check(found(probe, "encoder.layer.0", "output"), plain.hidden_states[1][REAL])
    check(found(probe, "embeddings", "output"), plain.hidden_states[0][REAL])
    attended = "encoder.layer.1.attention.self"
    queries = REAL[:, None].expand(-1, 2, -1)
    check(found(probe, attended, "largest weight"), weights.amax(-1)[queries])
    # Of softmax the scores are known but for a number of each query.
    row = found(probe, attended, "scores")
    assert row.count == 2 * sum(int(n) ** 2 for n in REAL.sum(-1))
    assert math.isfinite(row.max)
    # Nothing is left behind.
    assert hooks_of(model) == before


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_scores_by_hand(attention):
    model = tiny("bert", attention)
    layer = model.encoder.layer[0].attention.self
    x = {}
    layer.register_forward_pre_hook(lambda m, args, kwargs: x.update(x=args[0]), with_kwargs=True)
    with SecondMomentProbe(model) as probe:
        model(**BATCH)
    query, key = (one(x["x"]).view(3, 4, 2, 4).transpose(1, 2) for one in (layer.query, layer.key))
    scores = query @ key.mT / 2
    seen = (REAL[:, None, :, None] & REAL[:, None, None, :]).expand_as(scores)
    check(found(probe, "encoder.layer.0.attention.self", "scores"), scores[seen])


def test_causal_scores_of_grouped_heads():
    sizes = {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 1}
    rows = []
    for attention in ("eager", "sdpa"):
        model = tiny("llama", attention, **sizes)
        with SecondMomentProbe(model, r".*self_attn") as probe:
            # Without a mask the fused function is told that it is causal.
            model(torch.tensor([[4, 5, 6, 7]]))
        rows.append(found(probe, "layers.0.self_attn", "scores"))
    assert rows[0].count == rows[1].count == 4 * 10
    assert (rows[0].mean_square, rows[0].mean) == pytest.approx((rows[1].mean_square, rows[1].mean), rel=1e-4)


@pytest.mark.parametrize("reentrant", [None, True, False])
def test_gradients_of_outputs(reentrant):
    """Also where checkpointing runs blocks again, which are counted once."""
    model = tiny("bert")
    noise = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0)) * REAL[..., None]
    kept = {}

    def keep(name):
        def hook(module, args, output):
            output.register_hook(lambda gradient: kept.update({name: gradient}))

        return hook

    names = ("encoder.layer.0", "encoder.layer.0.intermediate", "embeddings")
    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    model(**BATCH).last_hidden_state.backward(noise)
    for hook in hooks:
        hook.remove()
    if reentrant is not None:
        model.train()
        for dropout in (one for one in model.modules() if isinstance(one, nn.Dropout)):
            dropout.p = 0.0
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    with SecondMomentProbe(model) as probe:
        model(**BATCH).last_hidden_state.backward(noise)
    for name in names:
        check(found(probe, name, "gradient"), kept[name][REAL])
        assert found(probe, name, "output").count == kept[name][REAL].numel()


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_stack_of_linear_layers(scale):
    """Matrices that keep lengths, times a number: the mean square goes by its square, forwards and backwards."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(5)))
    for layer in model:
        nn.init.orthogonal_(layer.weight, gain=scale)
    x = torch.randn(32, 64)
    with SecondMomentProbe(model) as probe:
        for _ in range(2):
            y = model(x)
            y.backward(torch.ones_like(y))
    first = float(x.square().mean())
    for n in range(5):
        assert found(probe, f"{n}", "output").mean_square == pytest.approx(first * scale ** (2 * n + 2), rel=1e-4)
        assert found(probe, f"{n}", "gradient").mean_square == pytest.approx(scale ** (2 * (4 - n)), rel=1e-4)
        assert found(probe, f"{n}", "output").count == 2 * 32 * 64


def test_half_precision_is_summed_in_float32():
    model = nn.Sequential(nn.Identity())
    with SecondMomentProbe(model) as probe:
        model(torch.full((300, 300), 300.0, dtype=torch.float16))
    check(found(probe, "0", "output"), torch.full((300, 300), 300.0))
    assert isinstance(probe.rows[0], Moments)


def test_overflow_is_seen():
    model = nn.Sequential(nn.Identity())
    with SecondMomentProbe(model) as probe:
        for last in (torch.nan, 0.0):
            model(torch.tensor([1.0, last]))
    assert math.isnan(found(probe, "0", "output").max)


def test_no_graph_is_kept():
    layer = nn.Linear(2, 2)
    with SecondMomentProbe(layer) as probe:
        layer(torch.ones(1, 2)).sum().backward()
    assert not any(isinstance(value, torch.Tensor) for sums in probe._sums.values() for value in sums)
    before = len(probe.rows)
    layer(torch.ones(1, 2))
    assert len(probe.rows) == before


def test_an_encoder_and_a_decoder_have_their_own_tokens():
    torch.manual_seed(0)
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    model = T5Model(T5Config(vocab_size=20, **sizes)).eval()
    inputs = BATCH | {
        "decoder_input_ids": torch.tensor([[3, 4], [3, 0], [5, 6]]),
        "decoder_attention_mask": torch.tensor([[1, 1], [1, 0], [1, 1]]),
    }
    with SecondMomentProbe(model, r".*(SelfAttention|EncDecAttention)") as probe:
        model(**inputs)
    counts = {row.module: row.count for row in probe.rows if row.kind == "scores"}
    assert counts == {
        "encoder.block.0.layer.0.SelfAttention": 2 * (9 + 16 + 1),
        "decoder.block.0.layer.0.SelfAttention": 2 * (3 + 1 + 3),
        "decoder.block.0.layer.1.EncDecAttention": 2 * (2 * 3 + 1 * 4 + 2 * 1),
    }


def test_a_module_that_fails_leaves_the_probe_as_it_was():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3))
    with SecondMomentProbe(model) as probe:
        with pytest.raises(RuntimeError):
            model(torch.ones(1, 2))
        assert probe._stack == []
        model[0](torch.ones(1, 2))
    assert found(probe, "0", "output").count == 2


def test_what_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    model = tiny("roformer")
    with SecondMomentProbe(model, r"encoder\.layer\.\d+") as probe:
        model(**BATCH).last_hidden_state.sum().backward()
    probe.save_csv(tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["module"], row["kind"]) for row in rows] == [
        (f"encoder.layer.{n}", kind) for kind in ("output", "gradient") for n in range(2)
    ]
    assert float(rows[0]["mean_square"]) == probe.rows[0].mean_square
    assert probe.table().row_count == 4
    probe.plot(tmp_path / "rows.png")
    assert (tmp_path / "rows.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="pattern must match the name of a module, got 'x', which matches none"):
        SecondMomentProbe(model, "x")
