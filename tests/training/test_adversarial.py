"""Adversarial training and the gradient penalty: golden numbers, by hand, and where training is not plain."""

from types import SimpleNamespace

import peft
import pytest
import torch
from embedding_mean import EmbeddingMean, batch, check_step, golden_numbers, gradients
from torch.nn.functional import cross_entropy
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, Trainer

import hf_ext
from hf_ext.losses import for_trainer
from hf_ext.training import fgm_delta


@pytest.fixture(scope="module")
def numbers(golden):
    return golden_numbers(golden)


def trainer_of(model, folder, rows=(), steps=1, train=None, **options):
    arguments = descent(
        folder, per_device_train_batch_size=4 // steps, gradient_accumulation_steps=steps, max_steps=1, **(train or {})
    )
    return hf_ext.AdversarialTrainer(model, arguments, train_dataset=list(rows), **options)


def tiny(dropout=0.0, family="bert", auto=AutoModelForSequenceClassification, **fields):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    settings = sizes | rates | {"num_labels": 3, "initializer_range": 0.5} | fields
    return auto.from_config(AutoConfig.for_model(family, vocab_size=20, **settings)).train()


ROWS = [
    {"input_ids": [2, 3, 4, 5, 6], "attention_mask": [1, 1, 1, 1, 1], "labels": 0},
    {"input_ids": [7, 3, 3, 0, 0], "attention_mask": [1, 1, 1, 0, 0], "labels": 2},
    {"input_ids": [9, 8, 4, 6, 0], "attention_mask": [1, 1, 1, 1, 0], "labels": 1},
    {"input_ids": [2, 0, 0, 0, 0], "attention_mask": [1, 0, 0, 0, 0], "labels": 1},
]
KINDS = {
    "matrix": {},
    "batch": {"norm": "batch"},
    "row": {"norm": "row"},
    "penalty": {"method": "penalty"},
    "penalty of tokens": {"method": "penalty", "norm": "matrix"},
}
KIND = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)


def inputs(rows=ROWS):
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def step(trainer, given=None):
    """The loss and the gradients of a step, without moving a weight."""
    model = trainer.model
    model.zero_grad()
    # As Trainer's loop says it.
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer.training_step(model, given or inputs())
    return {"loss": loss} | {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(found, wanted, **tolerance):
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], **(tolerance or {"rtol": 1e-4, "atol": 1e-6}), msg=name)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fgm0.5", {}),
        ("fgm1.0", {"epsilon": 1.0}),
        ("fgm_output_batch", {"norm": "batch"}),
        ("fgm_output_row", {"norm": "row"}),
        ("gp_occurrence", {"method": "penalty"}),
        ("gp_matrix", {"method": "penalty", "norm": "matrix"}),
    ],
)
def test_losses_and_gradients_are_the_golden_ones(numbers, tmp_path, name, options, dtype):
    model = EmbeddingMean(numbers, dtype).train()
    check_step(model, trainer_of(model, tmp_path, **options).compute_loss(model, batch(numbers)), numbers, name)


def test_deltas_are_the_golden_ones(numbers):
    of_matrix, of_output = (torch.tensor(numbers[name]) for name in ("grad/E", "grad_embedding_output"))
    for gradient, epsilon, norm, name in (
        (of_matrix, 0.5, "batch", "fgm0.5"),
        (of_matrix, 1.0, "batch", "fgm1.0"),
        (of_output, 0.5, "batch", "fgm_output_batch"),
        (of_output, 0.5, "row", "fgm_output_row"),
    ):
        wanted = torch.tensor(numbers[f"{name}_delta"])
        torch.testing.assert_close(fgm_delta(gradient, epsilon, norm), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["batch", "row"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_gradient_of_zero_moves_nothing(norm, dtype):
    gradient = torch.zeros(2, 3, 4, dtype=dtype)
    assert not fgm_delta(gradient, norm=norm).any()
    gradient[1, 0, 0] = 3e-4
    delta = fgm_delta(gradient, 2.0, norm)
    assert not delta[0].any()
    assert delta.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(float(delta.norm()), 2.0, rtol=1e-3, atol=0)
    with pytest.raises(ValueError, match="norm must be batch, as also for a matrix, or row, got 'token'"):
        fgm_delta(gradient, norm="token")


def test_the_clean_gradient_is_added_where_it_is_asked_for_alone(numbers, tmp_path):
    model = EmbeddingMean(numbers).train()
    trainer_of(model, tmp_path, add_clean=True).compute_loss(model, batch(numbers)).backward()
    for part, gradient in gradients(model).items():
        both = numbers[f"fgm0.5_grad/{part}"] + numbers[f"grad/{part}"]
        torch.testing.assert_close(gradient, torch.tensor(both), rtol=0, atol=1e-10)


@KIND
def test_nothing_is_left_behind_by_an_exception(numbers, tmp_path, options):
    model = EmbeddingMean(numbers).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = trainer_of(model, tmp_path, **options)
    calls = []

    def fail(*_):
        calls.append(model.training)
        # The pass that is moved, where there are two.
        if len(calls) == (1 if options.get("method") else 2):
            raise KeyError("broken off")

    handle = model.register_forward_hook(fail)
    with pytest.raises(KeyError, match="broken off"):
        trainer.compute_loss(model, batch(numbers))
    handle.remove()
    assert not model.wte._forward_hooks
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_that_looks_up_no_embeddings_is_refused(numbers, tmp_path):
    model = EmbeddingMean(numbers).train()
    given = batch(numbers)
    given["inputs_embeds"] = model.wte(given.pop("input_ids")).detach()
    trainer = trainer_of(model, tmp_path)
    with pytest.raises(ValueError, match="model must be given tokens as input_ids, got inputs for which it looked up"):
        trainer.compute_loss(model, given)
    images = hf_ext.RoPEViTForImageClassification(hf_ext.RoPEViTConfig(num_hidden_layers=1))
    with pytest.raises(ValueError, match="model must have input embeddings of tokens, got a "):
        trainer_of(images, tmp_path)


def test_evaluation_is_plain(tmp_path):
    model = tiny(0.5)
    trainer = trainer_of(model, tmp_path, ROWS, epsilon=9.0)
    plain = Trainer(model, descent(tmp_path))
    assert trainer.evaluate(ROWS)["eval_loss"] == plain.evaluate(ROWS)["eval_loss"]


def test_the_direction_is_found_without_dropout(tmp_path):
    """And the step is taken with it: seeds change the step, and not where embeddings are moved to."""
    model = tiny(0.5)
    modes, added, losses = [], [], []
    model.dropout.register_forward_hook(lambda module, *_: modes.append(module.training))
    trainer = trainer_of(model, tmp_path, norm="batch")
    moved = trainer._embeddings.moved
    trainer._embeddings.moved = lambda by: moved([added.append(one) or one for one in by])
    for seed in (1, 2):
        torch.manual_seed(seed)
        losses.append(trainer.compute_loss(model, inputs()).item())
    assert modes == [False, True] * 2
    assert torch.equal(*added)
    assert losses[0] != losses[1]


@KIND
def test_padding_does_not_change_a_step(tmp_path, options):
    """More of it, with other tokens there."""
    given = inputs()
    wider = {
        "input_ids": torch.cat((given["input_ids"], torch.randint(20, (4, 3))), 1),
        "attention_mask": torch.cat((given["attention_mask"], torch.zeros(4, 3, dtype=torch.long)), 1),
        "labels": given["labels"],
    }
    trainer = trainer_of(tiny(), tmp_path, **options)
    assert_same(step(trainer, wider), step(trainer))


@pytest.mark.parametrize("options", [KINDS["row"], KINDS["penalty"]], ids=["row", "penalty"])
def test_accumulation_does_not_change_the_step(tmp_path, options):
    results = []
    for steps in (1, 2, 4):
        model = tiny()
        loss = for_trainer("cross_entropy")
        trainer_of(model, tmp_path, ROWS, steps, compute_loss_func=loss, **options).train()
        results.append({name: p.detach() for name, p in model.named_parameters()})
    for other in results[1:]:
        assert_same(other, results[0])


@KIND
def test_gradient_checkpointing_does_not_change_a_step(tmp_path, options):
    plain = step(trainer_of(tiny(0.0), tmp_path, **options))
    model = tiny(0.0)
    again = trainer_of(model, tmp_path, train={"gradient_checkpointing": True}, **options)
    model.gradient_checkpointing_enable()
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    assert_same(step(again), plain)
    kept = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
    with pytest.raises(ValueError, match=r"gradient_checkpointing_kwargs must have use_reentrant=False, .* got True"):
        trainer_of(tiny(), tmp_path, train=kept)


@KIND
def test_adapters_over_frozen_embeddings(tmp_path, options):
    """They begin as nothing, so that the loss is that of the model itself."""
    own = step(trainer_of(tiny(), tmp_path, **options))
    model = peft.get_peft_model(tiny(), peft.LoraConfig(target_modules=["query", "value"], task_type="SEQ_CLS"))
    found = step(trainer_of(model.train(), tmp_path, **options))
    torch.testing.assert_close(found["loss"], own["loss"])
    adapted = [gradient for name, gradient in found.items() if "lora_B" in name]
    assert len(adapted) == 4
    assert all(gradient.any() for gradient in adapted)
    assert not any("word_embeddings" in name for name in found)


def test_an_adapter_of_the_embeddings(tmp_path):
    """A layer of PEFT is around them, and is asked in their place."""
    config = peft.LoraConfig(target_modules=["word_embeddings"], task_type="SEQ_CLS")
    found = step(trainer_of(peft.get_peft_model(tiny(), config).train(), tmp_path))
    torch.testing.assert_close(found["loss"], step(trainer_of(tiny(), tmp_path))["loss"])


@KIND
def test_packed_rows_are_moved_like_padded_ones(tmp_path, options):
    """A model that runs real tokens alone looks up those alone."""
    padded, packed = (tiny(family="roformer", unpad=unpad) for unpad in (False, True))
    packed.load_state_dict(padded.state_dict())
    assert_same(step(trainer_of(packed, tmp_path, **options)), step(trainer_of(padded, tmp_path, **options)))


@pytest.mark.parametrize("options", [KINDS["matrix"], KINDS["row"]], ids=["matrix", "row"])
def test_encoder_and_decoder_have_one_matrix(tmp_path, options):
    config = AutoConfig.for_model(
        "t5",
        decoder_start_token_id=0,
        vocab_size=20,
        d_model=8,
        d_kv=4,
        d_ff=8,
        num_layers=1,
        num_heads=2,
        dropout_rate=0.0,
    )
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config).train()
    given = {name: value for name, value in inputs().items() if name != "labels"}
    given["labels"] = given["input_ids"][:, :3].clone()
    trainer = trainer_of(model, tmp_path, epsilon=5.0, **options)
    added = []
    outer = trainer._embeddings.moved

    def moved(by):
        added[:] = by
        return outer(added)

    trainer._embeddings.moved = moved
    loss = trainer.compute_loss(model, dict(given))
    assert loss > model(**given).loss
    assert [tuple(one.shape) for one in added] == [(4, 5, 8), (4, 3, 8)]
    if options:
        norms = sum(one.flatten(1).square().sum(1) for one in added).sqrt()
        torch.testing.assert_close(norms, torch.full((4,), 5.0))
    else:
        table = {}
        for tokens, one in zip((given["input_ids"], model._shift_right(given["labels"])), added):
            for token, vector in zip(tokens.flatten().tolist(), one.flatten(0, 1)):
                if vector.any():
                    torch.testing.assert_close(table.setdefault(token, vector), vector)
        torch.testing.assert_close(torch.stack(list(table.values())).norm(), torch.tensor(5.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(tmp_path, dtype):
    """The direction is nearly that of float32; of float16 with losses so small that its gradients would vanish."""
    losses = []
    for cast in (False, True):
        model = tiny()
        if cast:
            forward = model.forward
            model.forward = lambda *a, f=forward, **k: run_cast(f, dtype, *a, **k)
        trainer = trainer_of(model, tmp_path, epsilon=3.0)
        if dtype == torch.float16:
            # Of the size that a GradScaler begins with.
            trainer.accelerator.scaler = SimpleNamespace(get_scale=lambda: 2.0**16)
            trainer.compute_loss_func = lambda outputs, labels, **_: (
                1e-7 * cross_entropy(outputs.logits.float(), labels)
            )
        losses.append(trainer.compute_loss(model, inputs()))
    torch.testing.assert_close(losses[1].float(), losses[0], rtol=0.05, atol=0)
    assert losses[0] > (1.1 if dtype == torch.bfloat16 else 1.1e-7) * model(**inputs()).loss


def run_cast(forward, dtype, *arguments, **named):
    with torch.autocast("cpu", dtype=dtype):
        return forward(*arguments, **named)


def span_rows():
    return [{"input_ids": [3, 4, 5, 6], "labels": [[0, 1, 2]]}, {"input_ids": [6, 5, 4, 3], "labels": [[1, 0, 3]]}]


def span_model(**fields):
    config = tiny(**{"num_labels": 2, "num_hidden_layers": 1}).config
    return hf_ext.AutoModelForSpanExtraction.from_config(config, span_head_size=4, **fields)


def tag_model(**fields):
    config = tiny(**{"num_labels": 2, "num_hidden_layers": 1}).config
    config.id2label = {0: "O", 1: "B-a", 2: "I-a"}
    return hf_ext.AutoModelForSequenceLabeling.from_config(config, **fields)


SPANS = {"input_ids": [[3, 4, 5, 6], [6, 5, 4, 3]], "labels": [[[0, 1, 2]], [[1, 0, 3]]]}
TAGS = {"input_ids": [[3, 4, 5, 6], [6, 5, 4, 3]], "labels": [[0, 1, 2, 0], [1, 2, 2, 2]]}


@pytest.mark.parametrize(
    ("make", "fields", "given"),
    [
        (span_model, {"span_head": "global_pointer"}, SPANS),
        (span_model, {"span_head": "efficient_global_pointer"}, SPANS),
        (tag_model, {"sequence_head": "crf"}, TAGS),
        (tag_model, {"sequence_head": "memm"}, TAGS),
    ],
)
def test_the_penalty_of_heads_whose_loss_is_fused(tmp_path, make, fields, given):
    """Its gradient is that of finite differences."""
    model = make(**fields).double().train()
    given = {name: torch.tensor(value) for name, value in given.items()}
    trainer = trainer_of(model, tmp_path, method="penalty", epsilon=10.0)
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    weight = model.get_parameter(name)
    found, plain = (step(one, dict(given))[name] for one in (trainer, Trainer(model, descent(tmp_path))))
    assert (found - plain).norm() > 0.01 * plain.norm()
    losses = []
    for by in (1e-5, -2e-5):
        with torch.no_grad():
            weight[0, 0] += by
        losses.append(step(trainer, dict(given))["loss"])
    torch.testing.assert_close((losses[0] - losses[1]) / 2e-5, found[0, 0], rtol=1e-4, atol=1e-8)


def test_what_has_no_second_derivative_is_refused_for_the_penalty(tmp_path):
    config = hf_ext.GAUAlphaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, intermediate_size=16, num_labels=3
    )
    model = hf_ext.GAUAlphaForSequenceClassification(config).train()
    with pytest.raises(ValueError, match="method must be fgm, as a part of the model has no second derivative, got"):
        step(trainer_of(model, tmp_path, method="penalty"))
    assert step(trainer_of(model, tmp_path))["loss"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "pgd"}, "method must be one of fgm, penalty, got 'pgd'"),
        ({"epsilon": 0.0}, "epsilon must be above 0, got 0.0"),
        ({"norm": "token"}, "norm must be one of matrix, batch, row for fgm, got 'token'"),
        ({"method": "penalty", "norm": "row"}, "norm must be one of batch, matrix for penalty, got 'row'"),
        ({"method": "penalty", "add_clean": True}, "add_clean must be False for penalty, .* got True"),
        ({"train": {"torch_compile": True}}, "torch_compile must be left out of adversarial training, .* got True"),
    ],
)
def test_wrong_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        trainer_of(tiny(), tmp_path, **options)
