"""The experiment on linear attention: its matrices, what is measured of them, its texts and its controls."""

import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hf_ext import LinearRoFormerConfig, LinearRoFormerModel
from hf_ext.ops.linear_attention.naive import naive_linear_attention
from hf_ext.ops.window_attention import window_mask
from studies import judgements
from studies.attention_matrices import (
    MaterialisedAttention,
    materialise,
    matrices_of,
    mean_entropy,
    mean_rank,
    negative_share,
)
from studies.judgements import predictions
from studies.linear_attention import SIDES, build

ROWS, LENGTH, HIDDEN = 2, 11, 16


def tiny(kernel, causal, rotary, features=16):
    torch.manual_seed(0)
    config = LinearRoFormerConfig(
        vocab_size=20, hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        attention_kernel=kernel, feature_size=features, is_decoder=causal, use_rotary=rotary, use_cache=False,
    )  # fmt: skip
    return LinearRoFormerModel(config).double().eval()


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel", ["exp", "elu", "cosine", "favor"])
def test_matrix_is_that_of_the_definition(kernel, causal, rotary, window):
    """Query by query, with the keys that it sees as the only real ones."""
    model = tiny(kernel, causal, rotary)
    attention = model.encoder.layer[0].attention.self
    # Of weights of the initial size all features are alike.
    torch.nn.init.normal_(attention.query.weight)
    torch.nn.init.normal_(attention.key.weight)
    states = torch.randn(ROWS, LENGTH, HIDDEN, dtype=torch.float64)
    positions = model.position_tensors(torch.arange(LENGTH)[None])
    query, key, value = (
        layer(states).unflatten(-1, (2, -1)).transpose(1, 2)
        for layer in (attention.query, attention.key, attention.value)
    )
    omega = attention.random_features.omega if kernel == "favor" else None
    seen = window_mask(LENGTH, LENGTH, window or 2 * LENGTH, causal)
    wanted = torch.stack(
        [
            naive_linear_attention(
                query, key, value, kernel, causal, seen[place].expand(ROWS, -1), omega, positions or None
            )[:, :, place]
            for place in range(LENGTH)
        ],
        dim=1,
    ).flatten(-2)
    out, weights = MaterialisedAttention(attention, window)(states, positions=positions)
    torch.testing.assert_close(out, wanted)
    assert weights.shape == (ROWS, 2, LENGTH, LENGTH)
    assert not weights[..., ~seen].any()
    if kernel == "cosine" or not rotary:
        torch.testing.assert_close(weights.sum(-1), torch.ones(ROWS, 2, LENGTH, dtype=torch.float64))


def test_model_is_the_same_with_matrices():
    model, ids = tiny("exp", False, True), torch.randint(1, 20, (ROWS, LENGTH))
    with torch.no_grad():
        wanted = model(ids).last_hidden_state
        materialise(model)
        torch.testing.assert_close(model(ids).last_hidden_state, wanted)
    assert matrices_of(model, ids).shape == (2, ROWS, 2, LENGTH, LENGTH)


def test_rank_of_a_matrix_is_at_most_the_number_of_features():
    model, ids = tiny("exp", False, False, features=4), torch.randint(1, 20, (ROWS, LENGTH))
    materialise(model)
    assert mean_rank(matrices_of(model, ids), energy=1 - 1e-9) <= 4


def test_rank_counts_the_largest_singular_values():
    assert mean_rank(torch.eye(100)) == 99
    assert mean_rank(torch.ones(5, 5)) == 1
    assert mean_rank(torch.stack((torch.eye(4), torch.ones(4, 4)))) == 2.5
    # 3^2 of 10 are not 0.99 of it, but 0.9.
    assert mean_rank(torch.diag(torch.tensor([1.0, 3.0]))) == 2
    assert mean_rank(torch.diag(torch.tensor([1.0, 3.0])), energy=0.89) == 1


def test_entropy_is_1_of_equal_weights_and_0_of_one():
    assert mean_entropy(torch.ones(7, 7) / 7, causal=False) == pytest.approx(1)
    assert mean_entropy(torch.ones(7, 7).tril(), causal=True) == pytest.approx(1)
    assert mean_entropy(torch.eye(7), causal=False) == mean_entropy(torch.eye(7), causal=True) == 0
    two_of_eight = torch.tensor([0.5, -0.5, 0, 0, 0, 0, 0, 0]).expand(8, 8)
    assert mean_entropy(two_of_eight, causal=False) == pytest.approx(math.log(2) / math.log(8))
    assert negative_share(two_of_eight) == 0.5
    assert negative_share(torch.eye(3)) == 0


def test_parts_of_the_judgements_are_apart_and_rows_spell_them():
    parts = {part: judgements.texts_of(None, part) for part in ("train", "dev", "test")}
    assert sum(map(len, parts.values())) == len(judgements.judgements(None)) > 10
    assert all(parts.values())
    known = judgements.vocabulary(None)
    letters = {number: character for character, number in known.items()}
    rows = judgements.rows(None, "dev", 16)
    text = "".join(parts["dev"])
    assert rows.shape == (len(text) // 16, 16)
    spelled = "".join(letters.get(number, "") for number in rows.flatten().tolist())
    assert spelled == "".join(character for character in text[: rows.numel()] if character in known)
    assert int(judgements.rows(None, "train", 16).max()) == judgements.vocabulary_size(None) - 1


def test_all_models_are_asked_for_the_same_characters():
    ids = torch.randint(3, 30, (4, 128))
    asked = [
        predictions(build(SIDES[side], False, 30), ids, False, torch.Generator().manual_seed(0))
        for side in ("softmax", "exp")
    ]
    assert torch.equal(asked[0][1], asked[1][1])
    assert 0.3 < len(asked[0][1]) / ids.numel() < 0.5
    logits, wanted = predictions(build(SIDES["favor x4"], True, 30), ids, True, torch.Generator())
    assert logits.shape == (4 * 127, 30)
    assert torch.equal(wanted.view(4, -1), ids[:, 1:])


def test_masked_characters_cannot_be_seen():
    ids = torch.randint(3, 30, (4, 128))
    shown, chosen = judgements.masked(ids, 0.5, torch.Generator())
    assert set(shown[chosen].tolist()) == {judgements.MASK}
    assert torch.equal(shown[~chosen], ids[~chosen])


def test_control_has_no_order():
    model, ids = build(SIDES["equal weights"], False, 30).eval(), torch.randint(3, 30, (1, 128))
    other = torch.cat((ids[:, :1], ids[:, 1:].flip(1)), dim=1)
    with torch.no_grad():
        states = [model.base_model(one).last_hidden_state[:, 0] for one in (ids, other)]
    torch.testing.assert_close(*states)


@pytest.mark.parametrize("side", ["softmax, window", "exp, window"])
def test_windows_hide_what_is_far_away(side):
    """Beyond the reach of two layers, and no nearer."""
    model, ids = build(SIDES[side], False, 30).double().eval(), torch.randint(3, 30, (1, 128))
    reach = 2 * 16
    with torch.no_grad():
        first = model.base_model(ids).last_hidden_state[:, 0]
        for place, same in ((reach + 1, True), (reach, False)):
            changed = ids.clone()
            changed[:, place] = 3 + (ids[:, place] - 2) % 27
            found = model.base_model(changed).last_hidden_state[:, 0]
            assert torch.allclose(found, first, rtol=0, atol=1e-13) == same
