"""The linear head of classification beside numbers computed by hand in float64; how it is chosen, saved and opened."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, pipeline

from hf_ext import AutoModelForLinearClassification, build_char_tokenizer
from hf_ext.ops.pooling import max_of_tokens
from hf_ext.tasks.base.head_choice import head_of
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.classification.either_model import EitherModelForSequenceClassification

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3}
POOLINGS = {"first_token": lambda x: x[0], "mean": lambda x: x.mean(0), "max": lambda x: x.max(0)}


def model_of(family, pooling, **fields):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SMALL, **OFF, num_labels=3, **fields)
    model = AutoModelForLinearClassification.from_config(config, linear_pooling=pooling).double().eval()
    with torch.no_grad():
        model.classifier.dense.weight.mul_(20)
        model.classifier.dense.bias.copy_(torch.tensor([0.3, -0.2, 0.1]))
    return model


def batch():
    lengths = torch.tensor([7, 4, 6, 1])
    mask = (torch.arange(7) < lengths[:, None]).long()
    return {
        "input_ids": torch.randint(3, 40, (4, 7), generator=torch.Generator().manual_seed(1)) * mask,
        "attention_mask": mask,
    }


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", ["bert", "roformer", "electra"])
def test_logits_loss_and_gradients_are_those_by_hand(family, pooling):
    model, inputs, labels = model_of(family, pooling), batch(), torch.tensor([2, 0, -100, 1])
    found = model(**inputs, labels=labels)
    rows = zip(inputs["input_ids"], inputs["attention_mask"].bool())
    with torch.no_grad():
        hidden = [model.base_model(input_ids=ids[real][None]).last_hidden_state[0].numpy() for ids, real in rows]
    vectors = np.stack([POOLINGS[pooling](one) for one in hidden])
    dense = model.classifier.dense
    logits = vectors @ dense.weight.detach().numpy().T + dense.bias.detach().numpy()
    np.testing.assert_allclose(found.logits.detach().numpy(), logits, atol=1e-12)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    counted = [0, 1, 3]
    np.testing.assert_allclose(found.loss.item(), -np.log(probabilities[counted, labels[counted]]).mean(), atol=1e-12)
    found.loss.backward()
    error = (probabilities[counted] - np.eye(3)[labels[counted]]) / 3
    np.testing.assert_allclose(dense.weight.grad.numpy(), error.T @ vectors[counted], atol=1e-12)
    np.testing.assert_allclose(dense.bias.grad.numpy(), error.sum(0), atol=1e-12)


def test_the_largest_of_no_token_is_0():
    hidden = torch.tensor([[[-1.0, -2.0], [5.0, 6.0]], [[1.0, 2.0], [3.0, 4.0]]])
    mask = torch.tensor([[1, 0], [0, 0]])
    assert max_of_tokens(hidden, mask).tolist() == [[-1.0, -2.0], [0.0, 0.0]]
    assert max_of_tokens(hidden).tolist() == [[5.0, 6.0], [3.0, 4.0]]


@pytest.mark.parametrize("kind", ["multi_label_classification", "regression"])
def test_other_labels(kind):
    model, inputs = model_of("bert", "first_token", problem_type=kind), batch()
    labels = torch.rand(4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = model(**inputs, labels=labels)
    wanted = {
        "multi_label_classification": torch.nn.functional.binary_cross_entropy_with_logits,
        "regression": torch.nn.functional.mse_loss,
    }[kind](found.logits, labels)
    torch.testing.assert_close(found.loss, wanted)
    assert not model.smooths_labels


def test_models_are_opened_by_the_head_that_they_have(tmp_path):
    model = model_of("bert", "mean")
    model.save_pretrained(tmp_path / "ours")
    config = AutoConfig.for_model("bert", **SMALL, num_labels=3)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "own")
    AutoModel.from_config(config).save_pretrained(tmp_path / "encoder")
    found = {
        name: head_of(EitherModelForSequenceClassification.from_pretrained(tmp_path / name))
        for name in ("ours", "own", "encoder")
    }
    assert found == {"ours": "mean", "own": "own", "encoder": "own"}
    again = EitherModelForSequenceClassification.from_pretrained(tmp_path / "ours", dtype=torch.float64)
    torch.testing.assert_close(again(**batch()).logits, model(**batch()).logits)


def test_a_job_trains_it_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    rows = [{"text": f"{one}{two}", "label": one} for one in "甲乙" for two in "子丑寅"]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tokenizer = build_char_tokenizer(row["text"] for row in rows)
    config = AutoConfig.for_model("bert", **{**SMALL, "vocab_size": len(tokenizer)})
    AutoModel.from_config(config).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")

    def trained(name, start, **options):
        job = ClassificationJob(file, file, model=str(tmp_path / start), **options)
        arguments = job.training_arguments(tmp_path / name, use_cpu=True, max_steps=1, disable_tqdm=True)
        return job.run(arguments)["head"], json.loads((tmp_path / name / "config.json").read_text())["architectures"]

    assert trained("plain", "encoder") == ("own", ["BertForSequenceClassification"])
    assert trained("linear", "encoder", head="max") == ("max", ["BertForLinearClassification"])
    # What is fine-tuned further keeps its head; a card and a pipeline know it.
    assert trained("again", "linear") == ("max", ["BertForLinearClassification"])
    assert "one linear layer over the largest of all tokens" in " ".join(
        (tmp_path / "again" / "README.md").read_text().split()
    )
    classify: Any = pipeline("classification", model=str(tmp_path / "again"), device="cpu")
    assert {one["label"] for one in classify("甲子")} <= {"甲", "乙"}
