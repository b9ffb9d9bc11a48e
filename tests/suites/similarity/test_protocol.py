"""Scores of vectors as they are and whitened, against NumPy and SciPy; and what mteb is given."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from transformers import pipeline

from hf_ext.extras import MissingExtraError
from hf_ext.suites.similarity.mteb_tasks import C_MTEB_STS, MTEBEncoder, evaluate_by_mteb
from hf_ext.suites.similarity.protocol import score_pairs, whitening_of


def by_numpy(embed, parts, whiten_on, size, pooling):
    """The articles' whitening and cosines in float64, and the correlations of SciPy."""
    vectors = {
        part: [embed([p[name] for p in pairs], pooling=pooling).astype(np.float64) for name in ("text1", "text2")]
        for part, pairs in parts.items()
    }
    mean, kernel = 0.0, np.eye(16)
    if whiten_on:
        rows = np.concatenate([side for part in whiten_on for side in vectors[part]])
        mean = rows.mean(0, keepdims=True)
        u, s, _ = np.linalg.svd(np.cov((rows - mean).T))
        # What a LayerNorm gives sums up to nothing: one direction has rounding errors alone, which are left out.
        real = int((s > 1e-10 * s[0]).sum())
        kernel = (u @ np.diag(1 / np.sqrt(s)))[:, : size or real]
    found = {}
    for part, sides in vectors.items():
        first, second = ((side - mean) @ kernel for side in sides)
        first, second = (one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-8) for one in (first, second))
        found[part] = stats.spearmanr((first * second).sum(1), [p["score"] for p in parts[part]]).statistic
    sizes = [len(pairs) for pairs in parts.values()]
    return {**found, "mean": np.mean([*found.values()]), "weighted_mean": np.average([*found.values()], weights=sizes)}


@pytest.mark.parametrize("pooling", ["mean", "first_last", "pooler_dense"])
@pytest.mark.parametrize(
    ("whiten_on", "seen", "size"),
    [
        (None, (), None),
        ("train", ("train",), None),
        ("train", ("train",), 5),
        ("all", ("train", "validation", "test"), 5),
    ],
    ids=str,
)
def test_scores_are_those_of_numpy_and_scipy(embed, parts, pooling, whiten_on, seen, size):
    found = score_pairs(embed, parts, whiten_on, size, pooling=pooling)
    wanted = by_numpy(embed, parts, seen, size, pooling)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        # Cosines of float32 stand in the same order.
        assert found[name] == pytest.approx(value, abs=1e-9), name


class Nearly:
    """Gives vectors that are all but parallel, so that cosines differ by less than float32 tells."""

    def stream(self, texts, normalize=False, **options):
        drawn = np.random.default_rng(0)
        vectors = (1000 + drawn.standard_normal((len(list(texts)), 16))).astype(np.float32)
        self.vectors = vectors
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize else vectors


def test_vectors_that_are_nearly_parallel_keep_their_order():
    draw = np.random.default_rng(1)
    pairs = [{"text1": "甲", "text2": "乙", "score": float(score)} for score in draw.integers(0, 5, 200)]
    embed = Nearly()
    found = score_pairs(embed, {"test": pairs})["test"]
    exact = embed.vectors.astype(np.longdouble)
    exact /= np.sqrt((exact**2).sum(1, keepdims=True))
    cosines = (exact[::2] * exact[1::2]).sum(1)
    assert found == pytest.approx(stats.spearmanr(cosines, [one["score"] for one in pairs]).statistic, abs=1e-6)


def test_what_a_pipeline_was_made_with_counts(encoder, embed, parts):
    for task in ("text-embedding", "text-similarity"):
        own = pipeline(task, model=str(encoder), pooling="cls")
        assert score_pairs(own, parts, "train") == score_pairs(embed, parts, "train", pooling="cls")
    assert score_pairs(embed, parts) != score_pairs(embed, parts, pooling="cls")


def test_a_correlation_that_there_is_not_is_no_zero(embed, parts):
    same = [{"text1": "天地", "text2": "天地", "score": score} for score in (0, 1, 2)]
    found = score_pairs(embed, {"validation": parts["validation"], "test": same})
    assert np.isnan(found["test"])
    assert np.isnan(found["mean"])
    assert not np.isnan(found["validation"])


def test_wrong_arguments(embed, parts):
    with pytest.raises(ValueError, match="whiten_on must be one of train, all, got 'test'"):
        score_pairs(embed, parts, "test")
    with pytest.raises(ValueError, match="parts must have train, validation, test with whiten_on=all, got train"):
        whitening_of(embed, {"train": parts["train"]}, "all")
    with pytest.raises(ValueError, match="size goes with whiten_on, got 5 without it"):
        score_pairs(embed, parts, size=5)
    with pytest.raises(ValueError, match="parts must have pairs, got none in test"):
        score_pairs(embed, {"test": []})
    with pytest.raises(ValueError, match="parts must have pairs, got none in all"):
        score_pairs(embed, {})


def test_without_mteb_it_says_what_installs_it(embed, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtraError, match=r"need the package mteb, version 2 or later, .* pip install 'mteb>=2'"):
        evaluate_by_mteb(embed)
    # A version before it has no such function.
    monkeypatch.setitem(sys.modules, "mteb", ModuleType("mteb"))
    with pytest.raises(MissingExtraError, match="version 2 or later"):
        evaluate_by_mteb(embed)


def test_mteb_is_given_vectors_and_cosines(embed, parts):
    encoder = MTEBEncoder(embed, pooling="cls")
    texts = [pair["text1"] for pair in parts["test"]]
    batches = [{"text": texts[:10]}, {"text": texts[10:]}]
    vectors = encoder.encode(batches, task_metadata=None, hf_split="test", hf_subset="default", batch_size=32)
    np.testing.assert_allclose(vectors, embed(texts, pooling="cls"), atol=1e-6)
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.similarity(vectors, vectors[:4]).numpy(), unit @ unit[:4].T, atol=1e-12)
    pairwise = encoder.similarity_pairwise(vectors[:6], vectors[6:12])
    np.testing.assert_allclose(pairwise.numpy(), (unit[:6] * unit[6:12]).sum(1), atol=1e-12)


def test_mteb_is_asked_for_the_tasks(embed, monkeypatch):
    """A stand-in with the functions of mteb 2, as nothing is fetched in tests."""
    asked = {}

    def evaluate(model, tasks, cache="its own"):
        asked.update(model=model, cache=cache)
        vectors = model.encode([{"text": ["天地", "玄黄"]}], task_metadata=None, hf_split="test", hf_subset="default")
        score = float(model.similarity_pairwise(vectors[:1], vectors[1:])[0])
        return SimpleNamespace(
            task_results=[SimpleNamespace(task_name=task, get_score=lambda: score) for task in tasks]
        )

    made = {name: ModuleType(name) for name in ("mteb", "mteb.models", "mteb.models.model_meta")}
    made["mteb"].evaluate, made["mteb"].get_tasks = evaluate, lambda tasks: tasks
    made["mteb.models.model_meta"].ModelMeta = SimpleNamespace(create_empty=lambda overwrites: overwrites)
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    found = evaluate_by_mteb(embed, pooling="cls")
    first, second = embed(["天地", "玄黄"], pooling="cls", normalize=True)
    assert found == pytest.approx(dict.fromkeys(C_MTEB_STS, float(first @ second)), abs=1e-6)
    assert asked["cache"] is None
    meta = asked["model"].mteb_model_meta
    assert meta["name"].startswith("hf_ext/")
    assert meta["revision"] == embed.fingerprint(pooling="cls")
