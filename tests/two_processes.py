"""One of two processes of `models/test_common_parallel.py`: trains and shards every family, and writes what it found.

Called as ``two_processes.py FOLDER`` with the environment that ``torchrun`` sets.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from models_tiny import IMAGE_HEADS, OUR_HEADS, TOKEN_HEADS, Case, cases, one_of_each
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from trainer_runs import labelled, losses, rows, trainer
from transformers.distributed import DistributedConfig

LENGTHS = [9, 4, 1, 6, 5, 5, 3, 8]
LANGUAGE_HEADS = one_of_each("AutoModelForMaskedLM", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM")
# Those that say how they are split by tensors.
PLANNED = [
    case
    for case in cases("AutoModelForMaskedLM", "AutoModelForCausalLM", ours=True, once=True)
    if case.values[0].config().base_model_tp_plan
]


def train(case: Case, folder: Path, batch_size: int) -> tuple[list[float], dict[str, Tensor]]:
    """Two steps of four rows; parameters without a gradient, as of an unused layer, are an error with two processes."""
    run = trainer(
        case.make(),
        rows(labelled(case, LENGTHS)),
        folder,
        per_device_train_batch_size=batch_size,
        ddp_find_unused_parameters=False,
    )
    run.train()
    return losses(run), {name: p.detach() for name, p in run.model.named_parameters()}


def shard(model: nn.Module) -> Any:
    """Shard a model over the processes, each kind of module that it names as a whole."""
    mesh = init_device_mesh("cpu", (2,))
    for module in list(model.modules()):
        if type(module).__name__ in model._no_split_modules:
            fully_shard(module, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def sharded_step(case: Case) -> dict[str, Tensor]:
    """The logits of all rows, and the gradients of half of them on each process."""
    model = shard(case.make().train())
    batch = labelled(case, LENGTHS)
    logits = model(**batch).logits.detach()
    first = torch.distributed.get_rank() * len(LENGTHS) // 2
    half = slice(first, first + len(LENGTHS) // 2)
    model(**{name: value[half] for name, value in batch.items()}, num_items_in_batch=count(batch)).loss.backward()
    return {"logits": logits} | {
        name: p.grad.full_tensor() for name, p in model.named_parameters() if p.grad is not None
    }


def step(model: Any, case: Case) -> dict[str, Tensor]:
    """The logits of all rows, and the gradients of their loss."""
    output = model.train()(**labelled(case, LENGTHS))
    output.loss.backward()
    # The output matrix's gradient is that of the embedding where the two are one.
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": output.logits.detach()} | {
        name: grad.full_tensor() if hasattr(grad, "full_tensor") else grad for name, grad in grads.items()
    }


def split_step(case: Case, folder: Path, tied: bool) -> dict[str, Tensor]:
    """`step` of a model whose matrices are divided among the processes, from a folder that one of them wrote."""
    if torch.distributed.get_rank() == 0:
        case.make(tie_word_embeddings=tied).save_pretrained(folder)
    torch.distributed.barrier()
    back_end = case.family.back_ends[0]
    model = case.model_class.from_pretrained(
        folder, attn_implementation=back_end, distributed_config=DistributedConfig(tp_size=2)
    )
    assert isinstance(model.get_output_embeddings().weight, DTensor)
    found = step(model, case)
    torch.distributed.barrier()
    return found


def count(batch: dict[str, Tensor]) -> Tensor:
    """The number that losses are divided by: as each process has half of the rows and gradients are averaged, half."""
    return batch["labels"].ne(-100).sum() / 2


def main(folder: Path) -> None:
    """Run every family."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for parameter in TOKEN_HEADS + OUR_HEADS + IMAGE_HEADS:
        found[f"trained {parameter.id}"] = train(parameter.values[0], folder, 2)
    for parameter in LANGUAGE_HEADS:
        found[f"sharded {parameter.id}"] = sharded_step(parameter.values[0])
    for parameter in PLANNED:
        for tied in (True, False):
            found[f"split {parameter.id}-{tied}"] = split_step(parameter.values[0], folder / "split", tied)
    if torch.distributed.get_rank() == 0:
        torch.save(found, folder / "found.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
