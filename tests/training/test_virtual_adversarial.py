"""Virtual adversarial training: golden numbers, by hand, and where training is not plain."""

import copy

import peft
import pytest
import torch
from datasets import Dataset
from embedding_mean import EmbeddingMean, batch, check_step, golden_numbers
from torch.nn import functional as F
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification, Trainer

import hf_ext
from hf_ext.losses import for_trainer, pointer_divergence, symmetric_divergence
from hf_ext.training import (
    clean_divergence,
    clean_next_token_divergence,
    clean_span_divergence,
    input_embeddings,
    next_token_divergence,
    output_divergence,
    pointer_tables_divergence,
    span_divergence,
    virtual_adversarial_delta,
)
from hf_ext.training.input_embeddings import PlaceVectors, TokenVectors
from hf_ext.training.virtual_adversarial import endless_order


@pytest.fixture(scope="module")
def numbers(golden):
    return golden_numbers(golden)


def of_pointer(scores, other, labels=None):
    """Of the golden case: the mean over rows of the sum over what would be spans."""
    return pointer_divergence(scores.unsqueeze(1), other.unsqueeze(1), "sum") / len(scores)


DIVERGENCES = {"kl": clean_divergence, "pointer": of_pointer}


def trainer_of(model, folder, rows=(), steps=1, train=None, **options):
    arguments = descent(
        folder, per_device_train_batch_size=4 // steps, gradient_accumulation_steps=steps, **(train or {"max_steps": 1})
    )
    return hf_ext.VirtualAdversarialTrainer(model, arguments, train_dataset=list(rows), **options)


def divergence_at(model, numbers, divergence):
    """Of a perturbation of the matrix of embeddings."""
    given = batch(numbers)
    clean = model(given["input_ids"], given["attention_mask"])["logits"].detach()

    def at(delta):
        embedded = F.embedding(given["input_ids"], model.wte.weight + delta)
        return divergence(clean, model(None, given["attention_mask"], inputs_embeds=embedded)["logits"], None)

    return at


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("xi", [10, 0.1])
@pytest.mark.parametrize("kind", DIVERGENCES)
def test_deltas_are_the_golden_ones(numbers, kind, xi, iterations, dtype):
    at = divergence_at(EmbeddingMean(numbers, dtype), numbers, DIVERGENCES[kind])
    noise = torch.tensor(numbers["vat_noise"], dtype=dtype)
    delta = virtual_adversarial_delta(at, noise, 1.0, xi, iterations)
    name = f"vat_{kind}_xi{xi}_iters{iterations}"
    tolerance = {"rtol": 0, "atol": 1e-10 if dtype == torch.float64 else 1e-4}
    torch.testing.assert_close(delta, torch.tensor(numbers[f"{name}_delta"], dtype=dtype), **tolerance)
    torch.testing.assert_close(at(delta).detach(), torch.tensor(numbers[f"{name}_loss"], dtype=dtype), **tolerance)


def test_many_iterations_find_the_direction_of_most_change(numbers):
    at = divergence_at(EmbeddingMean(numbers), numbers, clean_divergence)
    unit = virtual_adversarial_delta(at, torch.tensor(numbers["vat_noise"]), 1.0, 1e-3, 300)
    main = torch.tensor(numbers["vat_main_direction"])
    assert abs(float((unit * main).sum())) == pytest.approx(1, abs=1e-3)
    curvature = 2 * at(1e-3 * unit).item() / 1e-6
    assert curvature == pytest.approx(float(numbers["vat_main_curvature"]), rel=1e-3)


def test_without_iterations_it_is_noise_and_a_gradient_of_zero_moves_nothing():
    noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    for norm, size in (("batch", 1.0), ("row", 2**0.5)):
        delta = virtual_adversarial_delta(None, noise, 1.0, iterations=0, norm=norm)
        torch.testing.assert_close(float(delta.norm()), size)
    assert not virtual_adversarial_delta(lambda delta: 0 * delta.sum(), noise).any()
    with pytest.raises(ValueError, match="norm must be batch, as also for a matrix, or row, got 'token'"):
        virtual_adversarial_delta(None, noise, norm="token")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("xi", [10, 0.1])
@pytest.mark.parametrize("kind", DIVERGENCES)
def test_losses_and_gradients_are_the_golden_ones(numbers, tmp_path, monkeypatch, kind, xi, dtype):
    """Of the trainer, once the loss of the labels is taken off."""
    noise = torch.tensor(numbers["vat_noise"], dtype=dtype)

    def drawn(vectors, generator):
        own = noise[vectors.known]
        rest = (noise.square().sum() - own.square().sum()).sqrt()
        return torch.cat((own, F.one_hot(torch.tensor([0]), noise.shape[1]) * rest))

    monkeypatch.setattr(TokenVectors, "noise", drawn)
    model = EmbeddingMean(numbers, dtype).train()
    trainer = trainer_of(model, tmp_path, xi=xi, divergence=DIVERGENCES[kind])
    given = batch(numbers)
    loss = trainer.compute_loss(model, dict(given)) - model(**given)["loss"]
    # The step is from the clean matrix, which two sums of squares of float32 hold as well as one.
    check_step(model, loss, numbers, f"vat_{kind}_xi{xi}_iters1")


def test_the_norm_of_all_noise_is_that_of_the_matrix(numbers, tmp_path):
    """Of tokens that are not in the batch it is not drawn."""
    model = EmbeddingMean(numbers).train()
    trainer = trainer_of(model, tmp_path)
    with trainer._embeddings.watched(batch(numbers)) as calls:
        model(**batch(numbers))
    vectors = TokenVectors(calls, 20_000)
    noise = vectors.noise(torch.Generator().manual_seed(0))
    assert noise.shape == (len(set(numbers["ids"].flatten().tolist())) + 1, 4)
    assert float(noise.norm()) == pytest.approx((4 * 20_000) ** 0.5, rel=0.01)
    (spread,) = vectors.spread(noise)
    assert torch.equal(spread[0, 0], noise[vectors.known.tolist().index(int(numbers["ids"][0, 0]))])


def tiny(dropout=0.0, auto=AutoModelForSequenceClassification, **fields):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    settings = sizes | rates | {"num_labels": 3, "initializer_range": 0.5} | fields
    return auto.from_config(AutoConfig.for_model(settings.pop("family", "bert"), vocab_size=20, **settings)).train()


def rows(count=8, seed=1, labels=True):
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        length = 1 + number % 5
        ids = torch.randint(1, 20, (length,), generator=generator).tolist()
        padding = [0] * (5 - length)
        row = {"input_ids": ids + padding, "attention_mask": [1] * length + padding}
        made.append(row | {"labels": number % 3} if labels else row)
    return made


def inputs(some):
    return {name: torch.tensor([row[name] for row in some]) for name in some[0]}


def trained(trainer):
    trainer.train()
    return {name: parameter.detach() for name, parameter in trainer.model.named_parameters()}


def assert_same(found, wanted):
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-6, msg=name)


NORM = pytest.mark.parametrize("norm", ["matrix", "batch", "row"])


@NORM
def test_what_is_added_grows_with_the_direction_and_is_more_than_for_noise(tmp_path, norm):
    model, given = tiny(), inputs(rows(4))
    plain = model(**given).loss
    added = {
        iterations: (
            trainer_of(model, tmp_path, epsilon=1.0, xi=1.0, iterations=iterations, norm=norm).compute_loss(
                model, dict(given)
            )
            - plain
        ).item()
        for iterations in (0, 1, 5)
    }
    assert 0 < added[0] < added[1]
    assert added[0] < added[5]


def noise_of_tokens(vectors, generator):
    """What stands for noise where it is to be the same for any shape of a batch."""
    calls = vectors.calls
    factors = torch.arange(1, calls.zeros[0].shape[-1] + 1)
    noise = (torch.sin(tokens.unsqueeze(-1) * factors) for tokens in calls.tokens)
    return vectors.gather([own.to(zeros) for own, zeros in zip(noise, calls.zeros)])


@NORM
def test_padding_and_packing_do_not_change_a_step(tmp_path, monkeypatch, norm):
    given = inputs(rows(4))
    wider = given | {
        "input_ids": F.pad(given["input_ids"], (0, 3), value=7),
        "attention_mask": F.pad(given["attention_mask"], (0, 3)),
    }
    padded, packed = (tiny(family="roformer", unpad=unpad) for unpad in (False, True))
    packed.load_state_dict(padded.state_dict())
    monkeypatch.setattr(PlaceVectors, "noise", noise_of_tokens)
    losses = [
        trainer_of(model, tmp_path, norm=norm, xi=1.0).compute_loss(model, dict(own))
        for model, own in ((padded, given), (padded, wider), (packed, given))
    ]
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_accumulation_does_not_change_the_step(tmp_path, monkeypatch, weighted):
    """Of perturbations that each row has for itself, also where losses come as parts of that of a step."""
    monkeypatch.setattr(PlaceVectors, "noise", noise_of_tokens)
    # A gradient of a mean is larger in a smaller batch, but this is not.
    monkeypatch.setattr(input_embeddings, "_LEAST", 1e-30)
    results = []
    for steps in (1, 2, 4):
        options = {"compute_loss_func": for_trainer("cross_entropy")} if weighted else {}
        model = tiny().double()
        if not weighted:
            model.accepts_loss_kwargs = False
        own = {"norm": "row", "xi": 1.0, "unlabelled_dataset": rows(6, 2, labels=False)}
        results.append(trained(trainer_of(model, tmp_path, rows(4), steps, **own, **options)))
    for other in results[1:]:
        assert_same(other, results[0])


def test_unlabelled_rows_come_once_a_turn(tmp_path):
    first = endless_order(0, 7, 7, seed=3)
    assert sorted(first) == list(range(7))
    assert endless_order(0, 20, 7, 3) == endless_order(0, 9, 7, 3) + endless_order(9, 11, 7, 3)
    assert sorted(endless_order(7, 7, 7, 3)) == list(range(7))
    assert endless_order(7, 7, 7, 3) != first != endless_order(0, 7, 7, 4)

    seen = []
    model = tiny()
    model.register_forward_pre_hook(
        lambda module, arguments, named: seen.append(named["input_ids"].tolist()) if "labels" not in named else None,
        with_kwargs=True,
    )
    unlabelled = rows(6, 2, labels=False)
    own = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "max_steps": 3, "seed": 5}
    arguments = descent(tmp_path, **own)
    hf_ext.VirtualAdversarialTrainer(model, arguments, train_dataset=rows(5), unlabelled_dataset=unlabelled).train()
    # A clean pass, one for the direction, one for the loss; the last step of an epoch has a micro-batch alone.
    assert seen[::3] == seen[1::3] == seen[2::3]
    places = [0, 1, 2, 4, 5]
    wanted = [[unlabelled[number]["input_ids"] for number in endless_order(2 * place, 2, 6, 5)] for place in places]
    assert seen[::3] == wanted


def test_a_resumed_run_is_the_run_without_a_break(tmp_path):
    def run(folder, steps, resume=None):
        settings = {"max_steps": steps, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 1}
        unlabelled = Dataset.from_list([row | {"other": 1} for row in rows(7, 2, labels=False)])
        own = {"unlabelled_dataset": unlabelled, "epsilon": 5.0}
        arguments = {"remove_unused_columns": True, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 2}
        trainer = hf_ext.VirtualAdversarialTrainer(
            tiny(0.3), descent(folder, **settings, **arguments), train_dataset=rows(8), **own
        )
        trainer.train(resume_from_checkpoint=resume)
        return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}

    whole = run(tmp_path / "whole", 4)
    run(tmp_path / "half", 2)
    resumed = run(tmp_path / "half", 4, str(tmp_path / "half" / "checkpoint-2"))
    for name, value in resumed.items():
        assert torch.equal(value, whole[name])


def test_clean_outputs_and_the_direction_have_no_dropout(tmp_path):
    """And nothing is left behind; a step of the same seed is the same."""
    model = tiny(0.5)
    seen = []
    model.dropout.register_forward_hook(lambda module, *_: seen.append(module.training))
    trainer = trainer_of(model, tmp_path, iterations=2, unlabelled_dataset=rows(4, 2, labels=False))
    trainer.compute_loss(model, inputs(rows(4)))
    # The labelled pass, the clean one, two for the direction, and the one that is learnt from.
    assert seen == [True, False, False, False, True]
    assert all(module.training for module in model.modules())
    assert not model.get_input_embeddings()._forward_hooks


def test_evaluation_is_plain(tmp_path):
    model = tiny(0.5)
    trainer = trainer_of(model, tmp_path, epsilon=9.0)
    found, plain = (one.evaluate(rows())["eval_loss"] for one in (trainer, Trainer(model, descent(tmp_path))))
    assert found == plain


def test_adapters_and_gradient_checkpointing(tmp_path):
    """They do not change the loss; frozen embeddings are moved alike."""
    given = inputs(rows(4))
    model = tiny()
    wanted = trainer_of(model, tmp_path).compute_loss(model, dict(given))
    adapted = peft.get_peft_model(tiny(), peft.LoraConfig(target_modules=["query"], task_type="SEQ_CLS")).train()
    loss = trainer_of(adapted, tmp_path).compute_loss(adapted, dict(given))
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    assert all(p.grad.any() for name, p in adapted.named_parameters() if "lora_B" in name)
    saving = tiny()
    trainer = trainer_of(saving, tmp_path, train={"gradient_checkpointing": True, "max_steps": 1})
    saving.gradient_checkpointing_enable()
    again = trainer.compute_loss(saving, dict(given))
    torch.testing.assert_close(again, wanted)
    for one, loss in ((saving, again), (model, wanted)):
        one.zero_grad()
        loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(saving.get_parameter(name).grad, parameter.grad, msg=name)


def test_tokens_without_labels_count_where_they_are_no_padding(tmp_path):
    model = tiny(auto=AutoModelForTokenClassification)
    given = inputs(rows(4, labels=False))
    labelled = given | {"labels": given["attention_mask"] - 1 - 99 * (1 - given["attention_mask"])}
    assert set(labelled["labels"].unique().tolist()) == {0, -100}
    trainer = trainer_of(model, tmp_path, unlabelled_dataset=rows(4, labels=False))
    both = [trainer._divergence(model, dict(own), 0) for own in (given, labelled)]
    assert both[0] > 0
    assert torch.equal(*both)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tmp_path, dtype):
    """Divergences so small that their gradients would vanish in float16 are multiplied first."""
    losses = []
    for cast in (False, True):
        model = tiny()
        if cast:
            forward = model.forward

            def run(*arguments, own=forward, **named):
                with torch.autocast("cpu", dtype=dtype):
                    return own(*arguments, **named)

            model.forward = run
        trainer = trainer_of(model, tmp_path, epsilon=10.0, divergence=small_divergence)
        if dtype == torch.float16:
            trainer.accelerator.scaler = type("Scaler", (), {"get_scale": staticmethod(lambda: 2.0**16)})
        losses.append(trainer._divergence(model, inputs(rows(4, labels=False)), 0))
    torch.testing.assert_close(losses[1].float(), losses[0], rtol=0.1, atol=0)


def small_divergence(clean, other, labels):
    return 1e-6 * clean_divergence(clean.float(), other.float(), labels)


def test_divergences_by_hand():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[0, 1, -100, 2], [-100, -100, 3, 3], [1, 1, 1, 1]])
    counted = labels != -100
    logs = first.log_softmax(-1), second.log_softmax(-1)
    one_sided = F.kl_div(logs[1], logs[0], log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close(clean_divergence(first, second, labels), one_sided[counted].mean())
    torch.testing.assert_close(clean_divergence(first, second, None), one_sided.mean())
    torch.testing.assert_close(output_divergence(first, second, None), symmetric_divergence(*logs))
    shifted = labels[:, 1:] != -100
    torch.testing.assert_close(clean_next_token_divergence(first, second, labels), one_sided[:, :-1][shifted].mean())
    both = one_sided + F.kl_div(logs[0], logs[1], log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close(next_token_divergence(first, second, labels), both[:, :-1][shifted].mean())
    sigmoids = ((first - second) * (first.sigmoid() - second.sigmoid())).sum(-1).mean()
    torch.testing.assert_close(clean_divergence(first, second, torch.ones_like(first)), sigmoids)


def test_divergences_of_spans_by_hand():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 3, 2, 4, 4, generator=generator, dtype=torch.float64)
    out = torch.ones(4, 4, dtype=torch.bool).tril(-1)
    first, second = first.masked_fill(out, -torch.inf), second.masked_fill(out, -torch.inf)
    wanted = pointer_divergence(first, second)
    torch.testing.assert_close(pointer_tables_divergence(first, second), wanted)
    several = pointer_tables_divergence((first, first, second), (second, first, first), None)
    torch.testing.assert_close(several, 2 * wanted)
    labels = torch.tensor([[0, 1], [-100, -100], [2, 2]])
    p, q = (one[:, 0][:, ~out].softmax(-1) for one in (first, second))
    one_sided = (p * (p / q).log()).sum(-1)
    both = one_sided + (q * (q / p).log()).sum(-1)
    for labels, rows_ in ((torch.tensor([[0, 1], [-100, -100], [2, 2]]), [0, 2]), (None, [0, 1, 2])):
        found = clean_span_divergence(first[:, 0], second[:, 0], labels)
        torch.testing.assert_close(found, one_sided[rows_].mean())
        torch.testing.assert_close(span_divergence(first[:, 0], second[:, 0], labels), both[rows_].mean())
    # Without a difference the gradient is 0, and so the power iteration has its minimum there.
    moved = first.clone().requires_grad_()
    for divergence in (pointer_tables_divergence, lambda a, b: clean_span_divergence(a[:, 0], b[:, 0])):
        assert torch.autograd.grad(divergence(first, moved), moved)[0].abs().max() < 1e-15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be above 0, got 0.0"),
        ({"xi": -1.0}, "xi must be above 0, got -1.0"),
        ({"weight": 0.0}, "weight must be above 0, got 0.0"),
        ({"iterations": -1}, "iterations must be at least 0, got -1"),
        ({"norm": "token"}, "norm must be one of matrix, batch, row, got 'token'"),
        ({"unlabelled_dataset": []}, "unlabelled_dataset must have at least one row, got none"),
    ],
)
def test_wrong_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        trainer_of(tiny(), tmp_path, **options)


def test_a_model_must_return_logits(tmp_path, numbers):
    model = EmbeddingMean(numbers).train()
    forward = model.forward
    model.forward = lambda *arguments, **named: {"loss": forward(*arguments, **named)["loss"]}
    with pytest.raises(ValueError, match="model must return logits in training, got dict without them"):
        trainer_of(model, tmp_path).compute_loss(model, batch(numbers))
    assert copy.deepcopy(model.wte)._forward_hooks == {}
