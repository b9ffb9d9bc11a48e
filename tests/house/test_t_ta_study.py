"""What the study of T-TA measures by: its masks, passes, replaced characters and area, by hand and by brute force."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hf_ext.data.char_vocabulary import SPECIAL_TOKENS
from studies import t_ta
from studies.sources import Sources

CLS, SEP, MASK = (SPECIAL_TOKENS.index(token) for token in ("[CLS]", "[SEP]", "[MASK]"))
# A separator in a row and an unknown character are not asked for.
ROWS = torch.tensor([[CLS, 7, 8, SEP, 9, SEP], [CLS, 1, 12, 11, 9, SEP]])
CHARACTERS = ROWS >= t_ta.FIRST


def model_of(side):
    torch.manual_seed(1)
    return t_ta.new_model(side, 20, 8).eval()


def test_models_are_of_equal_size():
    sizes = {side: t_ta.new_model(side, 50, 16).num_parameters() for side in (t_ta.T_TA, t_ta.MASKED, t_ta.SEEN)}
    # The vector of the only token type.
    assert sizes[t_ta.MASKED] - sizes[t_ta.T_TA] == 128
    assert sizes[t_ta.SEEN] == sizes[t_ta.T_TA]


@torch.no_grad()
def test_t_ta_scores_as_its_own_method_does():
    model = model_of(t_ta.T_TA)
    found, right = t_ta.score(model, ROWS, masked=False)
    torch.testing.assert_close(found, model.token_log_probs(ROWS)[CHARACTERS])
    assert torch.equal(right, (model(ROWS).logits.argmax(-1) == ROWS)[CHARACTERS])


@torch.no_grad()
def test_a_masked_model_is_asked_for_a_character_at_a_time(monkeypatch):
    monkeypatch.setattr(t_ta, "_PASS", 3)
    model = model_of(t_ta.MASKED)
    found, right = t_ta.score(model, ROWS, masked=True)
    wanted = []
    for row, place in CHARACTERS.nonzero().tolist():
        inputs = ROWS[row : row + 1].clone()
        inputs[0, place] = MASK
        wanted.append(model(inputs).logits[0, place].log_softmax(-1))
    own = ROWS[CHARACTERS]
    torch.testing.assert_close(found, torch.stack(wanted)[torch.arange(len(own)), own])
    assert torch.equal(right, torch.stack(wanted).argmax(-1) == own)
    # What was masked for one character is there again for the next, and after all.
    assert MASK not in ROWS


def test_masks_are_of_characters_in_the_shares_of_bert():
    torch.manual_seed(0)
    ids = torch.randint(t_ta.FIRST, 1000, (200, 102))
    ids[:, 0], ids[:, -1] = CLS, SEP
    inputs, chosen = t_ta.mask(ids, 1000)
    assert not chosen[:, [0, -1]].any()
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert float(chosen[:, 1:-1].double().mean()) == pytest.approx(0.15, abs=0.01)
    shares = (inputs[chosen] == MASK), (inputs[chosen] == ids[chosen])
    assert [float(share.double().mean()) for share in shares] == pytest.approx([0.8, 0.1], abs=0.03)
    assert int(inputs[chosen & (inputs != MASK)].min()) >= t_ta.FIRST


def test_one_character_of_a_row_is_replaced_by_another():
    spoiled, replaced = t_ta.spoil(ROWS)
    changed = spoiled != ROWS
    assert changed.sum(1).tolist() == [1, 1]
    assert torch.equal(changed[CHARACTERS], replaced)
    assert set(spoiled[changed].tolist()) <= set(ROWS[CHARACTERS].tolist())
    assert all(torch.equal(*pair) for pair in zip(t_ta.spoil(ROWS), (spoiled, replaced)))


@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_area_is_the_share_of_pairs_in_order(levels):
    drawn = torch.Generator().manual_seed(levels)
    wrong, right = (torch.randint(levels, (count,), generator=drawn).float() for count in (7, 30))
    pairs = [0.5 + 0.5 * ((one < other) - float(one > other)) for one in wrong.tolist() for other in right.tolist()]
    assert t_ta.area(wrong, right) == pytest.approx(sum(pairs) / len(pairs))


def test_rows_are_of_one_length_and_parts_apart(tmp_path):
    parts, vocab_size = t_ta.read_rows(Sources(tmp_path))
    assert len(parts["dev"]) == len(parts["test"]) > 5
    assert len(parts["train"]) >= 8 * len(parts["dev"])
    for rows in parts.values():
        assert rows.shape[1] == 32
        assert rows.max() < vocab_size
        assert {*rows[:, 0].tolist()} == {CLS}
        assert {*rows[:, -1].tolist()} == {SEP}
        # Every character is in the vocabulary of what is generated.
        assert 1 not in rows


@pytest.mark.slow
def test_only_t_ta_that_sees_itself_learns_to_copy():
    """The detector of leaks, on noise, of which nothing else can be learnt."""
    rows = torch.randint(t_ta.FIRST, 60, (500, 16), generator=torch.Generator().manual_seed(0))
    accuracy = {}
    for side in (t_ta.T_TA, t_ta.SEEN):
        torch.manual_seed(0)
        accuracy[side], _ = t_ta.fit(t_ta.new_model(side, 60, 16), False, rows, 100, 3e-3, 0)
    assert accuracy[t_ta.SEEN] > 0.9 > 0.1 > accuracy[t_ta.T_TA]
