"""`hf-ext enlarge`: a model with wider layers that computes what a small one does."""

from pathlib import Path
from typing import Annotated

import typer


def enlarge(
    model: Annotated[str, typer.Argument(help="The small model: a folder or a name on the Hub.")],
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    factor: Annotated[int, typer.Option(help="By which widths grow.")] = 2,
    grow: Annotated[
        str,
        typer.Option(help="heads: more heads; head_size: larger heads; feed_forward: the feed-forward layers alone."),
    ] = "heads",
    convention: Annotated[
        str, typer.Option(help="repeat: hidden states are repeated; orthogonal: and keep their length.")
    ] = "repeat",
    noise: Annotated[
        float, typer.Option(help="Deviation of what makes copies differ, as a part of the weights'; outputs stay.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="To draw noise, and the texts that outputs are compared on.")] = 0,
    inexact: Annotated[
        bool,
        typer.Option("--inexact", help="Enlarge also what cannot keep its outputs, and say by how much they change."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model folder that is there.")] = False,
) -> None:
    """Enlarge a model so that it computes what it did, to train it on; prints by how much outputs differ."""
    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.enlargement import enlarge_folder

    typer.echo(f"Enlarging {model}, and running both on random inputs", err=True)
    made = enlarge_folder(
        model, output, factor, grow, convention, noise, exact=not inexact, seed=seed, overwrite=overwrite
    )
    typer.echo(str(made))
