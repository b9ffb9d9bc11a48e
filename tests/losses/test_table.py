import copy

import pytest
import torch
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer

from hf_ext.losses import for_trainer, multilabel_softmax_loss


@pytest.mark.parametrize(("steps", "micro"), [(1, 6), (2, 4), (3, 2)])
def test_a_stock_model_trains_with_it_whatever_the_accumulation(tmp_path, steps, micro):
    """BERT's own head, six rows in one step; (2, 4) cuts them into micro-batches of four and two."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=4,
    )
    model = AutoModelForSequenceClassification.from_config(config)
    before = copy.deepcopy(model)
    rows = [
        {"input_ids": [number + 2, 3, 4], "labels": [float(number >> bit & 1) for bit in range(4)]}
        for number in range(6)
    ]
    ids, labels = (torch.tensor([row[name] for row in rows]) for name in ("input_ids", "labels"))
    multilabel_softmax_loss(before(input_ids=ids).logits, labels).backward()
    arguments = descent(
        tmp_path,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=steps,
        max_steps=1,
        learning_rate=1.0,
    )
    trainer = Trainer(model, arguments, train_dataset=rows, compute_loss_func=for_trainer("multilabel_softmax"))
    trainer.train()
    for old, new in zip(before.parameters(), model.parameters()):
        torch.testing.assert_close(old - new, old.grad, rtol=1e-3, atol=1e-6)
