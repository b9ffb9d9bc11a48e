"""`hf-ext predict`: what a model was trained to find, in texts, a file or standard input."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.cli.evaluate import TASK_HELP
from hf_ext.data.text_lines import (
    fail,
    filled_lines,
    json_records,
    looks_like_json,
    texts_of,
    utf8_lines,
    valid_unicode,
)

# What a document has several of under one key.
_LISTS = ("turns", "choices")


def read_documents(
    path: Path | None, whole: bool, reads: Sequence[tuple[str, ...]], optional: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Documents of a file: texts as `texts_of` finds them, or the JSON lines or array that a pipeline reads.

    Args:
        path: the file; None: standard input.
        whole: take the file as one text.
        reads: the keys of a document, in any of these ways; of several, the first that a line has.
        optional: keys that it may have beside those.

    Raises:
        ValueError: naming the line, if it has none of these keys.
    """
    wanted = " or ".join(" and ".join(f'"{key}"' for key in keys) for keys in reads)
    lists = " (a list of them)" if any(key in _LISTS for keys in reads for key in keys) else ""
    if ("text",) not in reads and whole:
        raise ValueError(f"whole has no effect with a model that reads JSON lines with {wanted}; leave it out")
    if whole or (len(reads) == 1 and ("text",) in reads):
        yield from ({"text": text} for text in texts_of(path, whole))
        return
    name = "standard input" if path is None else str(path)
    lines = list(filled_lines(utf8_lines(path), name))
    if not lines:
        kind = "line" if ("text",) in reads else f"JSON object with {wanted}"
        raise ValueError(f"{name} must have at least one {kind}, got none")
    if not looks_like_json(lines):
        for where, line in lines:
            if ("text",) not in reads:
                fail(where, f"a line must be a JSON object with strings {wanted}", line)
            yield {"text": valid_unicode(line, where)}
        return
    for where, record in json_records(lines):
        keys = next((keys for keys in reads if isinstance(record, dict) and record.keys() >= {*keys}), ())
        more = [key for key in optional if keys and record.get(key) is not None]
        document = {key: record[key] for key in (*keys, *more)}
        if not document or not all(_is_text(key, value) for key, value in document.items()):
            fail(where, f"a line must be a JSON object with strings {wanted}{lists}", record)
        yield document


def _is_text(key: str, value: Any) -> bool:
    if key in _LISTS:
        return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)
    # A group may be called by a number.
    return isinstance(value, str) or (key == "group" and type(value) is int)


def _has_adapter(model: Any) -> bool:
    try:
        return bool(model.active_adapters())
    except (ImportError, ValueError):
        return False


def _check_apart(*files: Path | None) -> None:
    """Raise ValueError if two are one file, of which the later written would replace the other."""
    seen = [file.resolve() for file in files if file is not None and (file.is_file() or not file.exists())]
    if len({*seen}) < len(seen):
        raise ValueError(f"file, output and html must be files of their own, got {', '.join(map(str, seen))}")


def predict(
    model: Annotated[
        str,
        typer.Argument(help="A model trained for one of the tasks: a folder or a name on the Hub."),
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
    from transformers import pipeline, set_seed

    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.atomic_file import atomic_write
    from hf_ext.tasks.base.saved_model import SavedModel
    from hf_ext.training.quiet import quiet_libraries

    if text and file:
        raise typer.BadParameter("give either texts or --file, got both")
    for target in (output, html):
        if target is not None and not target.parent.is_dir():
            raise ValueError(f"{target} must be in a folder that exists")
    _check_apart(file, output, html)
    saved = SavedModel.read(model)
    name, task = saved.predictor(task_name)
    if html is not None and task.found != "entities":
        raise ValueError(f"html is a page of entities, and the model in {model} finds {task.found}; leave it out")
    options = {}
    given = {"threshold": threshold, "stride": stride, "top_k": top_k, "seed": seed}
    for option, value in given.items():
        if value is not None and option not in task.predict_options:
            raise ValueError(f"{option} has no effect with a model that finds {task.found}; leave it out")
        if value is not None and option != "seed":
            options[task.predict_options[option]] = value
    if text:
        key = next((name for name in ("text", "image") if (name,) in task.reads), None)
        if key is None:
            raise ValueError(f"a model that finds {task.found} reads JSON lines with {' and '.join(task.reads[0])}")
        documents = [{key: valid_unicode(one, "texts")} for one in text]
    elif file is not None and file.is_dir() and ("image",) in task.reads:
        from hf_ext.tasks.image_classification.files import image_files

        documents = [{"image": str(one)} for one in image_files(file)]
    else:
        documents = list(read_documents(file, whole, task.reads, task.optional))

    # Before a model is loaded that may take its time.
    typer.echo(saved.purpose(task), err=True)
    if seed is not None:
        set_seed(seed)
    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    with quiet_libraries():
        extract = make_pipeline(name, model=model, device=device).run_in(dtype)
    if task.endings and not saved.has_head(task) and not _has_adapter(extract.model):
        raise ValueError(f"model must have a trained head, in its adapter if its base has none, got {model}")
    inputs = (one["text"] if one.keys() == {"text"} else one for one in documents)
    found = extract(inputs, batch_size=batch_size, **options)
    progress = track(
        found, "predicting", total=len(documents), console=Console(stderr=True), disable=len(documents) < 2
    )
    # The progress first: it counts a document when it is asked for the next.
    results = [{**one, task.found: [own] if isinstance(own, dict) else own} for own, one in zip(progress, documents)]

    lines = "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in results)
    if output is None:
        typer.echo(lines, nl=False)
    else:
        with atomic_write(output) as stream:
            stream.write(lines)
    if html is not None:
        from hf_ext.tasks.entities.page import write_entity_page

        write_entity_page(html, results, title=f"{len(results)} texts")
