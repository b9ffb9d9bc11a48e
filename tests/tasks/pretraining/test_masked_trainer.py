"""The loss of masked tokens from their logits alone is that of all logits, its gradients too; evaluation makes all."""

import pytest
import torch
from torch import nn
from transformers import TrainingArguments

from hf_ext.tasks.base.asked_places import head_at, predicts_by_place
from hf_ext.tasks.pretraining.masked_trainer import MaskedTokensTrainer
from tests.model_outputs import gradients
from tests.models_tiny import cases

MASKED = cases("AutoModelForMaskedLM", once=True)


def trainer(model, folder, **more):
    settings = {"max_steps": 1, "use_cpu": True, "report_to": "none", "dataloader_pin_memory": False}
    return MaskedTokensTrainer(model, TrainingArguments(str(folder), **settings | more))


@pytest.mark.parametrize("case", MASKED)
def test_loss_and_gradients_are_those_of_all_logits(case, tmp_path):
    model = case.make()
    run = trainer(model, tmp_path)
    assert run.asks_places
    batch = case.batch([5, 1, 8])
    labels = case.labels(batch)["labels"]
    inputs = {**batch, "labels": labels}
    shapes, found = [], []
    for run.asks_places in (True, False):
        model.train()
        # Dropout draws the same.
        torch.manual_seed(0)
        options = {"return_outputs": True, "num_items_in_batch": torch.tensor(7)}
        loss, outputs = run.compute_loss(model, dict(inputs), **options)
        loss.backward()
        shapes.append(tuple(outputs["logits"].shape[:2]))
        found.append({"loss": loss.detach(), **gradients(model)})
    # A loss is in float32 whatever the model is in.
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-7)
    assert shapes == [(1, int((labels != -100).sum())), labels.shape]
    run.asks_places = True
    model.eval()
    _, outputs = run.compute_loss(model, dict(inputs), return_outputs=True)
    assert outputs["logits"].shape[:2] == labels.shape


class Mixed(nn.Module):
    """A head that reads the vector beside its own too."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, hidden):
        return self.head(hidden + hidden.roll(1, 1))


def test_a_head_of_more_than_one_vector_is_given_all(tmp_path):
    model = MASKED[0].values[0].make()
    assert predicts_by_place(model)
    model.cls = Mixed(model.cls)
    assert not predicts_by_place(model)
    assert not trainer(model, tmp_path).asks_places


def test_what_an_error_leaves_behind_is_nothing():
    model = MASKED[0].values[0].make()
    ids = torch.arange(4)[None]
    wanted = model(ids).logits
    with pytest.raises(IndexError), head_at(model, torch.tensor([0]), torch.tensor([9])):
        model(ids)
    torch.testing.assert_close(model(ids).logits, wanted)
