"""What holds for every loss: the originals' numbers, derivatives, half precision, masked classes, wrong input."""

import copy
import inspect

import numpy as np
import pytest
import torch
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer

from hf_ext import losses
from hf_ext.losses import LOSSES, for_trainer
from hf_ext.losses.table import MULTI_LABEL_LOSSES, SINGLE_LABEL_LOSSES, WHOLE_BATCH

IDS = torch.tensor([0, 3, -100, 2, 1])
HOT = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [-100, 1, 0, -100], [-100] * 4])
SOFT = torch.tensor([[0.0, 0.3, 0.5, 1.0]] * 5)
RANKS = torch.tensor([1.0, 0.0, 2.0, 1.0, 0.5])
PRIOR = {"prior": [0.1, 0.2, 0.3, 0.4]}
WEIGHT = {"weight": [0.5, 1.0, 2.0, 3.0]}

# Name in the table, labels for logits [5, 4] ([5, 2, 4] for the joint softmax, [5] for CoSENT), options.
CASES = {
    "cross entropy": ("cross_entropy", IDS, {}),
    "cross entropy, options": ("cross_entropy", IDS, {**WEIGHT, "label_smoothing": 0.1, "temperature": 2.0}),
    "focal": ("focal", IDS, {}),
    "focal, options": ("focal", IDS, {**WEIGHT, "gamma": 0.5}),
    "dice": ("dice", IDS, {}),
    "dice, options": ("dice", IDS, {"alpha": 0.5, "smooth": 0.1}),
    "logit adjusted": ("logit_adjusted", IDS, {**PRIOR, "tau": 0.7}),
    "smooth accuracy": ("smooth_accuracy", IDS, {}),
    "exact, line": ("exact", IDS, {"sigma": 0.7, "integral": "line"}),
    "Gumbel": ("noise_cross_entropy", IDS, {"noise": "gumbel"}),
    "Gaussian": ("noise_cross_entropy", IDS, {}),
    "exponential": ("noise_cross_entropy", IDS, {"noise": "exponential", "scale": 2.0}),
    "joint softmax": ("joint_softmax", torch.stack((IDS, IDS.flip(0)), 1), {}),
    "multi-label softmax": ("multilabel_softmax", HOT, {}),
    "soft multi-label softmax": ("soft_multilabel_softmax", SOFT, {}),
    "sparse multi-label softmax": (
        "sparse_multilabel_softmax",
        torch.tensor([[0, 3], [-100, 1]] + [[-100, -100]] * 3),
        {},
    ),
    "binary focal": ("binary_focal", HOT, {"alpha": 0.3}),
    "binary focal, soft": ("binary_focal", SOFT, {}),
    "binary dice": ("binary_dice", HOT, {}),
    "F1-weighted": ("f1_weighted", HOT, {"f1": 0.4}),
    "smooth F1": ("smooth_f1", HOT, {}),
    "smooth F1, macro": ("smooth_f1", HOT, {"average": "macro"}),
    "CoSENT": ("cosent", RANKS, {"scale": 5.0}),
}
BY_CLASS_ID = [name for name, (_, labels, _) in CASES.items() if labels is IDS]
BY_CLASS = [name for name, (_, labels, _) in CASES.items() if labels is HOT or labels is SOFT]


def logits_for(name, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shape = {"joint softmax": (5, 2, 4), "CoSENT": (5,)}.get(name, (5, 4))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def run(name, logits):
    loss, labels, options = CASES[name]
    return LOSSES[loss](logits, labels, **options)


def test_every_loss_of_the_table_has_a_case():
    assert {loss for loss, _, _ in CASES.values()} == set(LOSSES)


def test_losses_of_texts_are_those_of_the_labels_that_texts_have():
    assert {CASES[name][0] for name in BY_CLASS_ID} == set(SINGLE_LABEL_LOSSES)
    assert {CASES[name][0] for name in BY_CLASS} == set(MULTI_LABEL_LOSSES)
    assert (SINGLE_LABEL_LOSSES[0], MULTI_LABEL_LOSSES[0]) == ("cross_entropy", "multilabel_softmax")


# The original gives probabilities where its name says so, and its means are over these rows.
ORIGINALS = {
    "cosent": lambda x, n: losses.cosent_pair_loss(x, n["true"][::2]),
    "cosent_binary": lambda x, n: losses.cosent_pair_loss(x, n["true"][::2]),
    "cosent_interaction": lambda x, n: losses.cosent_loss(x, n["true"], scale=1.0),
    "gp_symmetric_kl": lambda x, n: losses.pointer_divergence(x, n["other"].to(x.dtype)),
    "mlm_logits": lambda x, n: losses.cross_entropy_loss(x, n["true"].long().masked_fill(n["true"] == 0, -100)),
    "multichoice": lambda x, n: losses.joint_softmax_loss(x.view(-1, 1, 5), n["true"].long()[::5]),
    "rdrop_kl_probs": lambda x, _: losses.symmetric_divergence(logs(x)[::2], logs(x)[1::2]),
    "rdrop_classification_probs": lambda x, n: r_drop_of_probabilities(x, n["true"].long().squeeze(-1)),
    "rdrop_seq2seq_probs": lambda x, n: r_drop_of_probabilities(
        x[:, :-1], n["true"].long()[:, 1:].masked_fill(n["segment"][:, 1:] == 0, -100)
    ),
    "simcse": lambda x, _: losses.simcse_loss(x),
}


def logs(probabilities):
    return probabilities.clamp(1e-7, 1).log()


def r_drop_of_probabilities(x, labels):
    """Cross-entropy normalises what Keras clips; the divergence of the original does not."""
    base = losses.cross_entropy_loss(x.clamp(1e-7, 1 - 1e-7).log(), labels)
    return base + losses.symmetric_divergence(logs(x)[::2], logs(x)[1::2], labels[::2] != -100)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ORIGINALS)
def test_values_and_gradients_of_the_originals(golden, name, dtype):
    with np.load(golden / "losses" / "io.npz") as file:
        mine = [key for key in file.files if key.startswith(f"{name}_")]
        numbers = {key.removeprefix(f"{name}_"): torch.from_numpy(file[key]) for key in mine}
    logits = numbers["pred"].to(dtype, copy=True).requires_grad_()
    value = ORIGINALS[name](logits, numbers)
    value.backward()
    torch.testing.assert_close(value, numbers["value"].to(dtype), rtol=1e-5, atol=0)
    # Gradients of probabilities reach hundreds, where the float32 in which they are stored is coarser.
    rounding = torch.finfo(torch.float32).eps * (4 if "probs" in name else 0)
    tolerance = 2e-5 if dtype == torch.float32 else 1e-5
    torch.testing.assert_close(logits.grad, numbers["grad"].to(dtype), rtol=rounding, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_second_derivatives(name):
    logits = logits_for(name).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: run(name, x), logits)
    assert torch.autograd.gradgradcheck(lambda x: run(name, x), logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e2, 1e4])
@pytest.mark.parametrize("name", CASES)
def test_half_precision_is_computed_wide(name, scale, dtype):
    """Never negative, never NaN; the value and the gradient are those of float64 up to rounding."""
    logits = (logits_for(name) * scale).clamp(-scale, scale).to(dtype).requires_grad_()
    value = run(name, logits)
    value.backward()
    exact = logits.detach().double().requires_grad_()
    wanted = run(name, exact)
    wanted.backward()
    assert value.dtype == torch.float32
    assert value >= 0
    torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-6)
    assert logits.grad.isfinite().all()
    most = float(exact.grad.abs().max())
    # Beside exponents of 1e5 float32 keeps two digits behind the point.
    bound = torch.finfo(dtype).eps * most + (2e-6 if scale < 1e4 else 2e-2) * max(most, 1)
    assert float((logits.grad.double() - exact.grad).abs().max()) <= bound


@pytest.mark.parametrize("name", [name for name in CASES if name != "CoSENT"])
def test_a_class_of_minus_infinity_is_not_there(name):
    """Adding one, which no row is labelled with, changes nothing (the mean over the classes of a row included)."""
    loss, labels, options = CASES[name]
    logits = logits_for(name)
    before = run(name, logits)
    more = torch.cat((logits, torch.full_like(logits[..., :1], -torch.inf)), -1).requires_grad_()
    if labels.shape == logits.shape:
        # A row that is left out stays so.
        labels = torch.cat((labels, labels.amax(-1, keepdim=True).clamp_max(0)), -1)
    options = {key: [*value, 1.0] if key in ("weight", "prior") else value for key, value in options.items()}
    if loss == "logit_adjusted":
        options["prior"] = [*PRIOR["prior"], 1e-9]
    after = LOSSES[loss](more, labels, **options)
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-9)
    after.backward()
    assert more.grad.isfinite().all()
    assert not more.grad[..., -1].any()


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][1].min() < 0 and "sparse" not in name])
def test_what_is_left_out_adds_nothing(name):
    """Whatever its logits are: 7, or -inf in each class."""
    loss, labels, options = CASES[name]
    values = []
    for filler in (7.0, -torch.inf):
        logits = logits_for(name)
        out = labels == -100
        logits = logits.masked_fill(out if out.shape == logits.shape else out.unsqueeze(-1), filler).requires_grad_()
        values.append(LOSSES[loss](logits, labels, **options))
        values[-1].backward()
        assert logits.grad.isfinite().all()
    torch.testing.assert_close(values[0], values[1])
    nothing = LOSSES[loss](logits_for(name), torch.full_like(labels, -100), **options)
    assert nothing == 0


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0] not in WHOLE_BATCH])
def test_reductions(name):
    loss, labels, options = CASES[name]
    rows = LOSSES[loss](logits_for(name), labels, **options, reduction="none")
    kept = (labels != -100) if labels.ndim == 1 else (labels != -100).any(-1)
    count = len(rows) if loss.startswith("sparse") else kept.sum()
    assert rows.shape == (5,)
    torch.testing.assert_close(LOSSES[loss](logits_for(name), labels, **options, reduction="sum"), rows.sum())
    torch.testing.assert_close(run(name, logits_for(name)), rows.sum() / count)
    with pytest.raises(ValueError, match="reduction must be 'none', 'sum' or 'mean', got 'average'"):
        LOSSES[loss](logits_for(name), labels, **options, reduction="average")


@pytest.mark.parametrize("name", BY_CLASS_ID)
def test_tokens_are_rows(name):
    loss, labels, options = CASES[name]
    logits = logits_for(name)
    tokens = LOSSES[loss](logits.expand(2, 5, 4), labels.expand(2, 5), **options)
    torch.testing.assert_close(tokens, run(name, logits))


def set_nan(logits):
    return logits.index_fill(0, torch.tensor([1]), torch.nan)


@pytest.mark.parametrize("name", CASES)
def test_logits_must_be_numbers(name):
    loss, labels, options = CASES[name]
    logits = logits_for(name)
    argument = "scores" if name == "CoSENT" else "logits"
    with pytest.raises(ValueError, match=f"{argument} must be numbers or -inf, got nan"):
        LOSSES[loss](set_nan(logits), labels, **options)
    with pytest.raises(ValueError, match=f"{argument} must be numbers or -inf, got inf"):
        LOSSES[loss](-(set_nan(logits).nan_to_num(nan=-torch.inf)), labels, **options)
    with pytest.raises(ValueError, match=rf"{argument} must be floats, at least one, got .*\(0"):
        LOSSES[loss](logits[:0], labels[:0], **options)
    with pytest.raises(ValueError, match=f"{argument} must be floats, .* torch.int64"):
        LOSSES[loss](logits.long(), labels, **options)


@pytest.mark.parametrize("name", BY_CLASS_ID)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, 2, 3, 4]), r"labels must be in \[0, 4\) or -100, got 4"),
        (torch.tensor([0, 1, 2, 3, -1]), r"labels must be in \[0, 4\) or -100, got -1"),
        (torch.tensor([0, 1]), r"labels must be integers of shape \(5,\), got torch.int64 of shape \(2,\)"),
        (torch.zeros(5), r"labels must be integers of shape \(5,\), got torch.float32"),
        (torch.zeros(5, 4).long(), r"labels must be integers of shape \(5,\), got torch.int64 of shape \(5, 4\)"),
    ],
)
def test_class_ids_must_fit(name, labels, message):
    loss, _, options = CASES[name]
    with pytest.raises(ValueError, match=message):
        LOSSES[loss](logits_for(name), labels, **options)


@pytest.mark.parametrize("name", BY_CLASS)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.full((5, 4), 1.5), r"labels must be in \[0, 1\] or -100, got 1.5"),
        (torch.full((5, 4), -1), r"labels must be in \[0, 1\] or -100, got -1"),
        (torch.full((5, 4), torch.nan), r"labels must be in \[0, 1\] or -100, got nan"),
        (torch.zeros(5, 3), r"labels must have shape \(5, 4\), got \(5, 3\)"),
        (torch.zeros(5).long(), r"labels must have shape \(5, 4\), got \(5,\)"),
    ],
)
def test_labels_of_classes_must_fit(name, labels, message):
    loss, _, options = CASES[name]
    with pytest.raises(ValueError, match=message):
        LOSSES[loss](logits_for(name), labels, **options)


MODULES = {
    "cross entropy, options": lambda o: losses.CrossEntropyLoss(**o),
    "focal, options": lambda o: losses.FocalLoss(**o),
    "dice, options": lambda o: losses.DiceLoss(**o),
    "logit adjusted": lambda o: losses.LogitAdjustedLoss(**o),
    "smooth accuracy": lambda o: losses.SmoothAccuracyLoss(**o),
    "exact, line": lambda o: losses.ExactLoss(**o),
    "exponential": lambda o: losses.NoiseCrossEntropyLoss(**o),
    "joint softmax": lambda o: losses.JointSoftmaxLoss(**o),
    "binary focal": lambda o: losses.BinaryFocalLoss(**o),
    "binary dice": lambda o: losses.BinaryDiceLoss(**o),
    "smooth F1, macro": lambda o: losses.SmoothF1Loss(**o),
    "CoSENT": lambda o: losses.CoSENTLoss(**o),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_call_the_functions(name):
    _, labels, options = CASES[name]
    module = MODULES[name](options).double()
    torch.testing.assert_close(module(logits_for(name), labels), run(name, logits_for(name)), rtol=1e-6, atol=1e-7)


def test_modules_take_the_options_of_the_functions():
    pairs = {
        "CrossEntropyLoss": losses.cross_entropy_loss,
        "ExactLoss": losses.exact_loss,
        "FocalLoss": losses.focal_loss,
        "DiceLoss": losses.dice_loss,
        "NoiseCrossEntropyLoss": losses.noise_cross_entropy_loss,
        "RDropLoss": losses.r_drop_loss,
        "SimCSELoss": losses.simcse_loss,
    }
    for module, function in pairs.items():
        options = [p for p in inspect.signature(function).parameters.values() if p.default is not p.empty]
        own = list(inspect.signature(getattr(losses, module)).parameters.values())
        assert [(p.name, p.default) for p in own] == [(p.name, p.default) for p in options if p.name != "divergence"]


TRAINED = {
    "cross_entropy": {"label_smoothing": 0.1},
    "focal": {},
    "dice": {},
    "logit_adjusted": PRIOR,
    "smooth_accuracy": {},
    "exact": {"points": 16},
    "noise_cross_entropy": {},
}


@pytest.mark.parametrize("name", TRAINED)
def test_stock_models_train_by_name_whatever_the_accumulation(tmp_path, name):
    """BERT's own head; six rows, one of them left out, as micro-batches of four and two."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.for_model("bert", vocab_size=20, num_labels=4, **sizes, **off)
    model = AutoModelForSequenceClassification.from_config(config)
    before = copy.deepcopy(model)
    rows = [{"input_ids": [n + 2, 3, 4], "labels": label} for n, label in enumerate([0, 1, 2, 3, 0, -100])]
    ids, labels = (torch.tensor([row[key] for row in rows]) for key in ("input_ids", "labels"))
    LOSSES[name](before(input_ids=ids).logits, labels, **TRAINED[name]).backward()
    arguments = descent(
        tmp_path,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        max_steps=1,
        learning_rate=1.0,
    )
    Trainer(model, arguments, train_dataset=rows, compute_loss_func=for_trainer(name, **TRAINED[name])).train()
    for old, new in zip(before.parameters(), model.parameters()):
        torch.testing.assert_close(old - new, old.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", sorted(WHOLE_BATCH))
def test_losses_of_a_whole_batch_are_averaged_over_micro_batches(name):
    logits, labels = (
        (logits_for("CoSENT"), RANKS) if name == "cosent" else (logits_for("smooth F1"), HOT[:4].repeat(2, 1)[:5])
    )
    compute = for_trainer(name)
    count = (labels != -100).sum()
    parts = [slice(0, 3), slice(3, 5)]
    total = sum(compute({"logits": logits[part]}, labels[part], num_items_in_batch=count) for part in parts)
    shares = [(labels[part] != -100).sum() / count for part in parts]
    wanted = sum(LOSSES[name](logits[part], labels[part]) * share for part, share in zip(parts, shares))
    torch.testing.assert_close(total, wanted)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("softmax", {}, "name must be one of binary_dice, .*got 'softmax'"),
        ("focal", {"gama": 1}, "options of 'focal' must be among gamma, weight, got gama"),
        ("smooth_accuracy", {"alpha": 1}, "options of 'smooth_accuracy' must be among none, got alpha"),
        ("focal", {"reduction": "sum"}, "options of 'focal' must be among gamma, weight, got reduction"),
    ],
)
def test_names_and_options_are_known(name, options, message):
    with pytest.raises(ValueError, match=message):
        for_trainer(name, **options)


def empty(*shape, dtype=torch.float32):
    return torch.zeros(0, *shape, dtype=dtype)


NO_IDS, NO_SPANS = empty(dtype=torch.long), empty(1, 3, dtype=torch.long)
EMPTY = {
    **{name: (LOSSES[loss], (empty(*logits_for(name).shape[1:]), labels[:0]), options)
       for name, (loss, labels, options) in CASES.items()},
    "span": (losses.span_loss, (empty(2, 4, 4), NO_SPANS), {}),
    "pointer": (losses.pointer_span_loss, (empty(4, 2, 6), empty(4, 2, 6), NO_SPANS), {}),
    "efficient": (
        losses.efficient_span_loss, (empty(4, 6), empty(4, 6), empty(4, 2), empty(4, 2), NO_SPANS), {}
    ),
    "pointer, masked": (
        losses.pointer_span_loss, (empty(4, 2, 6), empty(4, 2, 6), NO_SPANS, empty(4)), {}
    ),
    "no tokens": (
        losses.pointer_span_loss, (torch.zeros(2, 0, 2, 6), torch.zeros(2, 0, 2, 6), torch.zeros(2, 0, 3)), {}
    ),
    "CoSENT of pairs": (losses.cosent_pair_loss, (empty(8), empty()), {}),
    "SimCSE": (losses.simcse_loss, (empty(8),), {}),
    "paraphrases": (losses.paraphrase_similarity_loss, (empty(8),), {}),
    "distillation": (losses.similarity_distillation_loss, (empty(8), empty(0)), {}),
    "grouped": (losses.grouped_classification_loss, (empty(5), NO_IDS), {}),
    "R-Drop": (losses.r_drop_loss, (empty(3), empty(3), NO_IDS), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_a_batch_without_rows_is_refused(name):
    """Its mean would be NaN, and would spoil the weights."""
    function, arguments, options = EMPTY[name]
    with pytest.raises(ValueError, match=r"must (be floats, at least one|have (two rows|a row)|be \[2 \* pairs)"):
        function(*arguments, **options)


@pytest.mark.parametrize("name", ["span softmax", "sequence to sequence"])
def test_a_mean_over_labelled_rows_is_0_without_any(name):
    function, logits, labels = {
        "span softmax": (losses.span_softmax_loss, empty(4, 4), empty(2, dtype=torch.long)),
        "sequence to sequence": (losses.sequence_to_sequence_loss, empty(3, 8), empty(3, dtype=torch.long)),
    }[name]
    assert function(logits, labels) == 0
