"""Which tokens can win: against exhaustive linear programs, each answer with what shows it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from hf_ext.analysis import BoxMargin, UnargmaxableTokens, box_margin, unargmaxable_tokens
from hf_ext.analysis.nearest_hull_point import nearest_hull_points

GOLDEN = Path(__file__).resolve().parents[1] / "golden/unargmaxable"
IO = {name: torch.from_numpy(value) for name, value in np.load(GOLDEN / "io.npz").items()}
META = json.loads((GOLDEN / "meta.json").read_text(encoding="utf-8"))
BIASES = {"without": None, "with": IO["bias"]}


def never_wins(weight, bias, token):
    """Whether a mean of the others is a row, with as great a bias: one program over all of them."""
    others = np.delete(np.arange(len(weight)), token)
    equal = np.vstack((weight.numpy()[others].T, np.ones(len(others))))
    wanted = np.append(weight[token].numpy(), 1)
    biases = torch.zeros(len(weight)) if bias is None else bias
    biases = biases.numpy()
    found = linprog(np.zeros(len(others)), -biases[None, others], [-biases[token]], equal, wanted)
    return found.status == 0


def check(found, weight, bias=None, box=100.0):
    """Certificates win strictly, within the box; proofs are means of others."""
    weight, bias = weight.double(), torch.zeros(len(weight)).double() if bias is None else bias.double()
    assert len(found.tokens) == len(found.kinds)
    for token, kind in zip(found.tokens, found.kinds):
        if kind in ("wins", "outside"):
            place = found.certificate(token)
            scores = weight @ place + bias
            best = scores[torch.arange(len(weight)) != token].max() if len(weight) > 1 else -torch.inf
            assert scores[token] > best
            if box is not None:
                assert (place.abs().max() <= box * (1 + 1e-12)) == (kind == "wins")
        else:
            rows, weights = found.proof(token)
            assert kind in ("never", "duplicate")
            assert token not in rows.tolist()
            assert len(rows) <= weight.shape[1] + 2
            assert bool((weights > 0).all())
            torch.testing.assert_close(weights.sum(), torch.tensor(1.0).double())
            torch.testing.assert_close(weights @ weight[rows], weight[token], rtol=0, atol=1e-9)
            assert weights @ bias[rows] >= bias[token] - 1e-9


@pytest.mark.parametrize("which", BIASES)
def test_equal_to_the_exhaustive_programs(which):
    found = unargmaxable_tokens(IO["weight"], BIASES[which])
    assert isinstance(found, UnargmaxableTokens)
    truth = IO[f"unargmaxable_{which}_bias"]
    assert found.unargmaxable == truth.nonzero().flatten().tolist()
    assert found.of_kind("outside") == ((IO[f"margin_{which}_bias"] <= 1e-9) & ~truth).nonzero().flatten().tolist()
    check(found, IO["weight"], BIASES[which])


@pytest.mark.parametrize("which", BIASES)
def test_margins_are_those_of_the_whole_program(which):
    found = [box_margin(IO["weight"], BIASES[which], token) for token in range(40)]
    assert all(isinstance(one, BoxMargin) for one in found)
    margins = [one.margin for one in found]
    np.testing.assert_allclose(margins, IO[f"margin_{which}_bias"].numpy(), rtol=0, atol=1e-6)
    decided = [box_margin(IO["weight"], BIASES[which], token, decide=True).margin for token in range(40)]
    assert [margin > 1e-9 for margin in decided] == [margin > 1e-9 for margin in margins]


def test_examples_of_the_article():
    found = unargmaxable_tokens(IO["article_weight"])
    assert found.unargmaxable == IO["article_unargmaxable"].nonzero().flatten().tolist()
    check(found, IO["article_weight"])
    # Rows of one length all win, and so do any with a bias of half their square less.
    assert unargmaxable_tokens(IO["equal_norm_weight"]).unargmaxable == []
    weight = IO["weight"].unique(dim=0)
    bias = -weight.square().sum(-1) / 2
    found = unargmaxable_tokens(weight, bias)
    assert set(found.kinds) == {"wins"}
    check(found, weight, bias)


@pytest.mark.parametrize(
    ("words", "size", "biased"), [(80, 4, True), (80, 4, False), (50, 9, True), (30, 1, True), (30, 1, False)]
)
def test_equal_to_programs_of_random_heads(words, size, biased):
    generator = torch.Generator().manual_seed(words + size)
    weight = torch.randn(words, size, generator=generator, dtype=torch.float64)
    bias = torch.randn(words, generator=generator, dtype=torch.float64) if biased else None
    found = unargmaxable_tokens(weight, bias, box=None)
    assert found.unargmaxable == [token for token in range(words) if never_wins(weight, bias, token)]
    check(found, weight, bias, box=None)


@pytest.mark.parametrize("biased", [True, False])
def test_a_row_deep_inside(biased):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(600, 40, generator=generator)
    bias = torch.randn(600, generator=generator) * 0.1 if biased else None
    weight[5] = weight[100:400].mean(0)
    if bias is not None:
        bias[5] = -1
    found = unargmaxable_tokens(weight, bias)
    assert 5 in found.unargmaxable
    check(found, weight, bias)


def test_what_wins_far_out_is_outside_of_a_small_box():
    weight, bias = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.0]]), torch.tensor([-5.0, 0.0, 0.0])
    # The first overtakes the third at 50.
    assert unargmaxable_tokens(weight, bias).kinds == ("wins", "wins", "wins")
    found = unargmaxable_tokens(weight, bias, box=40.0)
    assert found.kinds == ("outside", "wins", "wins")
    check(found, weight, bias, 40.0)
    assert unargmaxable_tokens(weight, bias, box=None).kinds == ("wins", "wins", "wins")
    # Without biases a box of any size has all there is.
    found = unargmaxable_tokens(weight, box=0.1)
    assert found.kinds == ("wins", "wins", "wins")
    check(found, weight, box=0.1)


def test_equal_rows_never_win_alone():
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(60, 16, generator=generator)
    weight[[10, 20, 30]] = weight[0].clone()
    weight[40:44] = 0
    weight[43] = -0.0
    found = unargmaxable_tokens(weight)
    assert found.of_kind("duplicate") == [0, 10, 20, 30, 40, 41, 42, 43]
    check(found, weight)
    bias = torch.zeros(60)
    bias[20] = 1
    found = unargmaxable_tokens(weight, bias)
    assert [found.kinds[token] for token in (0, 10, 20, 30)] == ["duplicate", "duplicate", "wins", "duplicate"]
    assert found.proof(0)[0].tolist() == [20]
    check(found, weight, bias)


def test_a_bias_of_one_value_is_none():
    weight, even = IO["weight"], torch.full((40,), 3.0)
    assert unargmaxable_tokens(weight, even).kinds == unargmaxable_tokens(weight).kinds


def test_some_tokens_and_half_precision():
    weight = IO["weight"].bfloat16()
    told = []
    found = unargmaxable_tokens(weight, IO["bias"].bfloat16(), candidates=[7, 3, 3], report=told.append)
    assert found.tokens == (7, 3, 3)
    whole = unargmaxable_tokens(weight, IO["bias"].bfloat16())
    assert found.kinds == tuple(whole.kinds[token] for token in (7, 3, 3))
    assert sum(told) == 3
    assert unargmaxable_tokens(weight, candidates=[]).kinds == ()


def test_one_token_wins_always():
    for bias in (None, torch.ones(1)):
        found = unargmaxable_tokens(torch.zeros(1, 3), bias)
        assert found.kinds == ("wins",)
        check(found, torch.zeros(1, 3), bias)


def test_the_search_for_the_nearest_point_alone():
    """Each token by its hull, those too that win where they are strong."""
    for which, bias in BIASES.items():
        doubles = set(unargmaxable_tokens(IO["weight"], bias).of_kind("duplicate"))
        tokens = [token for token in range(40) if token not in doubles]
        found = dict(nearest_hull_points(IO["weight"], bias, tokens))
        assert found.keys() == set(tokens)
        assert all(one.is_decided for one in found.values())
        truth = IO[f"unargmaxable_{which}_bias"]
        assert {token: one.direction is None for token, one in found.items()} == {t: bool(truth[t]) for t in tokens}
        rows = IO["weight"] if bias is None else torch.cat((IO["weight"], bias[:, None]), dim=1)
        for token, one in found.items():
            if one.direction is not None:
                products = (rows - rows[token]) @ torch.from_numpy(one.direction)
                assert bool((products[torch.arange(40) != token] > 0).all())
                assert bias is None or one.direction[-1] <= 1e-12


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"weight": torch.zeros(3)}, r"weight must have shape \[V, H\], got \[3\]"),
        ({"weight": torch.zeros(0, 3)}, r"weight must have shape \[V, H\], got \[0, 3\]"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(3)}, r"bias must have shape \[2\], got \[3\]"),
        ({"weight": torch.full((2, 3), torch.nan)}, "weight must be finite"),
        ({"weight": torch.zeros(2, 3), "bias": torch.tensor([0, -torch.inf])}, "bias must be finite"),
        ({"weight": torch.zeros(2, 3), "box": 0.0}, "box must be positive or None, got 0.0"),
        ({"weight": torch.zeros(2, 3), "candidates": [2]}, r"candidates must be in \[0, 2\), got 2"),
    ],
)
def test_what_is_no_head_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        unargmaxable_tokens(**arguments)


@pytest.mark.parametrize(("arguments", "told"), [((40,), "token must be in"), ((0, 0.0), "box must be positive")])
def test_what_is_no_box_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        box_margin(IO["weight"], None, *arguments)
