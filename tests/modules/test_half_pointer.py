"""Half pointers and their layer norm against loops in float64."""

import math

import pytest
import torch

from hf_ext.modules import ConditionalLayerNorm, HalfPointers

SIZE, LABELS = 6, 3


def filled(module):
    """A module none of whose parameters is at a default."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return module.double()


def norm_by_loops(norm, x, condition):
    """The article's formula, number by number."""
    mean = sum(x) / len(x)
    variance = sum((value - mean) ** 2 for value in x) / len(x)
    found = []
    for place, value in enumerate(x):
        gain = norm.weight[place] + (norm.weight_dense.weight[place] * condition).sum()
        offset = norm.bias[place] + (norm.bias_dense.weight[place] * condition).sum()
        found.append((value - mean) / (variance + norm.eps).sqrt() * gain + offset)
    return torch.stack(found)


def sigmoid_power(score, power):
    return (1 / (1 + (-score).exp())) ** power


def loss_by_loops(module, hidden, rows, subjects, lengths):
    """The original's loss of each row, made of probabilities."""
    losses = []
    for states, labels, (first, last), length in zip(hidden, rows, subjects, lengths):
        total = hidden.new_zeros(())
        condition = torch.cat((states[first], states[last]))
        for token in range(length):
            scores = module.subject(states[token])
            for end, place in enumerate((1, 2)):
                p = sigmoid_power(scores[end], 2)
                wanted = any(label[place] == token for label in labels)
                total = total - (p if wanted else 1 - p).log() / 2
            if not labels:
                continue
            scores = module.object(norm_by_loops(module.norm, states[token], condition))
            for relation in range(LABELS):
                for end, place in enumerate((3, 4)):
                    p = sigmoid_power(scores[2 * relation + end], 4)
                    wanted = any(
                        label[0] == relation and label[1:3] == [first, last] and label[place] == token
                        for label in labels
                    )
                    total = total - (p if wanted else 1 - p).log() / 2
        losses.append(total / length)
    return torch.stack(losses)


ROWS = [
    [[0, 1, 2, 3, 4], [2, 1, 2, 4, 4], [1, 3, 4, 1, 2], [0, 1, 1, 0, 4]],
    [],
    [[1, 0, 0, 0, 0]],
    [[1, 0, 1, 2, 2], [1, 0, 1, 2, 2], [0, 2, 2, 0, 1]],
]
# Of the last row a pair that is no subject.
SUBJECTS = [[1, 2], [-100, -100], [0, 0], [0, 2]]
LENGTHS = [5, 4, 1, 3]


def batch():
    labels = torch.full((4, 4, 5), -100)
    for row, own in enumerate(ROWS):
        labels[row, : len(own)] = torch.tensor(own).reshape(-1, 5)
    hidden = torch.randn(4, 5, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return hidden.requires_grad_(), labels, torch.arange(5) < torch.tensor(LENGTHS)[:, None]


def test_loss_and_gradients_are_those_of_loops():
    module = filled(HalfPointers(SIZE, LABELS))
    hidden, labels, real = batch()
    subject = torch.tensor(SUBJECTS)
    objects = module.objects(hidden, subject.clamp_min(0))
    losses = module.losses(module.subjects(hidden), objects, labels, subject, real)
    wanted = loss_by_loops(module, hidden, ROWS, [[max(0, place) for place in pair] for pair in SUBJECTS], LENGTHS)
    torch.testing.assert_close(losses, wanted, rtol=1e-10, atol=1e-12)
    inputs = [hidden, *module.parameters()]
    gradients = [torch.autograd.grad(value.sum(), inputs) for value in (losses, wanted)]
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-11)
        assert ours.any()


def test_rows_of_one_length_have_the_originals_mean_over_tokens():
    """The original sums over all tokens of a batch, and divides by their number."""
    module = filled(HalfPointers(SIZE, LABELS))
    hidden, labels, _ = batch()
    real = torch.ones(4, 5, dtype=torch.bool)
    subject = torch.tensor([[1, 2], [0, 0], [0, 0], [0, 2]])
    labels[1, 0] = torch.tensor([0, 0, 0, 4, 4])
    losses = module.losses(module.subjects(hidden), module.objects(hidden, subject), labels, subject, real)
    rows = [[label for label in row if label[0] >= 0] for row in labels.tolist()]
    sums = 5 * loss_by_loops(module, hidden, rows, subject.tolist(), [5] * 4)
    torch.testing.assert_close(losses.mean(), sums.sum() / 20)


def test_the_norm_is_a_plain_one_to_begin_with():
    norm = ConditionalLayerNorm(SIZE, 4).double()
    x = torch.randn(2, 3, SIZE, dtype=torch.float64, requires_grad=True)
    condition = torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(norm(x, condition), torch.nn.functional.layer_norm(x, (SIZE,), eps=1e-7))
    filled(norm)
    found = norm(x, condition)
    for row in range(2):
        for token in range(3):
            torch.testing.assert_close(found[row, token], norm_by_loops(norm, x[row, token], condition[row]))
    assert torch.autograd.gradcheck(norm, (x, condition.requires_grad_()))
    assert "size=6, eps=1e-07" in repr(norm)


def test_what_is_wrong_is_refused_and_begins_small():
    with pytest.raises(ValueError, match="num_labels must be at least 1, got 0"):
        HalfPointers(SIZE, 0)
    torch.manual_seed(0)
    module = HalfPointers(64, 50)
    module.init_weights()
    assert not module.object.bias.any()
    # Cut at two deviations of 0.02.
    assert float(module.object.weight.detach().abs().max()) <= 0.04
    # No relation is found before something is learnt: a half to the fourth power.
    hidden = torch.zeros(1, 2, 64)
    scores = module.objects(hidden, torch.zeros(1, 2, dtype=torch.long)).detach()
    assert float(scores.sigmoid().max()) == pytest.approx(1 / 16)
    assert float(module.subjects(hidden).detach().max()) == pytest.approx(math.log(1 / 3), abs=1e-6)
