import numpy as np
import pytest
import torch

from hf_ext.losses import (
    SpanLoss,
    SpanSoftmaxLoss,
    efficient_span_loss,
    multilabel_softmax_loss,
    pointer_span_loss,
    span_loss,
    span_softmax_loss,
    sparse_multilabel_softmax_loss,
)
from hf_ext.ops import pointer_tiles
from hf_ext.ops.pointer import efficient_pointer_scores, pointer_scores, span_mask


@pytest.fixture(scope="module")
def cases(golden):
    return np.load(golden / "losses" / "io.npz")


def dense_labels(labels, shape):
    dense = torch.zeros(shape)
    for row, spans in enumerate(labels.tolist()):
        for label, start, end in spans:
            if label != -100:
                dense[row, label, start, end] = 1
    return dense


def padded(rows):
    most = max(map(len, rows))
    return torch.tensor([row + [[-100, -100, -100]] * (most - len(row)) for row in rows])


def problem(types, length, batch=3, most=6, size=4, dtype=torch.float64, scale=1.0):
    """Parts of an Efficient GlobalPointer, a mask and labels with repeated spans and rows without any."""
    generator = torch.Generator().manual_seed(types * 100 + length)
    shapes = [(batch, length, size)] * 2 + [(batch, length, types)] * 2
    parts = [(torch.randn(shape, generator=generator) * scale).to(dtype).requires_grad_() for shape in shapes]
    real = torch.ones(batch, length)
    real[1, (length + 1) // 2 :] = 0
    rows = [[], [[types - 1, 0, 0]]]
    for _ in range(batch - 2):
        start = torch.randint(0, length, (most,), generator=generator)
        end = (start + torch.randint(0, 3, (most,), generator=generator)).clamp(max=length - 1)
        label = torch.randint(0, types, (most,), generator=generator)
        spans = torch.stack((label, start, end), -1).tolist()
        rows.append([*spans, spans[0], [(spans[0][0] + 1) % types, *spans[0][1:]]])
    return parts, real, padded(rows)


def test_dense_original(cases):
    scores = torch.tensor(cases["gp_dense_pred"], requires_grad=True)
    dense = torch.tensor(cases["gp_dense_true"])
    gradient = torch.tensor(cases["gp_dense_grad"])
    known = gradient.isfinite()
    spans = padded([row.nonzero().tolist() for row in dense])
    for value in (span_loss(scores, spans), multilabel_softmax_loss(scores.flatten(2), dense.flatten(2))):
        torch.testing.assert_close(value, torch.tensor(cases["gp_dense_value"]), rtol=1e-5, atol=0)
        (got,) = torch.autograd.grad(value, scores)
        torch.testing.assert_close(got[known], gradient[known], rtol=0, atol=2e-5)
        assert got.isfinite().all()


def test_sparse_original(cases):
    scores = torch.tensor(cases["gp_sparse_pred"], requires_grad=True)
    pairs = torch.tensor(cases["gp_sparse_true"]).long()
    rows, _, length, _ = scores.shape
    flat = pairs[..., 0] * length + pairs[..., 1]
    value = sparse_multilabel_softmax_loss(scores.flatten(2), flat, mask_zero=True, reduction="sum") / rows
    torch.testing.assert_close(value, torch.tensor(cases["gp_sparse_value"]), rtol=1e-5, atol=0)
    (got,) = torch.autograd.grad(value, scores)
    gradient = torch.tensor(cases["gp_sparse_grad"])
    known = gradient.isfinite()
    torch.testing.assert_close(got[known], gradient[known], rtol=0, atol=2e-5)


def test_reading_comprehension_original(cases):
    scores = torch.tensor(cases["gp_span_pred"], requires_grad=True)
    spans = torch.tensor(cases["gp_span_true"])
    value = span_softmax_loss(scores, spans)
    torch.testing.assert_close(value, torch.tensor(cases["gp_span_value"]), rtol=1e-5, atol=0)
    (got,) = torch.autograd.grad(value, scores)
    torch.testing.assert_close(got, torch.tensor(cases["gp_span_grad"]), rtol=0, atol=2e-5)
    assert torch.equal(SpanSoftmaxLoss()(scores, spans), value)
    spans[0] = -100
    torch.testing.assert_close(span_softmax_loss(scores, spans), span_softmax_loss(scores[1:], spans[1:]))


@pytest.mark.parametrize(("types", "length"), [(1, 1), (1, 5), (3, 2), (4, 9), (10, 17)])
def test_sparse_labels_equal_dense_labels(types, length):
    parts, real, labels = problem(types, length)
    scores = efficient_pointer_scores(*parts, span_mask(length, real))
    want = multilabel_softmax_loss(scores.flatten(2), dense_labels(labels, scores.shape).flatten(2))
    wanted = torch.autograd.grad(want, parts, retain_graph=True)
    assert torch.equal(SpanLoss()(scores, labels), span_loss(scores, labels))
    for value in (span_loss(scores, labels), efficient_span_loss(*parts, labels, real)):
        torch.testing.assert_close(value, want)
        for got, expected in zip(torch.autograd.grad(value, parts, retain_graph=True), wanted):
            torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("labels", [torch.empty(2, 0, 3, dtype=torch.long), torch.full((2, 3, 3), -100)])
def test_no_span_at_all(labels):
    parts = [torch.randn(2, 5, size, requires_grad=True) for size in (4, 4, 3, 3)]
    scores = efficient_pointer_scores(*parts)
    want = torch.log1p(scores.flatten(2).exp().sum(-1)).mean()
    torch.testing.assert_close(span_loss(scores, labels), want)
    torch.testing.assert_close(efficient_span_loss(*parts, labels, ordered=False), want)


def test_row_of_padding_alone_has_a_loss_of_zero():
    parts = [torch.randn(2, 4, size, requires_grad=True) for size in (4, 4, 3, 3)]
    real = torch.zeros(2, 4)
    labels = torch.full((2, 1, 3), -100)
    dense = span_loss(efficient_pointer_scores(*parts, span_mask(4, real)), labels)
    for value in (dense, efficient_span_loss(*parts, labels, real)):
        assert value == 0
        for gradient in torch.autograd.grad(value, parts):
            assert (gradient == 0).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 5.0, 30.0, 300.0])
def test_efficient_loss_in_float32_equals_dense_float64(scale):
    parts, real, labels = problem(4, 15, dtype=torch.float32, scale=scale)
    got = efficient_span_loss(*parts, labels, real)
    gradients = torch.autograd.grad(got, parts)
    exact = [part.detach().double().requires_grad_() for part in parts]
    want = span_loss(efficient_pointer_scores(*exact, span_mask(15, real)), labels)
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=1e-6)
    if scale < 100:  # beyond, float32 scores are off by more than the distance of the greatest two
        for gradient, wanted in zip(gradients, torch.autograd.grad(want, exact)):
            torch.testing.assert_close(gradient.double(), wanted, rtol=1e-3, atol=1e-5 * max(scale, 1))


def test_greatest_biases_at_other_places_than_the_greatest_product():
    """The only real score is 1, 399 below the sum of the peaks: scaled by it, a float32 sum would vanish."""
    query, key = torch.tensor([[[20.0], [0.0]]]), torch.tensor([[[0.0], [20.0]]])
    start, end = torch.tensor([[[-399.0], [-500.0]]]), torch.tensor([[[-500.0], [0.0]]])
    labels = torch.full((1, 1, 3), -100)
    torch.testing.assert_close(
        efficient_span_loss(query, key, start, end, labels), torch.log1p(torch.tensor(1.0).exp())
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 200.0, 3e4])
def test_half_precision_extremes(dtype, size):
    parts = [torch.full((2, 5, n), size, dtype=dtype, requires_grad=True) for n in (64, 64, 3, 3)]
    labels = torch.tensor([[[0, 1, 2]], [[-100, -100, -100]]])
    scores = efficient_pointer_scores(*parts, span_mask(5))
    assert scores.dtype == torch.float32
    assert torch.equal(scores > -torch.inf, span_mask(5).unsqueeze(1).expand_as(scores))
    for value in (span_loss(scores, labels), efficient_span_loss(*parts, labels)):
        assert value.dtype == torch.float32
        assert value.isfinite()
        assert value >= 0
        for gradient in torch.autograd.grad(value, parts, retain_graph=True):
            assert not gradient.isnan().any()


def test_a_label_where_no_span_may_stand_is_loud():
    parts, real, _ = problem(2, 4)
    labels = torch.tensor([[[0, 3, 1]]] * 3)
    assert span_loss(efficient_pointer_scores(*parts, span_mask(4, real)), labels) == torch.inf
    with pytest.raises(ValueError, match=r"labels\[0, 0\].*got \(0, 3, 1\)"):
        efficient_span_loss(*parts, labels, real)


def test_second_derivative():
    parts, real, labels = problem(2, 3, most=2, size=2)
    assert torch.autograd.gradcheck(lambda *p: efficient_span_loss(*p, labels, real), parts)
    assert torch.autograd.gradgradcheck(lambda *p: efficient_span_loss(*p, labels, real), parts)


@pytest.mark.parametrize("loss", [span_loss, pointer_span_loss, efficient_span_loss])
def test_memory_stays_in_proportion(loss, monkeypatch):
    """The losses of the pointers keep nothing of size B*C*L*L for the backward pass, unless that is small."""
    for name in ("DENSE", "_KEPT"):
        monkeypatch.setattr(pointer_tiles, name, -1)
    parts, real, labels = problem(40, 24, dtype=torch.float32)
    inputs = (*parts, labels, real)
    if loss is span_loss:
        inputs = (efficient_pointer_scores(*parts, span_mask(24, real)), labels)
    elif loss is pointer_span_loss:
        vectors = [part.unsqueeze(2).repeat(1, 1, 40, 1).detach().requires_grad_() for part in parts[:2]]
        inputs = (*vectors, labels, real)
    largest = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: largest.append(t.numel()) or t, lambda t: t):
        loss(*inputs)
    full = 3 * 40 * 24 * 24
    assert max(largest) >= full if loss is span_loss else max(largest) < full / 4


def test_pointer_span_loss_equals_the_loss_of_dense_scores():
    torch.manual_seed(0)
    query, key = (torch.randn(3, 9, 4, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    _, real, labels = problem(4, 9)
    got = pointer_span_loss(query, key, labels, real)
    want = span_loss(pointer_scores(query, key, span_mask(9, real)), labels)
    torch.testing.assert_close(got, want)
    for found, wanted in zip(torch.autograd.grad(got, (query, key)), torch.autograd.grad(want, (query, key))):
        torch.testing.assert_close(found, wanted)
