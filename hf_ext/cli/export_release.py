"""`hf-ext export-release`: a model folder to the files of an original TensorFlow release."""

from pathlib import Path
from typing import Annotated

import typer


def export_release(
    directory: Annotated[Path, typer.Argument(help="Folder of the model: config, weights, tokenizer.")],
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    drop_head: Annotated[
        bool, typer.Option("--drop-head", help="Leave out a head that original releases do not have.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model folder that is there.")] = False,
) -> None:
    """Write a model as an original TensorFlow release, which bert4keras loads."""
    from hf_ext.conversion import export_release

    typer.echo(str(export_release(directory, output, drop_head=drop_head, overwrite=overwrite)))
