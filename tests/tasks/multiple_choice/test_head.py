"""The linear head of multiple choice, and the families' own, beside numbers computed by hand in float64."""

import copy
import pickle

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModel, AutoModelForMultipleChoice, BertConfig

from hf_ext import AutoModelForLinearChoice
from hf_ext.tasks.base.head_choice import head_of
from hf_ext.tasks.multiple_choice import head as module
from hf_ext.tasks.multiple_choice.either_model import EitherModelForMultipleChoice
from hf_ext.tasks.multiple_choice.head import present_choices
from hf_ext.tasks.multiple_choice.trainer import leave_out_missing_choices

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3}
POOLINGS = ("first_token", "mean", "max")


def config_of(family="bert", **fields):
    return AutoConfig.for_model(family, **SMALL, **OFF, **fields)


def model_of(family="bert", pooling="first_token", dtype=torch.float64):
    torch.manual_seed(0)
    model = AutoModelForLinearChoice.from_config(config_of(family), linear_pooling=pooling).to(dtype).eval()
    with torch.no_grad():
        # Larger than it begins, and not 0.
        model.classifier.dense.weight.mul_(20)
        model.classifier.dense.bias.fill_(0.3)
    return model


def batch(left=False):
    """Two questions, the second of which has two choices instead of three."""
    lengths = torch.tensor([[7, 5, 6], [4, 6, 1]])
    places = torch.arange(7)
    mask = (places < lengths[..., None]).long()
    ids = torch.randint(3, 40, (2, 3, 7), generator=torch.Generator().manual_seed(1)) * mask
    if left:
        ids, mask = ids.flip(-1), mask.flip(-1)
    return {"input_ids": ids, "attention_mask": mask}


def by_hand(model, inputs, pooling):
    """Pooled vectors ``[B, K, H]``, of each row by itself without its padding."""
    rows = zip(inputs["input_ids"].flatten(0, 1), inputs["attention_mask"].flatten(0, 1).bool())
    with torch.no_grad():
        hidden = [model.base_model(input_ids=ids[real][None]).last_hidden_state[0].numpy() for ids, real in rows]
    reduce = {"first_token": lambda x: x[0], "mean": lambda x: x.mean(0), "max": lambda x: x.max(0)}[pooling]
    return np.stack([reduce(one) for one in hidden]).reshape(2, 3, -1)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", ["bert", "roformer"])
def test_logits_loss_and_gradients_are_those_by_hand(family, pooling):
    model, inputs, labels = model_of(family, pooling), batch(), torch.tensor([2, 0])
    found = model(**inputs, labels=labels)
    vectors = by_hand(model, inputs, pooling)
    weight, bias = model.classifier.dense.weight.detach().numpy()[0], 0.3
    logits = vectors @ weight + bias
    logits[1, 2] = -np.inf
    np.testing.assert_allclose(found.logits.detach().numpy(), logits, atol=1e-12)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = -np.log(probabilities[[0, 1], labels]).mean()
    np.testing.assert_allclose(found.loss.item(), wanted, atol=1e-12)
    found.loss.backward()
    error = probabilities - np.eye(3)[labels]
    dense = model.classifier.dense
    np.testing.assert_allclose(dense.weight.grad[0].numpy(), np.einsum("bk,bkh->h", error, vectors) / 2, atol=1e-12)
    np.testing.assert_allclose(dense.bias.grad.numpy(), [0.0], atol=1e-12)
    # As a part of a larger step.
    part = model(**inputs, labels=labels, num_items_in_batch=8).loss
    np.testing.assert_allclose(part.item(), wanted * 2 / 8, atol=1e-12)


def test_it_begins_as_the_original():
    torch.manual_seed(0)
    model = AutoModelForLinearChoice.from_config(BertConfig(**{**SMALL, "hidden_size": 4096, "num_hidden_layers": 0}))
    weight = model.classifier.dense.weight
    assert weight.abs().max().item() <= 0.04
    # Of a normal distribution cut at two standard deviations.
    assert weight.std().item() == pytest.approx(0.02 * 0.8796, rel=0.05)
    assert model.classifier.dense.bias.item() == 0
    assert not hasattr(model.bert, "pooler") or model.bert.pooler is None


def test_a_choice_that_is_not_there_changes_nothing():
    model = model_of()
    inputs, labels = batch(), torch.tensor([2, 0])
    second = {name: value[1:, :2] for name, value in inputs.items()}
    alone = model(**second, labels=labels[1:])
    both = model(**inputs, labels=torch.tensor([-100, 0]))
    torch.testing.assert_close(both.logits[1, :2], alone.logits[0])
    torch.testing.assert_close(both.loss, alone.loss)
    assert present_choices(inputs["attention_mask"]).tolist() == [[True] * 3, [True, True, False]]


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("family", ["bert", "roformer"])
def test_own_heads_leave_out_what_is_not_there(family, adapted):
    """Once they are told to; so do copies."""
    torch.manual_seed(0)
    model = EitherModelForMultipleChoice.from_config(config_of(family), head="own").eval()
    assert type(model) is type(AutoModelForMultipleChoice.from_config(config_of(family)))
    if adapted:
        model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2)).eval()
    inputs = batch()
    wanted = model(**inputs).logits
    leave_out_missing_choices(model)
    found = model(**inputs).logits
    there = present_choices(inputs["attention_mask"])
    assert torch.equal(found[there], wanted[there])
    assert (found[~there] == -torch.inf).all()
    assert torch.equal(copy.deepcopy(model)(**inputs).logits, found)
    assert adapted or torch.equal(pickle.loads(pickle.dumps(model))(**inputs).logits, found)


def test_models_are_opened_by_the_head_that_they_have(tmp_path):
    model, inputs = model_of("bert", "mean"), batch()
    model.save_pretrained(tmp_path / "ours")
    AutoModelForMultipleChoice.from_config(config_of()).save_pretrained(tmp_path / "own")
    AutoModel.from_config(config_of()).save_pretrained(tmp_path / "encoder")
    opened = EitherModelForMultipleChoice.from_pretrained(tmp_path / "ours")
    assert head_of(opened) == "mean"
    torch.testing.assert_close(opened.double()(**inputs).logits, model(**inputs).logits)
    found = {}
    for name in ("ours", "own", "encoder"):
        for head in (None, "max"):
            found[name, head] = head_of(EitherModelForMultipleChoice.from_pretrained(tmp_path / name, head=head))
    assert found == {
        ("ours", None): "mean",
        ("own", None): "own",
        ("encoder", None): "first_token",
        ("ours", "max"): "max",
        ("own", "max"): "max",
        ("encoder", "max"): "max",
    }
    assert head_of(EitherModelForMultipleChoice.from_pretrained(tmp_path / "encoder", head="own")) == "own"


def test_what_cannot_be_had_is_refused():
    inputs, model = batch(), model_of()
    with pytest.raises(ValueError, match="head must be one of own, first_token, mean, max, got 'last'"):
        EitherModelForMultipleChoice.from_config(config_of(), head="last")
    with pytest.raises(ValueError, match="head must be one of first_token, mean, max for a qwen3, which has no"):
        EitherModelForMultipleChoice.from_config(AutoConfig.for_model("qwen3", **SMALL), head="own")
    with pytest.raises(ValueError, match="linear_pooling must be one of first_token, mean, max, got 'last'"):
        AutoModelForLinearChoice.from_config(config_of(), linear_pooling="last")
    with pytest.raises(ValueError, match=r"labels must be of choices that are there, got 2 in row 1"):
        model(**inputs, labels=torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"labels must be in \[0, 3\) or -100, got 3"):
        model(**inputs, labels=torch.tensor([0, 3]))
    with pytest.raises(ValueError, match=r"input_ids must have shape \[B, K, L\] with .* got \[3, 7\]"):
        model(input_ids=inputs["input_ids"][0])
    with pytest.raises(ValueError, match=r"attention_mask must have shape \[2, 3, 7\], got \[2, 7\]"):
        model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"][:, 0])
    positions = torch.tensor([0, 1, 2, 0, 1, 2, 3]).expand(2, 3, 7)
    with pytest.raises(ValueError, match="position_ids must not restart within a row"):
        model(input_ids=inputs["input_ids"], position_ids=positions)
    assert module.BertForLinearChoice is type(model)


@pytest.mark.parametrize("family", ["bert", "roformer"])
def test_bfloat16_and_unpadding(family):
    model, inputs = model_of(family), batch()
    wanted = model(**inputs).logits
    if family == "roformer":
        model.config.unpad = True
        torch.testing.assert_close(model(**inputs).logits, wanted, atol=1e-12, rtol=0)
    half = model.to(torch.bfloat16)(**inputs).logits
    assert half.dtype == torch.float32
    finite = wanted > -torch.inf
    torch.testing.assert_close(half[finite].double(), wanted[finite], atol=0.15, rtol=0.1)
    # The encoder alone in half precision.
    model.classifier.float()
    torch.testing.assert_close(model(**inputs).logits[finite].double(), wanted[finite], atol=0.15, rtol=0.1)
