"""Every family, with its heads, computes the same when it is larger."""

import copy
from typing import Any

import pytest
import torch
from models_tiny import SIZES, all_cases, make
from transformers import (
    BertConfig,
    BertForMultipleChoice,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForMultipleChoice,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

import hf_ext
from hf_ext import RoFormerConfig, RoFormerForCausalLM, RoFormerForMaskedLM, RoFormerModel
from hf_ext.enlargement import Enlargement, enlarge, make_enlargement
from hf_ext.enlargement.families import layout_class
from hf_ext.registration import FAMILIES

KNOWN = [
    pytest.param(case, id=f"{name}, {variant}, {case.auto.removeprefix('AutoModel') or 'base'}")
    for name, variant, case in all_cases()
    if name not in ("electra", "modernbert", "qwen3")
]
WAYS = [
    {"grow": "heads"},
    {"grow": "head_size"},
    {"grow": "feed_forward"},
    {"grow": "heads", "convention": "orthogonal"},
    {"grow": "head_size", "convention": "orthogonal"},
]


def ways_of(case: Any) -> list[dict[str, str]]:
    """The ways in which a model of these settings can grow without loss."""
    config = case.config()
    kind = config.model_type
    rotates = (
        (kind == "roformer" and not config.trainable_frequencies)
        or kind == "univae"
        or (kind == "rope_vit" and config.rope_kind != "mixed")
    )
    mixer = getattr(config, "mixer", "")
    one_head = kind in ("gau_alpha", "flash") or (kind == "token_mixer" and "synthesizer" not in mixer)

    def fits(way: dict[str, str]) -> bool:
        if way["grow"] == "head_size" and (rotates or one_head or kind == "nezha"):
            return False
        if way.get("convention") and (getattr(config, "norm_type", "") == "rms_norm" or mixer in ("gmlp", "amlp")):
            return False
        if way.get("convention") and case.auto == "AutoModelForHalfPointerRelations":
            return False
        return way["grow"] == "feed_forward" or mixer != "fnet"

    return [way for way in WAYS if fits(way)]


@pytest.mark.parametrize("case", KNOWN)
def test_outputs_are_the_same(case):
    model = case.make()
    ways = ways_of(case)
    for number, way in enumerate(WAYS):
        # Each by 2 and by 3, with noise and without, in some family.
        options = {**way, "noise": 0.3 * (number % 2)}
        if way not in ways:
            with pytest.raises(ValueError, match=r"^(grow|convention|model) ?(=|must)"):
                make_enlargement(model, 2, **options)
            continue
        made = make_enlargement(model, 2 + len(case.auto + way["grow"]) % 2, **options)
        assert made.largest < 1e-12 if case.family.ours else made.largest < 1e-11
        assert type(made.model) is type(model)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize(
    "case",
    [case for case in KNOWN if case.id.startswith(("roformer, v1, ForMasked", "gau_alpha, softmax plus, ForMasked"))],
)
def test_the_comparison_is_true(case, factor):
    """What says that outputs are the same, by a call of our own on other texts."""
    model = case.make()
    batch = case.batch([7, 3, 5], seed=4)
    real = batch["attention_mask"].bool()
    large = enlarge(model, factor, noise=0.5)
    before, after = (one(**batch, output_hidden_states=True) for one in (model, large))
    torch.testing.assert_close(after.logits[real], before.logits[real], rtol=0, atol=1e-11)
    hidden = before.hidden_states[-1][real].repeat_interleave(factor, dim=-1)
    torch.testing.assert_close(after.hidden_states[-1][real], hidden, rtol=0, atol=1e-11)
    assert large.config.hidden_size == 32 * factor
    with torch.no_grad():
        next(large.base_model.encoder.parameters()).mul_(1.1)
    assert not torch.allclose(large(**batch).logits[real], before.logits[real], atol=1e-3)


HEADS = (
    BertForPreTraining,
    BertForSequenceClassification,
    BertForMultipleChoice,
    BertForTokenClassification,
    BertForQuestionAnswering,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaForMultipleChoice,
    RobertaForTokenClassification,
    XLMRobertaForMaskedLM,
)


@pytest.mark.parametrize("model_class", HEADS)
@pytest.mark.parametrize("tied", [True, False])
def test_heads_of_transformers(model_class, tied):
    sizes = SIZES | {"layer_norm_eps": 1e-5}
    vocabulary = hasattr(model_class, "_tied_weights_keys") and model_class._tied_weights_keys
    if not tied and not vocabulary:
        return
    config_class: Any = {"B": BertConfig, "R": RobertaConfig, "X": XLMRobertaConfig}[model_class.__name__[0]]
    labels = 2 if model_class is BertForQuestionAnswering else 3
    model = make(model_class, config_class(**sizes, num_labels=labels, tie_word_embeddings=tied))
    for factor, grow in ((2, "heads"), (3, "head_size"), (2, "feed_forward")):
        made = make_enlargement(model, factor, grow, noise=0.2)
        assert made.largest < 1e-12
        assert not made.untied
    made = make_enlargement(model, 2, convention="orthogonal", exact=False)
    # The head over the vocabulary shares epsilon with the blocks, and its norm sees no smaller numbers.
    assert made.differences["hidden states"] < 1e-12
    assert (made.largest > 1e-9) == (model_class in (BertForPreTraining, RobertaForMaskedLM, XLMRobertaForMaskedLM))


BIASES = ("alibi", "kerple_power", "kerple_log", "sandwich")


@pytest.mark.parametrize("bias", BIASES)
def test_biases_of_the_distance(bias):
    model = make(RoFormerModel, RoFormerConfig(**SIZES, position_bias=bias, attention_mode="causal"), "eager")
    exact = {"alibi": ("head_size",), "sandwich": ("heads",)}.get(bias, ("heads", "head_size"))
    for grow in ("heads", "head_size"):
        made = make_enlargement(model, 2, grow, exact=grow in exact)
        assert (made.largest < 1e-12) == (grow in exact)


@pytest.mark.parametrize(
    "fields",
    [
        {"trainable_frequencies": True, "rotary_value": True},
        {"position_bias": "alibi", "key_norm": True, "attention_mode": "causal"},
    ],
)
def test_larger_heads_where_they_can_be(fields):
    model = make(RoFormerModel, RoFormerConfig(**SIZES, **fields), "eager")
    for convention in ("repeat", "orthogonal"):
        assert make_enlargement(model, 3, "head_size", convention, noise=0.1).largest < 1e-12


@pytest.mark.parametrize("convention", ["repeat", "orthogonal"])
def test_cross_attention(convention):
    config = RoFormerConfig(**SIZES, is_decoder=True, add_cross_attention=True)
    model = make(RoFormerForCausalLM, config)
    made = make_enlargement(model, 2, convention=convention)
    assert made.largest < 1e-12
    states = torch.randn(1, 3, 32, dtype=torch.float64)
    ids = torch.tensor([[5, 6, 7]])
    scale = 2**-0.5 if convention == "orthogonal" else 1.0
    before = model(ids, encoder_hidden_states=states).logits
    after = made.model(ids, encoder_hidden_states=states.repeat_interleave(2, dim=-1) * scale).logits
    torch.testing.assert_close(after, before, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_types_and_what_is_trained_are_kept(dtype):
    config = RoFormerConfig(**SIZES, pooler_activation="tanh", trainable_frequencies=True)
    model = make(RoFormerForMaskedLM, config, dtype=dtype)
    model.roformer.embeddings.requires_grad_(False)
    model.train()
    before = copy.deepcopy(model.state_dict())
    for factor, grow in ((2, "heads"), (3, "head_size")):
        made = make_enlargement(model, factor, grow)
        large = made.model
        assert made.largest < 1e-12
        # Halves are as exact in any type; thirds are rounded.
        limit = {torch.float32: 1e-5, torch.bfloat16: 3}[dtype]
        assert max(made.rounded.values()) <= (1e-12 if factor == 2 else limit)
        assert factor == 2 or max(made.rounded.values()) > 1e-9
        types = {name: value.dtype for name, value in model.state_dict().items()}
        assert {name: value.dtype for name, value in large.state_dict().items()} == types
        assert types["roformer.rotary.log_frequencies"] == torch.float32
        assert large.config.dtype == model.config.dtype
        assert large.training
        frozen = {name for name, parameter in large.named_parameters() if not parameter.requires_grad}
        assert frozen == {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        assert large.cls.predictions.decoder.weight is large.roformer.embeddings.word_embeddings.weight
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_saved_and_loaded(tmp_path):
    model = make(hf_ext.GAUAlphaForMaskedLM, hf_ext.GAUAlphaConfig(**SIZES | {"num_attention_heads": 1}))
    large = enlarge(model, 2)
    assert not large.config.tie_word_embeddings
    places = [{value.data_ptr() for value in one.state_dict().values()} for one in (model, large)]
    assert not places[0] & places[1]
    large.save_pretrained(tmp_path)
    loaded = hf_ext.GAUAlphaForMaskedLM.from_pretrained(tmp_path, dtype=torch.float64).eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=0, atol=1e-11)


def copies_agree(gradient: torch.Tensor, axis: int) -> bool:
    parts = gradient.unflatten(axis, (-1, 2)).unbind(axis + 1)
    return torch.allclose(*parts, rtol=0, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_copies_have_equal_gradients_unless_there_is_noise(noise):
    model = make(RoFormerForMaskedLM, RoFormerConfig(**SIZES))
    large = enlarge(model, 2, noise=noise)
    ids = torch.tensor([[3, 4, 5, 6, 7]])
    large(ids, labels=ids).loss.backward()
    layer = large.roformer.encoder.layer[0]
    gradients = {
        "tokens": (large.roformer.embeddings.word_embeddings.weight.grad, 1),
        "inner units": (layer.intermediate.dense.weight.grad, 0),
        "norm": (layer.output.LayerNorm.weight.grad, 0),
        "heads": (layer.attention.self.query.weight.grad.unflatten(0, (8, 8)), 0),
    }
    # Inputs are equal, and so are the gradients of what they are multiplied by.
    assert copies_agree(layer.intermediate.dense.weight.grad, 1)
    for name, (gradient, axis) in gradients.items():
        assert gradient.abs().max() > 0
        assert copies_agree(gradient, axis) == (noise == 0), name


def test_noise_is_of_kernels_alone_and_as_large_as_asked_for():
    model = make(RoFormerForMaskedLM, RoFormerConfig(**SIZES))
    plain, noisy, again = (dict(enlarge(model, 2, noise=noise).named_parameters()) for noise in (0, 0.2, 0.2))
    changed = {name for name in plain if not torch.equal(plain[name], noisy[name])}
    others = ("LayerNorm", "embeddings", "bias")
    kernels = {name for name in plain if not any(other in name for other in others)}
    assert changed == kernels
    for name in kernels:
        difference = (noisy[name] - plain[name]).detach()
        ratio = difference.square().mean().sqrt() / plain[name].square().mean().sqrt()
        assert 0.15 < ratio < 0.25, name
        torch.testing.assert_close(noisy[name], again[name], rtol=0, atol=0)
    other = dict(enlarge(model, 2, noise=0.2, seed=1).named_parameters())
    assert not any(torch.equal(other[name], noisy[name]) for name in kernels)


BAD = (
    ({"factor": 1}, r"factor must be a whole number of at least 2, got 1"),
    ({"factor": 2.0}, r"factor must be a whole number"),
    ({"factor": True}, r"factor must be a whole number"),
    ({"grow": "depth"}, r"grow must be one of heads, head_size, feed_forward, got 'depth'"),
    ({"convention": "x"}, r"convention must be one of repeat, orthogonal, got 'x'"),
    ({"grow": "feed_forward", "convention": "orthogonal"}, r'convention must be "repeat" with grow="feed_forward"'),
    ({"noise": -1.0}, r"noise must be at least 0 and finite, got -1.0"),
    ({"noise": float("nan")}, r"noise must be at least 0"),
)


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_arguments(options, message):
    model = make(RoFormerModel, RoFormerConfig(**SIZES))
    with pytest.raises(ValueError, match=message):
        enlarge(model, **{"factor": 2} | options)


@pytest.mark.parametrize("config", FAMILIES)
def test_every_family_has_a_layout(config):
    assert config.model_type in layout_class(config.model_type).model_types


def test_what_is_not_known_is_refused():
    model = make(RoFormerModel, RoFormerConfig(**SIZES))
    model.encoder.extra = torch.nn.Linear(32, 32).double()
    with pytest.raises(ValueError, match=r"parameters that there is a rule for, got encoder\.extra\.weight"):
        enlarge(model, 2)
    with pytest.raises(ValueError, match=r"model must be of one of .*roformer.*, got 'electra'"):
        layout_class("electra")
    with pytest.raises(ValueError, match=r"model must be a PreTrainedModel, got a Linear"):
        enlarge(torch.nn.Linear(2, 2), 2)  # type: ignore[arg-type]


def test_a_loss_is_told(caplog):
    model = make(hf_ext.NezhaModel, hf_ext.NezhaConfig(**SIZES), "eager")
    made = make_enlargement(model, 2, "head_size", exact=False)
    assert isinstance(made, Enlargement)
    assert made.largest > 1e-3
    assert made.reasons == ["keys and values get a table of sines that is as wide as a head"]
    assert f"hidden states by {made.largest:.2g}" in caplog.text
