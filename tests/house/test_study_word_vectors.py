"""Studies of what vectors of words can say: rows that never win, sizes that are enough; and where time bends."""

import math
import sys
from pathlib import Path

import pytest
import torch
from scipy.spatial import ConvexHull

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hf_ext.analysis import skip_gram_entropy, unargmaxable_tokens
from studies import judgements
from studies.embedding_size import SkipGram, enough_for, entropy, independent, pair_counts
from studies.layer_times import bend
from studies.sources import Sources
from studies.unargmaxable_rows import HEADS, neighbours


@pytest.mark.parametrize("size", [2, 3])
def test_rows_that_win_are_the_corners_of_their_hull(size, tmp_path):
    torch.manual_seed(0)
    weight, bias = HEADS["normal"](60, size, Sources(tmp_path))
    assert bias is None
    corners = ConvexHull(weight.double().numpy()).vertices
    assert unargmaxable_tokens(weight).unargmaxable == sorted(set(range(60)) - set(corners.tolist()))


@pytest.mark.parametrize(("head", "never"), [("one length", range(1)), ("half are means", range(20, 41))])
def test_controls_are_what_they_must_be(head, never, tmp_path):
    torch.manual_seed(0)
    assert len(unargmaxable_tokens(*HEADS[head](40, 4, Sources(tmp_path))).unargmaxable) in never


def test_neighbours_are_of_the_commonest(monkeypatch, tmp_path):
    monkeypatch.setattr(judgements, "rows", lambda *_: torch.tensor([[3, 4, 9, 1], [3, 3, 5, 4]]))
    first, second = neighbours(2, Sources(tmp_path))
    assert list(zip(first.tolist(), second.tolist())) == [(0, 1), (0, 0)]


def test_pairs_are_counted_in_their_order():
    text = torch.tensor([2, 3, 1, 3, 8, 2])
    wanted = torch.zeros(2, 2)
    for first in range(6):
        for second in range(first + 1, min(first + 6, 6)):
            if {int(text[first]), int(text[second])} <= {2, 3}:
                wanted[text[first] - 2, text[second] - 2] += 1
    assert torch.equal(pair_counts(text, 2), wanted.double())


def test_vectors_begin_at_the_logarithms_of_counts():
    counts = torch.randint(1, 100, (8, 8), generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        found = SkipGram(counts, 11)()
    torch.testing.assert_close(found.double(), ((counts + 0.5) / (counts + 0.5).sum()).log(), rtol=0, atol=1e-4)
    on_sphere = SkipGram(counts, 5, sphere=True)
    assert all(one.norm(dim=1).sub(math.sqrt(5)).abs().max() < 1e-5 for one in on_sphere.vectors())
    assert on_sphere().exp().sum().item() == pytest.approx(1, rel=1e-5)


def test_entropy_of_words_that_know_nothing_of_each_other():
    shares = independent(torch.full((4, 4), 7.0, dtype=torch.float64))
    assert entropy(shares) == pytest.approx(2 * math.log(4))
    assert skip_gram_entropy(enough_for(9.0, 1000), 1000) == pytest.approx(9.0, abs=0.01)


def test_costs_bend_where_both_parts_are_one():
    lengths = (128, 512, 4096)
    assert bend(lengths, [3.0 + 0.002 * length for length in lengths]) == pytest.approx(1500)
    assert bend(lengths, [3.0] * 3) == ""
    assert bend(lengths, [3.0 - 0.0001 * length for length in lengths]) == ""
