"""Folders that sentence-transformers loads."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline

import hf_ext
from hf_ext import build_char_tokenizer

TEXTS = ["天气", "今天的天气真不错，我们去公园吧", "好", "北京大学附属医院"]
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CONFIGS = {"roformer": hf_ext.RoFormerConfig, "unilm_bert": hf_ext.UniLMBertConfig}
MODELS = {"roformer": hf_ext.RoFormerModel, "unilm_bert": hf_ext.UniLMBertModel}


def made(family, tokenizer, model_class=None, **fields):
    torch.manual_seed(0)
    fields = {"attention_mode": "unilm", "pooler_activation": "linear", "initializer_range": 0.3, **SIZE, **fields}
    return (model_class or MODELS[family])(CONFIGS[family](vocab_size=len(tokenizer), **fields)).eval()


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("family", "activation"), [("roformer", "linear"), ("unilm_bert", "linear"), ("roformer", "tanh")]
)
def test_sentence_transformers_gives_our_pooler_output(family, activation, normalize, tmp_path):
    import sentence_transformers

    tokenizer = build_char_tokenizer(TEXTS)
    model = made(family, tokenizer, pooler_activation=activation)
    hf_ext.save_for_sentence_transformers(model, tokenizer, tmp_path, normalize=normalize, max_length=10)
    loaded = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    vectors = loaded.encode(TEXTS)
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=10, return_tensors="pt")
    with torch.no_grad():
        wanted = model(**inputs).pooler_output
    if normalize:
        wanted = torch.nn.functional.normalize(wanted, dim=-1)
    np.testing.assert_allclose(vectors, wanted.numpy(), atol=1e-6)
    assert loaded.max_seq_length == 10
    similarity = loaded.similarity(vectors[:1], vectors[1:])
    torch.testing.assert_close(similarity[0], torch.cosine_similarity(wanted[:1], wanted[1:]), atol=1e-6, rtol=0)


def test_one_folder_generates_and_retrieves(tmp_path):
    tokenizer = build_char_tokenizer(TEXTS)
    model = made("roformer", tokenizer, hf_ext.RoFormerForParaphrase)
    hf_ext.save_for_sentence_transformers(model, tokenizer, tmp_path / "new")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "new")
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    vectors = pipeline("text-embedding", model=str(tmp_path / "new"))(TEXTS)
    with torch.no_grad():
        wanted = model.base_model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).pooler_output
    np.testing.assert_allclose(vectors, wanted.numpy(), atol=1e-5)


def test_a_model_without_pooler_is_refused(tmp_path):
    tokenizer = build_char_tokenizer(TEXTS)
    model = made("roformer", tokenizer, pooler_activation=None)
    with pytest.raises(ValueError, match=r"pooler_activation.*RoFormerModel"):
        hf_ext.save_for_sentence_transformers(model, tokenizer, tmp_path)
    assert not any(tmp_path.iterdir())
