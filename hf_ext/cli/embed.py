"""`hf-ext embed`: vectors of texts in a file or standard input."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.cli.engine import Engine, Workers, check_engine, file_to_read
from hf_ext.data.model_name import check_model_name
from hf_ext.data.text_lines import texts_of

_TOKENS = 8192


def embed(
    model: Annotated[
        str,
        typer.Argument(
            help="An encoder: a folder or a name on the Hub; or a folder of hf-ext export onnx, which runs without "
            "PyTorch."
        ),
    ],
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
    tokens_per_batch: Annotated[int, typer.Option(help="Tokens run at a time, padding included.")] = _TOKENS,
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
    import hf_ext  # noqa: F401  (registers the pipeline)
    from hf_ext.export.exported_folder import is_exported, open_exported
    from hf_ext.tasks.similarity.vector_file import VectorParts

    if output.suffix not in (".npy", ".jsonl"):
        raise ValueError(f"output must end in .npy or .jsonl, got {output}")
    if not output.parent.is_dir():
        raise ValueError(f"{output} must be in a folder that exists")
    if input is not None and output.is_file() and output.samefile(input):
        raise ValueError(f"output must not be the file of the texts, got {output} for both")
    check_model_name(model)
    check_engine(engine, {"workers": workers}, {})
    if is_exported(model):
        of_models = {
            "pooling": pooling,
            "whitening": whitening,
            "tokens_per_batch": None if tokens_per_batch == _TOKENS else tokens_per_batch,
            "resume": resume,
            "device": device,
            "dtype": None if dtype == "float32" else dtype,
            "engine": engine,
        }
        exported = open_exported(model, of_models)
        if exported.found != "vectors":
            raise ValueError(f"model must give vectors, got {model}, which gives {exported.found}: see hf-ext predict")
        asked = {"normalize": normalize, "max_length": max_length}
        count = _write(
            output, input, lambda texts: (one[None] for one in exported(texts, **asked)), exported.config.hidden_size
        )
        typer.echo(f"{count} texts in {output}", err=True)
        return
    options = {"pooling": pooling, "normalize": normalize, "max_length": max_length, "whitening": whitening}
    own = {**options, "tokens_per_batch": tokens_per_batch}
    if engine is not None:
        from hf_ext.engines import Embedding, run_on_ray

        source = file_to_read("input", input, engine)
        work = Embedding(model, source, output.suffix == ".jsonl", device, dtype, own)
        count = run_on_ray(work, output, workers, device, resume)
        typer.echo(f"{count} texts in {output}", err=True)
        return
    from transformers import pipeline

    from hf_ext.training.quiet import quiet_libraries

    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    with quiet_libraries():
        extract = make_pipeline("text-embedding", model=model, device=device).run_in(dtype)
    done = VectorParts(output, extract.fingerprint(**own), resume)
    count = _write(output, input, partial(extract.stream, parts=done, **own), extract.width(**options))
    done.remove()
    typer.echo(f"{count} texts in {output}", err=True)


def _write(output: Path, input: Path | None, embedded: Callable[[Iterator[str]], Iterator[Any]], width: int) -> int:
    """Write the vectors of the texts of a file, and show how many are done.

    Args:
        output: the file to write.
        input: the file of the texts; None: standard input.
        embedded: gives the vectors of texts, in parts ``[n, width]`` in their order.
        width: of a vector.

    Returns:
        The number of texts.
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from hf_ext.tasks.similarity.vector_file import write_jsonl, write_npy

    columns = (TextColumn("embedding"), TextColumn("{task.completed} texts"), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task("")
    waiting: list[str] = []

    def remembered() -> Iterator[str]:
        for text in texts_of(input):
            waiting.append(text)
            yield text

    def vectors() -> Iterator[Any]:
        for part in embedded(remembered()):
            progress.advance(task, len(part))
            yield part
            del waiting[: len(part)]

    with progress:
        if output.suffix == ".npy":
            return write_npy(output, vectors(), width)
        return write_jsonl(output, (pair for part in vectors() for pair in zip(waiting, part)))
