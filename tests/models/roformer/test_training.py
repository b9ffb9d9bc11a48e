"""Training a RoFormer: losses that Trainer can divide, checkpointing, adapters, compilation, several processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from roformer_tiny import V2, packed, tiny, tokens
from torch import Tensor
from transformers import PreTrainedModel

from hf_ext.models.roformer import (
    RoFormerForCausalLM,
    RoFormerForMaskedLM,
    RoFormerForQuestionAnswering,
    RoFormerForSequenceClassification,
    RoFormerForTokenClassification,
    RoFormerModel,
)

LENGTHS = [9, 4, 1, 6]
TOKEN_LABELS = tokens(LENGTHS, seed=1)["input_ids"].masked_fill(tokens(LENGTHS)["attention_mask"] == 0, -100)
# Class, fields of the config, labels with a different count in each row.
HEADS: dict[str, tuple[Any, dict[str, Any], Tensor]] = {
    "masked": (RoFormerForMaskedLM, {}, TOKEN_LABELS),
    "masked, v2": (RoFormerForMaskedLM, V2, TOKEN_LABELS),
    "causal": (RoFormerForCausalLM, {"attention_mode": "causal"}, TOKEN_LABELS),
    "unilm": (RoFormerForCausalLM, {"attention_mode": "unilm"}, TOKEN_LABELS),
    "token classes": (RoFormerForTokenClassification, {"num_labels": 60}, TOKEN_LABELS),
    "classes": (RoFormerForSequenceClassification, {"num_labels": 3}, torch.tensor([0, -100, 2, 1])),
    "several classes": (RoFormerForSequenceClassification, {"num_labels": 3}, torch.eye(4, 3).double()),
    "regression": (RoFormerForSequenceClassification, {"num_labels": 1}, torch.tensor([0.5, 1, 2, -3]).double()),
}


def gradients(model: PreTrainedModel) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    assert any(g.any() for g in found.values())
    return found


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize(("model_class", "fields", "labels"), HEADS.values(), ids=HEADS)
def test_accumulation(model_class: Any, fields: dict[str, Any], labels: Tensor, unpad: bool) -> None:
    """One step of four rows, four of one row and two of two: Trainer hands over the count, and adds up."""
    assert getattr(model_class, "accepts_loss_kwargs", True)
    model = tiny(model_class, unpad=unpad, **fields).train()
    batch = tokens(LENGTHS) | {"labels": labels}
    # A model that predicts the next token has nothing to say of the first.
    count = (labels if model_class is not RoFormerForCausalLM else labels[:, 1:]).ne(-100).sum()
    # The library's losses over the vocabulary are computed in float32.
    tolerance = 2e-6 if model_class in (RoFormerForMaskedLM, RoFormerForCausalLM) else 1e-12
    found = []
    for parts in (1, 2, 4):
        total = 0.0
        for part in range(parts):
            rows = slice(part * 4 // parts, (part + 1) * 4 // parts)
            loss = model(**{name: value[rows] for name, value in batch.items()}, num_items_in_batch=count).loss
            loss.backward()
            total += loss.item()
        found.append((total, gradients(model)))
    mean = model(**batch).loss
    for total, gradient in found:
        assert total == pytest.approx(mean.item(), abs=tolerance)
        torch.testing.assert_close(gradient, found[0][1], atol=tolerance, rtol=0)


def test_question_answering_leaves_the_division_to_trainer() -> None:
    model = tiny(RoFormerForQuestionAnswering)
    assert not model.accepts_loss_kwargs
    batch = tokens(LENGTHS)
    labels = {"start_positions": torch.tensor([1, 2, 0, 99]), "end_positions": torch.tensor([3, 2, 0, 1])}
    output = model(**batch, **labels)
    rows = torch.tensor([0, 1, 2])
    wanted = [
        torch.nn.functional.cross_entropy(output.start_logits[rows], labels["start_positions"][rows]),
        torch.nn.functional.cross_entropy(output.end_logits, labels["end_positions"]),
    ]
    torch.testing.assert_close(output.loss, sum(wanted) / 2)


@pytest.mark.parametrize("mode", ["bidirectional", "causal"])
def test_packed_loss(mode: str) -> None:
    """Packed rows, labelled as the flattening collator does, train as padded ones do."""
    causal = mode == "causal"
    model = tiny(RoFormerForCausalLM if causal else RoFormerForMaskedLM, attention_mode=mode).train()
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    labels = TOKEN_LABELS.clone()
    if causal:
        labels[:, 0] = -100
    losses = []
    for inputs, targets in ((batch, labels), (packed(batch), labels[real][None])):
        loss = model(**inputs, labels=targets).loss
        loss.backward()
        losses.append((loss.detach(), gradients(model)))
    torch.testing.assert_close(*losses, atol=2e-6, rtol=0)


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
def test_gradient_checkpointing(back_end: str, unpad: bool) -> None:
    batch = tokens(LENGTHS) | {"labels": TOKEN_LABELS}
    found = []
    for checkpointing in (False, True):
        model = tiny(RoFormerForMaskedLM, back_end, unpad=unpad, hidden_dropout_prob=0.1).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.is_activation_checkpointing
        torch.manual_seed(7)
        model(**batch).loss.backward()
        found.append(gradients(model))
    torch.testing.assert_close(*found, atol=1e-12, rtol=0)


@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
@pytest.mark.parametrize("unpad", [False, True])
def test_dropout(back_end: str, unpad: bool) -> None:
    """Every dropout acts while training, none in evaluation."""
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    for field in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        model = tiny(RoFormerModel, back_end, unpad=unpad, **{field: 0.5})
        with torch.no_grad():
            calm = [model(**batch).last_hidden_state[real] for _ in range(2)]
            noisy = [model.train()(**batch).last_hidden_state[real] for _ in range(2)]
        assert torch.equal(*calm)
        assert not torch.equal(*noisy)
    head = tiny(RoFormerForTokenClassification, num_labels=3, classifier_dropout=0.5).train()
    assert not torch.equal(head(**batch).logits, head(**batch).logits)


def test_adapters_without_naming_targets(tmp_path: Path) -> None:
    """PEFT knows the family: the adapter and the head are trained, saved, loaded and merged."""
    from peft import LoraConfig, PeftModel, get_peft_model

    batch = tokens(LENGTHS) | {"labels": TOKEN_LABELS}
    model = get_peft_model(
        tiny(RoFormerForTokenClassification, num_labels=60, dtype=torch.float32),
        LoraConfig(task_type="TOKEN_CLS", r=2, init_lora_weights=False),
    )
    adapted = {name.split(".lora_A")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if "lora_A" in name}
    assert adapted == {"query", "value"}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(3):
        loss = model(**batch).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[0] > losses[1] > losses[2]
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if "lora" in name or "modules_to_save" in name}
    assert any("classifier.modules_to_save" in name for name in moved)

    model.eval()
    model.save_pretrained(tmp_path)
    fresh = tiny(RoFormerForTokenClassification, num_labels=60, dtype=torch.float32)
    again = PeftModel.from_pretrained(fresh, tmp_path).eval()
    wanted = model(**batch).logits
    torch.testing.assert_close(again(**batch).logits, wanted, rtol=0, atol=0)
    torch.testing.assert_close(again.merge_and_unload()(**batch).logits, wanted, atol=1e-4, rtol=0)


COMPILED: dict[str, tuple[dict[str, Any], Any]] = {
    # A graph has no place for lengths that only the data knows: it keeps the padding.
    "padded": ({"unpad": True, "pooler_activation": "tanh"}, lambda batch: batch),
    "packed": (V2, packed),
    "causal": (
        {"attention_mode": "causal", "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
        lambda batch: batch,
    ),
    "unilm, packed": ({"attention_mode": "unilm"}, packed),
}


@pytest.mark.parametrize(("fields", "layout"), COMPILED.values(), ids=COMPILED)
def test_one_graph(fields: dict[str, Any], layout: Any) -> None:
    torch._dynamo.reset()
    model = tiny(RoFormerModel, num_hidden_layers=1, **fields)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    inputs = layout(batch)
    with torch.no_grad():
        found = compiled(**inputs, use_cache=False).last_hidden_state
        wanted = model(**inputs, use_cache=False).last_hidden_state
    where = real if "attention_mask" in inputs else torch.ones_like(inputs["input_ids"], dtype=torch.bool)
    torch.testing.assert_close(found[where], wanted[where], atol=1e-11, rtol=0)


def test_compiled_gradients() -> None:
    torch._dynamo.reset()
    batch = tokens(LENGTHS) | {"labels": TOKEN_LABELS}
    found = []
    for compile_ in (False, True):
        model = tiny(RoFormerForMaskedLM, hidden_size=16, num_hidden_layers=1).train()
        run = torch.compile(model, fullgraph=True, backend="aot_eager") if compile_ else model
        run(**batch).loss.backward()
        found.append(gradients(model))
    torch.testing.assert_close(*found, atol=1e-11, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, V2], ids=["v1", "v2"])
def test_inductor(fields: dict[str, Any]) -> None:
    torch._dynamo.reset()
    batch = tokens(LENGTHS) | {"labels": TOKEN_LABELS}
    found = []
    for compile_ in (False, True):
        model = tiny(RoFormerForMaskedLM, dtype=torch.float32, num_hidden_layers=1, **fields).train()
        run = torch.compile(model, fullgraph=True) if compile_ else model
        run(**batch).loss.backward()
        found.append(gradients(model))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("fields", [{}, {"attention_mode": "unilm"}], ids=["bidirectional", "unilm"])
def test_export_for_any_batch_and_length(fields: dict[str, Any]) -> None:
    model = tiny(
        RoFormerForMaskedLM if not fields else RoFormerForCausalLM, use_cache=False, num_hidden_layers=1, **fields
    )
    batch, axes = torch.export.Dim("batch"), torch.export.Dim("length", max=2048)
    inputs = tokens(LENGTHS)
    shapes = {name: {0: batch, 1: axes} for name in inputs}
    program = torch.export.export(model, args=(), kwargs=inputs, dynamic_shapes=shapes, strict=False)
    for lengths in ([5, 3], [70, 12, 1, 64, 2]):
        other = tokens(lengths)
        with torch.no_grad():
            found, wanted = program.module()(**other).logits, model(**other).logits
        torch.testing.assert_close(found, wanted, atol=1e-11, rtol=0)


PARALLEL = """
import sys, torch
from transformers import AutoModelForMaskedLM
from transformers.distributed import DistributedConfig
import hf_ext
torch.set_num_threads(1)
folder, kind = sys.argv[1:]
batch = torch.load(folder + "/batch.pt")
model = AutoModelForMaskedLM.from_pretrained(folder, distributed_config=DistributedConfig(**{kind + "_size": 2}))
split = sum(type(p).__name__ == "DTensor" or type(p.data).__name__ == "DTensor" for p in model.parameters())
output = model(**batch)
output.loss.backward()
if torch.distributed.get_rank() == 0:
    logits = output.logits.full_tensor() if hasattr(output.logits, "full_tensor") else output.logits
    torch.save({"logits": logits.detach(), "loss": output.loss.detach(), "split": split}, folder + "/found.pt")
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tp", "fsdp"])
def test_two_processes(kind: str, tmp_path: Path) -> None:
    """The library's own tensor and data parallelism, by the plans of the config."""
    model = tiny(RoFormerForMaskedLM, dtype=torch.float32)
    batch = tokens(LENGTHS) | {"labels": TOKEN_LABELS}
    model.save_pretrained(tmp_path)
    torch.save(batch, tmp_path / "batch.pt")
    (tmp_path / "run.py").write_text(PARALLEL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    workers = []
    for rank in ("0", "1"):
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path), kind]
        workers.append(subprocess.Popen(command, env=os.environ | world, stderr=subprocess.PIPE, text=True))
    errors = [worker.communicate(timeout=300)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors[0]
    found = torch.load(tmp_path / "found.pt")
    assert found["split"]
    with torch.no_grad():
        wanted = model(**batch)
    torch.testing.assert_close(found["logits"], wanted.logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(found["loss"], wanted.loss, atol=1e-5, rtol=0)
