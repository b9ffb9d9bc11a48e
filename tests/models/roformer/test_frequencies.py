"""Rotary frequencies that are learnt."""

from pathlib import Path

import pytest
import torch
from roformer_tiny import tiny, tokens

from hf_ext.models.roformer import RoFormerConfig, RoFormerForMaskedLM, RoFormerModel
from hf_ext.modules.trainable_frequencies import TrainableFrequencies
from hf_ext.ops.rotary import rotary_cos_sin, rotary_frequencies

LENGTHS = [9, 4, 1, 6]


def test_they_begin_as_those_that_are_not_learnt() -> None:
    batch, made = tokens(LENGTHS), tiny(RoFormerModel).config.to_dict()
    for theta in (10000.0, 50.0):
        fields = made | {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}
        plain = RoFormerModel(RoFormerConfig(**fields))
        learnt = RoFormerModel(RoFormerConfig(**fields | {"trainable_frequencies": True}))
        learnt.load_state_dict(plain.state_dict(), strict=False)
        torch.testing.assert_close(
            learnt.rotary.log_frequencies.exp().double(), rotary_frequencies(8, theta), atol=0, rtol=1e-6
        )
        with torch.no_grad():
            found, wanted = (model.eval()(**batch).last_hidden_state for model in (learnt, plain))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_gradient_is_that_of_finite_differences() -> None:
    layer = TrainableFrequencies(6).double()
    layer.init_weights()
    positions = torch.tensor([[0, 3, 700]])

    def rotations(logs: torch.Tensor) -> torch.Tensor:
        return torch.stack(torch.func.functional_call(layer, {"log_frequencies": logs}, (positions, torch.float64)))

    assert torch.autograd.gradcheck(rotations, layer.log_frequencies)
    wanted = torch.stack(rotary_cos_sin(positions, 6))
    torch.testing.assert_close(rotations(layer.log_frequencies), wanted, atol=1e-12, rtol=0)


def test_training_moves_them() -> None:
    model = tiny(RoFormerForMaskedLM, trainable_frequencies=True)
    batch = tokens(LENGTHS)
    before = model.roformer.rotary.log_frequencies.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(**batch, labels=batch["input_ids"]).loss.backward()
    optimizer.step()
    assert (model.roformer.rotary.log_frequencies != before).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_they_keep_their_digits_in_half_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny(RoFormerForMaskedLM, dtype=torch.float32, trainable_frequencies=True)
    model.save_pretrained(tmp_path)
    wanted = model.roformer.rotary.log_frequencies.detach().clone()
    loaded = RoFormerForMaskedLM.from_pretrained(tmp_path, dtype=dtype)
    for one in (loaded, model.to(dtype)):
        assert one.dtype == dtype
        assert torch.equal(one.roformer.rotary.log_frequencies, wanted)
        assert one(**tokens(LENGTHS)).logits.dtype == dtype
    assert model.double().roformer.rotary.log_frequencies.dtype == torch.float64


def test_folder_says_what_it_is(tmp_path: Path) -> None:
    """Transformers' RoFormer would leave the frequencies out."""
    config = tiny(RoFormerModel, trainable_frequencies=True).config
    assert not config.stock_reads
    config.save_pretrained(tmp_path)
    assert RoFormerConfig.from_pretrained(tmp_path).trainable_frequencies


def test_stretched_frequencies_are_not_learnt() -> None:
    stretched = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
    with pytest.raises(Exception, match="rope_type='linear' does not go with trainable_frequencies=True"):
        RoFormerConfig(trainable_frequencies=True, rope_parameters=stretched)
    model = tiny(RoFormerModel, trainable_frequencies=True)
    model.config.rope_parameters = stretched
    with pytest.raises(ValueError, match="'linear' does not go with trainable_frequencies=True"):
        model(**tokens(LENGTHS))
