"""Rows of several documents: filled, joined, padded, and which models keep the documents apart."""

from itertools import pairwise

import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel

import hf_ext
from hf_ext.tasks.pretraining.packed_rows import fill_rows, join_rows, keeps_documents_apart, pad_rows

TOKENIZER = hf_ext.build_char_tokenizer(["今天天气很好"])
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 30}


def piece(*ids):
    return {"input_ids": list(ids), "word_ids": [-1, *range(len(ids) - 2), -1] if len(ids) > 1 else [-1]}


PIECES = [piece(2, 7, 8, 3), piece(2, 9, 3), piece(2, 7, 7, 7, 7, 7, 3), piece(2, 3), piece(2, 8, 3)]


@pytest.mark.parametrize("max_length", [7, 8, 12, 100])
def test_rows_are_filled_in_order(max_length):
    rows = fill_rows(PIECES, max_length)
    assert [id for row in rows for id in row["input_ids"]] == [id for one in PIECES for id in one["input_ids"]]
    assert all(len(row["input_ids"]) <= max_length for row in rows)
    # None has room for what comes first in the next.
    for row, following in pairwise(rows):
        first = following["position_ids"].index(0, 1) if 0 in following["position_ids"][1:] else None
        assert len(row["input_ids"]) + len(following["position_ids"][:first]) > max_length
    for row in rows:
        assert {len(values) for values in row.values()} == {len(row["input_ids"])}
        numbers = [word for word in row["word_ids"] if word >= 0]
        # In these pieces each token is a word.
        assert len(set(numbers)) == len(numbers)
    assert sum(row["position_ids"].count(0) for row in rows) == len(PIECES)


def test_no_pieces_are_no_rows():
    assert fill_rows([], 8) == []


def test_joined_rows_are_one():
    rows = [{**row, "labels": row["input_ids"]} for row in fill_rows(PIECES, 8)]
    batch = join_rows(rows)
    assert batch.keys() == {"input_ids", "labels", "position_ids"}
    assert all(values.shape == (1, 19) for values in batch.values())
    assert batch["position_ids"][0].tolist() == [place for one in PIECES for place in range(len(one["input_ids"]))]


def test_padding_asks_for_nothing():
    batch = pad_rows(
        TOKENIZER, [{"input_ids": [2, 5, 3], "labels": [-100, 5, -100]}, {"input_ids": [2], "labels": [2]}]
    )
    assert batch["labels"].tolist() == [[-100, 5, -100], [2, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("config", "apart"),
    [
        (hf_ext.RoFormerConfig(**SIZE), True),
        (hf_ext.RoFormerConfig(**SIZE, attention_mode="causal"), True),
        (hf_ext.NezhaConfig(**SIZE), True),
        (hf_ext.GAUAlphaConfig(**SIZE | {"num_attention_heads": 1}, attention_key_size=8), True),
        (BertConfig(**SIZE), False),
        (hf_ext.T5PegasusConfig(vocab_size=30, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2), False),
    ],
    ids=lambda one: getattr(one, "model_type", str(one)),
)
def test_who_keeps_documents_apart(config, apart):
    model = AutoModel.from_config(config) if not isinstance(config, BertConfig) else BertModel(config)
    model.train()
    assert keeps_documents_apart(model) is apart
    assert model.training


def test_joined_documents_have_the_outputs_that_each_has_alone():
    torch.manual_seed(0)
    model = AutoModel.from_config(hf_ext.RoFormerConfig(**SIZE)).eval()
    batch = join_rows(fill_rows(PIECES, 8))
    with torch.no_grad():
        packed = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).last_hidden_state[0]
        alone = [model(torch.tensor([one["input_ids"]])).last_hidden_state[0] for one in PIECES]
    torch.testing.assert_close(packed, torch.cat(alone), rtol=1e-4, atol=1e-5)
