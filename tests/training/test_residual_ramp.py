"""Residual branches that grow: alpha of each step, in checkpoints, and gone from the trained model."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from trainer_runs import descent
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, Trainer, TrainerCallback

import hf_ext  # noqa: F401
from hf_ext.training import ResidualRamp

ROWS = [{"input_ids": [n + 2, 3, 4, 5], "labels": n % 3} for n in range(12)]


def tiny(kind="bert", **fields):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.for_model(kind, vocab_size=20, num_labels=3, **{**sizes, **off, **fields})
    return AutoModelForSequenceClassification.from_config(config)


class Alphas(TrainerCallback):
    """Notes alpha of each step, as the layers have it."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.seen.append(float(model.bert.encoder.layer[1].output.dense.residual_alpha))


def run(model, path, ramp, resume=None, **arguments):
    alphas = Alphas()
    settings = {"per_device_train_batch_size": 2, "max_steps": 6, "learning_rate": 0.1, **arguments}
    trainer = Trainer(model, descent(path, **settings), train_dataset=ROWS, eval_dataset=ROWS, callbacks=[ramp, alphas])
    trainer.train(resume_from_checkpoint=resume)
    return alphas.seen


def test_alpha_grows_by_a_fixed_step_and_is_gone_at_the_end(tmp_path):
    model = tiny()
    names = set(model.state_dict())
    ramp = ResidualRamp(4)
    seen = run(model, tmp_path, ramp)
    assert seen == [0, 0.25, 0.5, 0.75, 1, 1]
    assert set(ramp.ends) == {
        f"bert.encoder.layer.{n}.{end}.dense" for n in range(2) for end in ("attention.output", "output")
    }
    assert set(model.state_dict()) == names
    # Plain: what it computes is what a model with the same weights does.
    plain = tiny().eval()
    plain.load_state_dict(model.state_dict())
    ids = torch.tensor([[3, 4, 5]])
    torch.testing.assert_close(model.eval()(ids).logits, plain(ids).logits)


def test_branches_by_hand():
    model = tiny().eval()
    ramp = ResidualRamp(4, start=0.25)
    ramp.attach(model)
    x = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    block = model.bert.encoder.layer[0].output
    branch = nn.functional.linear(torch.ones(1, 3, 12), block.dense.weight, block.dense.bias)
    torch.testing.assert_close(block(torch.ones(1, 3, 12), x), block.LayerNorm(x + 0.25 * branch))
    assert not any("residual_alpha" in name for name, _ in model.named_parameters())
    # Within the ramp it is a part of the layer.
    wanted = model(torch.tensor([[3, 4]])).logits
    ramp.detach()
    torch.testing.assert_close(model(torch.tensor([[3, 4]])).logits, wanted)


def test_a_block_begins_as_the_identity_under_its_norm():
    model = tiny().eval()
    ResidualRamp(4).attach(model)
    x = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0))
    norm = nn.functional.layer_norm(x, (8,), eps=1e-12)
    torch.testing.assert_close(model.bert.encoder(x).last_hidden_state, norm, rtol=1e-4, atol=1e-5)


def test_a_resumed_run_is_the_run_without_a_break(tmp_path):
    whole = tiny()
    run(whole, tmp_path / "whole", ResidualRamp(4), save_strategy="steps", save_steps=2)
    checkpoint = tmp_path / "whole" / "checkpoint-2"
    saved = load_file(checkpoint / "model.safetensors")
    assert saved["bert.encoder.layer.0.output.dense.residual_alpha"] == 0.25
    resumed = tiny()
    seen = run(resumed, tmp_path / "again", ResidualRamp(4), resume=str(checkpoint))
    assert seen == [0.5, 0.75, 1, 1]
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict())


def test_the_best_model_has_the_alpha_of_its_step(tmp_path):
    """The first evaluation is made to be the best one: alpha was a quarter."""
    model = tiny()
    kept = {}

    class Keep(TrainerCallback):
        def on_evaluate(self, args, state, control, model=None, **kwargs):
            kept.setdefault("logits", model.eval()(torch.tensor([[3, 4, 5]])).logits.detach())

    scores = iter([1.0, 0.5, 0.2])
    arguments = descent(
        tmp_path,
        per_device_train_batch_size=2,
        max_steps=6,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="x",
        greater_is_better=True,
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=ROWS,
        eval_dataset=ROWS,
        compute_metrics=lambda _: {"x": next(scores)},
        callbacks=[ResidualRamp(4), Keep()],
    )
    trainer.train()
    trainer.save_model(tmp_path / "best")
    torch.testing.assert_close(model.eval()(torch.tensor([[3, 4, 5]])).logits, kept["logits"])
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "best")
    torch.testing.assert_close(loaded(torch.tensor([[3, 4, 5]])).logits, kept["logits"])


@pytest.mark.parametrize(
    ("kind", "fields", "number"),
    [
        ("roformer", {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 8}, 4),
        ("flash", {"hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 8, "attention_key_size": 4}, 2),
        ("gpt2", {"n_embd": 8, "n_layer": 2, "n_head": 2}, 4),
        ("t5", {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 2, "num_heads": 2}, 10),
        ("llama", {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 8}, 4),
        ("rope_vit", {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 2, "intermediate_size": 8}, 4),
    ],
)
def test_branches_of_other_families(kind, fields, number):
    model = AutoModel.from_config(
        AutoConfig.for_model(kind, **{"vocab_size": 20, **fields} if kind != "rope_vit" else fields)
    )
    ramp = ResidualRamp(4)
    ramp.attach(model)
    assert len(ramp.ends) == number


def test_what_is_refused(tmp_path):
    for options, message in (
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 2, "start": 1}, r"start must be in \[0, 1\), got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            ResidualRamp(**options)
    with pytest.raises(ValueError, match="pattern must match the last layers of residual branches, got 'x', none"):
        ResidualRamp(2, pattern="x").attach(tiny())
    with pytest.raises(ValueError, match=r"which matches bert\.embeddings\.LayerNorm, a LayerNorm"):
        ResidualRamp(2, pattern=r"bert\.embeddings\.LayerNorm").attach(tiny())
    with pytest.raises(ValueError, match=r"steps of the ramp must be at most the 6 of the training, .*got 7"):
        run(copy.deepcopy(tiny()), tmp_path, ResidualRamp(7))
