"""Whitening of vectors: statistics, numpy as the oracle, degenerate data, files, pipeline, sentence-transformers."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from saved_tiny import saved
from transformers import BertModel, pipeline

import hf_ext
from hf_ext import Whitening
from hf_ext.ops.pooling import POOLINGS

TEXTS = [f"{a}{b}{c}" for a in "天地人" for b in "大小" for c in ("", "日月", "山水风")]


def vectors(count=500, size=12, mean=3.0, seed=0):
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((size, size)) * np.linspace(0.1, 4, size)[:, None]
    return generator.standard_normal((count, size)) @ mixing + mean * generator.standard_normal(size)


@pytest.mark.parametrize("size", [None, 12, 5, 1])
@pytest.mark.parametrize("mean", [0.0, 1e3])
def test_outputs_have_mean_zero_and_covariance_one(size, mean):
    x = torch.from_numpy(vectors(mean=mean))
    whitening = Whitening.fit([x], size).double()
    # The buffers are float32; what a subtraction of a large mean leaves is theirs to lose.
    y = whitening(x)
    assert y.shape == (500, size or 12)
    tolerance = 1e-4 if mean == 0 else 2e-3
    np.testing.assert_allclose(np.cov(y.numpy().T), np.eye(size or 12).squeeze(), atol=tolerance)
    if mean == 0:
        assert y.mean(0).abs().max() < 1e-4


@pytest.mark.parametrize("size", [12, 7])
def test_kernel_is_that_of_numpy(size):
    x = vectors()
    whitening = Whitening.fit(np.array_split(x, 7), size)
    u, s, _ = np.linalg.svd(np.cov(x.T))
    wanted = (u @ np.diag(1 / np.sqrt(s)))[:, :size]
    # Each column has two signs.
    wanted = wanted * np.sign(wanted[np.abs(wanted).argmax(0), np.arange(size)])
    np.testing.assert_allclose(whitening.kernel.numpy(), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(whitening.mean.numpy(), x.mean(0), rtol=1e-6)


@pytest.mark.parametrize("sizes", [[500], [1] * 500, [0, 3, 497], [499, 1]])
def test_parts_make_no_difference(sizes):
    x = vectors(mean=100.0)
    parts = np.split(x, np.cumsum(sizes)[:-1])
    whole, streamed = Whitening.fit([x]), Whitening.fit(iter(parts))
    torch.testing.assert_close(streamed.kernel, whole.kernel, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(streamed.mean, whole.mean, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_vectors_type_is_taken(dtype):
    x = torch.from_numpy(vectors()).to(dtype)
    y = Whitening.fit([x], 4)(x)
    assert y.dtype == torch.promote_types(dtype, torch.float32)
    np.testing.assert_allclose(np.cov(y.numpy().T), np.eye(4), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dimensions_without_variance_are_left_out(dtype):
    x = vectors(size=5)
    # Two directions more that are combinations of others, and a constant.
    x = np.concatenate([x, x[:, :2] @ [[0.3, 1.7], [0.9, -0.2]], np.full((500, 1), 7.1)], axis=1).astype(dtype)
    whitening = Whitening.fit([x])
    assert whitening.kernel.shape == (8, 5)
    y = whitening(torch.from_numpy(x.astype(np.float64)))
    np.testing.assert_allclose(np.cov(y.numpy().T), np.eye(5), atol=1e-3)
    with pytest.raises(ValueError, match="size must be at most the 5 dimensions in which the vectors vary, got 6"):
        Whitening.fit([x], 6)


def test_fewer_vectors_than_dimensions():
    x = vectors(count=4, size=10)
    whitening = Whitening.fit([x])
    assert whitening.kernel.shape == (10, 3)
    y = whitening.double()(torch.from_numpy(x))
    np.testing.assert_allclose(np.cov(y.numpy().T), np.eye(3), atol=1e-4)


@pytest.mark.parametrize(
    ("parts", "size", "message"),
    [
        ([], None, "at least two vectors, got 0"),
        ([np.ones((1, 3))], None, "at least two vectors, got 1"),
        ([np.full((9, 3), 0.1)], None, "at most the 0 dimensions in which the vectors vary, got None"),
        ([np.ones((2, 3)), np.ones((2, 4))], None, r"shape \[n, 3\], got \[2, 4\]"),
        ([np.ones(3)], None, r"shape \[n, H\], got \[3\]"),
        ([np.array([[1.0, np.nan]])], None, "finite numbers"),
        ([np.eye(3)], 0, "size must be at least 1, got 0"),
    ],
)
def test_wrong_input_is_refused(parts, size, message):
    with pytest.raises(ValueError, match=message):
        Whitening.fit(parts, size)


def test_buffers_of_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(3,\) and \(2, 4\)"):
        Whitening(torch.zeros(3), torch.zeros(2, 4))


def test_it_is_saved_and_is_a_linear_layer(tmp_path):
    x = torch.from_numpy(vectors()).float()
    whitening = Whitening.fit([x], 6)
    whitening.save_pretrained(tmp_path / "new")
    again = Whitening.from_pretrained(tmp_path / "new")
    assert again.state_dict().keys() == {"mean", "kernel"}
    for name, value in again.state_dict().items():
        assert torch.equal(value, whitening.state_dict()[name])
    torch.testing.assert_close(whitening.as_linear()(x), whitening(x), rtol=1e-4, atol=1e-4)
    assert list(whitening.parameters()) == []
    with pytest.raises(FileNotFoundError, match=r"whitening\.safetensors must exist"):
        Whitening.from_pretrained(tmp_path)
    save_file({"kernel": torch.ones(2, 2)}, tmp_path / "whitening.safetensors")
    with pytest.raises(ValueError, match="must hold the tensors mean and kernel, got kernel"):
        Whitening.from_pretrained(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    fields = {"num_hidden_layers": 2, "initializer_range": 0.3}
    return saved(tmp_path_factory.mktemp("model"), BertModel, TEXTS, **fields)


def test_the_pipeline_whitens(folder, tmp_path):
    embed = pipeline("text-embedding", model=str(folder))
    plain = embed(TEXTS)
    whitening = Whitening.fit(embed.stream(TEXTS), 5)
    whitening.save_pretrained(folder)
    for given in (whitening, str(folder), folder):
        found = pipeline("text-embedding", model=str(folder), whitening=given)(TEXTS)
        np.testing.assert_allclose(found, whitening(torch.from_numpy(plain)), atol=1e-4)
    np.testing.assert_allclose(np.cov(found.T), np.eye(5), atol=1e-2)
    unit = embed(TEXTS, whitening=whitening, normalize=True)
    np.testing.assert_allclose(unit, found / np.linalg.norm(found, axis=-1, keepdims=True), atol=1e-4)
    assert embed([], whitening=whitening).shape == (0, 5)
    with pytest.raises(ValueError, match="whitening must be for vectors of 16 numbers, got 3"):
        embed(TEXTS, whitening=Whitening(torch.zeros(3), torch.eye(3)))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("normalize", [False, True])
def test_sentence_transformers_whitens_without_our_code(pooling, normalize, folder, tmp_path):
    import sentence_transformers

    embed = pipeline("text-embedding", model=str(folder), pooling=pooling, normalize=normalize)
    whitening = Whitening.fit(embed.stream(TEXTS, normalize=False), 5)
    hf_ext.save_for_sentence_transformers(
        embed.model, embed.tokenizer, tmp_path, normalize=normalize, pooling=pooling, whitening=whitening
    )
    loaded = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(loaded.encode(TEXTS), embed(TEXTS, whitening=whitening), atol=2e-4)
    assert "hf_ext" not in (tmp_path / "modules.json").read_text(encoding="utf-8")
