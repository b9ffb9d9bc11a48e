"""Enlargement against numbers of an independent reference: weights, outputs, and what goes wrong by other ways."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext import (
    GAUAlphaConfig,
    GAUAlphaForMaskedLM,
    RoFormerConfig,
    RoFormerForMaskedLM,
    UniLMBertConfig,
    UniLMBertForMaskedLM,
)
from hf_ext.enlargement import make_enlargement

SIZES: dict[str, Any] = {
    "vocab_size": 13,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "pad_token_id": None,
}
LAYER = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "o",
    "intermediate.dense": "up",
    "output.dense": "down",
    "attention.output.LayerNorm": "norm1",
    "output.LayerNorm": "norm2",
    "gau.i_dense": "i",
    "gau.o_dense": "o",
    "gau.q_scaleoffset": "q_scale",
    "gau.k_scaleoffset": "k_scale",
}
OTHER = {
    "embeddings.word_embeddings.weight": "token",
    "embeddings.token_type_embeddings.weight": "segment",
    "embeddings.position_embeddings.weight": "position",
    "embeddings.LayerNorm.weight": "embed_gamma",
    "embeddings.LayerNorm.bias": "embed_beta",
    "predictions.transform.dense.weight": "mlm",
    "predictions.transform.dense.bias": "mlm_bias",
    "predictions.transform.LayerNorm.weight": "mlm_gamma",
    "predictions.transform.LayerNorm.bias": "mlm_beta",
    "predictions.bias": "mlm_out_bias",
    "predictions.decoder.bias": "mlm_out_bias",
}
MODELS = {
    # Whose head has an epsilon of its own, as that of the reference.
    "bert": (
        UniLMBertForMaskedLM,
        UniLMBertConfig(
            **SIZES,
            max_position_embeddings=6,
            attention_mode="bidirectional",
            pooler_activation=None,
            hidden_act="gelu",
        ),
    ),
    "roformer": (RoFormerForMaskedLM, RoFormerConfig(**SIZES, layer_norm_eps=1e-12, mlm_layer_norm_eps=1e-12)),
    "roformer_v2": (
        RoFormerForMaskedLM,
        RoFormerConfig(**SIZES, norm_type="rms_norm", use_bias=False, hidden_act="relu"),
    ),
    "gau": (
        GAUAlphaForMaskedLM,
        GAUAlphaConfig(**SIZES | {"num_attention_heads": 1}, attention_key_size=4),
    ),
}
# Reference, small model, and how it grows.
CASES = (
    ("bert_repeat", "bert", {"grow": "head_size"}),
    ("bert_orthogonal", "bert", {"grow": "head_size", "convention": "orthogonal"}),
    ("bert_more_heads", "bert", {}),
    ("roformer_more_heads", "roformer", {}),
    ("roformer_v2_more_heads", "roformer_v2", {}),
    ("gau_enlarged", "gau", {}),
)


def arrays(golden: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in np.load(golden / "enlarge" / "io.npz").items()}


def key_of(name: str) -> tuple[str, bool]:
    """The reference's name of a parameter, and whether its matrices are the other way round."""
    for ending, key in OTHER.items():
        if name.endswith(ending):
            return key, key == "mlm"
    _, _, rest = name.partition("encoder.layer.")
    layer, _, rest = rest.partition(".")
    module, _, kind = rest.rpartition(".")
    key = LAYER[module]
    if key.startswith("norm"):
        return f"layer{layer}.{key}_{'gamma' if kind == 'weight' else 'beta'}", False
    return f"layer{layer}.{key}" + ("_bias" if kind == "bias" else ""), kind == "weight" and "scale" not in key


def small(name: str, found: dict[str, Tensor]) -> Any:
    model_class, config = MODELS[name]
    model = model_class(config).to(torch.float64).eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            key, turned = key_of(parameter_name)
            value = found[f"{name}/{key}"]
            parameter.copy_(value.T if turned else value)
    return model


def run(model: Any, found: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    inputs = {"input_ids": found["ids"], "token_type_ids": found["segments"], "attention_mask": found["mask"]}
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    real = found["mask"].bool()
    return out.hidden_states[-1][real], out.logits[real]


@pytest.mark.parametrize(("reference", "name", "how"), CASES, ids=[case[0] for case in CASES])
def test_weights_and_outputs_are_those_of_the_reference(reference, name, how, golden):
    found = arrays(golden)
    model = small(name, found)
    made = make_enlargement(model, 2, **how)
    real = found["mask"].bool()
    hidden, logits = run(made.model, found)
    scale = 2**-0.5 if how.get("convention") == "orthogonal" else 1.0
    expected = found[f"{name}_hidden"][real].repeat_interleave(2, dim=-1) * scale
    torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(logits, found[f"{name}_logits"][real], rtol=0, atol=1e-11)
    assert made.untied == (name in ("roformer_v2", "gau"))

    compared = 0
    for parameter_name, parameter in made.model.named_parameters():
        if parameter_name.endswith("decoder.weight"):
            # Of its own: divided, so that the logits stay.
            torch.testing.assert_close(parameter, found[f"{reference}/token"] / 2, rtol=0, atol=1e-15)
            continue
        key, turned = key_of(parameter_name)
        value = found[f"{reference}/{key}"]
        torch.testing.assert_close(parameter.detach(), value.T if turned else value, rtol=0, atol=1e-14)
        compared += 1
    assert compared == sum(key.startswith(f"{reference}/") for key in found)


def test_by_how_much_wrong_ways_are_off(golden):
    found = arrays(golden)
    real = found["mask"].bool()
    model = small("bert", found)
    expected = found["bert_hidden"][real].repeat_interleave(2, dim=-1)

    # The article's table has 1/2 for the second bias of the feed-forward layer, and 1/sqrt(2) is right.
    large = make_enlargement(model, 2, convention="orthogonal").model
    with torch.no_grad():
        for layer in large.bert.encoder.layer:
            layer.output.dense.bias.mul_(2**-0.5)
    hidden, _ = run(large, found)
    assert 0.05 < (hidden - expected * 2**-0.5).abs().max() < 0.2

    # Its text divides the norm of the head once more, which shrinks logits and nothing else.
    large = make_enlargement(model, 2, convention="orthogonal").model
    with torch.no_grad():
        for parameter in large.cls.predictions.transform.LayerNorm.parameters():
            parameter.mul_(2**-0.5)
    bias = found["bert/mlm_out_bias"]
    _, logits = run(large, found)
    wanted = (found["bert_logits"][real] - bias) * 2**-0.5 + bias
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-11)

    # Epsilon has to shrink with the numbers.
    model.config.layer_norm_eps = 1e-3
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-3
    small_hidden, _ = run(model, found)
    wanted = small_hidden.repeat_interleave(2, dim=-1) * 2**-0.5
    model.cls.predictions.transform.LayerNorm.eps = 1e-12
    large = make_enlargement(model, 2, convention="orthogonal").model
    torch.testing.assert_close(run(large, found)[0], wanted, rtol=0, atol=1e-12)
    for module in large.bert.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-3
    assert (run(large, found)[0] - wanted).abs().max() > 1e-3


def test_larger_rotated_heads_are_off(golden):
    found = arrays(golden)
    model = small("roformer", found)
    with pytest.raises(ValueError, match=r"grow='head_size' would change outputs.*frequencies"):
        make_enlargement(model, 2, "head_size")
    made = make_enlargement(model, 2, "head_size", exact=False)
    # The reference's, on texts of its own, is 0.96 off.
    assert 0.1 < made.largest < 10
    assert made.reasons
