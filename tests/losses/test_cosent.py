"""CoSENT by sorting against the matrix of all pairs, in values and gradients."""

import pytest
import torch

from hf_ext.losses import (
    CoSENTPairLoss,
    SimCSELoss,
    cosent_loss,
    cosent_pair_loss,
    paraphrase_similarity_loss,
    simcse_loss,
)


def naive(scores, labels, scale):
    terms = scale * (scores[None, :] - scores[:, None])[labels[:, None] > labels[None, :]]
    return torch.cat((terms.new_zeros(1), terms)).logsumexp(0)


def pairs(count, levels, dtype=torch.float64):
    generator = torch.Generator().manual_seed(count)
    scores = torch.randn(count, generator=generator, dtype=torch.float64).tanh().to(dtype)
    labels = torch.randint(0, levels, (count,), generator=generator).double()
    return scores.requires_grad_(), labels


@pytest.mark.parametrize("count", [1, 2, 3, 17, 300])
@pytest.mark.parametrize("levels", [1, 2, 6, 1000])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_against_all_pairs(count, levels, scale):
    scores, labels = pairs(count, levels)
    values = [cosent_loss(scores, labels, scale), naive(scores, labels, scale)]
    gradients = [torch.autograd.grad(value, scores)[0] for value in values]
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_single_precision_is_as_good_as_the_matrix():
    scores, labels = pairs(2000, 50, torch.float32)
    value = cosent_loss(scores, labels)
    exact = scores.detach().double().requires_grad_()
    wanted = naive(exact, labels, 20.0)
    torch.testing.assert_close(value.double(), wanted, rtol=1e-6, atol=0)
    (gradient,), (true,) = torch.autograd.grad(value, scores), torch.autograd.grad(wanted, exact)
    torch.testing.assert_close(gradient.double(), true, rtol=0, atol=1e-5 * float(true.abs().max()))


def test_labels_of_any_kind_in_any_order():
    scores, labels = pairs(20, 3)
    wanted = cosent_loss(scores, labels)
    for same in (labels.long(), labels.int(), labels.half(), -1 / (labels + 1), labels[:, None]):
        torch.testing.assert_close(cosent_loss(scores, same), wanted)
    torch.testing.assert_close(cosent_loss(scores[:, None], labels), wanted)
    order = torch.randperm(20)
    torch.testing.assert_close(cosent_loss(scores[order], labels[order]), wanted)


def test_equal_labels_ask_for_nothing():
    scores = torch.randn(4, requires_grad=True)
    loss = cosent_loss(scores, torch.ones(4))
    loss.backward()
    assert loss == 0
    assert not scores.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-4, 1.0, 1e4])
def test_embeddings_in_half_precision(dtype, size):
    generator = torch.Generator().manual_seed(0)
    vectors = (size * torch.randn(8, 16, generator=generator).clamp(-2, 2)).to(dtype).requires_grad_()
    labels = torch.tensor([0.0, 1.0, 2.0, 1.0])
    loss = cosent_pair_loss(vectors, labels)
    loss.backward()
    torch.testing.assert_close(loss.double(), cosent_pair_loss(vectors.detach().double(), labels), rtol=1e-4, atol=1e-5)
    assert vectors.grad.isfinite().all()


def test_embeddings_are_compared_by_their_cosines():
    vectors = torch.randn(10, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 2, 0])
    cosines = torch.cosine_similarity(vectors[::2], vectors[1::2])
    torch.testing.assert_close(CoSENTPairLoss(5.0)(vectors, labels), naive(cosines, labels, 5.0))


def test_simcse_is_the_search_for_the_twin():
    vectors = torch.randn(6, 4)
    torch.testing.assert_close(SimCSELoss()(vectors), paraphrase_similarity_loss(vectors, 20.0))
    torch.testing.assert_close(simcse_loss(vectors, 5.0, "none"), paraphrase_similarity_loss(vectors, 5.0, "none"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosent_loss(torch.zeros(2, 2), torch.zeros(2)), r"scores must be \[pairs\].*\(2, 2\)"),
        (lambda: cosent_loss(torch.zeros(2), torch.zeros(3)), r"labels must have shape \(2,\), got \(3,\)"),
        (lambda: cosent_loss(torch.zeros(2), torch.tensor([0, torch.nan])), "labels must be numbers, got nan"),
        (lambda: cosent_loss(torch.zeros(0), torch.zeros(0)), r"scores must be floats, at least one"),
        (lambda: cosent_loss(torch.tensor([0, -torch.inf]), torch.zeros(2)), "scores must be finite, got -inf"),
        (lambda: cosent_loss(torch.zeros(2), torch.zeros(2), 0.0), "scale must be above 0, got 0.0"),
        (lambda: cosent_pair_loss(torch.zeros(3, 2), torch.zeros(1)), r"embeddings must be .*\(3, 2\)"),
        (lambda: cosent_pair_loss(torch.zeros(0, 2), torch.zeros(0)), r"embeddings must be .*\(0, 2\)"),
        (lambda: simcse_loss(torch.zeros(2, 2), -1.0), "scale must be above 0, got -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
