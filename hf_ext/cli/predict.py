"""`hf-ext predict`: what a model was trained to find, in texts, a file or standard input."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from itertools import tee
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.cli.engine import Engine, Workers, check_engine, file_to_read
from hf_ext.cli.evaluate import TASK_HELP
from hf_ext.data.documents import document_of_text, pipeline_input, purpose_line, read_documents, with_found
from hf_ext.data.text_lines import valid_unicode


def _check_apart(*files: Path | None) -> None:
    """Raise ValueError if two are one file, of which the later written would replace the other."""
    seen = [file.resolve() for file in files if file is not None and (file.is_file() or not file.exists())]
    if len({*seen}) < len(seen):
        raise ValueError(f"file, output and html must be files of their own, got {', '.join(map(str, seen))}")


def _predictor(
    model: str, task: str | None, device: str | None, dtype: str, engine: str | None
) -> tuple[Any, str, Callable[[], Any]]:
    """What says what is found and read, a line about it, and what gives the pipeline.

    Raises:
        ValueError: if the model is for nothing that is predicted, or an option has no effect with it.
    """
    from hf_ext.export.exported_folder import is_exported, open_exported
    from hf_ext.tasks.base.saved_model import SavedModel

    if is_exported(model):
        of_models = {"task": task, "device": device, "dtype": None if dtype == "auto" else dtype, "engine": engine}
        opened = open_exported(model, of_models)
        if opened.found == "vectors":
            raise ValueError(f"model must be one of a task, got {model}, which gives vectors: see hf-ext embed")
        return opened, purpose_line(model, opened.found, opened.reads), lambda: opened
    saved = SavedModel.read(model)
    kind = saved.predictor(task)[1]
    return kind, saved.purpose(kind), partial(saved.open, task, device, dtype)


def _documents(
    text: list[str] | None, file: Path | None, whole: bool, task: Any
) -> tuple[Iterable[dict[str, Any]], int]:
    """The documents that are given, and how many they are.

    A file is read once for a mistake in its last line, which costs nothing so, and again as documents are asked for.

    Raises:
        ValueError: if one is not of the task's.
    """
    if text:
        found = [document_of_text(valid_unicode(one, "texts"), task.reads) for one in text]
    elif file is not None and file.is_dir() and ("image",) in task.reads:
        from hf_ext.tasks.image_classification.files import image_files

        found = [{"image": str(one)} for one in image_files(file)]
    else:
        read = partial(read_documents, file, whole, task.reads, task.optional)
        if file is not None and file.is_file():
            return read(), sum(1 for _ in read())
        # Standard input, or a pipe: it is read once only.
        found = list(read())
    return found, len(found)


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="A model trained for one of the tasks: a folder or a name on the Hub; or a folder of hf-ext export "
            "onnx, which runs without PyTorch."
        ),
    ],
    text: Annotated[
        list[str] | None, typer.Argument(help="Texts, or images; without them or --file, standard input.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="A text a line, or JSON lines with a text, an image, a question and its context or choices, or a pair "
            "each; or a folder of images."
        ),
    ] = None,
    task_name: Annotated[str | None, typer.Option("--task", help=TASK_HELP)] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Take the file or standard input as one document.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write JSON lines here; else to standard output.")] = None,
    html: Annotated[Path | None, typer.Option(help="Of entities: also write a page with them highlighted.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score of what is found, in [0, 1); else the model's, or 0.5, and 0 for tags."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Texts run at a time.")] = 16,
    stride: Annotated[
        int | None,
        typer.Option(help="Tokens that two windows share; else 64, or less in small windows."),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            help="Of answers, choices, clozes, classes of images and paraphrases: how many to give at most; else 1, 1, "
            "1, 5, 20."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of paraphrases and replies, which are drawn: for the same ones again.")
    ] = None,
    device: Device = None,
    dtype: Dtype = "auto",
    engine: Engine = None,
    workers: Workers = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --engine ray: go on where a run that was cut off stopped.")
    ] = False,
) -> None:
    """Find what the model was trained for, one JSON line a text.

    {"text", "entities": [{"start", "end", "label", "score", "text"}]},

    {"text", "relations": [{"predicate", "subject", "object", "slots", "score"}]},

    {"text", "events": [{"type", "arguments", "score"}]},

    {"text", "classes": [{"label", "score"}]}, of pairs with "text2", of images "image" instead,

    {"text", "summary"},

    {"text", "paraphrases": [{"text", "similarity"}]},

    {"question", "context", "answers": [{"score", "start", "end", "answer"}]}, of JSON lines with question and context,

    {"text", "choices", "answers": [{"choice", "index", "score"}]}, of JSON lines with text and choices, and perhaps a
    question, a blank or a group,

    {"text1", "text2", "similarity"}, of JSON lines with text1 and text2,

    {"text", "reconstruction"}, or

    {"turns", "reply"}, of JSON lines with turns, or of texts, each the first turn.
    """
    from rich.console import Console
    from rich.progress import track

    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.atomic_file import atomic_write

    if text and file:
        raise typer.BadParameter("give either texts or --file, got both")
    for target in (output, html):
        if target is not None and not target.parent.is_dir():
            raise ValueError(f"{target} must be in a folder that exists")
    _check_apart(file, output, html)
    check_engine(engine, {"workers": workers, "resume": resume}, {"text": text, "whole": whole, "html": html})
    task, purpose, load = _predictor(model, task_name, device, dtype, engine)
    if html is not None and task.found != "entities":
        raise ValueError(f"html is a page of entities, and the model in {model} finds {task.found}; leave it out")
    options = {}
    given = {"threshold": threshold, "stride": stride, "top_k": top_k, "seed": seed}
    for option, value in given.items():
        if value is not None and option not in task.predict_options:
            raise ValueError(f"{option} has no effect with a model that finds {task.found}; leave it out")
        # A seed without a name of the pipeline's own is the process's.
        if value is not None and task.predict_options[option]:
            options[task.predict_options[option]] = value
    if engine is not None:
        from hf_ext.engines import Prediction, run_on_ray

        if output is None:
            raise ValueError(f"output must be given with engine {engine}, beside which parts are kept")
        source = file_to_read("file", file, engine)
        work = Prediction(model, source, task_name, device, dtype, batch_size, seed, options)
        typer.echo(purpose, err=True)
        count = run_on_ray(work, output, workers, device, resume)
        typer.echo(f"{count} documents in {output}", err=True)
        return
    documents, total = _documents(text, file, whole, task)

    # Before a model is loaded that may take its time.
    typer.echo(purpose, err=True)
    if seed is not None and "seed" not in options:
        from transformers import set_seed

        set_seed(seed)
    extract = load()
    # What a pipeline reads ahead is kept between the two.
    inputs, documents = tee(documents)
    found = extract((pipeline_input(one) for one in inputs), batch_size=batch_size, **options)
    progress = track(found, "predicting", total=total, console=Console(stderr=True), disable=total < 2)
    # The progress first: it counts a document when it is asked for the next.
    results = (with_found(one, task.found, own) for own, one in zip(progress, documents, strict=True))
    shown = list(results) if html is not None else []
    lines = (json.dumps(result, ensure_ascii=False) + "\n" for result in shown or results)
    if output is None:
        typer.echo("".join(lines), nl=False)
    else:
        with atomic_write(output) as stream:
            stream.writelines(lines)
    if html is not None:
        from hf_ext.tasks.entities.page import write_entity_page

        write_entity_page(html, shown, title=f"{len(shown)} texts")
