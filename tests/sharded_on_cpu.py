"""A process of ``accelerate launch`` that runs commands of hf-ext and writes what was refused.

Called as ``sharded_on_cpu.py FILE`` with a line of JSON a command, the words of which it has. Accelerate shards on
accelerators alone; here its back end is gloo on the CPU, and taken for that of GPUs.
"""

import json
import os
import sys
from pathlib import Path

os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"

import torch
import typer
from accelerate.state import DistributedType, PartialState

from hf_ext.cli import app
from hf_ext.training import run_steps


def _back_end(self: PartialState, *args: object, **kwargs: object) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_GPU


def main(file: Path) -> None:
    """Run the commands, one after the other."""
    PartialState._prepare_backend = _back_end  # type: ignore[assignment]
    # Drawing takes longer than training.
    run_steps.save_curves = lambda *_, **__: None  # type: ignore[assignment]
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    command = typer.main.get_command(app)
    errors = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            command.main(json.loads(line), standalone_mode=False)
            errors.append(None)
        except ValueError as error:
            errors.append(str(error))
    if torch.distributed.get_rank() == 0:
        file.with_suffix(".errors").write_text(json.dumps(errors), encoding="utf-8")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
