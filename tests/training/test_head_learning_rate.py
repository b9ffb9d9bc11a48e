"""The rate of transitions under a plain Trainer, against groups that an optimiser has from the beginning."""

import copy
import logging
from types import SimpleNamespace

import fresh_process
import pytest
import torch
from transformers import AutoConfig, Trainer, TrainerControl, TrainerState, TrainingArguments

import hf_ext
from hf_ext.training.head_learning_rate import HeadLearningRate, transitions

TAGS = ["O", "B-a", "I-a"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.for_model("bert", vocab_size=20, max_position_embeddings=8, **size, **quiet)
    config.id2label = dict(enumerate(TAGS))
    config.label2id = {tag: number for number, tag in enumerate(TAGS)}
    return hf_ext.AutoModelForSequenceLabeling.from_config(config, head_lr_multiplier=20.0)


class Rows(torch.utils.data.Dataset):
    """Sixteen rows of five tokens."""

    def __len__(self):
        return 16

    def __getitem__(self, index):
        ids = torch.randint(0, 20, (5,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": ids, "labels": ids % 3}


def trainer_of(model, folder, options=None, **settings):
    defaults = {
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
        "max_steps": 4,
        "per_device_train_batch_size": 4,
    }
    arguments = TrainingArguments(str(folder), **(defaults | settings))
    given = {} if options is None else options(model, arguments)
    return Trainer(model, arguments, train_dataset=Rows(), eval_dataset=Rows(), **given)


def with_groups(model, arguments):
    return {"optimizer_cls_and_kwargs": hf_ext.head_optimizer(model, arguments)}


def assert_same_parameters(one, other):
    for (name, got), want in zip(one.named_parameters(), other.parameters()):
        torch.testing.assert_close(got, want, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"optim": "adamw_torch"},
        {"optim": "adamw_torch_fused", "warmup_steps": 2},
        {"optim": "sgd", "optim_args": "momentum=0.9", "lr_scheduler_type": "constant"},
        {"optim": "adafactor", "lr_scheduler_type": "cosine"},
        {"optim": "rmsprop", "gradient_accumulation_steps": 2},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "steps", "eval_steps": 1},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_the_same_as_groups(model, tmp_path, settings):
    """Whatever the optimiser and the schedule, both ways make the same steps."""
    other, plain = copy.deepcopy(model), copy.deepcopy(model)
    plain.config.head_lr_multiplier = 1.0
    run = trainer_of(model, tmp_path, **settings)
    run.train()
    trainer_of(other, tmp_path, with_groups, **settings).train()
    trainer_of(plain, tmp_path, **settings).train()
    assert_same_parameters(model, other)
    assert not torch.allclose(model.classifier.chain.transitions, plain.classifier.chain.transitions, rtol=1e-3)
    # Afterwards the groups are Trainer's own.
    groups = run.optimizer.param_groups
    assert [len(group["params"]) for group in groups] == [
        sum(len(p.shape) > 1 and "LayerNorm" not in name for name, p in model.named_parameters()),
        sum(len(p.shape) == 1 for p in model.parameters()),
    ]
    assert len({group["lr"] for group in groups}) == 1


def test_a_step_is_the_gradient_times_the_rate(model, tmp_path):
    start = copy.deepcopy(model)
    settings = {"optim": "sgd", "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "weight_decay": 0.0}
    run = trainer_of(model, tmp_path, max_steps=1, per_device_train_batch_size=16, **settings)
    rows = [Rows()[index] for index in range(16)]
    start(**{name: torch.stack([row[name] for row in rows]) for name in rows[0]}).loss.backward()
    run.train()
    for (name, before), after in zip(start.named_parameters(), model.parameters()):
        rate = 0.2 if name.endswith("transitions") else 0.01
        torch.testing.assert_close(before - after, rate * before.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("optim", ["adamw_torch", "sgd", "adafactor"])
def test_resumed_runs_go_on(model, tmp_path, optim):
    start = copy.deepcopy(model)
    settings = {"optim": optim, "save_strategy": "steps", "save_steps": 2, "save_only_model": False}
    trainer_of(model, tmp_path, **settings).train()
    saved = torch.load(tmp_path / "checkpoint-2" / "optimizer.pt", weights_only=True)
    assert len(saved["param_groups"]) == 2
    again = trainer_of(start, tmp_path, **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert_same_parameters(start, model)


def test_training_again_multiplies_once(model, tmp_path):
    other = copy.deepcopy(model)
    for one, options in ((model, None), (other, with_groups)):
        run = trainer_of(one, tmp_path, options, max_steps=2)
        run.train()
        run.train()
    assert_same_parameters(model, other)


def test_when_nothing_else_learns(model, tmp_path):
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.endswith(("transitions", "bias"))
    other, alone = copy.deepcopy(model), copy.deepcopy(model)
    trainer_of(model, tmp_path).train()
    trainer_of(other, tmp_path, with_groups).train()
    assert_same_parameters(model, other)
    for name, parameter in alone.named_parameters():
        parameter.requires_grad = name.endswith("transitions")
    before = alone.classifier.chain.transitions.detach().clone()
    trainer_of(alone, tmp_path, max_steps=1, weight_decay=0.0).train()
    # The first step of Adam is as large as the rate, wherever there is a gradient.
    torch.testing.assert_close((alone.classifier.chain.transitions - before).abs(), torch.full_like(before, 0.2))


def own_rate(model, arguments, rate):
    fast = transitions(model)
    both = [[p for p in model.parameters() if (id(p) in fast) == kind] for kind in (True, False)]
    groups = [{"params": params, "lr": one} for params, one in zip(both, (rate, arguments.learning_rate))]
    return {"optimizers": (torch.optim.AdamW(groups), None)}


@pytest.mark.parametrize(
    "options",
    [
        lambda model, arguments: own_rate(model, arguments, 0.03),
        lambda model, arguments: {"optimizer_cls_and_kwargs": hf_ext.head_optimizer(model, arguments, 1.0)},
    ],
)
def test_a_rate_of_ones_own_is_kept(model, tmp_path, options):
    other = copy.deepcopy(model)
    trainer_of(model, tmp_path, options, warmup_steps=2).train()
    without = trainer_of(other, tmp_path, options, warmup_steps=2)
    without.remove_callback(HeadLearningRate)
    without.train()
    assert_same_parameters(model, other)


def test_groups_of_the_same_rate_are_multiplied(model, tmp_path):
    other = copy.deepcopy(model)
    trainer_of(model, tmp_path, lambda model, arguments: own_rate(model, arguments, 1e-2)).train()
    trainer_of(other, tmp_path, lambda model, arguments: own_rate(model, arguments, 0.2)).train()
    assert_same_parameters(model, other)


def test_an_optimizer_without_the_transitions(model, tmp_path, caplog):
    callback, arguments = HeadLearningRate(), TrainingArguments(str(tmp_path), report_to="none", use_cpu=True)
    flat = torch.nn.Parameter(torch.zeros(3))
    for optimizer in (torch.optim.SGD([flat]), SimpleNamespace(param_groups=[{"params": list(model.parameters())}])):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            callback.on_train_begin(arguments, TrainerState(), TrainerControl(), model=model, optimizer=optimizer)
        assert "head_lr_multiplier=20.0 has no effect" in caplog.text
        assert type(optimizer).__name__ in caplog.text


def test_every_trainer_has_it_and_import_stays_cheap():
    code = (
        "import sys, hf_ext; assert 'transformers.trainer' not in sys.modules; import transformers.trainer as t; "
        "hf_ext.training.registration.register_callbacks(); print([c.__name__ for c in t.DEFAULT_CALLBACKS])"
    )
    result = fresh_process.run(code)
    assert (
        result.stdout.strip() == "['DefaultFlowCallback', 'HeadLearningRate', 'CheckLabelSmoothing', 'DatasetEpoch']"
    ), result.stderr
