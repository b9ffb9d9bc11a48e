"""The attention body: every form of mask, packed or not, and dropped weights."""

import pytest
import torch
from roformer_tiny import packed, tiny, tokens

from hf_ext.models.roformer import RoFormerModel
from hf_ext.modules.attention import eager_attention_forward

LENGTHS = [9, 4, 1, 6]


def heads(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64) for _ in range(3))


def test_a_bool_mask_is_the_additive_one():
    query, key, value = heads()
    seen = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(1)) > 0.4
    seen[..., 0] = True
    additive = torch.zeros(seen.shape, dtype=query.dtype).masked_fill(~seen, torch.finfo(query.dtype).min)
    by_bool, by_sum = (
        eager_attention_forward(torch.nn.Module().eval(), query, key, value, mask, scaling=0.5)
        for mask in (seen, additive)
    )
    for one, other in zip(by_bool, by_sum):
        torch.testing.assert_close(one, other)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, seen, scale=0.5).transpose(1, 2)
    torch.testing.assert_close(by_bool[0], wanted)


@pytest.mark.parametrize("fields", [{}, {"attention_mode": "unilm"}], ids=["bidirectional", "unilm"])
@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_sdpa_drops_the_weights_that_eager_drops(fields, layout):
    batch = tokens(LENGTHS)
    batch = packed(batch) if layout == "packed" else batch
    outputs = []
    for back_end in ("eager", "sdpa"):
        model = tiny(RoFormerModel, back_end, attention_probs_dropout_prob=0.5, **fields).train()
        torch.manual_seed(1)
        outputs.append(model(**batch).last_hidden_state)
    torch.testing.assert_close(*outputs)
    assert not torch.allclose(outputs[1], model.eval()(**batch).last_hidden_state)


def test_a_causal_model_drops_weights_and_sees_no_future():
    model = tiny(RoFormerModel, attention_mode="causal", attention_probs_dropout_prob=0.5).train()
    ids = tokens([7])["input_ids"]
    changed = ids.clone()
    changed[0, 5] = ids[0, 5] % 50 + 1
    outputs = []
    for row in (ids, changed):
        torch.manual_seed(1)
        outputs.append(model(row).last_hidden_state[0])
    torch.testing.assert_close(outputs[0][:5], outputs[1][:5])
    assert not torch.allclose(outputs[0][5:], outputs[1][5:])
