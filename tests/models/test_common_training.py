"""How all models train: checkpointing, Trainer's accumulation and resuming, adapters; the table is in `models_tiny`."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from model_outputs import gradients, tensors
from models_tiny import ANSWERS, CHOICES, IMAGE_HEADS, ON_OTHERS, OUR_HEADS, TAGS, TOKEN_HEADS, Case, cases
from trainer_runs import labelled, losses, rows, trainer

pytestmark = [
    # Trainer pins memory on a machine without a GPU.
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]

LENGTHS = [9, 4, 1, 6]
HEADS = [case for case in [*cases(ours=True, once=True, images=True), *ON_OTHERS] if not case.values[0].is_base]
# Other losses: means over tokens, of which rows have different numbers.
HEADS += [case for case in cases(TAGS, ANSWERS) if "sequence_head" in case.values[0].fields]


@pytest.mark.parametrize("case", HEADS)
def test_gradient_checkpointing(case: Case) -> None:
    """The same loss and gradients, with dropout and without a cache."""
    batch = labelled(case, LENGTHS)
    dropout = "dropout_rate" if case.family.paired else "hidden_dropout_prob"
    for unpad in (False, True)[: 1 + case.family.unpads]:
        found = []
        for checkpointing in (False, True):
            model = case.make(**{dropout: 0.1} | ({"unpad": True} if unpad else {})).train()
            if checkpointing:
                model.gradient_checkpointing_enable()
                assert model.is_activation_checkpointing
            torch.manual_seed(7)
            loss = model(**batch).loss
            loss.backward()
            found.append((loss.detach(), gradients(model)))
        torch.testing.assert_close(*found, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("case", HEADS)
def test_every_parameter_learns(case: Case, tmp_path: Path) -> None:
    """A trained parameter that no loss reaches stops plain distributed training: a pooler learns where it is read."""
    poolers = {} if case.family.paired or not case.family.ours else {"pooler_activation": "linear"}
    made = case.make(**poolers)
    made.save_pretrained(tmp_path)
    loaded = case.opener.from_pretrained(tmp_path, attn_implementation=case.family.back_ends[0])
    for model in (made, loaded):
        model.train()(**labelled(case, LENGTHS)).loss.backward()
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        assert {name for name, p in model.named_parameters() if p.grad is None} == frozen
        assert all(".pooler." in name for name in frozen)
        assert not (frozen and case.auto == "ForParaphrase")


# The loss of paraphrases compares the rows of a batch, and is another one in another batch.
@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in HEADS if case.values[0].auto != "ForParaphrase"])
def test_accumulation(case: Case, tmp_path: Path) -> None:
    """One step of all rows, and of one row at a time: Trainer logs the same loss and moves the weights the same."""
    data = rows(labelled(case, LENGTHS))
    found = []
    for size in (len(data), 1):
        model = case.make()
        # Plain descent shows a wrong factor, which Adam would divide out.
        run = trainer(
            model, data, tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=len(data) // size
        )
        run.train()
        assert run.state.global_step == 1
        found.append((losses(run), dict(model.named_parameters())))
    assert any(not torch.equal(p, q) for p, q in zip(found[0][1].values(), case.make().parameters()))
    # The library's losses over the vocabulary are computed in float32.
    torch.testing.assert_close(*found, atol=5e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", TOKEN_HEADS + OUR_HEADS + IMAGE_HEADS)
def test_resuming(case: Case, tmp_path: Path) -> None:
    """Four steps, against two and, in a new model, two more: the same losses and weights to the last bit."""
    data = rows(labelled(case, [9, 4, 1, 6, 5, 5, 3, 8]))
    dropout = "dropout_rate" if case.family.paired else "hidden_dropout_prob"
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 2,
        "optim": "adamw_torch",
        "learning_rate": 0.01,
        "lr_scheduler_type": "linear",
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "random",
        "save_strategy": "steps",
        "save_steps": 2,
        "max_steps": 4,
    }
    found = []
    for resume in (None, str(tmp_path / "checkpoint-2")):
        model = case.make(**{dropout: 0.1})
        if resume:
            # What is not restored would be seen.
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.zero_()
        run = trainer(model, data, tmp_path, **settings)
        run.train(resume_from_checkpoint=resume)
        found.append((losses(run), dict(model.named_parameters())))
        assert {"model.safetensors", "optimizer.pt"} <= set(os.listdir(tmp_path / "checkpoint-2"))
    assert len(found[0][0]) == 4
    torch.testing.assert_close(*found, atol=0, rtol=0)


TASKS = {
    "AutoModelForCausalLM": "CAUSAL_LM",
    "AutoModelForSeq2SeqLM": "SEQ_2_SEQ_LM",
    # PEFT has no name for it, and so is told of the head.
    "AutoModelForImageClassification": None,
}


# PEFT does not know ModernBERT.
@pytest.mark.parametrize(
    "case", [*TOKEN_HEADS, *IMAGE_HEADS, *(case for case in OUR_HEADS if "modernbert" not in case.id)]
)
def test_adapters_without_naming_targets(case: Case, tmp_path: Path) -> None:
    """PEFT knows the family: an adapter is trained, saved, loaded and merged."""
    from peft import LoraConfig, PeftModel, get_peft_model

    batch = labelled(case, LENGTHS)
    model = get_peft_model(
        case.make(),
        LoraConfig(
            task_type=TASKS.get(case.auto, "TOKEN_CLS"),
            r=2,
            init_lora_weights=False,
            modules_to_save=["classifier"] if case.family.images else None,
        ),
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss = model(**batch).loss
    loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    # What is added to the scores of all choices changes no probability.
    still = {name for name in before if case.auto == CHOICES and name.endswith("dense.bias")}
    assert moved == {name for name in before if "lora" in name or "modules_to_save" in name} - still
    assert ("classifier" in str(moved)) is (case.auto not in TASKS or case.family.images)

    model.eval().save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(case.make(), tmp_path).eval()
    with torch.no_grad():
        wanted = tensors(model(**batch, **case.settings))
        torch.testing.assert_close(tensors(again(**batch, **case.settings)), wanted, atol=1e-12, rtol=0)
        merged = again.merge_and_unload()
        torch.testing.assert_close(tensors(merged(**batch, **case.settings)), wanted, atol=close(case), rtol=0)


def close(case: Case) -> float:
    """How near an adapter that is merged comes."""
    return 100 * case.family.close
