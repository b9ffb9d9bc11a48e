"""A Trainer over a stream, in Python: it keeps its place, and needs one to go on from."""

import json

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from transformers import TrainingArguments

from hf_ext.training import StreamedBatches, StreamTrainer


class Line(nn.Module):
    """Learns a number for each of ten."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 1)

    def forward(self, input_ids, labels=None):
        return {"loss": mse_loss(self.table(input_ids)[..., 0], labels)}


class Numbers:
    def read(self, first=0):
        return iter(range(first, 30))


def collate(rows):
    ids = torch.tensor(rows)[:, None]
    return {"input_ids": ids % 10, "labels": (ids % 10).float()}


def trainer(folder, **more):
    batches = StreamedBatches(Numbers(), list, lambda row, number: row, collate, batch_size=4, block_size=8, seed=1)
    settings = {"max_steps": 11, "save_steps": 3, "logging_steps": 1, "use_cpu": True, "report_to": "none"}
    settings |= {"disable_tqdm": True, "learning_rate": 0.1, "dataloader_pin_memory": False}
    return StreamTrainer(Line(), TrainingArguments(str(folder), **settings | more), train_dataset=batches)


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("step", [3, 6, 9])
def test_it_goes_on_where_a_checkpoint_was_made(step, accumulated, tmp_path):
    whole = trainer(tmp_path / "whole", gradient_accumulation_steps=accumulated)
    whole.train()
    on = trainer(tmp_path / "on", gradient_accumulation_steps=accumulated)
    on.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
    wanted = [entry["loss"] for entry in whole.state.log_history if "loss" in entry]
    assert [entry["loss"] for entry in on.state.log_history if "loss" in entry] == pytest.approx(wanted)
    torch.testing.assert_close(on.model.table.weight, whole.model.table.weight)
    assert on.state.epoch == whole.state.epoch == 1
    assert len(set(wanted)) == len(wanted)


def test_it_begins_anew_unless_it_is_told(tmp_path):
    run = trainer(tmp_path / "run", max_steps=2)
    run.train()
    first = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    run.model.table.reset_parameters()
    run.train()
    assert run.state.global_step == 2
    assert len(first) == 2


def test_a_checkpoint_without_a_place_is_refused(tmp_path):
    trainer(tmp_path / "run").train()
    file = tmp_path / "run" / "checkpoint-3" / "trainer_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    assert state["stateful_callbacks"].pop("StreamPlace")["attributes"]["place"] == [0, 1, 4]
    file.write_text(json.dumps(state), encoding="utf-8")
    with pytest.raises(ValueError, match="says no place in a stream"):
        trainer(tmp_path / "on").train(resume_from_checkpoint=str(file.parent))
