"""What Transformers asks of any model, beside what the other common tests hold; the table is in `models_tiny`."""

import inspect
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from models_tiny import Case, cases
from torch.nn import functional as F
from trainer_runs import labelled
from transformers import set_seed
from transformers.modeling_layers import GradientCheckpointingLayer

LENGTHS = [6, 3, 1, 4]
ONCE = cases(ours=True, once=True)
WITH_IMAGES = cases(ours=True, once=True, images=True)
CLASSIFIERS = ("AutoModelForSequenceClassification", "AutoModelForImageClassification")
# What a layer runs itself through.
FUNCTION = "_gradient_checkpointing_func"
HEADS = [case for case in ONCE if not case.values[0].is_base]


@pytest.mark.parametrize("case", WITH_IMAGES)
def test_weights_that_no_file_has(case: Case) -> None:
    """Loaded without any weights, a model has those that a new one begins with, to the last bit of each kind."""
    config = case.config()
    set_seed(3)
    new = case.model_class(config)
    set_seed(3)
    loaded = case.model_class.from_pretrained(None, config=config, state_dict={})
    for name, wanted in new.named_parameters():
        found = loaded.get_parameter(name)
        assert found.device.type == "cpu"
        assert found.isfinite().all(), name
        # The order of drawing is the library's; what is drawn is of one kind.
        torch.testing.assert_close(found.mean(), wanted.mean(), atol=6 * 0.3 / found.numel() ** 0.5, rtol=0)
        torch.testing.assert_close(found.std(correction=0), wanted.std(correction=0), atol=0.2, rtol=0.5)
        assert (found.std(correction=0) == 0) == (wanted.std(correction=0) == 0), name
    for (name, found), (_, wanted) in zip(loaded.named_buffers(), new.named_buffers(), strict=True):
        torch.testing.assert_close(found, wanted, msg=name)


@pytest.mark.parametrize("case", ONCE)
def test_first_arguments(case: Case) -> None:
    names = list(inspect.signature(case.model_class.forward).parameters)[1:]
    assert names[:2] == ["input_ids", "attention_mask"] or case.auto == "AutoModelForTextEncoding"
    assert "inputs_embeds" in names


@pytest.mark.parametrize("case", WITH_IMAGES)
def test_modules_that_are_not_split(case: Case) -> None:
    """By these names a model is spread over devices; one that is not there would let a block be cut in two."""
    model = case.make()
    classes = {type(module).__name__ for module in model.modules()}
    assert model._no_split_modules
    assert set(model._no_split_modules) <= classes
    layers = {type(module).__name__ for module in model.modules() if isinstance(module, GradientCheckpointingLayer)}
    assert set(model._no_split_modules) == layers


@pytest.mark.parametrize("case", WITH_IMAGES)
def test_checkpointing_reaches_every_layer(case: Case) -> None:
    model = case.make().train()
    model.activation_checkpointing_enable()
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    assert layers
    runs = mock.Mock()
    for number, layer in enumerate(layers):
        func = getattr(layer, FUNCTION)
        setattr(layer, FUNCTION, lambda *args, n=number, f=func, **kwargs: (runs(n), f(*args, **kwargs))[1])
    model(**case.batch(LENGTHS), **case.settings)
    # An autoencoder runs its layers once to code a text, and once more to write it.
    assert list(dict.fromkeys(call.args[0] for call in runs.call_args_list)) == list(range(len(layers)))


@pytest.mark.parametrize("case", WITH_IMAGES)
def test_hidden_states_have_gradients(case: Case) -> None:
    """All the way down to the embeddings."""
    model = case.make("eager")
    output = model(**case.batch(LENGTHS), **case.settings, output_hidden_states=True)
    sides = ("encoder_", "decoder_") if "encoder_hidden_states" in output else ("",)
    states = [state for side in sides for state in output[f"{side}hidden_states"]]
    for state in states:
        state.retain_grad()
    numbers = output.get("last_hidden_state", output.get("logits", output.get("start_logits")))
    numbers = numbers if isinstance(numbers, tuple) else (numbers,)
    sum(value[value > -torch.inf].square().sum() for value in numbers).backward()
    assert all(state.grad is not None for state in states[:-1])
    assert all(state.grad.abs().sum() > 0 for state in states[:-1])


@pytest.mark.parametrize("case", cases(*CLASSIFIERS, ours=True, once=True, images=True))
@pytest.mark.parametrize("kind", ["regression", "single_label_classification", "multi_label_classification"])
def test_kinds_of_problems(case: Case, kind: str) -> None:
    """Each kind has its loss, told by the config or by the labels, and an unknown one is refused."""
    batch = case.batch(LENGTHS)
    labels = {
        "regression": torch.rand(4),
        "single_label_classification": torch.tensor([0, 2, 1, 1]),
        "multi_label_classification": torch.rand(4, 3).round(),
    }[kind]
    size = {"num_labels": 1} if kind == "regression" else {}
    logits = case.make(**size)(**batch).logits
    wanted = {
        "regression": lambda: F.mse_loss(logits[:, 0], labels.double()),
        "single_label_classification": lambda: F.cross_entropy(logits, labels),
        "multi_label_classification": lambda: F.binary_cross_entropy_with_logits(logits, labels.double()),
    }[kind]()
    for told in (kind, None):
        model = case.make(**size, problem_type=told)
        torch.testing.assert_close(model(**batch, labels=labels).loss, wanted)


@pytest.mark.parametrize(
    "case", cases(*CLASSIFIERS, "AutoModelForTokenClassification", ours=True, once=True, images=True)
)
def test_labels_of_another_number(case: Case, tmp_path: Path) -> None:
    model = case.make()
    model.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match=r"size mismatch|ignore_mismatched_sizes"):
        case.opener.from_pretrained(tmp_path, num_labels=5)
    options: dict[str, Any] = {"ignore_mismatched_sizes": True, "output_loading_info": True}
    again, report = case.opener.from_pretrained(tmp_path, num_labels=5, **options)
    assert report["mismatched_keys"]
    assert all(name.startswith("classifier.") for name, *_ in report["mismatched_keys"])
    assert not report["missing_keys"] | report["unexpected_keys"]
    assert all(parameter.isfinite().all() for parameter in again.parameters())
    assert again(**case.batch(LENGTHS)).logits.shape[-1] == 5


@pytest.mark.parametrize("case", WITH_IMAGES)
def test_a_head_is_of_the_type_that_is_asked_for(case: Case, tmp_path: Path) -> None:
    case.make(dtype=torch.float32).save_pretrained(tmp_path)
    model = case.opener.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    numbers = [value for value in model(**case.batch(LENGTHS)).values() if isinstance(value, torch.Tensor)]
    assert all(value.float().nan_to_num(neginf=0).isfinite().all() for value in numbers)


@pytest.mark.parametrize("case", [case for case in HEADS if case.values[0].auto != "ForParaphrase"])
def test_a_mask_of_ones_is_none(case: Case) -> None:
    """Without a mask all tokens are real; and other inputs than asked for are refused by name."""
    model, batch = case.make(), labelled(case, [5, 5])
    batch.pop("attention_mask")
    whole = {**batch, "attention_mask": torch.ones_like(batch["input_ids"])}
    torch.testing.assert_close(model(**batch).loss, model(**whole).loss, atol=1e-6, rtol=0)
