"""Penalties under Trainer: by names, once a step, over real tokens, with adapters, and without weight decay beside."""

import copy
import re
from pathlib import Path

import peft
import penalty_in_two_processes
import pytest
import torch
from launch import run_two_processes
from torch import nn
from torch.nn.utils import parametrizations
from trainer_runs import descent
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2Model,
    T5Config,
    T5ForConditionalGeneration as T5,
    Trainer,
)
from transformers.pytorch_utils import Conv1D

import hf_ext  # noqa: F401
from hf_ext.losses import (
    SelfOrthogonalityPenalty,
    WEISSIPenalty,
    orthogonality_penalty,
    self_orthogonality_penalty,
    weissi_penalty,
)
from hf_ext.modules.named_matrices import named_matrices, plain_name
from hf_ext.training import PenaltyTrainer, penalty_of_name
from hf_ext.training.penalty import PENALTIES
from hf_ext.training.r_drop import RDropTrainer

VALUE = r".*\.value\.weight"
ROWS = [
    {"input_ids": [n + 2, 3, 4, 5], "attention_mask": [1, 1, n % 2, 0], "labels": n % 3} for n in range(6)
]  # fmt: skip


def tiny(layers=2, **fields):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 12}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.for_model("bert", vocab_size=20, num_labels=3, **{**sizes, **off, **fields})
    return AutoModelForSequenceClassification.from_config(config).train()


def batch():
    return {name: torch.tensor([row[name] for row in ROWS]) for name in ROWS[0]}


def trainer_for(model, path, penalties, kind=PenaltyTrainer, steps=1, options=None, **arguments):
    settings = {
        "per_device_train_batch_size": 6 if steps == 1 else 4,
        "gradient_accumulation_steps": steps,
        "max_steps": 1,
        "learning_rate": 1.0,
        **arguments,
    }
    return kind(model, descent(path, **settings), train_dataset=ROWS, penalties=penalties, **(options or {}))


def sum_of_values(model, function):
    return sum(function(layer.attention.self.value.weight) for layer in model.bert.encoder.layer)


def test_the_loss_has_the_penalty_of_each_match(tmp_path):
    model = tiny()
    trainer = trainer_for(
        model,
        tmp_path,
        {VALUE: orthogonality_penalty, r"bert\.encoder\.layer\.1\.output\.dense\.weight": weissi_penalty},
        options={"penalty_weight": 0.3},
    )
    loss, outputs = trainer.compute_loss(model, batch(), return_outputs=True)
    penalty = sum_of_values(model, orthogonality_penalty) + weissi_penalty(
        model.bert.encoder.layer[1].output.dense.weight
    )
    torch.testing.assert_close(loss, model(**batch()).loss + 0.3 * penalty)
    assert outputs["logits"].shape == (6, 3)
    model.eval()
    torch.testing.assert_close(trainer.compute_loss(model, batch()), model(**batch()).loss)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("penalties", [{VALUE: orthogonality_penalty}, {VALUE: WEISSIPenalty(1.0, 0.1)}])
def test_accumulation_does_not_change_the_step(tmp_path, penalties, scaled):
    """Whether Trainer divides by the number of micro-batches or takes losses as parts of the step's."""
    model = tiny()
    reference = copy.deepcopy(model)
    sum_of_values(reference, next(iter(penalties.values()))).backward()
    wanted = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}

    def none(outputs, labels, num_items_in_batch=None):
        return outputs["logits"].sum() * 0

    for steps in (1, 2):
        own = copy.deepcopy(model)
        trainer = trainer_for(
            own, tmp_path, penalties, steps=steps, options={"compute_loss_func": none} if scaled else None
        )
        if not scaled:
            trainer.model_accepts_loss_kwargs = False
            own.forward = lambda labels, f=own.forward, **kwargs: {"loss": f(**kwargs).logits.sum() * 0}
        trainer.train()
        for name, before in model.named_parameters():
            after = dict(own.named_parameters())[name]
            torch.testing.assert_close(before - after, wanted.get(name, torch.zeros_like(before)), rtol=1e-4, atol=1e-6)


def by_hand(model, **inputs):
    """What the value layers of both blocks give, before their bias, for real tokens."""
    given = []
    hooks = [
        layer.attention.self.value.register_forward_hook(lambda m, a, y: given.append(a[0] @ m.weight.T))
        for layer in model.bert.encoder.layer
    ]
    model(**inputs)
    for hook in hooks:
        hook.remove()
    return [y[inputs["attention_mask"] == 1] for y in given]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_modules_give_for_real_tokens(tmp_path, checkpointing):
    model = tiny().double()
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            layer.attention.self.value.bias.fill_(0.7)
    reference = copy.deepcopy(model)
    arguments = {"gradient_checkpointing": checkpointing, "gradient_checkpointing_kwargs": {"use_reentrant": False}}
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    trainer = trainer_for(model, tmp_path, {r".*\.value": SelfOrthogonalityPenalty()}, **arguments)
    loss = trainer.compute_loss(model, batch())
    loss.backward()
    given = by_hand(reference, **batch())
    assert [len(y) for y in given] == [15, 15]
    wanted = reference(**batch()).loss + sum(map(self_orthogonality_penalty, given))
    wanted.backward()
    torch.testing.assert_close(loss, wanted)
    for one, other in zip(model.parameters(), reference.parameters()):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_what_modules_give_is_taken_before_other_hooks_change_it(tmp_path):
    """As those of branches that grow do, from 0 on."""
    model = tiny()
    inputs = batch()
    before = [module.output.dense for module in model.bert.encoder.layer]
    for module in before:
        module.register_forward_hook(lambda module, args, output: output * 0)
    trainer = trainer_for(model, tmp_path, {r".*\d\.output\.dense": self_orthogonality_penalty})
    seen = []
    hooks = [module.register_forward_pre_hook(lambda module, args: seen.append(args[0])) for module in before]
    loss = trainer.compute_loss(model, {**inputs})
    for hook in hooks:
        hook.remove()
    real = inputs["attention_mask"] != 0
    given = [(x @ module.weight.T)[real] for x, module in zip(seen, before)]
    wanted = model(**inputs).loss + sum(map(self_orthogonality_penalty, given))
    torch.testing.assert_close(loss, wanted)


def test_an_encoder_and_a_decoder_have_their_own_tokens(tmp_path):
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, dropout_rate=0.0, decoder_start_token_id=0
    )
    model = T5(config).train()
    labels = torch.tensor([[3, 4, -100, -100], [5, 6, 7, -100]])
    inputs = {"input_ids": torch.tensor([[3, 4, 5], [6, 7, 0]]), "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}
    seen = []

    def penalty(outputs):
        seen.append(len(outputs))
        return outputs.sum() * 0

    trainer = trainer_for(model, tmp_path, {r".*\.SelfAttention\.v": penalty})
    trainer.compute_loss(model, inputs | {"labels": labels})
    assert seen == [5, 5]
    other = {"labels": labels[:, :3].contiguous()}
    trainer.compute_loss(model, inputs | other | {"decoder_attention_mask": torch.tensor([[1, 1, 0], [1, 0, 0]])})
    assert seen[2:] == [5, 3]


def test_two_passes_of_r_drop_have_one_penalty(tmp_path):
    class Both(RDropTrainer, PenaltyTrainer):
        pass

    model = tiny()
    penalties = {VALUE: orthogonality_penalty, r".*\.value": self_orthogonality_penalty}
    trainer = trainer_for(model, tmp_path, penalties, Both, options={"alpha": 4.0})
    loss = trainer.compute_loss(model, batch())
    # Without dropout both passes are the same.
    penalty = sum_of_values(model, orthogonality_penalty)
    penalty += sum(map(self_orthogonality_penalty, by_hand(model, **batch())))
    torch.testing.assert_close(loss, model(**batch()).loss + penalty)


def test_a_step_past_the_penalty_is_refused(tmp_path):
    class Past(Trainer):
        def training_step(self, model, inputs, *rest, **kwargs):
            return model(**inputs).loss.detach()

    class Both(PenaltyTrainer, Past):
        pass

    trainer = trainer_for(tiny(), tmp_path, {VALUE: orthogonality_penalty}, Both)
    with pytest.raises(ValueError, match="penalties have no effect on a loss that is not made by compute_loss"):
        trainer.train()


def test_lora_is_penalised_as_it_acts(tmp_path):
    torch.manual_seed(0)
    model = peft.get_peft_model(tiny(), peft.LoraConfig(target_modules=["value"], r=2, init_lora_weights=False)).train()
    trainer = trainer_for(model, tmp_path, {VALUE: WEISSIPenalty(1.0, 0.1), r".*\.value": self_orthogonality_penalty})
    loss = trainer.compute_loss(model, batch())
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert all(gradient.abs().max() > 0 for name, gradient in gradients.items() if "lora" in name)
    merged = copy.deepcopy(model).merge_and_unload().train()
    penalty = sum_of_values(merged, lambda w: weissi_penalty(w, 1.0, 0.1))
    penalty += sum(map(self_orthogonality_penalty, by_hand(merged, **batch())))
    torch.testing.assert_close(loss, merged(**batch()).loss + penalty)
    decaying = trainer.get_decay_parameter_names(model)
    assert not any("value" in name for name in decaying)


def test_weights_under_weissi_do_not_decay(tmp_path):
    model = tiny()
    plain = set(Trainer(model, descent(tmp_path)).get_decay_parameter_names(model))
    for penalty, spared in ((WEISSIPenalty(), True), (orthogonality_penalty, False)):
        left = set(trainer_for(model, tmp_path, {VALUE: penalty}).get_decay_parameter_names(model))
        names = {f"bert.encoder.layer.{n}.attention.self.value.weight" for n in range(2)}
        assert plain - left == (names if spared else set())


def test_fused_matrices_are_penalised_each_by_itself(tmp_path):
    torch.manual_seed(0)
    model = GPT2Model(GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=2, n_positions=8))
    assert isinstance(model.h[0].attn.c_attn, Conv1D)
    trainer = trainer_for(model, tmp_path, {r".*\.c_attn\.weight": WEISSIPenalty(1.0, 0.1)})
    (penalty,) = [sum(trainer._penalties_of_weights())]
    query, key, value = (part.T for part in model.h[0].attn.c_attn.weight.chunk(3, 1))
    torch.testing.assert_close(penalty, weissi_penalty([query, key, value], 1.0, 0.1))
    # Their rows are the vectors of the outputs, as of Linear.
    (matrix,) = [one for one in named_matrices(model) if one.name.endswith("c_attn.weight")]
    torch.testing.assert_close(matrix.matrices()[2], value)


@pytest.mark.parametrize(
    ("name", "shape", "parts"),
    [
        ("qkv", (12, 8), 3),
        ("c_attn", (24, 8), 3),
        ("c_attn", (16, 8), 2),
        ("qkv_proj", (12, 8), None),
        ("gate_up_proj", (10, 8), 2),
        ("query_key_value", (24, 8), None),
        ("value", (24, 8), 1),
    ],
)
def test_how_many_matrices_are_in_one(name, shape, parts, tmp_path):
    model = nn.ModuleDict({name: nn.Linear(*reversed(shape))})
    (matrix,) = named_matrices(model)
    assert matrix.parts == parts
    assert sum(len(one) for one in matrix.matrices()) == shape[0]
    if parts is None:
        with pytest.raises(ValueError, match=f"or one behind the other, got '.*weight', which matches {name}.weight"):
            trainer_for(model, tmp_path, {r".*weight": weissi_penalty})


def test_parametrised_weights_and_tied_ones_are_found():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    assert [one.name for one in named_matrices(model)] == ["0.weight", "1.weight"]
    parametrizations.weight_norm(model[1])
    one, other = named_matrices(model)
    assert other.name == "1.weight"
    assert len(other.parameters) == 2
    torch.testing.assert_close(other.matrices()[0], one.matrices()[0])


def test_names_without_adapters():
    assert plain_name("base_model.model.bert.layer.0.value.base_layer.weight") == "bert.layer.0.value.weight"
    assert plain_name("base_model.model.classifier.modules_to_save.default.weight") == "classifier.weight"
    assert plain_name("layer.0") == "layer.0"


@pytest.mark.parametrize(
    ("pattern", "penalty", "message"),
    [
        (r".*\.values\.weight", orthogonality_penalty, "which matches nothing"),
        (r"value", orthogonality_penalty, "which matches nothing"),
        (
            r".*\.value\.(weight|bias)",
            orthogonality_penalty,
            "which matches bert.encoder.layer.0.attention.self.value.bias",
        ),
        (r".*\.value.*", orthogonality_penalty, "penalties must match parameters or modules"),
        (r".*embeddings\.weight", WEISSIPenalty(), "must not be of embeddings"),
    ],
)
def test_patterns_must_fit(pattern, penalty, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        trainer_for(tiny(), tmp_path, {pattern: penalty})


def test_what_has_no_effect_is_refused(tmp_path):
    model = tiny()
    model.bert.requires_grad_(False)
    with pytest.raises(ValueError, match=r"only what does not learn: bert.encoder.layer.0.attention.self.value.weight"):
        trainer_for(model, tmp_path, {VALUE: orthogonality_penalty})
    trainer = trainer_for(model, tmp_path, {r".*\.value": self_orthogonality_penalty})
    with pytest.raises(ValueError, match="whose output has no gradient"):
        trainer.compute_loss(model, batch())
    with pytest.raises(ValueError, match="penalties must be at least one, got none"):
        trainer_for(model, tmp_path, {})
    with pytest.raises(ValueError, match="penalty_weight must be above 0, got 0"):
        trainer_for(model, tmp_path, {VALUE: orthogonality_penalty}, options={"penalty_weight": 0})
    model = tiny()
    trainer = trainer_for(model, tmp_path, {r"bert\.encoder\.layer": self_orthogonality_penalty})
    with pytest.raises(ValueError, match=r"must be of modules that run in training, got bert\.encoder\.layer"):
        trainer.compute_loss(model, batch())
    trainer = trainer_for(model, tmp_path, {VALUE.removesuffix(r"\.weight"): self_orthogonality_penalty})
    with pytest.raises(ValueError, match=r"which gives \(6, 4, 8\) for tokens \(6, 3\)"):
        trainer.compute_loss(
            model, batch() | {"attention_mask": torch.ones(6, 3)} | {"input_ids": torch.ones(6, 4).long()}
        )


def test_adapters_of_other_kinds_are_refused(tmp_path):
    model = peft.get_peft_model(tiny(), peft.IA3Config(target_modules=["value"], feedforward_modules=[]))
    with pytest.raises(ValueError, match=r"adapters must be LoRA to be penalised, got Linear at bert"):
        trainer_for(model, tmp_path, {VALUE: orthogonality_penalty})
    model = peft.get_peft_model(tiny(), peft.LoraConfig(target_modules=["value"], use_dora=True))
    with pytest.raises(ValueError, match=r"adapters must be plain LoRA to be penalised, got DoRA at bert"):
        trainer_for(model, tmp_path, {VALUE: orthogonality_penalty})


def test_penalties_by_name():
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    for name in PENALTIES:
        wanted = {
            "self_orthogonality": lambda: self_orthogonality_penalty(weight, reduction="mean"),
            "weissi": lambda: weissi_penalty(weight),
        }.get(name, lambda name=name: orthogonality_penalty(weight.T, name))
        torch.testing.assert_close(penalty_of_name(name)(weight), wanted())
    torch.testing.assert_close(penalty_of_name("weissi", sparsity=0.5)(weight), weissi_penalty(weight, 1.0, 0.5))
    for name, options, message in (
        ("hard", {}, "penalty must be one of soft, .*, got 'hard'"),
        ("soft", {"sparsity": 1}, "options of the penalty 'soft' must be among none, got sparsity"),
        ("weissi", {"gamma": 1}, "must be among scale, sparsity, floor, got gamma"),
        ("weissi", {"scale": "x"}, "must be numbers, got scale='x'"),
        ("weissi", {"floor": 0}, "floor must be above 0, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            penalty_of_name(name, **options)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    run_two_processes(Path(penalty_in_two_processes.__file__), tmp_path)
    whole = penalty_in_two_processes.train(tmp_path / "one", 8)
    accumulated = penalty_in_two_processes.train(tmp_path / "accumulated", 4, 2)
    for found in (accumulated, *(torch.load(tmp_path / f"{rank}.pt") for rank in range(2))):
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["soft", "weissi", "self_orthogonality"])
def test_bfloat16(tmp_path, kind):
    """Sums are in float32 where the model runs in few digits."""
    model = tiny()
    pattern = r".*\.value" if kind == "self_orthogonality" else VALUE
    trainer = trainer_for(model, tmp_path, {pattern: penalty_of_name(kind)}, bf16=True, learning_rate=1e-3)
    trainer.train()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    with trainer.compute_loss_context_manager(), trainer._captured() as captured:
        model.train()(**batch())
        found = [*trainer._penalties_of_weights(), *trainer._penalties_of_outputs(captured, {})]
    assert {one.dtype for one in found} == {torch.float32}
