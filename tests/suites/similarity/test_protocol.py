"""Scores of vectors as they are and whitened, against NumPy and SciPy; and what mteb is given."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import BertConfig, BertModel, pipeline

from hf_ext import build_char_tokenizer
from hf_ext.extras import MissingExtraError
from hf_ext.suites.similarity.mteb_tasks import C_MTEB_STS, MTEBEncoder, evaluate_by_mteb
from hf_ext.suites.similarity.protocol import score_pairs, whitening_of

CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def pairs_of(count, seed):
    draw = np.random.default_rng(seed)
    texts = ["".join(draw.choice(list(CHARACTERS), draw.integers(1, 9))) for _ in range(2 * count)]
    scores = draw.integers(0, 3, count).tolist()
    return [{"text1": a, "text2": b, "score": s} for a, b, s in zip(texts[::2], texts[1::2], scores)]


PARTS = {"train": pairs_of(40, 0), "validation": pairs_of(11, 1), "test": pairs_of(25, 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = build_char_tokenizer([CHARACTERS])
    torch.manual_seed(0)
    for part in (BertModel(BertConfig(vocab_size=len(tokenizer), initializer_range=0.3, **SIZE)), tokenizer):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def embed(folder):
    return pipeline("text-embedding", model=str(folder))


def by_numpy(embed, whiten_on, size, pooling):
    """The articles' whitening and cosines in float64, and the correlations of SciPy."""
    vectors = {
        part: [embed([p[name] for p in pairs], pooling=pooling).astype(np.float64) for name in ("text1", "text2")]
        for part, pairs in PARTS.items()
    }
    mean, kernel = 0.0, np.eye(16)
    if whiten_on:
        seen = np.concatenate([side for part in whiten_on for side in vectors[part]])
        mean = seen.mean(0, keepdims=True)
        u, s, _ = np.linalg.svd(np.cov((seen - mean).T))
        # What a LayerNorm gives sums up to nothing: one direction has rounding errors alone, which are left out.
        real = int((s > 1e-10 * s[0]).sum())
        kernel = (u @ np.diag(1 / np.sqrt(s)))[:, : size or real]
    found = {}
    for part, sides in vectors.items():
        first, second = ((side - mean) @ kernel for side in sides)
        first, second = (one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-8) for one in (first, second))
        found[part] = stats.spearmanr((first * second).sum(1), [p["score"] for p in PARTS[part]]).statistic
    sizes = [len(pairs) for pairs in PARTS.values()]
    return {**found, "mean": np.mean([*found.values()]), "weighted_mean": np.average([*found.values()], weights=sizes)}


@pytest.mark.parametrize("pooling", ["mean", "first_last", "pooler_dense"])
@pytest.mark.parametrize(
    ("whiten_on", "parts", "size"),
    [(None, (), None), ("train", ("train",), None), ("train", ("train",), 5), ("all", tuple(PARTS), 5)],
    ids=str,
)
def test_scores_are_those_of_numpy_and_scipy(embed, pooling, whiten_on, parts, size):
    found = score_pairs(embed, PARTS, whiten_on, size, pooling=pooling)
    wanted = by_numpy(embed, parts, size, pooling)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        # Cosines of float32 stand in the same order.
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_what_a_pipeline_was_made_with_counts(folder, embed):
    for task in ("text-embedding", "text-similarity"):
        own = pipeline(task, model=str(folder), pooling="cls")
        assert score_pairs(own, PARTS, "train") == score_pairs(embed, PARTS, "train", pooling="cls")
    assert score_pairs(embed, PARTS) != score_pairs(embed, PARTS, pooling="cls")


def test_a_correlation_that_there_is_not_is_no_zero(embed):
    same = [{"text1": "天地", "text2": "天地", "score": score} for score in (0, 1, 2)]
    found = score_pairs(embed, {"validation": PARTS["validation"], "test": same})
    assert np.isnan(found["test"])
    assert np.isnan(found["mean"])
    assert not np.isnan(found["validation"])


def test_wrong_arguments(embed):
    with pytest.raises(ValueError, match="whiten_on must be one of train, all, got 'test'"):
        score_pairs(embed, PARTS, "test")
    with pytest.raises(ValueError, match="parts must have train, validation, test with whiten_on=all, got train"):
        whitening_of(embed, {"train": PARTS["train"]}, "all")
    with pytest.raises(ValueError, match="size goes with whiten_on, got 5 without it"):
        score_pairs(embed, PARTS, size=5)
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


def test_mteb_is_given_vectors_and_cosines(embed):
    encoder = MTEBEncoder(embed, pooling="cls")
    texts = [pair["text1"] for pair in PARTS["test"]]
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
