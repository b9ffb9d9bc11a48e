"""The pipeline "paraphrase-generation"."""

import numpy as np
import pytest
import torch
from transformers import pipeline, set_seed

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.tasks.paraphrase import ParaphrasePipeline
from hf_ext.tasks.similarity import EmbeddingPipeline

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def model(tokenizer, **fields):
    torch.manual_seed(0)
    fields = {"attention_mode": "unilm", "pooler_activation": "linear", "initializer_range": 0.3, **fields}
    return hf_ext.UniLMBertForCausalLM(hf_ext.UniLMBertConfig(vocab_size=len(tokenizer), **SIZE, **fields)).eval()


@pytest.fixture(scope="module")
def pipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simbert")
    tokenizer = build_char_tokenizer(["今天天气不错，我们去公园吧"])
    for part in (model(tokenizer), tokenizer):
        part.save_pretrained(folder)
    return pipeline("paraphrase-generation", model=str(folder))


def test_candidates_differ_and_are_ranked_by_the_models_own_embeddings(pipe):
    assert isinstance(pipe, ParaphrasePipeline)
    set_seed(0)
    found = pipe("今天天气", num_samples=30, num_candidates=8, max_new_tokens=6)
    texts = [one["text"] for one in found]
    assert len(texts) == len(set(texts)) == 8
    assert "今天天气" not in texts
    assert not any(token in text for text in texts for token in pipe.tokenizer.all_special_tokens)
    similarities = [one["similarity"] for one in found]
    assert similarities == sorted(similarities, reverse=True)
    embed = EmbeddingPipeline(model=pipe.model.base_model, tokenizer=pipe.tokenizer, device="cpu")
    vectors = embed(["今天天气", *texts], normalize=True)
    np.testing.assert_allclose(similarities, vectors[1:] @ vectors[0], atol=1e-5)


def test_samples_come_again_with_the_seed(pipe):
    options = {"num_samples": 5, "max_new_tokens": 4}
    set_seed(3)
    first = pipe("天气", **options)
    set_seed(3)
    assert pipe(["天气"], **options) == [first]
    assert pipe([]) == []


def test_generation_options_are_taken(pipe):
    # One beam has one text to give, however often it is asked.
    found = pipe("天气", num_samples=1, do_sample=False, top_p=None, top_k=None, max_new_tokens=4)
    assert len(found) <= 1


def test_tokens_that_are_no_text_are_never_sampled(pipe):
    never = {pipe.tokenizer.convert_tokens_to_ids(token) for token in ("[PAD]", "[UNK]", "[CLS]", "[MASK]")}
    seen = []
    generate = pipe.model.generate
    pipe.model.generate = lambda **inputs: seen.append(generate(**inputs)) or seen[-1]
    try:
        pipe("天气", num_samples=50, max_new_tokens=8)
    finally:
        del pipe.model.generate
    (ids,) = seen
    new = ids[:, 4:]
    ended = (new == pipe.tokenizer.sep_token_id).cumsum(-1) > 0
    assert not never & set(new[~ended].tolist())


def test_nothing_but_the_text_gives_no_candidate(pipe, monkeypatch):
    ids = pipe.tokenizer("天气", "天气")["input_ids"]
    monkeypatch.setattr(pipe.model, "generate", lambda **_: torch.tensor([ids, ids]))
    assert pipe("天气") == []


def test_other_models_and_inputs_are_refused(pipe):
    tokenizer = pipe.tokenizer
    for fields in ({"attention_mode": "causal"}, {"pooler_activation": None}):
        with pytest.raises(ValueError, match="must be a UniLM with a pooler"):
            ParaphrasePipeline(model=model(tokenizer, **fields), tokenizer=tokenizer)
    with pytest.raises(TypeError, match="got int"):
        pipe([1])
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        pipe("天气", num_samples=0)
