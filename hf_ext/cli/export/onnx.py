"""`hf-ext export onnx`: a trained model as ONNX graphs, which run without PyTorch."""

from pathlib import Path
from typing import Annotated

import typer


def onnx(
    model: Annotated[str, typer.Argument(help="A trained model, or an encoder: a folder or a name on the Hub.")],
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="What it is for, by its command under hf-ext train, or embedding; else what the model's folder says."
        ),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help="Of vectors: pooler, pooler_dense, cls, mean, first_last; else the model's own."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Matrices in int8, a quarter of the size.")] = False,
    score_file: Annotated[
        Path | None,
        typer.Option(help="With --int8: a file that the training reads, to score the model on before and after."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model folder that is there.")] = False,
) -> None:
    """Write a model as ONNX graphs, checked against PyTorch, for OnnxPipeline."""
    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.export import export_onnx

    made = export_onnx(model, output, task=task, pooling=pooling, int8=int8, score_file=score_file, overwrite=overwrite)
    for name, size in made.sizes.items():
        typer.echo(f"{output / name}: {size / 1e6:.1f} MB")
    typer.echo(f"{made.description.task}; largest difference to PyTorch {made.description.largest_difference:.1e}")
    if made.scores:
        shown = ", ".join(f"{name} {score:.4f}" for name, score in made.scores.items())
        typer.echo(f"{made.metric} on {score_file}: {shown}")
