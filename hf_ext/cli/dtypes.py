"""The option of the type of number to run in, which the commands share."""

from typing import Annotated, Any, Literal

import typer

Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="Numbers to run in; auto: bfloat16 where the processor or GPU has it, else float32."),
]


def dtype_of(name: str, device: str | None) -> Any:
    """The ``dtype`` of a pipeline on a device, None for that which the pipeline takes."""
    from hf_ext.ops.precision import inference_dtype

    return inference_dtype(name, device)
