"""One of two processes of `training/test_jobs.py`: runs every job. Called as ``jobs_in_two_processes.py FOLDER``."""

import sys
from pathlib import Path
from typing import Any

import torch
from jobs_tiny import JOBS

from hf_ext.training import run_steps


def run(name: str, folder: Path, output: str, processes: int = 1, accumulated: int = 1) -> Any:
    """Two steps of four rows by plain gradient descent, with the files in ``folder``."""
    case = JOBS[name]
    return case.make(folder).run(
        case.arguments(
            folder / output,
            per_device_train_batch_size=4 // processes // accumulated,
            gradient_accumulation_steps=accumulated,
            max_steps=2,
            optim="sgd",
            learning_rate=0.002,
            max_grad_norm=0,
        )
    )


def main(folder: Path) -> None:
    """Run every job."""
    torch.set_num_threads(1)
    run_steps.save_curves = lambda *_, **__: None  # type: ignore[assignment]
    for name in JOBS:
        run(name, folder / name, "of two", processes=2)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
