"""R-Drop as a loss of two passes, and as a trainer that makes them."""

import copy

import peft
import pytest
import torch
from torch.nn import functional as F
from trainer_runs import descent
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

import hf_ext
from hf_ext.losses import RDropLoss, focal_loss, for_trainer, pointer_divergence, r_drop_loss, symmetric_divergence
from hf_ext.training.r_drop import RDropTrainer, output_divergence

LABELS = torch.tensor([0, 2, -100, 1])


def two_passes(dtype=torch.float64, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    values = scale * torch.randn(2, 4, 3, generator=generator, dtype=torch.float64).clamp(-1, 1)
    return (x.to(dtype).requires_grad_() for x in values)


def kl(p, q):
    return F.kl_div(q.log_softmax(-1), p.log_softmax(-1), log_target=True, reduction="none").sum(-1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 4.0])
def test_loss_by_hand(alpha):
    first, second = two_passes()
    kept = LABELS != -100
    both = (kl(first, second) + kl(second, first))[kept].mean()
    base = (F.cross_entropy(first, LABELS) + F.cross_entropy(second, LABELS)) / 2
    torch.testing.assert_close(RDropLoss(alpha)(first, second, LABELS), base + alpha / 4 * both)
    base = (focal_loss(first, LABELS) + focal_loss(second, LABELS)) / 2
    torch.testing.assert_close(r_drop_loss(first, second, LABELS, alpha, focal_loss), base + alpha / 4 * both)
    assert torch.autograd.gradcheck(lambda x, y: r_drop_loss(x, y, LABELS, alpha), (first, second))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_extreme_logits_and_masked_classes(dtype, scale):
    first, second = two_passes(dtype, scale)
    masked = [torch.cat((x, torch.full_like(x[:, :1], -torch.inf)), -1) for x in (first, second)]
    loss = r_drop_loss(*masked, LABELS)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss >= 0
    torch.testing.assert_close(loss, r_drop_loss(first, second, LABELS), rtol=1e-5, atol=0)
    assert first.grad.isfinite().all()


def test_wrong_arguments():
    first, second = two_passes()
    with pytest.raises(ValueError, match="alpha must be at least 0, got -1"):
        r_drop_loss(first, second, LABELS, -1)
    with pytest.raises(ValueError, match=r"second must have the shape of first, \(4, 3\), got \(4, 2\)"):
        symmetric_divergence(first, second[:, :2])
    with pytest.raises(ValueError, match=r"labels must have the shape \(4,\) or \(4, 3\) of the logits, got \(4, 2\)"):
        output_divergence(first, second, LABELS[:, None].expand(4, 2))


def test_divergence_of_sigmoids():
    first, second = two_passes()
    labels = torch.ones(4, 3)
    labels[0, 1] = labels[1] = -100
    wanted = ((first - second) * (first.sigmoid() - second.sigmoid())).masked_fill(labels == -100, 0).sum() / 3
    torch.testing.assert_close(output_divergence(first, second, labels), wanted)


def tiny(task, dropout):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.for_model("bert", vocab_size=20, num_labels=3, **sizes, **rates)
    return {"text": AutoModelForSequenceClassification, "tokens": AutoModelForTokenClassification}[task].from_config(
        config
    )


ROWS = {
    "text": [{"input_ids": [n + 2, 3, 4], "labels": n % 3} for n in range(6)],
    "tokens": [{"input_ids": [n + 2, 3, 4], "labels": [n % 3, -100 if n > 1 else 1, 2]} for n in range(6)],
}


def trainer_for(model, rows, path, steps=1, rate=1.0, **options):
    arguments = descent(
        path,
        per_device_train_batch_size=6 if steps == 1 else 4,
        gradient_accumulation_steps=steps,
        max_steps=1,
        learning_rate=rate,
    )
    return hf_ext.RDropTrainer(model, arguments, train_dataset=rows, eval_dataset=rows, **options)


@pytest.mark.parametrize("task", ROWS)
def test_a_step_is_that_of_the_loss_of_two_passes(tmp_path, monkeypatch, task):
    """The dropout masks are drawn in the order of the passes."""
    model, rows = tiny(task, 0.5).train(), ROWS[task]
    before = copy.deepcopy(model)
    ids, labels = (torch.tensor([row[key] for row in rows]) for key in ("input_ids", "labels"))
    trainer = trainer_for(model, rows, tmp_path, compute_loss_func=for_trainer("cross_entropy"), alpha=3.0)
    torch.manual_seed(5)
    loss = trainer.compute_loss(model, {"input_ids": ids, "labels": labels}, num_items_in_batch=(labels != -100).sum())
    torch.manual_seed(5)
    passes = [before(input_ids=ids).logits for _ in range(2)]
    assert not torch.equal(*passes)
    torch.testing.assert_close(loss, r_drop_loss(*passes, labels, alpha=3.0))


@pytest.mark.parametrize("task", ROWS)
def test_accumulation_does_not_change_the_step(tmp_path, task):
    """Dropout that depends on the tokens alone, so that every grouping of the rows sees the same."""
    results = []
    for steps in (1, 2):
        model = tiny(task, 0.0)
        calls = iter(range(1000))
        model.bert.register_forward_hook(lambda *_, c=calls: shifted(_[2], 0.3 * (next(c) % 2)))
        trainer_for(model, ROWS[task], tmp_path, steps, compute_loss_func=for_trainer("cross_entropy")).train()
        results.append(dict(model.named_parameters()))
    for name, parameter in results[0].items():
        torch.testing.assert_close(parameter, results[1][name], rtol=1e-4, atol=1e-6)


def shifted(output, by):
    output.last_hidden_state = output.last_hidden_state * (1 + by)
    if output.pooler_output is not None:
        output.pooler_output = output.pooler_output * (1 + by)
    return output


def test_training_and_evaluation(tmp_path):
    model = tiny("text", 0.5)
    trainer = trainer_for(model, ROWS["text"], tmp_path, rate=0.1)
    trainer.train()
    first, second = (trainer.evaluate()["eval_loss"] for _ in range(2))
    assert first == second
    ids, labels = (torch.tensor([row[key] for row in ROWS["text"]]) for key in ("input_ids", "labels"))
    assert first == pytest.approx(float(model.eval()(input_ids=ids, labels=labels).loss.detach()), rel=1e-5)


def test_a_divergence_of_ones_own(tmp_path):
    model = tiny("text", 0.5).train()
    inputs = {key: torch.tensor([row[key] for row in ROWS["text"]]) for key in ("input_ids", "labels")}
    trainer = trainer_for(model, ROWS["text"], tmp_path, divergence=lambda first, *_: first.sum() * 0 + 7.0, alpha=4.0)
    torch.manual_seed(5)
    loss, outputs = trainer.compute_loss(model, inputs, return_outputs=True)
    torch.manual_seed(5)
    base = (model(**inputs).loss + model(**inputs).loss) / 2
    torch.testing.assert_close(loss, base + 7)
    assert outputs["logits"].shape == (6, 3)


def test_what_it_needs(tmp_path):
    model = tiny("text", 0.5).train()
    trainer = trainer_for(model, ROWS["text"], tmp_path)
    with pytest.raises(ValueError, match="inputs must have labels for R-Drop, got input_ids"):
        trainer.compute_loss(model, {"input_ids": torch.tensor([[1]])})
    with pytest.raises(ValueError, match="alpha must be at least 0, got -1"):
        RDropTrainer(model, alpha=-1)


def span_model():
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = AutoConfig.for_model("bert", vocab_size=20, num_labels=2, **sizes)
    return hf_ext.AutoModelForSpanExtraction.from_config(config, span_head_size=4)


def relation_model():
    return hf_ext.AutoModelForRelationExtraction.from_config(span_model().config, span_head_size=4)


def answer_model():
    return hf_ext.AutoModelForReadingComprehension.from_config(span_model().config, answer_head_size=4)


def tag_model():
    config = span_model().config
    config.id2label = {0: "O", 1: "B-a", 2: "I-a"}
    return hf_ext.AutoModelForSequenceLabeling.from_config(config)


def of_pointers(first, second, labels):
    """The sum of what the tables of a head diverge by."""
    tables = zip(first, second) if isinstance(first, tuple) else [(first, second)]
    return sum(pointer_divergence(one, other) for one, other in tables)


@pytest.mark.parametrize(
    ("make", "labels", "divergence"),
    [
        (span_model, [[0, 1, 2]], of_pointers),
        (relation_model, [[0, 1, 1, 2, 2]], of_pointers),
        (answer_model, [1, 2], of_pointers),
        (tag_model, [0, 1, 2, 0], output_divergence),
    ],
)
def test_heads_that_make_logits_on_demand(make, labels, divergence, tmp_path):
    """The step of two passes by hand, with their dropout masks."""
    model = make().train()
    inputs = {"input_ids": torch.tensor([[3, 4, 5, 6]] * 2), "labels": torch.tensor([labels] * 2)}
    if make is answer_model:
        inputs["context_mask"] = torch.tensor([[0, 1, 1, 1]] * 2)
    trainer = trainer_for(model, [], tmp_path, divergence=divergence, alpha=3.0)
    torch.manual_seed(5)
    loss = trainer.compute_loss(model, dict(inputs))
    torch.manual_seed(5)
    first, second = (model(**inputs, output_logits=True) for _ in range(2))
    apart = divergence(first.logits, second.logits, inputs["labels"])
    assert apart > 1e-6
    torch.testing.assert_close(loss, (first.loss + second.loss) / 2 + 3 / 4 * apart)


def test_an_adapter_around_a_head(tmp_path):
    model = peft.get_peft_model(span_model(), peft.LoraConfig(target_modules=["query"], lora_dropout=0.5)).train()
    inputs = {"input_ids": torch.tensor([[3, 4, 5, 6]]), "labels": torch.tensor([[[0, 1, 2]]])}
    loss = trainer_for(model, [], tmp_path, divergence=of_pointers).compute_loss(model, inputs)
    assert loss.requires_grad


def test_tables_of_several_pointers_need_a_divergence():
    tables = (torch.zeros(1, 1, 2, 2),) * 3
    with pytest.raises(ValueError, match="logits must be one tensor, got 3 of them; give a divergence"):
        output_divergence(tables, tables, torch.zeros(1, 1, 5))
