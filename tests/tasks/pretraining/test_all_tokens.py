"""All tokens are asked for, of models that do not see the token that they predict."""

from types import SimpleNamespace

import pytest
import torch

import hf_ext
from hf_ext.tasks.pretraining import DataCollatorForAllTokens
from hf_ext.tasks.pretraining.all_tokens import check_blind

TOKENIZER = hf_ext.build_char_tokenizer(["今天天气很好"])
ROWS = [{"input_ids": [2, 7, 8, 9, 3]}, {"input_ids": [2]}, {"input_ids": [2, 9, 3]}]


@pytest.mark.parametrize("side", ["right", "left"])
def test_labels_are_the_ids_of_real_tokens(side, monkeypatch):
    monkeypatch.setattr(TOKENIZER, "padding_side", side)
    batch = DataCollatorForAllTokens(TOKENIZER, pad_to_multiple_of=4)(ROWS)
    assert batch["input_ids"].shape == (3, 8)
    real = batch["attention_mask"].bool()
    assert torch.equal(batch["labels"][real], batch["input_ids"][real])
    assert (batch["labels"][~real] == -100).all()
    for own, row, mask in zip(batch["input_ids"], ROWS, real):
        assert own[mask].tolist() == row["input_ids"]


def test_packed_rows_have_no_padding():
    rows = [*ROWS, {"input_ids": [2, 3, 2, 3], "position_ids": [0, 1, 0, 1]}]
    batch = DataCollatorForAllTokens(TOKENIZER, packed=True)(rows)
    assert batch["input_ids"].tolist() == batch["labels"].tolist() == [[2, 7, 8, 9, 3, 2, 2, 9, 3, 2, 3, 2, 3]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 0, 0, 1, 2, 0, 1, 0, 1]]
    assert "attention_mask" not in batch


def test_rows_are_not_both_packed_and_padded():
    with pytest.raises(ValueError, match="pad_to_multiple_of must be None with packed=True, got 8"):
        DataCollatorForAllTokens(TOKENIZER, packed=True, pad_to_multiple_of=8)


@pytest.mark.parametrize("family", [hf_ext.RoFormerConfig, hf_ext.GAUAlphaConfig, hf_ext.NezhaConfig])
def test_a_model_that_would_copy_is_refused(family):
    with pytest.raises(ValueError, match=f"does not see its own token.*got {family.model_type}"):
        check_blind(family())


def test_t_ta_is_taken_unless_it_sees_itself():
    config = SimpleNamespace(model_type="t_ta", self_mask=True)
    check_blind(config)
    config.self_mask = False
    with pytest.raises(ValueError, match="self_mask must be True"):
        check_blind(config)
