"""`hf-ext serve`: models behind HTTP, for other programs to ask."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.serve.limits import Limits

# What a name may be that stands in a path.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)

# PyTorch and oneDNN each keep the last 1,024 products that they compiled, one for each number of tokens that a batch
# can have, so that memory would grow for some thousand requests. A batch needs about ten, which its layers share.
# Padding to few lengths takes nearly as much, and would be done in every pipeline. Both are read at the first product.
_KEPT_PRODUCTS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32", "LRU_CACHE_CAPACITY": "32"}


def _named(models: list[str]) -> dict[str, str]:
    """Folders by the names that requests call them by.

    Raises:
        ValueError: if a name cannot stand in a path, or two are the same.
    """
    folders: dict[str, str] = {}
    for word in models:
        name, separator, folder = word.partition("=")
        if not separator or Path(word).exists():
            folder = word
            name = Path(word).resolve().name if Path(word).exists() else word.rstrip("/").rpartition("/")[2]
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"a model's name must be letters, digits, ., _ and -, got {name!r}; give it one as NAME={folder}"
            )
        if name in folders:
            raise ValueError(f"models must have names of their own, got {name} twice; give them as NAME=FOLDER")
        folders[name] = folder
    return folders


def _tasks(words: list[str], folders: dict[str, str]) -> dict[str, str]:
    """The task of each model that is told one.

    Raises:
        ValueError: if one names no model, or says not whose it is.
    """
    tasks: dict[str, str] = {}
    for word in words:
        name, separator, task = word.partition("=")
        if not separator:
            if len(folders) > 1:
                raise ValueError(f"task must say whose it is, as NAME={word}, where there are several models")
            (name,), task = folders, word
        if name not in folders:
            raise ValueError(f"task must be of one of the models {', '.join(folders)}, got {name}")
        if name in tasks:
            raise ValueError(f"task must be one for each model, got two for {name}")
        tasks[name] = task
    return tasks


def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]MODEL...", help="Folders, or names on the Hub, each under a name of its own."),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]TASK",
            help="What a model is for: the command that trains such models, embedding or completion; else what it says "
            "of itself.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is heard from outside.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    skip_failed: Annotated[
        bool, typer.Option("--skip-failed", help="Serve the others where a model cannot be opened.")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Texts that a model runs at a time.")] = Limits.batch,
    wait_ms: Annotated[float, typer.Option(help="Milliseconds that a batch waits for more texts.")] = Limits.wait_ms,
    max_waiting: Annotated[int, typer.Option(help="Texts that may wait for a model.")] = Limits.waiting,
    max_seconds: Annotated[float, typer.Option(help="From a request to its answer.")] = Limits.seconds,
    max_bytes: Annotated[int, typer.Option(help="Of the body of a request.")] = Limits.body_bytes,
    max_texts: Annotated[int, typer.Option(help="Of a request.")] = Limits.texts,
    max_characters: Annotated[int, typer.Option(help="Of a text.")] = Limits.characters,
    max_new_tokens: Annotated[int, typer.Option(help="Of a completion.")] = Limits.new_tokens,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that run a model on the CPU; else as many as there are cores.")
    ] = None,
    device: Device = None,
    dtype: Dtype = "auto",
) -> None:
    """Serve models over HTTP: /models/NAME/predict, and OpenAI's /v1/embeddings and /v1/completions.

    /openapi.json has all paths, /health and /ready say how it is, /metrics has figures for Prometheus. SIGTERM stops it
    once all is answered that was accepted.
    """
    folders = _named(models)
    tasks = _tasks(task or [], folders)
    limits = Limits(
        body_bytes=max_bytes,
        texts=min(max_texts, max_waiting) if max_texts == Limits.texts else max_texts,
        characters=max_characters,
        new_tokens=max_new_tokens,
        waiting=max_waiting,
        seconds=max_seconds,
        batch=batch_size,
        wait_ms=wait_ms,
    )

    for variable, kept in _KEPT_PRODUCTS.items():
        os.environ.setdefault(variable, kept)

    import torch

    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.serve.app import make_app
    from hf_ext.serve.server import bind, run

    if threads is not None:
        torch.set_num_threads(threads)
    # Had before models are opened, which may take its time.
    with bind(host, port) as bound:
        app = make_app(_opened(folders, tasks, skip_failed, device, dtype, threads), limits)
        for model in app.state.models.values():
            typer.echo(model.purpose, err=True)
        address, given = bound.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        run(app, bound, limits, lambda: typer.echo(f"serving on http://{shown}:{given}", err=True))


def _opened(
    folders: dict[str, str],
    tasks: dict[str, str],
    skip_failed: bool,
    device: str | None,
    dtype: str,
    threads: int | None,
) -> dict[str, Any]:
    """What predicts with each model.

    Raises:
        ValueError: if one cannot be opened, or, where such are left out, none can.
        RuntimeError: if one fails by a mistake of ours.
    """
    from hf_ext.cli.errors import error_line
    from hf_ext.serve.opened_model import open_model

    predictors: dict[str, Any] = {}
    for name, folder in folders.items():
        typer.echo(f"opening {name} from {folder}", err=True)
        try:
            predictors[name] = open_model(folder, tasks.get(name), device, dtype, threads)
        except Exception as error:
            line = error_line(error)
            sentence = f"{name} cannot be opened from {folder}: {line or error or type(error).__name__}"
            if not skip_failed:
                if line is None:
                    raise RuntimeError(sentence) from error
                raise ValueError(sentence) from error
            typer.echo(f"left out: {sentence}", err=True)
    if not predictors:
        raise ValueError(f"at least one model must be one that can be opened, got none of {', '.join(folders)}")
    return predictors
