"""`hf-ext predict`: what a model was trained to find, in texts, a file or standard input."""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.data.text_lines import (
    fail,
    filled_lines,
    json_records,
    looks_like_json,
    texts_of,
    utf8_lines,
    valid_unicode,
)
from hf_ext.tasks.base.discovery import task_modules


class _Task(NamedTuple):
    """A pipeline of ours by its name, and what it says of itself."""

    name: str
    found: str
    """What it finds, and the key of that."""
    reads: tuple[tuple[str, ...], ...] = (("text",),)
    """The keys of a document, in any of these ways."""
    predict_options: Mapping[str, str] = {"threshold": "threshold", "stride": "stride"}
    """The options of this command that it takes, and its own names of them."""


def read_documents(path: Path | None, whole: bool, reads: Sequence[tuple[str, ...]]) -> Iterator[dict[str, str]]:
    """Documents of a file: texts as `texts_of` finds them, or the JSON lines or array that a pipeline reads.

    Args:
        path: the file; None: standard input.
        whole: take the file as one text.
        reads: the keys of a document, in any of these ways; of several, the first that a line has.

    Raises:
        ValueError: naming the line, if it has none of these keys.
    """
    wanted = " or ".join(" and ".join(f'"{key}"' for key in keys) for keys in reads)
    if ("text",) not in reads and whole:
        raise ValueError(f"whole has no effect with a model that reads JSON lines with {wanted}; leave it out")
    if whole or (len(reads) == 1 and ("text",) in reads):
        yield from ({"text": text} for text in texts_of(path, whole))
        return
    name = "standard input" if path is None else str(path)
    lines = list(filled_lines(utf8_lines(path), name))
    if not looks_like_json(lines):
        for where, line in lines:
            if ("text",) not in reads:
                fail(where, f"a line must be a JSON object with strings {wanted}", line)
            yield {"text": valid_unicode(line, where)}
        return
    for where, record in json_records(lines):
        keys = next((keys for keys in reads if isinstance(record, dict) and record.keys() >= {*keys}), ())
        document = {key: record[key] for key in keys}
        if not document or not all(isinstance(text, str) for text in document.values()):
            fail(where, f"a line must be a JSON object with strings {wanted}", record)
        yield document


def _tasks() -> dict[str, _Task]:
    """Tasks of our heads, and of pipelines that say what they read, by how the names of their models' classes end."""
    for module in task_modules("pipeline"):
        import_module(module)
    from transformers.pipelines import PIPELINE_REGISTRY

    tasks = {}
    for name, entry in PIPELINE_REGISTRY.supported_tasks.items():
        kind, said = entry["impl"], ("found", "reads", "predict_options")
        # Transformers names some of its own by strings.
        if not isinstance(kind, type) or not kind.__module__.startswith("hf_ext."):
            continue
        auto_class = entry["pt"][0]
        if auto_class.__module__.startswith("hf_ext.") or hasattr(kind, "reads"):
            own = {field: getattr(kind, field) for field in said if hasattr(kind, field)}
            tasks[auto_class.__name__.removeprefix("AutoModel")] = _Task(name, **own)
    return tasks


def _class_names(model: str) -> Sequence[str]:
    """The names of a saved model's class; of an adapter, those of its base; none if it cannot be read."""
    from huggingface_hub.errors import EntryNotFoundError
    from transformers import AutoConfig
    from transformers.utils import find_adapter_config_file

    try:
        adapter = find_adapter_config_file(model)
        if adapter is not None and not (Path(model) / "config.json").is_file():
            model = json.loads(Path(adapter).read_text(encoding="utf-8"))["base_model_name_or_path"]
        return AutoConfig.from_pretrained(model).architectures or ()
    except (OSError, ValueError, EntryNotFoundError):
        # The pipeline says what is wrong.
        return ()


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
        typer.Argument(help="A saved model with a head for one of the tasks: a folder or a name on the Hub."),
    ],
    text: Annotated[list[str] | None, typer.Argument(help="Texts; without them or --file, standard input.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A text a line, or JSON lines with a text each, or with a question and its context."),
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Take the file or standard input as one document.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write JSON lines here; else to standard output.")] = None,
    html: Annotated[Path | None, typer.Option(help="Of entities: also write a page with them highlighted.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Least score of what is found, in [0, 1); else 0.5, and 0 for tags.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Texts run at a time.")] = 16,
    stride: Annotated[
        int | None,
        typer.Option(help="Tokens that two windows share; else 64, or less in small windows."),
    ] = None,
    device: Device = None,
    dtype: Dtype = "auto",
) -> None:
    """Find what the model was trained for, one JSON line a text.

    {"text", "entities": [{"start", "end", "label", "score", "text"}]},

    {"text", "relations": [{"predicate", "subject", "object", "slots", "score"}]},

    {"text", "events": [{"type", "arguments", "score"}]},

    {"text", "classes": [{"label", "score"}]} or

    {"question", "context", "answers": [{"score", "start", "end", "answer"}]}, which reads JSON lines with question and
    context.
    """
    from rich.console import Console
    from rich.progress import track
    from transformers import pipeline

    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.atomic_file import atomic_write

    if text and file:
        raise typer.BadParameter("give either texts or --file, got both")
    for target in (output, html):
        if target is not None and not target.parent.is_dir():
            raise ValueError(f"{target} must be in a folder that exists")
    _check_apart(file, output, html)
    names, tasks = _class_names(model), _tasks()
    known = [task for name in names for end, task in tasks.items() if name.endswith(end)]
    task = known[0] if known else tasks["ForSpanExtraction"]
    if html is not None and task.found != "entities":
        raise ValueError(f"html is a page of entities, and the model in {model} finds {task.found}; leave it out")
    options = {}
    for name, value in (("threshold", threshold), ("stride", stride)):
        if value is not None:
            if name not in task.predict_options:
                raise ValueError(f"{name} has no effect with a model that finds {task.found}; leave it out")
            options[task.predict_options[name]] = value
    if text:
        if ("text",) not in task.reads:
            raise ValueError(f"a model that finds {task.found} reads JSON lines with {' and '.join(task.reads[0])}")
        documents = [{"text": valid_unicode(one, "texts")} for one in text]
    else:
        documents = list(read_documents(file, whole, task.reads))

    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    extract = make_pipeline(task.name, model=model, device=device).run_in(dtype)
    if not known and not _has_adapter(extract.model):
        ends = ", ".join(f"...{end}" for end in sorted(tasks))
        raise ValueError(f"model must have a trained head, one of {ends}, got {', '.join(names)} in {model}")
    inputs = (one["text"] if one.keys() == {"text"} else one for one in documents)
    found = extract(inputs, batch_size=batch_size, **options)
    progress = track(
        found, "predicting", total=len(documents), console=Console(stderr=True), disable=len(documents) < 2
    )
    # The progress first: it counts a document when it is asked for the next.
    results = [{**one, task.found: own if isinstance(own, list) else [own]} for own, one in zip(progress, documents)]

    lines = "".join(json.dumps(result, ensure_ascii=False) + "\n" for result in results)
    if output is None:
        typer.echo(lines, nl=False)
    else:
        with atomic_write(output) as stream:
            stream.write(lines)
    if html is not None:
        from hf_ext.tasks.entities.page import write_entity_page

        write_entity_page(html, results, title=f"{len(results)} texts")
