"""Scores of labels: the reference's numbers, brute force, and words that are put in token by token."""

import itertools
import re

import numpy as np
import pytest
import torch

from hf_ext.tasks.cloze import decoded_scores, ensemble_scores, label_scores


@pytest.fixture(scope="module", params=[(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["double", "float"])
def reference(request, golden):
    dtype, tolerance = request.param
    with np.load(golden / "pet" / "io.npz") as file:
        numbers = {name: torch.from_numpy(file[name]) for name in file.files}
    cast = {name: one.to(dtype) if one.is_floating_point() else one for name, one in numbers.items()}
    return cast, {"rtol": tolerance, "atol": tolerance}


def test_words_of_two_tokens_are_scored_by_the_product_of_their_probabilities(reference):
    numbers, near = reference
    scores = label_scores(numbers["mask_logits"], numbers["label_tokens"][:, None])
    torch.testing.assert_close(scores, numbers["joint_log_probability"], **near)
    assert scores.argmax(-1).equal(numbers["joint_prediction"])


def test_several_words_are_scored_by_the_mean_of_their_logits(reference):
    numbers, near = reference
    first, words = numbers["mask_logits"][:, :1], numbers["verbalizers"][..., None]
    scores = label_scores(first, words, normalised=False)
    torch.testing.assert_close(scores, numbers["average_logits"], **near)
    # A softmax over labels is the same, whether over logits or over log-probabilities.
    for own in (scores, label_scores(first, words)):
        loss = torch.nn.functional.cross_entropy(own, numbers["labels"])
        torch.testing.assert_close(loss, numbers["pet_cross_entropy"], **near)


def test_models_are_averaged_by_their_accuracies(reference):
    numbers, near = reference
    found = ensemble_scores(numbers["model_logits"], numbers["model_accuracies"])
    torch.testing.assert_close(found, numbers["weighted_mean_logits"], **near)


def test_scores_are_those_of_a_loop_also_of_rows_with_words_of_their_own():
    torch.manual_seed(0)
    logits = torch.randn(3, 2, 7)
    words = torch.tensor([[[1, 2], [3, 4], [-1, -1]], [[5, 6], [-1, -1], [-1, -1]], [[0, 0], [1, 1], [2, 2]]])
    probabilities = logits.softmax(-1)

    def loop(row, own):
        there = [word for word in own.tolist() if -1 not in word]
        return sum(float(probabilities[row, 0, a].log() + probabilities[row, 1, b].log()) for a, b in there) / len(
            there
        )

    wanted = torch.tensor([[loop(row, own) for own in words] for row in range(3)])
    torch.testing.assert_close(label_scores(logits, words), wanted)
    each = torch.stack((words, words.flip(0), words.clone()))
    each[2, 1] = -1
    scores = label_scores(logits, each)
    torch.testing.assert_close(scores[1], wanted[1].flip(0))
    assert scores[2, 1] == -torch.inf
    with pytest.raises(ValueError, match=re.escape("words must be of as many tokens as there are masks")):
        label_scores(logits[:, :1], words)


def test_weights_of_an_ensemble():
    scores = torch.tensor([[[1.0, -torch.inf]], [[3.0, -torch.inf]]])
    assert ensemble_scores(scores).tolist() == [[2.0, -torch.inf]]
    assert ensemble_scores(list(scores), [3, 1]).tolist() == [[1.5, -torch.inf]]
    assert ensemble_scores(scores, [0, 1]).tolist() == [[3.0, -torch.inf]]
    for weights in ([1], [1, -1], [0, 0], [float("nan"), 1]):
        with pytest.raises(ValueError, match="weights must be 2 numbers of 0 or more, and not all 0"):
            ensemble_scores(scores, weights)


MASK, PLACES = 9, torch.tensor([1, 2, 4])


def log_probs_at(ids, places):
    """Of a made-up model, in which each token depends on all others that are known."""
    found = torch.stack([torch.sin(ids.double() @ torch.arange(1, 7).double() * (place + 1)) for place in places], -1)
    return (found[..., None] * torch.arange(10)).log_softmax(-1)


def one_by_one(word, decoding):
    ids, total = torch.tensor([3, MASK, MASK, 5, MASK, 6]), 0.0
    waiting = list(range(3))
    while waiting:
        own = {mask: float(log_probs_at(ids[None], PLACES)[0, mask, word[mask]]) for mask in waiting}
        chosen = max(waiting, key=lambda mask: own[mask]) if decoding == "most_certain" else waiting[0]
        total += own[chosen]
        ids[PLACES[chosen]] = word[chosen]
        waiting.remove(chosen)
    return total


@pytest.mark.parametrize("decoding", ["most_certain", "left_to_right"])
def test_words_are_put_in_token_by_token(decoding):
    words = list(itertools.product((0, 3, 8), repeat=3))
    ids = torch.tensor([3, MASK, MASK, 5, MASK, 6])
    found = decoded_scores(log_probs_at, ids, PLACES, torch.tensor(words), decoding)
    torch.testing.assert_close(found, torch.tensor([one_by_one(word, decoding) for word in words]).double())
    assert ids.tolist() == [3, MASK, MASK, 5, MASK, 6]


def test_the_orders_of_decoding_differ():
    words = torch.tensor(list(itertools.product((0, 3, 8), repeat=3)))
    ids = torch.tensor([3, MASK, MASK, 5, MASK, 6])
    one, other = (decoded_scores(log_probs_at, ids, PLACES, words, how) for how in ("most_certain", "left_to_right"))
    assert (one - other).abs().max() > 0.1
    # A word of one token is its probability, whatever the order.
    single = decoded_scores(log_probs_at, ids, PLACES[:1], words[:3, :1], "most_certain")
    torch.testing.assert_close(single, log_probs_at(ids[None], PLACES)[0, 0][words[:3, 0]])
