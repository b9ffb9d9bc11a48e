"""What is drawn behind a text, by graphs that PyTorch runs, beside what the pipeline draws and how it ranks."""

from typing import Any

import numpy as np
import pytest
import torch
from onnx_tiny import Speaker, texts, torch_answers
from transformers import GenerationConfig
from transformers.generation.logits_process import TopPLogitsWarper

import hf_ext
from hf_ext.export.drawing_settings import DrawingSettings
from hf_ext.export.drawn_tokens import DrawnTexts, shares_of_likeliest

ROFORMER: dict[str, Any] = {
    "config": hf_ext.RoFormerConfig,
    "fields": {"attention_mode": "unilm", "pooler_activation": "linear"},
}
WAYS = [{}, ROFORMER]
# So small that the likeliest token is left alone.
GREEDY = {"top_p": 1e-6, "num_samples": 2}


def both(folder: Any, **kind: Any) -> tuple[Any, Any]:
    """The pipeline of a model, and the answers from its scores."""
    Speaker(**kind).save(folder)
    return torch_answers("paraphrase-generation", folder)


@pytest.mark.parametrize("kind", WAYS)
def test_without_chance_the_answers_are_the_pipelines(kind, tmp_path):
    theirs, ours = both(tmp_path, **kind)
    some = texts(5, 60)
    for options in ({}, {"max_new_tokens": 3}, {"temperature": 0.3, "max_new_tokens": 9}):
        wanted = theirs(some, **GREEDY, **options)
        found = list(ours.answers(some, 3, **GREEDY, **options))
        assert [[one["text"] for one in own] for own in found] == [[one["text"] for one in own] for own in wanted]
        for one, other in zip(found, wanted):
            numbers = [each["similarity"] for each in one], [each["similarity"] for each in other]
            assert numbers[0] == pytest.approx(numbers[1], abs=1e-6)
    assert any(wanted)


@pytest.mark.parametrize("kind", WAYS)
def test_ranks_as_the_pipeline(kind, tmp_path):
    theirs, ours = both(tmp_path, **kind)
    source, *candidates = texts(9, 40)[1:]
    vectors = theirs._embed([source, *candidates])
    wanted = torch.cosine_similarity(vectors[:1].double(), vectors[1:].double())
    found = ours.ranked(source, ["", *candidates, source, candidates[0]], 3)
    order = wanted.argsort(descending=True).tolist()
    assert [one["text"] for one in found] == [candidates[number] for number in order]
    assert [one["similarity"] for one in found] == pytest.approx(wanted[order].tolist(), abs=1e-6)
    assert ours.ranked(source, ["", source], 3) == []


def test_a_seed_gives_the_same_answers(tmp_path):
    _, ours = both(tmp_path)
    ask = {"num_samples": 9, "num_candidates": 4, "max_new_tokens": 8}
    some = texts(4, 20)
    first = list(ours.answers(some, 8, seed=3, **ask))
    assert list(ours.answers(some[::-1], 8, seed=3, **ask)) == first[::-1]
    assert list(ours.answers(some, 8, seed=4, **ask)) != first
    assert list(ours.answers(some, 8, **ask)) != list(ours.answers(some, 8, **ask))
    assert all(len(own) <= 4 for own in first)
    similar = [[one["similarity"] for one in own] for own in first]
    assert similar == [sorted(own, reverse=True) for own in similar]


@pytest.mark.parametrize("top_p", [1e-9, 0.1, 0.5, 0.95, 1.0])
def test_leaves_out_what_transformers_leaves_out(top_p):
    scores = np.random.default_rng(0).normal(size=(7, 50)) * 3
    scores[1:3, ::3] = -np.inf
    scores[4] = 0.5
    scores[4, 7] = 9
    kept = TopPLogitsWarper(top_p)(torch.zeros(7, 1, dtype=torch.long), torch.from_numpy(scores))
    np.testing.assert_allclose(shares_of_likeliest(scores, top_p), kept.softmax(-1).numpy(), atol=1e-12)
    assert shares_of_likeliest(scores[3:, :1], top_p).tolist() == [[1.0]] * 4


def test_draws_by_the_shares():
    """Of many samples so many take each token as its share says, and none takes one that is left out."""
    scores = np.log(np.array([[0.5, 0.3, 0.1, 0.06, 0.04]]))
    settings = DrawingSettings(
        start=0, ends=[1], max_length=3, suppressed=[4], top_p=0.9, temperature=2.0, num_samples=40000
    )
    samples = DrawnTexts(settings, np.random.default_rng(0))
    assert samples.take(scores)
    assert set(map(tuple, samples.finished)) == {(0, 1)}
    counts = np.bincount(np.append(samples.running[:, 1], [1] * len(samples.finished)), minlength=5)
    roots = np.sqrt([0.5, 0.3, 0.1, 0.06])
    # With the fourth left out, the first three have 0.865 together, too little: all four are in.
    wanted = np.append(roots / roots.sum(), 0)
    np.testing.assert_allclose(counts / 40000, wanted, atol=0.01)
    # Each goes on from its own scores.
    rows = np.full((len(samples.running), 5), -9.0)
    rows[np.arange(len(rows)), samples.running[:, 1]] = 99
    assert not samples.take(rows)
    assert len(samples.finished) == 40000
    assert all(own[1] == own[2] for own in samples.finished if len(own) == 3)
    with pytest.raises(ValueError, match="scores must be numbers, got NaN"):
        DrawnTexts(settings, np.random.default_rng(0)).take(np.full((1, 5), np.nan))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples must be at least 1, got 0"),
        ({"num_candidates": 0}, "num_candidates must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"max_new_tokens": 125}, "at most 124 behind a text of 4 tokens, as the model has 128 positions, got 125"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 1.5}, r"top_p must be in \(0, 1\], got 1.5"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
    ],
)
def test_refuses_options(options, message, tmp_path):
    _, ours = both(tmp_path)
    with pytest.raises(ValueError, match=message):
        list(ours.answers(["今天"], 1, **options))
    with pytest.raises(TypeError, match="inputs must be texts, got int"):
        list(ours.answers([3], 1))


@pytest.mark.parametrize("given", [{"top_k": 50}, {"min_p": 0.1}, {"num_beams": 2}, {"min_length": 3}])
def test_refuses_what_drawing_it_does_not_do(given):
    (name,) = given
    plain = {"do_sample": True, "top_k": 0, "bos_token_id": 2, "eos_token_id": 3, "top_p": 0.9, "max_new_tokens": 5}
    assert DrawingSettings.of(GenerationConfig(**plain)) == DrawingSettings(2, [3], 6, top_p=0.9)
    with pytest.raises(ValueError, match=f"{name} must not be set for a model to be exported to ONNX, got "):
        DrawingSettings.of(GenerationConfig(**{**plain, **given}))
