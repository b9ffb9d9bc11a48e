"""Options that several commands of `hf-ext train` take."""

from pathlib import Path
from typing import Annotated

import typer

ValidationFile = Annotated[Path, typer.Option(help="The same, to evaluate on.")]
OutputDir = Annotated[Path, typer.Option(help="Folder for the model, its scores and its curves.")]
Encoder = Annotated[str | None, typer.Option(help="Encoder to fine-tune: a name on the Hub or a folder.")]
Config = Annotated[
    str | None, typer.Option(help="Train from scratch: tiny, small, medium, base, or the folder of a config.")
]
Tokenizer = Annotated[str | None, typer.Option(help="Name or folder; else the model's, or characters.")]
WindowLength = Annotated[int, typer.Option(help="Tokens in a window.")]
Stride = Annotated[int, typer.Option(help="Tokens that two windows of a long text share.")]
SpanHeadSize = Annotated[int | None, typer.Option(help="Size of the head's vectors.")]
