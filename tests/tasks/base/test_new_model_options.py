"""The options of how a model from scratch begins: none of one that is trained already."""

import pytest
import torch

import hf_ext
from hf_ext.tasks.classification import ClassificationJob


def job(**options):
    return ClassificationJob(train_file="a", validation_file="b", **({"config": "tiny"} | options))


def test_weights_and_residuals_of_a_new_model():
    made = job(initialization="deepnorm", residual_ramp=5)
    torch.manual_seed(0)
    config = hf_ext.RoFormerConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    model = hf_ext.RoFormerModel(config)
    made.begin(model)
    assert model.config.residual_scale == 2
    (ramp,) = made.method_callbacks()
    assert ramp.steps == 5
    assert not [*job().method_callbacks()]
    before = model.state_dict()["encoder.layer.0.output.dense.weight"].clone()
    job().begin(model)
    torch.testing.assert_close(model.state_dict()["encoder.layer.0.output.dense.weight"], before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"config": None, "model": "m", "initialization": "he"},
            "initialization must be left out with a model",
        ),
        ({"config": None, "model": "m", "residual_ramp": 3}, "residual_ramp must be left out with a model"),
        ({"initialization": "kaiming"}, "initialization must be one of bert, lecun"),
        ({"residual_ramp": 0}, "residual_ramp must be at least 1, got 0"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        job(**options)
