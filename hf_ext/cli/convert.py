"""`hf-ext convert`: an original release to a folder that `from_pretrained` loads."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    directory: Annotated[
        Path, typer.Argument(help="Folder of the release: config, checkpoint, vocab.txt; or pytorch_model.bin.")
    ],
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    family: Annotated[
        str | None, typer.Option(help="Family of the release, such as roformer; else recognised.")
    ] = None,
    attention_mode: Annotated[str | None, typer.Option(help="bidirectional, unilm or causal; else recognised.")] = None,
    pooler: Annotated[
        str | None, typer.Option(help="Activation of the pooler, tanh or linear; else recognised.")
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="word or character; else by the vocabulary.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model folder that is there.")] = False,
) -> None:
    """Convert an original release, of TensorFlow or PyTorch, to safetensors."""
    from hf_ext.conversion import convert_release

    report = convert_release(
        directory,
        output,
        family,
        attention_mode=attention_mode,
        pooler=pooler,
        tokenizer=tokenizer,
        overwrite=overwrite,
    )
    typer.echo(str(report))
