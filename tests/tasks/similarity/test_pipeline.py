"""The pipeline "text-embedding" against the model run text by text."""

import logging

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, pipeline

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.tasks.similarity import EmbeddingPipeline, pipeline as embedding

SENTENCES = ["天气", "今天的天气真不错，我们去公园吧", "好", "", "你好吗", "我", "北京大学附属医院", "hello 天"]
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@pytest.fixture(scope="module")
def tokenizer():
    return build_char_tokenizer(SENTENCES)


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sim")
    torch.manual_seed(0)
    options = {"attention_mode": "unilm", "pooler_activation": "linear", "initializer_range": 0.3}
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **SIZE, **options)
    hf_ext.RoFormerModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def one_by_one(pipe, texts, take, **options):
    rows = []
    for text in texts:
        inputs = pipe.tokenizer(text, return_tensors="pt", **options)
        with torch.no_grad():
            rows.append(take(pipe.model(**inputs, output_hidden_states=True))[0])
    return torch.stack(rows).numpy()


TAKES = {
    "pooler": lambda outputs: outputs.pooler_output,
    "cls": lambda outputs: outputs.last_hidden_state[:, 0],
    "mean": lambda outputs: outputs.last_hidden_state.mean(1),
    "first_last": lambda outputs: (outputs.hidden_states[1].mean(1) + outputs.last_hidden_state.mean(1)) / 2,
}


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 8192])
@pytest.mark.parametrize("pooling", TAKES)
def test_vectors_are_those_of_single_texts_in_their_order(folder, pooling, tokens_per_batch):
    pipe = pipeline("text-embedding", model=str(folder), pooling=pooling)
    assert isinstance(pipe, EmbeddingPipeline)
    vectors = pipe(SENTENCES, tokens_per_batch=tokens_per_batch)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, one_by_one(pipe, SENTENCES, TAKES[pooling]), atol=1e-5)
    np.testing.assert_allclose(pipe(SENTENCES[1]), vectors[1], atol=1e-5)


def test_the_linear_pooler_is_the_default_and_else_the_mean(folder, tokenizer):
    sim = pipeline("text-embedding", model=str(folder))
    np.testing.assert_allclose(sim("你好"), sim("你好", pooling="pooler"))
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), **SIZE)).eval()
    other = EmbeddingPipeline(model=bert, tokenizer=tokenizer, device="cpu")
    np.testing.assert_allclose(other(SENTENCES), other(SENTENCES, pooling="mean"))
    np.testing.assert_allclose(other(SENTENCES), one_by_one(other, SENTENCES, TAKES["mean"]), atol=1e-5)


def test_batches_hold_no_more_tokens_than_asked_for(folder, monkeypatch):
    pipe = pipeline("text-embedding", model=str(folder))
    shapes = []
    forward = pipe.model.forward

    def watched(input_ids, **inputs):
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids, **inputs)

    monkeypatch.setattr(pipe.model, "forward", watched)
    pipe(SENTENCES, tokens_per_batch=30)
    assert all(rows * length <= 30 for rows, length in shapes)
    assert [length for _, length in shapes] == sorted((length for _, length in shapes), reverse=True)
    assert len(shapes) < len(SENTENCES)


def test_streams_any_number_of_texts_without_reading_ahead(folder, monkeypatch):
    monkeypatch.setattr(embedding, "SORTED_TEXTS", 3)
    pipe = pipeline("text-embedding", model=str(folder))
    read = []

    def texts():
        for text in SENTENCES:
            read.append(text)
            yield text

    parts = []
    for part in pipe.stream(texts(), normalize=True):
        parts.append(part)
        assert len(read) == sum(map(len, parts))
    assert [len(part) for part in parts] == [3, 3, 2]
    together = pipe(SENTENCES, normalize=True)
    np.testing.assert_allclose(np.concatenate(parts), together, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=-1), 1, atol=1e-6)


def test_texts_that_are_cut_are_counted(folder, caplog, monkeypatch):
    monkeypatch.setattr(embedding, "SORTED_TEXTS", 2)
    pipe = pipeline("text-embedding", model=str(folder))
    with caplog.at_level(logging.WARNING, "hf_ext"):
        vectors = pipe(SENTENCES, max_length=5)
    assert [record.getMessage() for record in caplog.records] == [
        "3 of 8 texts are longer than 5 tokens; their ends are not embedded"
    ]
    wanted = one_by_one(pipe, SENTENCES, TAKES["pooler"], truncation=True, max_length=5)
    np.testing.assert_allclose(vectors, wanted, atol=1e-5)
    caplog.clear()
    pipe(SENTENCES)
    assert not caplog.records


def test_nothing_gives_nothing(folder):
    assert pipeline("text-embedding", model=str(folder))([]).shape == (0, 16)


def test_a_tokenizer_without_special_tokens_may_give_an_empty_text_no_token(tokenizer):
    bare = build_char_tokenizer(SENTENCES)
    bare.backend_tokenizer.post_processor = None
    torch.manual_seed(0)
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), **SIZE)).eval()
    vectors = EmbeddingPipeline(model=bert, tokenizer=bare, device="cpu")(["", "你好"])
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "pooling must be one of pooler, cls, mean, pooler_dense, first_last, got 'max'"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"tokens_per_batch": 0}, "tokens_per_batch must be at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(folder, options, message):
    with pytest.raises(ValueError, match=message):
        pipeline("text-embedding", model=str(folder), **options)


def test_a_model_without_pooler_and_inputs_that_are_no_texts_are_refused(tokenizer):
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **SIZE)
    pipe = EmbeddingPipeline(model=hf_ext.RoFormerModel(config), tokenizer=tokenizer, device="cpu")
    for pooling in ("pooler", "pooler_dense"):
        with pytest.raises(ValueError, match=f"one of cls, mean, first_last for a model without .*, got '{pooling}'"):
            pipe("你好", pooling=pooling)
    with pytest.raises(TypeError, match="inputs must be texts, got int"):
        pipe(["你好", 1])
