import pickle

import numpy as np
import pytest
import torch

from hf_ext.losses import (
    LOSSES,
    MultiLabelSoftmaxLoss,
    SoftMultiLabelSoftmaxLoss,
    SparseMultiLabelSoftmaxLoss,
    for_trainer,
    multilabel_softmax_loss,
    soft_multilabel_softmax_loss,
    sparse_multilabel_softmax_loss,
)
from hf_ext.ops.logsumexp import log_one_plus_sum_exp

HARD, SOFT, SPARSE = multilabel_softmax_loss, soft_multilabel_softmax_loss, sparse_multilabel_softmax_loss


@pytest.fixture(scope="module")
def cases(golden):
    return np.load(golden / "losses" / "io.npz")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "loss", "options"),
    [
        ("mlce_hard", HARD, {}),
        ("mlce_neginf", HARD, {}),
        ("mlce_hard", SOFT, {}),
        ("mlce_soft", SOFT, {}),
        ("mlce_neginf", SOFT, {}),
        ("sparse_mlce", SPARSE, {}),
        ("sparse_mlce_mask_zero", SPARSE, {"mask_zero": True}),
    ],
)
def test_equals_the_original(cases, name, loss, options, dtype):
    logits = torch.tensor(cases[f"{name}_pred"], dtype=dtype, requires_grad=True)
    labels = torch.tensor(cases[f"{name}_true"])
    value = loss(logits, labels, reduction="none", **options)
    value.sum().backward()
    torch.testing.assert_close(value, torch.tensor(cases[f"{name}_value"]).to(dtype), rtol=1e-5, atol=0)
    gradient = torch.tensor(cases[f"{name}_grad"]).to(dtype)
    known = gradient.isfinite()
    assert known.any()
    torch.testing.assert_close(logits.grad[known], gradient[known], rtol=0, atol=2e-5)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_the_three_forms_agree(classes):
    torch.manual_seed(classes)
    logits = torch.randn(5, classes, dtype=torch.float64) * 10
    labels = torch.randint(0, 2, (5, classes))
    sparse = torch.where(labels == 1, torch.arange(classes), -100)
    want = torch.stack(
        [
            torch.log1p(row[mark == 0].exp().sum()) + torch.log1p((-row[mark == 1]).exp().sum())
            for row, mark in zip(logits, labels)
        ]
    )
    for got in (
        HARD(logits, labels, "none"),
        SOFT(logits, labels, "none"),
        SPARSE(logits, sparse, reduction="none"),
        SPARSE(logits, torch.cat((sparse, sparse.flip(-1)), -1), reduction="none"),
    ):
        torch.testing.assert_close(got, want)


def test_gradients_and_second_derivatives():
    torch.manual_seed(0)
    logits = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 2, (3, 6))
    sparse = torch.tensor([[1, 4], [-100, 2], [-100, -100]])
    for function in (
        lambda x: HARD(x, labels),
        lambda x: SOFT(x, torch.linspace(0, 1, 18, dtype=torch.float64).view(3, 6)),
        lambda x: SPARSE(x, sparse),
    ):
        assert torch.autograd.gradcheck(function, logits)
        assert torch.autograd.gradgradcheck(function, logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3, 6e4])
def test_never_nan_or_negative(dtype, scale):
    torch.manual_seed(0)
    raw = (torch.randn(16, 9) * scale).clamp(-6e4, 6e4).to(dtype)
    raw[0] = -torch.inf
    raw[1, ::2] = -torch.inf
    labels = torch.randint(0, 2, raw.shape)
    labels[:4] = 0
    labels[4:6] = 1
    sparse = torch.where((labels == 1) & (raw > -torch.inf), torch.arange(9), -100)
    for loss, target in ((HARD, labels), (SOFT, labels), (SPARSE, sparse)):
        logits = raw.clone().requires_grad_()
        value = loss(logits, target, reduction="none")
        value.sum().backward()
        assert value.dtype == torch.float32
        assert (value >= 0).all()
        assert value.isfinite().all()
        assert logits.grad.isfinite().all()


def test_prevailing_positives_do_not_swallow_the_negatives():
    logits = torch.tensor([[60.0, -3.0]], requires_grad=True)
    value = SPARSE(logits, torch.tensor([[0]]))
    value.backward()
    torch.testing.assert_close(value, torch.log1p(torch.tensor(-3.0).exp()))
    torch.testing.assert_close(logits.grad[0, 1], torch.sigmoid(torch.tensor(-3.0)))


def test_empty_shapes():
    assert log_one_plus_sum_exp(torch.empty(3, 0)).tolist() == [0.0, 0.0, 0.0]
    logits = torch.randn(2, 3)
    torch.testing.assert_close(
        SPARSE(logits, torch.empty(2, 0, dtype=torch.long)), HARD(logits, torch.zeros(2, 3)), rtol=1e-6, atol=1e-6
    )


def test_left_out_labels_are_absent_classes():
    logits = torch.randn(2, 3, 5)
    labels = torch.randint(0, 2, (2, 3, 5))
    labels[..., 2] = -100
    labels[1, 2] = -100
    keep = [0, 1, 3, 4]
    for loss in (HARD, SOFT):
        rows = loss(logits, labels, "none")
        torch.testing.assert_close(rows.flatten()[:5], loss(logits[..., keep], labels[..., keep], "none").flatten()[:5])
        assert rows[1, 2] == 0
        torch.testing.assert_close(loss(logits, labels), rows.sum() / 5)
        torch.testing.assert_close(loss(logits, labels, "sum"), rows.sum())


def test_bad_input():
    with pytest.raises(ValueError, match="reduction must be"):
        HARD(torch.zeros(1, 2), torch.zeros(1, 2), "average")
    with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
        SPARSE(torch.zeros(1, 2), torch.tensor([[2]]))
    with pytest.raises(ValueError, match=r"multilabel_softmax.*got 'softmax'"):
        for_trainer("softmax")
    with pytest.raises(ValueError, match="give dense labels"):
        for_trainer("sparse_multilabel_softmax")


@pytest.mark.parametrize(
    ("module", "loss", "labels"),
    [
        (MultiLabelSoftmaxLoss("sum"), HARD, torch.tensor([[0, 1, 1]])),
        (SoftMultiLabelSoftmaxLoss("sum"), SOFT, torch.tensor([[0.1, 0.5, 1.0]])),
        (SparseMultiLabelSoftmaxLoss(reduction="sum"), SPARSE, torch.tensor([[2, 1]])),
    ],
)
def test_modules_call_the_functions(module, loss, labels):
    logits = torch.randn(1, 3)
    assert torch.equal(module(logits, labels), loss(logits, labels, reduction="sum"))


@pytest.mark.parametrize("name", ["multilabel_softmax", "soft_multilabel_softmax"])
def test_uneven_micro_batches_sum_to_the_mean_of_all_rows(name):
    logits = torch.randn(7, 5)
    labels = torch.rand(7, 5) if name.startswith("soft") else torch.randint(0, 2, (7, 5))
    compute = pickle.loads(pickle.dumps(for_trainer(name)))
    whole = compute({"logits": logits}, labels)
    torch.testing.assert_close(whole, LOSSES[name](logits, labels))
    count = labels.ne(-100).sum()
    parts = [compute((logits[part],), labels[part], num_items_in_batch=count) for part in (slice(0, 4), slice(4, 7))]
    torch.testing.assert_close(sum(parts), whole)
