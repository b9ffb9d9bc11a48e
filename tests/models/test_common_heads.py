"""What our heads do over any encoder beside what all models do; the table is in `models_tiny`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from model_outputs import gradients, tensors
from models_tiny import ANSWERS, ANY_ENCODER, CHOICES, EVENT_TAGS, OUR_HEADS, TAGS, Case, auto_class, cases
from trainer_runs import labelled

LENGTHS = [6, 3, 1, 4]
EVERY = cases(*ANY_ENCODER, once=True)


def outputs(model: Any, case: Case) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return tensors(model(**case.batch(LENGTHS), **case.settings))


@pytest.mark.parametrize("case", [case for case in OUR_HEADS if case.values[0].auto not in (ANSWERS, CHOICES)])
def test_other_numbers_of_labels(case: Case, tmp_path: Path) -> None:
    """A trained head is not silently read for other labels; it is begun anew where that is asked for."""
    model = case.make()
    model.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match=r"size mismatch|ignore_mismatched_sizes"):
        case.opener.from_pretrained(tmp_path, num_labels=5)
    again, report = case.opener.from_pretrained(
        tmp_path, num_labels=5, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert again.config.num_labels == len(again.config.id2label) == 5
    assert report["mismatched_keys"]
    assert all(name.startswith("classifier.") for name, *_ in report["mismatched_keys"])
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert all(parameter.isfinite().all() for parameter in again.parameters())
    for name, weight in model.base_model.named_parameters():
        assert torch.equal(again.base_model.get_parameter(name), weight), name
    outputs(again, case)


@pytest.mark.parametrize("case", OUR_HEADS)
def test_from_one_head_to_another(case: Case, tmp_path: Path) -> None:
    """The encoder goes from head to head, with a new head each time."""
    model = case.make()
    model.save_pretrained(tmp_path)
    # A new head is made where labels are given.
    labels = {"id2label": model.config.id2label}
    for auto in set(ANY_ENCODER) - {case.auto}:
        other, report = auto_class(auto).from_pretrained(
            tmp_path, output_loading_info=True, ignore_mismatched_sizes=True, **labels
        )
        assert type(other).__name__.removesuffix(auto.removeprefix("AutoModel")) == case.base_class.__name__[:-5]
        strange = {
            *report["missing_keys"],
            *report["unexpected_keys"],
            *(name for name, *_ in report["mismatched_keys"]),
        }
        assert all(name.startswith("classifier.") for name in strange), strange
        for name, weight in model.base_model.named_parameters():
            assert torch.equal(other.base_model.get_parameter(name), weight), name
        assert all(parameter.isfinite().all() for parameter in other.parameters())


@pytest.mark.parametrize("case", EVERY)
def test_placed_by_a_device_map(case: Case, tmp_path: Path) -> None:
    """Made on the meta device and filled part by part, from one file or several, the model gives the same."""
    rules = {"constrained_transitions": True, "id2label": {0: "O", 1: "B-a", 2: "I-a"}}
    model = case.make(**(rules if case.auto in (TAGS, EVENT_TAGS) else {}))
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    with torch.device("meta"):
        assert {p.device.type for p in type(model)(model.config).parameters()} == {"meta"}
    again = case.opener.from_pretrained(tmp_path, device_map={"": "cpu"}, attn_implementation=case.family.back_ends[0])
    torch.testing.assert_close(outputs(again, case), outputs(model, case), rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", OUR_HEADS)
def test_torch_saves_the_whole_model(case: Case, tmp_path: Path) -> None:
    model = case.make()
    torch.save(model, tmp_path / "model.pt")
    again = torch.load(tmp_path / "model.pt", weights_only=False)
    assert type(again) is type(model)
    torch.testing.assert_close(outputs(again, case), outputs(model, case), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", OUR_HEADS[:7])
def test_compiled_training(case: Case) -> None:
    """A compiled step has the loss and the gradients of one that is not; labels may break its graph."""
    torch._dynamo.reset()
    model, batch = case.make(num_hidden_layers=1).train(), labelled(case, LENGTHS)
    found = []
    for step in (model, torch.compile(model, backend="eager")):
        loss = step(**batch).loss
        loss.backward()
        found.append((loss.detach(), gradients(model)))
    torch.testing.assert_close(*found, atol=case.family.close, rtol=100 * case.family.close)
