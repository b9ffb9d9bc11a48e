"""The program hf-ext for a process of ``accelerate launch``, whose back end is gloo on the CPU and taken for that of GPUs.

Accelerate shards on accelerators alone; on the CPU it would copy what its settings say is to be divided.
"""

import os
import sys

os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"

import torch
from accelerate.state import DistributedType, PartialState

import hf_ext_cli
from hf_ext.training import run_steps


def _back_end(self: PartialState, *args: object, **kwargs: object) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState._prepare_backend = _back_end  # type: ignore[method-assign]
    # Drawing takes longer than training.
    run_steps.save_curves = lambda *_, **__: None  # type: ignore[assignment]
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    try:
        hf_ext_cli.main()
    finally:
        torch.distributed.destroy_process_group()
    sys.exit(0)
