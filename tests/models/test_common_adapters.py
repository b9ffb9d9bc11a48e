"""PEFT's methods over all heads, but for LoRA's default targets (`test_models_common_training`)."""

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from model_outputs import finite_tensors, tensors
from models_tiny import LINEAR, OUR_HEADS, Case, cases, one_of_each
from torch import Tensor
from trainer_runs import labelled

LENGTHS = [6, 3, 1, 4]
KINDS = {
    "AutoModelForCausalLM": "CAUSAL_LM",
    "AutoModelForSequenceClassification": "SEQ_CLS",
    "AutoModelForMultipleChoice": "SEQ_CLS",
    LINEAR: "SEQ_CLS",
    "AutoModelForQuestionAnswering": "QUESTION_ANS",
}
HEADS = [case for case in cases(once=True) if not case.values[0].is_base and not case.values[0].family.paired]
# PEFT itself refuses a prefix of the last, which keeps no keys and values of a text.
UNTUNED = ("AutoModelForMaskedLM", "ForParaphrase", "ForTextAutoencoding")
TUNED = [case for case in HEADS if case.values[0].auto not in UNTUNED]


def kind(case: Case) -> str:
    return KINDS.get(case.auto, "TOKEN_CLS")


def by_a_prefix(case: Case) -> Any:
    """A model tuned by two tokens in front of all, which nobody has told where they stand."""
    torch.manual_seed(1)
    options: dict[str, Any] = {"num_virtual_tokens": 2, "task_type": kind(case)}
    if kind(case) == "QUESTION_ANS":
        options["token_dim"] = 32
    return peft.get_peft_model(case.make(), peft.PrefixTuningConfig(**options)).double().eval()


def untyped(batch: dict[str, Tensor], case: Case) -> dict[str, Tensor]:
    """The batch without what PEFT takes out, and says so, where a model generates."""
    dropped = {"token_type_ids"} if kind(case) == "CAUSAL_LM" else set()
    return {name: value for name, value in batch.items() if name not in dropped}


def numbers(model: Any, case: Case, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors(model(**batch, **case.settings))


# PEFT still calls causal models by the name that the cache had before.
@pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning")
@pytest.mark.parametrize("case", [c for c in TUNED if not c.values[0].chooses])
def test_prefix_tuning(case: Case) -> None:
    """The prefix counts, in outputs and gradients, and a row alone gives what it gives in a batch; or it is refused."""
    model = by_a_prefix(case)
    if not case.family.prefix:
        with pytest.raises(ValueError, match=r"(cache|past_key_values) (must be|needs)"):
            model(**untyped(case.batch(LENGTHS), case))
        return
    batch = untyped(case.batch(LENGTHS), case)
    output = model(**batch, **case.settings)
    sum(value.square().sum() for value in finite_tensors(output).values() if value.requires_grad).backward()
    assert all(p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "prompt_encoder" in n)
    with torch.no_grad():
        together = numbers(model, case, batch)
        for row, length in enumerate(LENGTHS):
            alone = numbers(model, case, {name: value[row : row + 1, :length] for name, value in batch.items()})
            for name, wanted in alone.items():
                found = together[name][row : row + 1]
                if case.pairs and name.startswith("logits"):
                    found = found[..., :length, :length]
                elif found.shape != wanted.shape:
                    found = found[:, :length]
                torch.testing.assert_close(found, wanted, atol=10 * case.family.close, rtol=0)
        for name, parameter in model.named_parameters():
            if "prompt_encoder" in name:
                parameter.normal_()
        for name, value in numbers(model, case, batch).items():
            assert value.shape == together[name].shape
            assert not torch.equal(value, together[name]) or not value.is_floating_point(), name


# PEFT puts the tokens of a prompt among those of the text, where labels of tokens have no place for them.
PROMPTED = one_of_each("AutoModelForSequenceClassification", "AutoModelForCausalLM")


@pytest.mark.parametrize(
    ("method", "case"),
    [("prompt", *c.values) for c in PROMPTED] + [("ia3", *c.values) for c in [*PROMPTED, *OUR_HEADS[:5]]],
)
def test_other_methods(case: Case, method: str, tmp_path: Path) -> None:
    """Trained, saved and loaded again, an adapter gives the same."""
    if method == "prompt":
        config = peft.PromptTuningConfig(task_type=kind(case), num_virtual_tokens=2, token_dim=32)
    else:
        layers = ["value", "v_proj", "Wqkv", "i_dense"]
        config = peft.IA3Config(task_type=kind(case), target_modules=layers, feedforward_modules=[])
    batch = untyped(labelled(case, LENGTHS), case)
    model = peft.get_peft_model(case.make(), config).double()
    loss = model(**batch).loss
    loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    model.eval().save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(case.make(), tmp_path).double().eval()
    with torch.no_grad():
        assert not torch.equal(model(**batch).loss, loss)
        # PEFT makes and saves prompts in float32, and so are the library's losses over the vocabulary.
        torch.testing.assert_close(again(**batch).loss, model(**batch).loss, atol=5e-6, rtol=0)


CLASSIFIERS = [*OUR_HEADS, *one_of_each("AutoModelForSequenceClassification")]


@pytest.mark.parametrize("targets", ["all-linear", r".*(encoder|layers|classifier).*(dense|Wo|o_proj|linear)"])
@pytest.mark.parametrize("case", CLASSIFIERS)
def test_adapters_in_the_head(case: Case, targets: Any, tmp_path: Path) -> None:
    """A head is trained as a whole or adapted, and not both, which could not be loaded again."""
    settings: dict[str, Any] = {"task_type": kind(case), "target_modules": targets, "r": 2, "init_lora_weights": False}
    if kind(case) == "TOKEN_CLS":
        with pytest.raises(ValueError, match=r"target_modules must leave out .* 'classifier'.*modules_to_save"):
            peft.get_peft_model(case.make(), peft.LoraConfig(**settings))
    for options in ({"modules_to_save": ["classifier"]}, {"task_type": None}):
        model = peft.get_peft_model(case.make(), peft.LoraConfig(**(settings | options))).double().eval()
        model.save_pretrained(tmp_path)
        again = peft.PeftModel.from_pretrained(case.make(), tmp_path).double().eval()
        batch = labelled(case, LENGTHS)
        torch.testing.assert_close(again(**batch).loss, model(**batch).loss, atol=1e-11, rtol=0)
