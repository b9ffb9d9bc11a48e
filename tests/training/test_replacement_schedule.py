"""The rate of a replacement from step to step, and runs of Trainer with it: evaluation, breaks, processes."""

import json
from pathlib import Path

import pytest
import torch
from launch import run_two_processes
from safetensors.torch import load_file
from theseus_in_two_processes import found_of
from theseus_runs import classifier, golden_case, rows, theseus_run
from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback

from hf_ext.training import ReplacementSchedule
from hf_ext.training.theseus import theseus_of

WORKER = Path(__file__).parents[1] / "theseus_in_two_processes.py"


def test_rates_are_golden(golden):
    data, _ = golden_case(golden / "theseus")
    for name, schedule in (
        ("linear_rate_b0.3_k0.0006", ReplacementSchedule(0.3, slope=0.0006)),
        ("constant_rate_0.5_until_1000", ReplacementSchedule(0.5, steps=1000)),
    ):
        found = [schedule.rate_after(int(step), 3000) for step in data["schedule_steps"]]
        assert found == pytest.approx(data[name].tolist(), abs=1e-12)


def test_other_schedules():
    assert [ReplacementSchedule(0.4).rate_after(step, 10) for step in (0, 5, 9)] == [0.4] * 3
    share = ReplacementSchedule(0.5, steps=2 / 3)
    assert [share.rate_after(step, 15) for step in range(15)] == [0.5] * 10 + [1.0] * 5
    assert ReplacementSchedule(0.5, slope=0).rate_after(10**6, 10**6) == 0.5
    assert ReplacementSchedule(0.5, steps=0).rate_after(0, 10) == 1.0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"rate": 0}, "rate must be above 0 and at most 1, got 0"),
        ({"rate": 1.5}, "rate must be above 0 and at most 1, got 1.5"),
        ({"slope": -0.1}, "slope must be at least 0, got -0.1"),
        ({"steps": -1}, "steps must be at least 0, got -1"),
        ({"slope": 0.1, "steps": 3}, "give either slope or steps, got slope=0.1 and steps=3"),
    ],
)
def test_wrong_options(options, error):
    with pytest.raises(ValueError, match=error):
        ReplacementSchedule(**options)


class Watch(TrainerCallback):
    """Notes of each batch the rate and what was replaced in training."""

    def __init__(self):
        self.seen = []

    def on_substep_end(self, args, state, control, model=None, **kwargs):
        theseus = theseus_of(model)
        self.seen.append((theseus.rate, theseus.replaced))

    on_optimizer_step = on_substep_end


def test_a_run(tmp_path):
    """Each batch has a draw, under the rate of its step; only the successor learns; evaluations run it alone."""
    run = theseus_run(
        tmp_path,
        ReplacementSchedule(0.3, slope=0.2),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
    )
    before = {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}
    watch = Watch()
    run.add_callback(watch)
    run.train()
    assert [rate for rate, _ in watch.seen] == pytest.approx([0.3, 0.3, 0.5, 0.5, 0.7, 0.7, 0.9, 0.9])
    assert len({replaced for _, replaced in watch.seen}) > 2
    changed = {name for name, parameter in run.model.named_parameters() if not torch.equal(parameter, before[name])}
    # What a key's bias does cancels out.
    assert changed >= {name for name in before if ".layer." in name and not name.endswith("key.bias")}
    assert all(".layer." in name for name in changed)
    losses = [entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry]
    batch = {name: torch.stack([torch.as_tensor(row[name]) for row in rows(5)]) for name in ("input_ids", "labels")}
    for step, loss in enumerate(losses, start=1):
        saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / f"checkpoint-{step}").eval()
        assert saved.config.num_hidden_layers == 2
        assert float(saved(**batch).loss.detach()) == pytest.approx(loss, rel=1e-5)
    state = json.loads((tmp_path / "checkpoint-2" / "trainer_state.json").read_text())["stateful_callbacks"]
    assert state["ReplacementSchedule"]["args"] == {"rate": 0.3, "slope": 0.2, "steps": None}
    # Afterwards a loop of one's own draws again by passes.
    theseus = theseus_of(run.model)
    theseus.rate = 0.5
    run.model.train()
    draws = [(run.model(**batch), theseus.replaced)[1] for _ in range(20)]
    assert len(set(draws)) == 4


@pytest.mark.parametrize("restored", [False, True])
def test_a_resumed_run_is_the_run_without_a_break(tmp_path, restored):
    settings = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6, "gradient_accumulation_steps": 2}
    settings |= {"restore_callback_states_from_checkpoint": restored}
    whole = theseus_run(tmp_path, ReplacementSchedule(0.4, slope=0.1), model=classifier(dropout=0.2), **settings)
    whole.train()
    again = theseus_run(tmp_path, ReplacementSchedule(0.4, slope=0.1), model=classifier(dropout=0.2), **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    weights = dict(whole.model.named_parameters())
    for name, parameter in again.model.named_parameters():
        assert torch.equal(parameter, weights[name]), name
    other = theseus_run(
        tmp_path / "other", ReplacementSchedule(0.4, slope=0.1), model=classifier(dropout=0.2), **settings, seed=1
    )
    other.train()
    name = "bert.encoder.layer.1.output.dense.weight"
    assert not torch.allclose(other.model.get_parameter(name), weights[name])


def test_switched_to_the_successor_alone(tmp_path):
    """From then on the steps are those of a plain model of two layers whose rest is frozen."""
    run = theseus_run(tmp_path, ReplacementSchedule(steps=0))
    run.train()
    plain = classifier()
    plain.bert.encoder.layer = plain.bert.encoder.layer[:2]
    plain.config.num_hidden_layers = 2
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(".layer." in name)
    other = Trainer(plain, run.args, train_dataset=rows())
    other.train()
    assert plain.state_dict().keys() == run.model.state_dict().keys()
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, run.model.get_parameter(name))


def test_what_it_refuses(tmp_path, monkeypatch):
    run = theseus_run(tmp_path, ReplacementSchedule())
    run.args.torch_compile = True
    with pytest.raises(ValueError, match="torch_compile must be False while a successor is trained"):
        run.callback_handler.on_train_begin(run.args, run.state, run.control)
    run.args.torch_compile = False
    monkeypatch.setattr(type(run.args), "n_gpu", 2)
    with pytest.raises(ValueError, match=r"one process a device \(torchrun\), got one process with 2"):
        run.callback_handler.on_train_begin(run.args, run.state, run.control)
    monkeypatch.undo()
    theseus_of(run.model).successor()
    with pytest.raises(ValueError, match=r"model must have a successor \(attach_successor\), got a BertFor"):
        run.train()


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    """With the same draws in both, and no parameter for whose gradient the other would wait in vain."""
    run_two_processes(WORKER, tmp_path)
    found = load_file(tmp_path / "found.safetensors")
    wanted = found_of(tmp_path, processes=1)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-6, atol=1e-8, msg=lambda text, name=name: f"{name}: {text}"
        )
