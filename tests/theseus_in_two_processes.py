"""One of two processes of `training/test_replacement_schedule.py`: trains a successor. Called with a folder."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from theseus_runs import classifier, rows, theseus_run
from torch import Tensor
from trainer_runs import descent

from hf_ext.training import EMACallback, LearningRatesTrainer, ReplacementSchedule

# The loss of a head of Transformers' is a mean, and not divided by the number of all rows.
SETTINGS = {"optim": "sgd", "ddp_find_unused_parameters": False, "average_tokens_across_devices": False}


def found_of(folder: Path, processes: int) -> dict[str, Tensor]:
    """The weights after runs over batches of four rows: with a successor, and with other rates and averages."""
    sizes = {"per_device_train_batch_size": 4 // processes, "learning_rate": 0.1}
    found = {}
    for checkpointing in (False, True):
        more = {"activation_checkpointing": checkpointing, "gradient_accumulation_steps": 1 + checkpointing}
        schedule = ReplacementSchedule(0.3, slope=0.2)
        run = theseus_run(folder / "theseus", schedule, classifier().double(), **(SETTINGS | sizes | more))
        run.train()
        found |= {f"theseus {checkpointing} {name}": p.detach() for name, p in run.model.named_parameters()}
    rates = LearningRatesTrainer(
        classifier().double(),
        descent(folder / "rates", **(SETTINGS | sizes | {"max_steps": 4})),
        train_dataset=rows(),
        callbacks=[EMACallback(0.5)],
        layer_decay=0.5,
        learning_rate_multipliers={"classifier": 2.0},
    )
    rates.train()
    return found | {f"rates {name}": parameter.detach() for name, parameter in rates.model.named_parameters()}


def main(folder: Path) -> None:
    """Run all."""
    torch.set_num_threads(1)
    found = found_of(folder, processes=2)
    if torch.distributed.get_rank() == 0:
        save_file({name: value.contiguous() for name, value in found.items()}, folder / "found.safetensors")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
