"""One of two processes of `tasks/base/test_methods_together.py`: trains by each method. Called with a folder."""

import sys
from pathlib import Path

import torch
from method_runs import TOGETHER, options, run
from safetensors.torch import save_file


def main(folder: Path) -> None:
    """Train, and write what has learnt."""
    torch.set_num_threads(1)
    for name, methods in TOGETHER.items():
        _, found = run(folder, options(*methods), per_device_train_batch_size=2)
        if torch.distributed.get_rank() == 0:
            save_file({one: value.contiguous() for one, value in found.items()}, folder / f"{name}.safetensors")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
