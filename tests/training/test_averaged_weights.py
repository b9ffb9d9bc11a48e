"""Averaged weights: by hand over the weights of each step, what is evaluated and saved, and over a break."""

import pytest
import torch
from safetensors.torch import load_file
from theseus_runs import classifier, rows
from trainer_runs import descent
from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback

from hf_ext.training import EMACallback, ReplacementSchedule, attach_successor

DECAY = 0.6


class Weights(TrainerCallback):
    """Keeps the weights that each step made."""

    def __init__(self):
        self.steps = []

    def on_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.steps.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})


def averaged(steps):
    """The mean of weights of which each step counts 1 / DECAY as much as the one before."""
    shares = [DECAY ** (len(steps) - 1 - number) for number in range(len(steps))]
    return {name: sum(s * own[name] for s, own in zip(shares, steps)) / sum(shares) for name in steps[0]}


def trainer_of(folder, callbacks, dropout=0.2, **options):
    settings = {"per_device_train_batch_size": 4, "max_steps": 6, "optim": "adamw_torch", "learning_rate": 0.02}
    return Trainer(
        classifier(dropout=dropout),
        descent(folder, **(settings | options)),
        train_dataset=rows(),
        eval_dataset=rows(5),
        callbacks=callbacks,
    )


STEPS = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}


@pytest.mark.parametrize("best", [False, True])
def test_what_is_evaluated_and_saved(tmp_path, best):
    """Training is not changed by it; evaluations, checkpoints and the last model are averages."""
    plain = Weights()
    trainer_of(tmp_path / "plain", [plain], **STEPS).train()
    weights = Weights()
    more = {"load_best_model_at_end": True, "metric_for_best_model": "loss"} if best else {}
    run = trainer_of(tmp_path, [EMACallback(DECAY), weights], **STEPS, **more)
    run.train()
    for mine, theirs in zip(weights.steps, plain.steps, strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    losses = {entry["step"]: entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry}
    batch = {name: torch.stack([torch.as_tensor(row[name]) for row in rows(5)]) for name in ("input_ids", "labels")}
    for step in (2, 4, 6):
        folder = tmp_path / f"checkpoint-{step}"
        wanted = averaged(plain.steps[:step])
        torch.testing.assert_close(load_file(folder / "model.safetensors"), wanted, rtol=1e-5, atol=1e-6)
        saved = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        assert float(saved(**batch).loss.detach()) == pytest.approx(losses[step], rel=1e-5)
    last = min(losses, key=lambda step: losses[step]) if best else 6
    found = {name: parameter.detach() for name, parameter in run.model.named_parameters()}
    torch.testing.assert_close(found, averaged(plain.steps[:last]), rtol=1e-5, atol=1e-6)
    # Nothing is left in the optimiser.
    assert all(isinstance(key, torch.Tensor) for key in run.optimizer.state)


@pytest.mark.parametrize("break_at", [2, 3, 4])
def test_a_resumed_run_is_the_run_without_a_break(tmp_path, break_at):
    """From a checkpoint whose model has averages, saved at the end of an evaluation or without one."""
    options = STEPS | {"save_steps": break_at if break_at != 4 else 2}
    whole = trainer_of(tmp_path, [EMACallback(DECAY)], **options)
    whole.train()
    again = trainer_of(tmp_path, [EMACallback(DECAY)], **options)
    again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{break_at}"))
    assert whole.state.log_history[-2]["eval_loss"] == again.state.log_history[-2]["eval_loss"]
    for name, parameter in whole.model.named_parameters():
        assert torch.equal(parameter, again.model.get_parameter(name)), name


def test_epochs_accumulation_and_what_is_frozen(tmp_path):
    weights = Weights()
    options = {"max_steps": -1, "num_train_epochs": 2, "gradient_accumulation_steps": 3}
    run = trainer_of(tmp_path, [EMACallback(DECAY), weights], eval_strategy="epoch", save_strategy="epoch", **options)
    frozen = run.model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    kept = frozen.clone()
    run.train()
    assert len(weights.steps) == 4
    assert torch.equal(frozen, kept)
    found = {name: parameter.detach() for name, parameter in run.model.named_parameters()}
    torch.testing.assert_close(found, averaged(weights.steps), rtol=1e-5, atol=1e-6)
    first = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    torch.testing.assert_close(first, averaged(weights.steps[:2]), rtol=1e-5, atol=1e-6)


def test_of_a_successor(tmp_path):
    run = trainer_of(tmp_path, [ReplacementSchedule(), EMACallback(DECAY)], **STEPS)
    attach_successor(run.model, 2)
    run.train()
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "checkpoint-6").config.num_hidden_layers == 2


def test_low_precision_is_averaged_in_float32(tmp_path):
    run = trainer_of(tmp_path, [EMACallback(0.999)], max_steps=2)
    run.model.to(torch.bfloat16)
    before = {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}
    run.args.learning_rate = 0.0
    run.train()
    for name, parameter in run.model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_what_it_refuses(tmp_path):
    for decay in (0.0, 1.0, -1, 2):
        with pytest.raises(ValueError, match=f"ema_decay must be above 0 and below 1, got {decay}"):
            EMACallback(decay)
    trainer_of(tmp_path, [], save_strategy="steps", save_steps=2, max_steps=2).train()
    run = trainer_of(tmp_path, [EMACallback(DECAY)], max_steps=4)
    with pytest.raises(ValueError, match="resume_from_checkpoint must be a checkpoint with averages"):
        run.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    run.args.fsdp = True
    with pytest.raises(ValueError, match="ema_decay must be left out where fsdp or deepspeed divide the weights"):
        run.callback_handler.on_train_begin(run.args, run.state, run.control)
