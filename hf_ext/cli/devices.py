"""The options of the device to run on and of its numbers, which the commands share."""

from importlib.util import find_spec
from typing import Annotated, Literal

import typer


def _usable(name: str | None) -> str | None:
    if name is None:
        return None
    if find_spec("torch") is None:
        # All that has a device says that it needs PyTorch; what goes without it takes none.
        return name
    import torch

    try:
        if torch.empty(0, device=name).is_meta:
            raise RuntimeError("it holds no numbers")
    # Of a device that PyTorch is not built for it is an assertion.
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise typer.BadParameter(
            f"must be a device that is there, such as cpu or cuda:0, got {name} ({reason})"
        ) from None
    return name


Device = Annotated[str | None, typer.Option(callback=_usable, help="cpu, cuda:0 ...; else a GPU if there is one.")]

Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="Numbers to run in; auto: bfloat16 where the processor or GPU has it, else float32."),
]
