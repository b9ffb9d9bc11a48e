"""Adapters in the place of all weights: what learns, what is saved, and what is refused."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from jobs_tiny import JOBS, config
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, BertConfig, BertModel, TrainingArguments

import hf_ext
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.cloze import ClozeJob
from hf_ext.training import LoraTrainer

START = {"train_file": Path("a"), "validation_file": Path("b")}
TASKS = ("spans", "crf", "relations", "answers", "classes", "linear classes", "choices", "cosent")
STEPS = {"per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 0.05, "optim": "sgd", "max_grad_norm": 0}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)


@pytest.fixture(params=TASKS)
def start(request, tmp_path):
    """A job whose encoder is trained already, its case, and the weights of the encoder."""
    case = JOBS[request.param]
    case.write(tmp_path / "job", dropout=0.1)
    job = case.make(tmp_path / "job")
    tokenizer = job.load_tokenizer(text for example in job.read().train for text in job.texts(example))
    settings = config(case.family, dropout=0.1)
    settings.vocab_size, settings.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    torch.manual_seed(0)
    encoder = AutoModel.from_config(settings)
    for one in (encoder, tokenizer):
        one.save_pretrained(tmp_path / "encoder")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    return replace(job, config=None, model=str(tmp_path / "encoder"), lora=2), case, before


def test_adapters_and_head_learn_and_are_saved_as_a_model_like_any_other(start, tmp_path, caplog):
    job, case, before = start
    saving = {"save_strategy": "steps", "save_steps": 2}
    kept = replace(job, keep_checkpoints=True)
    scores = kept.run(case.arguments(tmp_path / "out", **STEPS, **saving))
    learnt = load_file(tmp_path / "out" / "checkpoint-2" / "adapter_model.safetensors")
    assert all("lora_" in name or "classifier" in name for name in learnt)
    assert any("classifier" in name for name in learnt) == (job.command != "similarity")
    # The folder has no adapter, and only what adapters are of has changed in the encoder.
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    saved = load_file(tmp_path / "out" / "model.safetensors")
    after = {name.removeprefix("bert."): value for name, value in saved.items()}
    assert len(before.keys() & after.keys()) > 15
    changed = {name for name, value in before.items() if name in after and not torch.equal(value, after[name])}
    assert changed == {f"encoder.layer.0.attention.self.{name}.weight" for name in ("query", "value")}
    assert "has no effect" not in caplog.text
    # What was scored is what was saved.
    file = tmp_path / "job" / "validation.jsonl"
    arguments = case.arguments(tmp_path / "evaluation")
    found = job_of_model(str(tmp_path / "out"), job.command).evaluate(file, arguments)
    numbers = {name: value for name, value in found.items() if isinstance(value, float)}
    assert numbers
    assert numbers == pytest.approx({name: scores[name] for name in numbers}, rel=1e-5)
    # A run that was broken off goes on as if it had not been.
    again = case.arguments(
        tmp_path / "again", **STEPS, **saving, resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2")
    )
    job.run(again)
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "again"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.parametrize(
    ("job", "options", "message"),
    [
        (ClassificationJob, {"config": "tiny", "lora": 2}, "lora goes with model, which is trained already, got 2"),
        (ClassificationJob, {"model": "x", "lora": 0}, "lora must be at least 1, got 0"),
        (ClassificationJob, {"model": "x", "lora_alpha": 2.0}, "lora_alpha goes with lora, got 2.0 without it"),
        (ClassificationJob, {"model": "x", "lora": 2, "lora_alpha": 0.0}, "lora_alpha must be above 0, got 0.0"),
        (
            ClassificationJob,
            {"model": "x", "lora": 2, "compress_to": 2},
            "lora must be left out, got 2: it does not go with compress_to, whose smaller model is trained as a whole",
        ),
        (ClozeJob, {"model": "x", "lora": 2}, "lora must be left out, got 2: soft tokens are"),
    ],
)
def test_what_cannot_be_is_refused(job, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        job(**START, **options)


class UnknownConfig(BertConfig):
    """Of a family that PEFT knows nothing of."""

    model_type = "unknown"


def test_a_family_that_is_not_known_is_refused(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertModel(UnknownConfig(vocab_size=9, **sizes))
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
    with pytest.raises(ValueError, match="model must be of a family whose layers PEFT knows, got a unknown"):
        LoraTrainer(model, arguments, rank=2)
    with pytest.raises(ValueError, match="optimizers must be left out, as it does not know the adapters, got"):
        LoraTrainer(model, arguments, rank=2, optimizers=(torch.optim.SGD(model.parameters()), None))


def test_alpha_scales_what_is_added(tmp_path):
    """By hand: a weight is the one below and alpha / rank times the product of the adapter's two."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = hf_ext.RoFormerModel(hf_ext.RoFormerConfig(vocab_size=9, **sizes))
    weight = model.encoder.layer[0].attention.self.query.weight.detach().clone()
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", dataloader_pin_memory=False)
    trainer = LoraTrainer(model, arguments, rank=2, alpha=6)
    layer = model.encoder.layer[0].attention.self.query
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    nn.init.normal_(up)
    wanted = weight + 3 * up.detach() @ down.detach()
    merged = trainer.model.merge_and_unload()
    torch.testing.assert_close(merged.encoder.layer[0].attention.self.query.weight, wanted)
