"""`hf-ext embed`: vectors of texts in a file or standard input."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.cli.engine import Engine, Workers, check_engine, file_to_read
from hf_ext.data.model_name import check_model_name
from hf_ext.data.text_lines import texts_of


def embed(
    model: Annotated[str, typer.Argument(help="An encoder: a folder or a name on the Hub.")],
    output: Annotated[Path, typer.Option(help="Where to write: an array (.npy) or JSON lines (.jsonl).")],
    input: Annotated[
        Path | None,
        typer.Option(help="A text a line, JSON lines with a text each, or a JSON array of them; else standard input."),
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="pooler, pooler_dense, cls, mean or first_last; else as the model was trained, or the pooler where it "
            "is linear, and the mean elsewhere."
        ),
    ] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale vectors to length 1.")] = False,
    whitening: Annotated[
        str | None, typer.Option(help="Folder of a whitening to apply to the vectors, as hf-ext whiten writes it.")
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a text; else 512, or what the model takes.")] = None,
    tokens_per_batch: Annotated[int, typer.Option(help="Tokens run at a time, padding included.")] = 8192,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where a run that was cut off stopped; what is done counts for the same texts and settings.",
        ),
    ] = False,
    device: Device = None,
    dtype: Dtype = "float32",
    engine: Engine = None,
    workers: Workers = None,
) -> None:
    """Embed texts, a vector each, in their order; files of any size.

    The file appears once it is complete. Until then parts of it are kept in a hidden folder beside it, by which a run
    that was cut off goes on if the same command is given again with --resume.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn
    from transformers import pipeline

    import hf_ext  # noqa: F401  (registers the pipeline)
    from hf_ext.tasks.similarity.vector_file import VectorParts, write_jsonl, write_npy
    from hf_ext.training.quiet import quiet_libraries

    if output.suffix not in (".npy", ".jsonl"):
        raise ValueError(f"output must end in .npy or .jsonl, got {output}")
    if not output.parent.is_dir():
        raise ValueError(f"{output} must be in a folder that exists")
    if input is not None and output.is_file() and output.samefile(input):
        raise ValueError(f"output must not be the file of the texts, got {output} for both")
    check_model_name(model)
    check_engine(engine, {"workers": workers}, {})
    options = {"pooling": pooling, "normalize": normalize, "max_length": max_length, "whitening": whitening}
    if engine is not None:
        from hf_ext.engines import Embedding, run_on_ray

        source = file_to_read("input", input, engine)
        own = {**options, "tokens_per_batch": tokens_per_batch}
        work = Embedding(model, source, output.suffix == ".jsonl", device, dtype, own)
        count = run_on_ray(work, output, workers, device, resume)
        typer.echo(f"{count} texts in {output}", err=True)
        return
    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    with quiet_libraries():
        extract = make_pipeline("text-embedding", model=model, device=device).run_in(dtype)
    fingerprint = extract.fingerprint(tokens_per_batch=tokens_per_batch, **options)
    done = VectorParts(output, fingerprint, resume)
    columns = (TextColumn("embedding"), TextColumn("{task.completed} texts"), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task("")
    waiting: list[str] = []

    def remembered() -> Iterator[str]:
        for text in texts_of(input):
            waiting.append(text)
            yield text

    def vectors() -> Iterator[Any]:
        for part in extract.stream(remembered(), parts=done, tokens_per_batch=tokens_per_batch, **options):
            progress.advance(task, len(part))
            yield part
            del waiting[: len(part)]

    with progress:
        if output.suffix == ".npy":
            count = write_npy(output, vectors(), extract.width(**options))
        else:
            count = write_jsonl(output, (pair for part in vectors() for pair in zip(waiting, part)))
    done.remove()
    typer.echo(f"{count} texts in {output}", err=True)
