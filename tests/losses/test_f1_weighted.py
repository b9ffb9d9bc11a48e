"""Cross-entropy with the weights of F1: its gradient, and F1 over many batches."""

import pytest
import torch

from hf_ext.losses import F1WeightedCrossEntropy, f1_weighted_cross_entropy, smooth_f1_loss

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(7, 4, generator=GENERATOR, dtype=torch.float64) * 2
LABELS = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 1], [0] * 4])


def gradient(logits, labels, **options):
    logits = logits.clone().requires_grad_()
    f1_weighted_cross_entropy(logits, labels, **options).backward()
    return logits.grad


def f1_of(logits, labels):
    p = logits.sigmoid()
    return 2 * (labels * p).sum(0) / (labels + p).sum(0)


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_gradient_is_that_of_the_article(average):
    f1 = f1_of(LOGITS.flatten()[:, None], LABELS.flatten()[:, None]) if average == "micro" else f1_of(LOGITS, LABELS)
    p = LOGITS.sigmoid()
    expected = torch.where(LABELS == 1, -(1 - f1 / 2) * (1 - p), f1 / 2 * p) / LOGITS.numel()
    torch.testing.assert_close(gradient(LOGITS, LABELS, average=average), expected)
    given = f1.tolist() if average == "macro" else float(f1)
    torch.testing.assert_close(gradient(LOGITS, LABELS, f1=given), expected)


def test_direction_is_that_of_smooth_f1_where_log_p_stands_for_p():
    """Of ``y p`` and ``p`` with d log p in place of dp, up to one positive factor."""
    logits = LOGITS.clone().requires_grad_()
    smooth_f1_loss(logits, LABELS).backward()
    p = LOGITS.sigmoid()
    # The derivative of p is p (1 - p): without it, and with that of log p or of -log(1 - p) in place.
    slope = logits.grad / (p * (1 - p))
    ours = gradient(LOGITS, LABELS) / torch.where(LABELS == 1, 1 - p, p)
    factor = ours / slope
    torch.testing.assert_close(factor, factor[0, 0].expand_as(factor))
    assert factor[0, 0] > 0


def test_what_is_left_out_is_not_in_the_f1():
    out = LABELS.clone()
    out[0], out[3, 1:] = -100, -100
    kept = out != -100
    f1 = float(f1_of(LOGITS[kept], out[kept]))
    torch.testing.assert_close(gradient(LOGITS, out), gradient(LOGITS, out, f1=f1))
    assert not gradient(LOGITS, out)[~kept].any()


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_extreme_scores_learn(scale):
    wrong = torch.where(LABELS == 1, -scale, scale).half()
    grad = gradient(wrong, LABELS, f1=0.5)
    torch.testing.assert_close(grad.double(), torch.where(LABELS == 1, -0.75, 0.25).double() / 28, rtol=1e-3, atol=1e-4)
    # Of all that is wrong, F1 is 0: what is there has all the weight.
    assert bool((gradient(wrong, LABELS)[LABELS == 0] == 0).all())


@pytest.mark.parametrize("classes", [None, 4])
def test_a_mean_over_batches_is_that_of_the_sums(classes):
    module = F1WeightedCrossEntropy(classes, momentum=0.5)
    parts = [(LOGITS[a:b].float(), LABELS[a:b]) for a, b in ((0, 3), (3, 5), (5, 7))]
    for logits, labels in parts:
        value = module(logits, labels)
    size = (lambda x: x.sum(0)) if classes else (lambda x: x.sum()[None])
    shares = (0.25, 0.5, 1.0)
    hits = sum(share * size(labels * logits.sigmoid()) for share, (logits, labels) in zip(shares, parts))
    sizes = sum(share * size(labels + logits.sigmoid()) for share, (logits, labels) in zip(shares, parts))
    expected = f1_weighted_cross_entropy(*parts[-1], f1=2 * hits / sizes)
    torch.testing.assert_close(value, expected)
    state = module.state_dict()
    module.eval()
    torch.testing.assert_close(module(*parts[-1]), expected)
    again = F1WeightedCrossEntropy(classes, momentum=0.5)
    again.load_state_dict(state)
    torch.testing.assert_close(again.eval()(*parts[-1]), expected)
    alone = F1WeightedCrossEntropy(classes, momentum=0)
    average = "macro" if classes else "micro"
    torch.testing.assert_close(alone(*parts[0]), f1_weighted_cross_entropy(*parts[0], average=average))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: f1_weighted_cross_entropy(LOGITS, LABELS, f1=1.5), r"f1 must be in \[0, 1\], got 1.5"),
        (lambda: f1_weighted_cross_entropy(LOGITS, LABELS, f1=[0.5, 0.5]), "f1 must be one number or 4, got 2"),
        (lambda: f1_weighted_cross_entropy(LOGITS, LABELS, 0.5, "macro"), "average has no effect where f1 is given"),
        (lambda: f1_weighted_cross_entropy(LOGITS, LABELS, average="none"), "average must be 'micro' or 'macro'"),
        (lambda: F1WeightedCrossEntropy(momentum=1), r"momentum must be in \[0, 1\), got 1"),
    ],
)
def test_what_means_nothing_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()
