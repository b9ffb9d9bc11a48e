"""Learning rates by layer and by name: which parameter has which, what a step does with it, breaks and refusals."""

import copy

import peft
import pytest
import torch
from models_tiny import one_of_each
from theseus_runs import classifier, rows
from trainer_runs import descent
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, Trainer

import hf_ext
from hf_ext.training import LearningRatesTrainer, attach_successor, learning_rate_factors


def test_factors_by_layer_and_name():
    """Counted from the head, as a table by hand; all parts that a name has multiply."""
    model = classifier()
    wanted = {"embeddings": 0.5**5, "pooler": 1.0, "classifier": 1.0}
    wanted |= {f"layer.{number}.": 0.5 ** (4 - number) for number in range(4)}
    factors = learning_rate_factors(model, 0.5)
    assert factors.keys() == dict(model.named_parameters()).keys()
    for name, factor in factors.items():
        assert [factor] == [one for part, one in wanted.items() if part in name]
    more = learning_rate_factors(model, 0.5, {"layer.2.": 3, "bias": 0.1, "layer.*.output.*bias": 7.0})
    for name, factor in more.items():
        times = (3 if "layer.2." in name else 1) * (0.1 if "bias" in name else 1)
        times *= 7 if "layer" in name and ".output." in name and "bias" in name else 1
        assert factor == pytest.approx(factors[name] * times, rel=1e-12)
    # What bert4keras takes for a part is taken as it is.
    with pytest.raises(ValueError, match=r"parts of names of parameters, got 'layer\.\[0\]'"):
        learning_rate_factors(model, None, {"layer.[0]": 1.0})


@pytest.mark.parametrize("case", one_of_each(images=True))
def test_every_family_has_layers_to_decay_by(case):
    model = case.make(num_hidden_layers=3)
    if case.family.paired:
        with pytest.raises(ValueError, match="model must have one stack of blocks"):
            learning_rate_factors(model, 0.5)
        return
    factors = learning_rate_factors(model, 0.5)
    assert set(factors.values()) >= {0.5, 0.25, 0.125, 0.0625}
    embeddings = model.get_input_embeddings()
    for name, parameter in model.named_parameters():
        if any(parameter is own for own in embeddings.parameters()) or name.startswith("embeddings"):
            assert factors[name] == 0.0625


def test_tied_matrices_and_adapters():
    config = AutoConfig.for_model("electra", vocab_size=20, hidden_size=8, embedding_size=4, num_hidden_layers=2)
    config.num_attention_heads, config.intermediate_size = 2, 8
    masked = AutoModelForMaskedLM.from_config(config)
    factors = learning_rate_factors(masked, 0.1)
    assert factors["electra.embeddings.word_embeddings.weight"] == pytest.approx(1e-3)
    assert factors["electra.embeddings_project.weight"] == pytest.approx(1e-3)
    assert factors["generator_lm_head.bias"] == 1.0
    adapted = peft.get_peft_model(classifier(), peft.LoraConfig(target_modules=["query"], task_type="SEQ_CLS"))
    factors = learning_rate_factors(adapted, 0.5)
    lora = [factor for name, factor in factors.items() if "lora" in name]
    assert sorted(set(lora)) == [0.0625, 0.125, 0.25, 0.5]
    assert all(factor == 1.0 for name, factor in factors.items() if "classifier" in name)
    # Of a successor the layers that there are.
    theseus = attach_successor(classifier(), 2)
    assert set(learning_rate_factors(theseus.model, 0.5).values()) == {0.5, 0.25}


def trainer_of(model, folder, **options):
    given = {name: options.pop(name) for name in ("layer_decay", "learning_rate_multipliers") if name in options}
    settings = {"per_device_train_batch_size": 4, "max_steps": 4, "learning_rate": 0.05, "weight_decay": 0.1}
    return LearningRatesTrainer(model, descent(folder, **(settings | options)), train_dataset=rows(), **given)


@pytest.mark.parametrize(
    "settings",
    [
        {"optim": "sgd", "optim_args": "momentum=0.9"},
        {"optim": "adamw_torch", "lr_scheduler_type": "linear", "warmup_steps": 2},
    ],
    ids=lambda settings: settings["optim"],
)
def test_steps_are_those_of_an_optimiser_for_each_parameter(tmp_path, settings):
    """Each parameter by an optimiser of its own, whose rate is multiplied by hand, under Trainer's schedule."""
    options = {"layer_decay": 0.7, "learning_rate_multipliers": {"classifier": 4.0, "LayerNorm": 0.5}}
    model = classifier()
    other = copy.deepcopy(model)
    run = trainer_of(model, tmp_path, **options, **settings)
    run.train()
    plain = Trainer(other, run.args, train_dataset=rows())
    decays = plain.get_decay_parameter_names(other)
    kind, given = Trainer.get_optimizer_cls_and_kwargs(run.args, other)
    given.pop("lr")
    factors = learning_rate_factors(other, *options.values())
    groups = [
        {"params": [p], "lr": 0.05 * factors[name], "weight_decay": 0.1 if name in decays else 0.0}
        for name, p in other.named_parameters()
    ]
    by_hand = Trainer(other, run.args, train_dataset=rows(), optimizers=(kind(groups, lr=0.05, **given), None))
    by_hand.train()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, other.get_parameter(name), msg=lambda text, name=name: f"{name}: {text}")
    # Logs have the rate that others are multiples of.
    rates = [entry["learning_rate"] for entry in run.state.log_history if "learning_rate" in entry]
    assert max(rates) == pytest.approx(0.05)


def test_a_resumed_run_goes_on(tmp_path):
    options = {"layer_decay": 0.7, "optim": "adamw_torch", "save_strategy": "steps", "save_steps": 2}
    model = classifier()
    again = copy.deepcopy(model)
    trainer_of(model, tmp_path, **options).train()
    trainer_of(again, tmp_path, **options).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, again.get_parameter(name))


def test_training_again_multiplies_once(tmp_path):
    run = trainer_of(classifier(), tmp_path, layer_decay=0.5, max_steps=1)
    for _ in range(2):
        run.train()
        assert sorted({group["lr"] for group in run.optimizer.param_groups}) == pytest.approx(
            [0.05 * 0.5**power for power in (5, 4, 3, 2, 1, 0)]
        )


def test_transitions_learn_faster_beside_it(tmp_path):
    """The rate of a CRF's transitions is a multiple of that of their layer, the head."""
    config = AutoConfig.for_model("bert", vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2)
    config.intermediate_size, config.id2label = 8, {0: "O", 1: "B-a", 2: "I-a"}
    model = hf_ext.AutoModelForSequenceLabeling.from_config(config, head_lr_multiplier=20.0).eval()
    before = copy.deepcopy(model)
    data = [{"input_ids": row["input_ids"], "labels": row["input_ids"] % 3} for row in rows(4)]
    run = trainer_of(model, tmp_path, layer_decay=0.5, max_steps=1, weight_decay=0.0, learning_rate=0.001)
    run.train_dataset = data
    for dropout in (module for module in model.modules() if isinstance(module, torch.nn.Dropout)):
        dropout.p = 0.0
    run.train()
    before(**{name: torch.stack([row[name] for row in data]) for name in data[0]}).loss.backward()
    for name, factor in (
        ("classifier.chain.transitions", 20.0),
        ("bert.encoder.layer.1.output.dense.weight", 0.5),
        ("bert.embeddings.word_embeddings.weight", 0.125),
    ):
        old = before.get_parameter(name)
        torch.testing.assert_close(old - model.get_parameter(name), 0.001 * factor * old.grad, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"layer_decay": 0.0}, "layer_decay must be above 0 and at most 1, got 0.0"),
        ({"layer_decay": 1.2}, "layer_decay must be above 0 and at most 1, got 1.2"),
        ({"learning_rate_multipliers": {"bias": 0}}, "must have positive factors, got bias=0"),
        ({"learning_rate_multipliers": {"bias": "big"}}, "must have positive factors, got bias=big"),
        ({"learning_rate_multipliers": {"nobody": 2.0}}, "must have parts of names of parameters, got 'nobody'"),
    ],
)
def test_wrong_options(tmp_path, options, error):
    with pytest.raises(ValueError, match=error):
        trainer_of(classifier(), tmp_path, **options).create_optimizer()


def test_optimisers_that_are_refused(tmp_path):
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="optimizers must be left out where learning rates are to be multiplied"):
        LearningRatesTrainer(model, descent(tmp_path), optimizers=(optimizer, None), layer_decay=0.5)
    albert = AutoModel.from_config(AutoConfig.for_model("albert", vocab_size=20, hidden_size=8, num_attention_heads=2))
    with pytest.raises(ValueError, match="model must have one stack of blocks"):
        trainer_of(albert, tmp_path, layer_decay=0.5).create_optimizer()
    run = trainer_of(classifier(), tmp_path, layer_decay=0.5)
    run.optimizer_cls_and_kwargs = (torch.optim.SGD, {"lr": 0.1, "params": [torch.nn.Parameter(torch.zeros(3))]})
    with pytest.raises(ValueError, match="optim must be an optimiser of the model's parameters by a learning rate"):
        run.create_optimizer()
