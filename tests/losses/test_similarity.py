"""The losses of SimBERT and RoFormer-Sim against the originals' numbers and against loops."""

import math

import numpy as np
import pytest
import torch

from hf_ext.losses import (
    ParaphraseSimilarityLoss,
    cosine_similarities,
    grouped_classification_loss,
    pair_features,
    paraphrase_similarity_loss,
    sequence_to_sequence_loss,
    sequence_to_sequence_losses,
    similarity_distillation_loss,
    target_labels,
)


@pytest.fixture(scope="module")
def numbers(golden):
    with np.load(golden / "losses" / "io.npz") as file:
        names = ("simbert", "roformer_sim")
        return {name: torch.from_numpy(file[name]) for name in file.files if name.startswith(names)}


def sequence_loss(pred, numbers, name):
    labels = target_labels(numbers[f"{name}_true"].long(), numbers[f"{name}_segment"])
    return sequence_to_sequence_loss(pred, labels)


ORIGINALS = {
    "simbert_similarity": lambda pred, _: paraphrase_similarity_loss(pred, 30, "none"),
    "roformer_sim_similarity": lambda pred, _: paraphrase_similarity_loss(pred, 20, "none"),
    "roformer_sim_distill": lambda pred, n: similarity_distillation_loss(pred, n["roformer_sim_distill_teacher"]),
    "roformer_sim_supervised": lambda pred, n: grouped_classification_loss(
        pred, n["roformer_sim_supervised_true"].long().squeeze(-1)
    ),
    "roformer_sim_seq2seq_logits": lambda pred, n: sequence_loss(pred, n, "roformer_sim_seq2seq_logits"),
    # The original's model returns probabilities, which Keras clips.
    "simbert_seq2seq_probs": lambda pred, n: sequence_loss(
        pred.clamp(1e-7, 1 - 1e-7).log(), n, "simbert_seq2seq_probs"
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ORIGINALS)
def test_losses_give_the_originals_values_and_gradients(name, dtype, numbers):
    pred = numbers[f"{name}_pred"].to(dtype, copy=True).requires_grad_()
    value = ORIGINALS[name](pred, numbers)
    torch.testing.assert_close(value, numbers[f"{name}_value"].to(dtype), rtol=1e-5, atol=1e-6)
    value.sum().backward()
    # Gradients of probabilities reach 300, where the float32 in which they are stored is coarser than the tolerance.
    rounding = torch.finfo(torch.float32).eps
    tolerance = 2e-5 if dtype == torch.float32 else 1e-5
    torch.testing.assert_close(pred.grad, numbers[f"{name}_grad"].to(dtype), rtol=rounding, atol=tolerance)


def test_pair_features_are_the_originals(numbers):
    features = pair_features(numbers["simbert_similarity_pred"])
    torch.testing.assert_close(features.repeat_interleave(2, 0), numbers["roformer_sim_merge_value"], rtol=0, atol=0)


def test_a_row_is_compared_with_all_rows_but_itself():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    losses = paraphrase_similarity_loss(vectors, 7.0, "none")
    rows = [[v / math.sqrt(sum(x * x for x in row)) for v in row] for row in vectors.tolist()]
    for i, loss in enumerate(losses.tolist()):
        scores = {j: 7 * sum(a * b for a, b in zip(rows[i], rows[j])) for j in range(6) if j != i}
        partner = i + 1 if i % 2 == 0 else i - 1
        assert loss == pytest.approx(math.log(sum(map(math.exp, scores.values()))) - scores[partner], rel=1e-12)
    torch.testing.assert_close(ParaphraseSimilarityLoss(7.0)(vectors), losses.mean())
    torch.testing.assert_close(ParaphraseSimilarityLoss(7.0, "sum")(vectors), losses.sum())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-4, 1.0, 3e4])
def test_losses_are_finite_in_half_precision(dtype, size):
    generator = torch.Generator().manual_seed(0)
    vectors = (size * torch.randn(8, 64, generator=generator).clamp(-2, 2)).to(dtype).requires_grad_()
    loss = paraphrase_similarity_loss(vectors) + similarity_distillation_loss(vectors, torch.zeros(8, 8))
    assert loss.dtype == torch.float32
    wide = vectors.detach().double()
    wanted = paraphrase_similarity_loss(wide) + similarity_distillation_loss(wide, torch.zeros(8, 8))
    torch.testing.assert_close(loss.double(), wanted, rtol=1e-4, atol=1e-4)
    loss.backward()
    assert vectors.grad.isfinite().all()


def test_one_pair_has_nothing_to_be_told_from():
    vectors = torch.randn(2, 3, requires_grad=True)
    loss = paraphrase_similarity_loss(vectors)
    loss.backward()
    assert loss == 0
    assert vectors.grad.abs().max() == 0


def test_cosines_of_zeros_are_zero():
    cosines = cosine_similarities(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    torch.testing.assert_close(cosines, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))


def test_other_tasks_do_not_matter_to_a_label():
    logits = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 3, 5])
    loss = grouped_classification_loss(logits, labels, groups=(1, 2, 3))
    loss.backward()
    starts, ends = [0, 1, 3, 3], [1, 3, 6, 6]
    by_hand = [
        torch.logsumexp(row[a:b], 0) - row[label] for row, a, b, label in zip(logits, starts, ends, labels.tolist())
    ]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())
    assert logits.grad[1, 3:].abs().max() == 0


def test_only_targets_are_asked_for():
    ids = torch.tensor([[5, 6, 7, 8, 0], [5, 6, 7, 8, 9]])
    types = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]])
    labels = target_labels(ids, types)
    assert labels.tolist() == [[-100, -100, 7, 8, -100], [-100] * 5]
    logits = torch.randn(2, 5, 10, dtype=torch.float64)
    losses = sequence_to_sequence_losses(logits, labels)
    logp = logits.log_softmax(-1)
    torch.testing.assert_close(losses, torch.stack((-logp[0, 1, 7] - logp[0, 2, 8], logp.new_zeros(()))))
    torch.testing.assert_close(sequence_to_sequence_loss(logits, labels), losses.sum() / 2)
    assert sequence_to_sequence_loss(logits, torch.full_like(ids, -100)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paraphrase_similarity_loss(torch.zeros(3, 2)), r"\(3, 2\)"),
        (lambda: paraphrase_similarity_loss(torch.zeros(0, 2)), r"\(0, 2\)"),
        (lambda: pair_features(torch.zeros(5, 2)), r"\(5, 2\)"),
        (lambda: similarity_distillation_loss(torch.zeros(2, 2), torch.zeros(2)), r"\(2, 2\), got \(2,\)"),
        (lambda: grouped_classification_loss(torch.zeros(2, 4), torch.zeros(2).long()), r"4 columns.*\(2, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
