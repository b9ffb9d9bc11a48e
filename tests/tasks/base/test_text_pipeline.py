"""Pipelines of models in training and of tokenizers that pad on the left, and how many tokens a model takes."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from models_tiny import UNITS, cases, make
from torch import nn
from transformers import BertConfig, BertModel, MPNetConfig, RobertaConfig, XLMRobertaConfig, pipeline

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.data.input_limit import input_limit, longest_input, position_count
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.ops.padding import padded_on_the_right
from hf_ext.tasks.base.head import _MADE, head_class
from hf_ext.tasks.entities.span_head import SpanExtraction

TEXTS = ["王小明去了广州", "明去", "广"]
TOKENIZER = build_char_tokenizer(TEXTS)
TINY: dict[str, Any] = {
    "vocab_size": len(TOKENIZER),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "initializer_range": 0.5,
    "id2label": {0: "O", 1: "B-P|r", 2: "I-P|r"},
}
TASKS = {
    "span-extraction": hf_ext.AutoModelForSpanExtraction,
    "sequence-labeling": hf_ext.AutoModelForSequenceLabeling,
    "relation-extraction": hf_ext.AutoModelForRelationExtraction,
    "event-extraction": hf_ext.AutoModelForEventExtraction,
}


def test_modules_go_back_to_what_they_were() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    model[1].eval()
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False, False]
    with pytest.raises(TypeError), evaluation_mode(model):
        model("no tensor")
    assert [module.training for module in model.modules()] == [True, True, False, False]


def test_padding_goes_behind() -> None:
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]])
    ids = torch.arange(16).view(4, 4)
    found = padded_on_the_right({"attention_mask": mask, "input_ids": ids, "rest": "kept", "other": torch.ones(2)})
    assert found["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert found["input_ids"].tolist() == [[2, 3, 0, 1], [4, 5, 6, 7], [9, 10, 11, 8], [12, 13, 14, 15]]
    assert found["rest"] == "kept"
    assert len(found["other"]) == 2


@pytest.mark.parametrize("task", TASKS)
def test_pipelines_evaluate_and_pad_on_either_side(task: str) -> None:
    """Of a model in training, over an encoder with a table of positions, in batches and one by one."""
    torch.manual_seed(0)
    model = TASKS[task].from_config(BertConfig(**TINY, hidden_dropout_prob=0.5)).train()
    found = []
    for side in ("right", "left"):
        TOKENIZER.padding_side = side
        run = pipeline(task, model=model, tokenizer=TOKENIZER)
        options = {} if task == "sequence-labeling" else {"threshold": 0.1}
        model.train()
        found += [run(TEXTS, batch_size=size, **options) for size in (1, 3)]
        assert model.training
    TOKENIZER.padding_side = "right"
    assert any(found[0])
    for other in found[1:]:
        for one, wanted in zip(other, found[0], strict=True):
            assert str(one)[:40] == str(wanted)[:40]
            assert len(one) == len(wanted)


@pytest.mark.parametrize("family", ["bert", "unilm_bert"])
def test_vectors_do_not_depend_on_the_side(family: str) -> None:
    tiny = {name: value for name, value in TINY.items() if name != "id2label"}
    torch.manual_seed(0)
    model = BertModel(BertConfig(**tiny)) if family == "bert" else hf_ext.UniLMBertModel(hf_ext.UniLMBertConfig(**tiny))
    TOKENIZER.padding_side = "left"
    embed = pipeline("text-embedding", model=model.train(), tokenizer=TOKENIZER)
    together = embed(TEXTS)
    TOKENIZER.padding_side = "right"
    np.testing.assert_allclose(together, np.stack([embed(text) for text in TEXTS]), atol=1e-5)


@pytest.mark.parametrize("case", [c for c in cases("AutoModel", ours=True) if c.values[0].family.places])
def test_positions_begin_at_the_first_real_token(case: Any) -> None:
    """Padded on the left, a model with a table of positions needs no ``position_ids``."""
    model, batch = case.make(), case.batch([6, 3, 1], "left")
    wanted = model(**batch).last_hidden_state
    batch.pop("position_ids")
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(model(**batch).last_hidden_state[real], wanted[real], atol=0, rtol=0)


LENGTHS: list[tuple[Any, int, bool]] = [
    (BertConfig(**TINY, max_position_embeddings=40), 40, True),
    (RobertaConfig(**TINY, max_position_embeddings=40, pad_token_id=3), 36, True),
    (RobertaConfig(**TINY, max_position_embeddings=40, pad_token_id=0), 39, True),
    (XLMRobertaConfig(**TINY, max_position_embeddings=40, pad_token_id=1), 38, True),
    (MPNetConfig(**TINY, max_position_embeddings=40), 38, True),
    (hf_ext.UniLMBertConfig(**TINY, max_position_embeddings=40), 40, True),
    (hf_ext.NezhaConfig(**TINY, max_position_embeddings=40), 40, False),
    (hf_ext.RoFormerConfig(**TINY, max_position_embeddings=40), 40, False),
    (hf_ext.GAUAlphaConfig(**(UNITS | {"max_position_embeddings": 40})), 40, False),
]


@pytest.mark.parametrize(("config", "count", "ends"), LENGTHS, ids=lambda x: type(x).__name__)
def test_how_many_tokens_a_model_takes(config: Any, count: int, ends: bool) -> None:
    """As many as told run, and where positions come from a table no more."""
    model = make(head_class(type(config), SpanExtraction), config, config._attn_implementation or "eager")
    assert (position_count(config), longest_input(config)) == (count, count if ends else None)
    assert input_limit(TOKENIZER, config) == count
    assert input_limit(TOKENIZER, config, 7) == 7
    ids = torch.full((1, count), 5)
    model.base_model(input_ids=ids)
    if ends:
        with pytest.raises((IndexError, ValueError, RuntimeError)):
            model.base_model(input_ids=torch.full((1, count + 1), 5))


def test_threads_get_one_class() -> None:
    """Two that ask for a head at once get the same one, by which pickle and isinstance go."""
    _MADE.pop((BertConfig, SpanExtraction), None)
    found: list[Any] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(head_class(BertConfig, SpanExtraction))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
