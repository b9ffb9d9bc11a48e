"""Distillation: the reference's number, its definition row by row, and what a Trainer makes of it."""

import copy
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer

from hf_ext.losses import DistillationLoss, distillation_for_trainer, distillation_loss


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_number_of_the_reference(golden, dtype, tolerance):
    with np.load(golden / "pet" / "io.npz") as file:
        student, teacher, wanted = (
            torch.from_numpy(file[name]).to(dtype)
            for name in ("student_logits", "weighted_mean_logits", "distillation_loss")
        )
    torch.testing.assert_close(distillation_loss(student, teacher), wanted, rtol=tolerance, atol=tolerance)
    assert DistillationLoss()(student, teacher) == distillation_loss(student, teacher)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_it_is_the_divergence_of_softened_distributions(temperature):
    """Of rows that are left out nothing; a class that neither has changes nothing."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 3, dtype=torch.float64)
    student.requires_grad_()
    teacher[1] = -100
    kept = [0, 2, 3, 4]
    log_p, q = (student / temperature).log_softmax(-1), (teacher / temperature).softmax(-1)
    rows = temperature**2 * F.kl_div(log_p, q, reduction="none").sum(-1)
    loss = distillation_loss(student, teacher, temperature, "none")
    torch.testing.assert_close(loss[kept], rows[kept])
    assert loss[1] == 0
    torch.testing.assert_close(distillation_loss(student, teacher, temperature), rows[kept].mean())
    absent = torch.full((5, 1), -torch.inf, dtype=torch.float64)
    wide = torch.cat((student, absent), -1), torch.cat((teacher, absent), -1)
    wide[1][1] = -100
    torch.testing.assert_close(distillation_loss(*wide, temperature), rows[kept].mean())
    assert torch.autograd.gradcheck(lambda x: distillation_loss(x, teacher, temperature), student)
    assert distillation_loss(student, torch.full_like(student, -100)) == 0


@pytest.mark.parametrize(
    ("student", "teacher", "options", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 2), {}, "teacher must have the shape of logits, (2, 3), got (2, 2)"),
        (torch.zeros(2, 3), torch.full((2, 3), torch.nan), {}, "teacher must be numbers or -inf, got nan"),
        (torch.zeros(2, 3), torch.zeros(2, 3), {"temperature": 0}, "temperature must be above 0, got 0"),
        (torch.zeros(0, 3), torch.zeros(0, 3), {}, "logits must be floats, at least one"),
    ],
)
def test_what_does_not_fit_is_refused(student, teacher, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        distillation_loss(student, teacher, **options)


def test_a_trainer_takes_it_whatever_the_accumulation(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model("bert", vocab_size=20, num_labels=3, **sizes, **off)
    )
    before = copy.deepcopy(model)
    teacher = torch.randn(6, 3)
    rows = [{"input_ids": [n + 2, 3, 4], "labels": own} for n, own in enumerate(teacher.tolist())]
    ids = torch.tensor([row["input_ids"] for row in rows])
    distillation_loss(before(input_ids=ids).logits, teacher, 3.0).backward()
    arguments = descent(
        tmp_path, per_device_train_batch_size=4, gradient_accumulation_steps=2, max_steps=1, learning_rate=1.0
    )
    Trainer(model, arguments, train_dataset=rows, compute_loss_func=distillation_for_trainer(3.0)).train()
    for old, new in zip(before.parameters(), model.parameters()):
        torch.testing.assert_close(old - new, old.grad, rtol=1e-3, atol=1e-6)
