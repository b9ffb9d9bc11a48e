"""`hf-ext predict`: entities, relations or events in text, a file or standard input."""

import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from hf_ext.data.text_lines import texts_of, valid_unicode


class _Task(NamedTuple):
    pipeline: str
    found: str
    """What it finds, and the key of that."""


# By the end of a class's name.
_TASKS = {
    "ForSpanExtraction": _Task("span-extraction", "entities"),
    "ForSequenceLabeling": _Task("sequence-labeling", "entities"),
    "ForRelationExtraction": _Task("relation-extraction", "relations"),
    "ForEventExtraction": _Task("event-extraction", "events"),
}


def _task_of(model: str) -> _Task:
    """The task of a saved model, by the end of its class's name; of an adapter, by that of its base."""
    from huggingface_hub.errors import EntryNotFoundError
    from transformers import AutoConfig
    from transformers.utils import find_adapter_config_file

    try:
        adapter = find_adapter_config_file(model)
        if adapter is not None and not (Path(model) / "config.json").is_file():
            model = json.loads(Path(adapter).read_text(encoding="utf-8"))["base_model_name_or_path"]
        names = AutoConfig.from_pretrained(model).architectures or ()
    except (OSError, ValueError, EntryNotFoundError):
        # The pipeline says what is wrong.
        names = ()
    tasks = (task for name in names for end, task in _TASKS.items() if name.endswith(end))
    return next(tasks, _TASKS["ForSpanExtraction"])


def predict(
    model: Annotated[
        str,
        typer.Argument(help="A saved model with a head for entities, relations or events: a folder or a Hub name."),
    ],
    text: Annotated[list[str] | None, typer.Argument(help="Texts; without them or --file, standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A text a line, JSON lines with a text each, or a JSON array of them.")
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
    device: Annotated[str | None, typer.Option(help="cpu, cuda:0 ...; else a GPU if there is one.")] = None,
) -> None:
    """Extract what the model was trained for, one JSON line a text.

    {"text", "entities": [{"start", "end", "label", "score", "text"}]},

    {"text", "relations": [{"predicate", "subject", "object", "slots", "score"}]} or

    {"text", "events": [{"type", "arguments", "score"}]}.
    """
    from rich.console import Console
    from rich.progress import track
    from transformers import pipeline

    import hf_ext  # noqa: F401  (registers the pipeline)
    from hf_ext.atomic_file import atomic_write

    if text and file:
        raise typer.BadParameter("give either texts or --file, got both")
    for target in (output, html):
        if target is not None and not target.parent.is_dir():
            raise ValueError(f"{target} must be in a folder that exists")
    given = (valid_unicode(one, "texts") for one in text or ())
    texts = list(given if text else texts_of(file, whole))

    task = _task_of(model)
    if html is not None and task.found != "entities":
        raise ValueError(f"html is a page of entities, and the model in {model} finds {task.found}; leave it out")
    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    extract = make_pipeline(task.pipeline, model=model, device=device)
    made = extract.model
    names = made.config.architectures or ()
    adapted = getattr(made, "_hf_peft_config_loaded", False)
    if not adapted and not any(name.endswith(tuple(_TASKS)) for name in names):
        raise ValueError(
            f"model must have a trained head for entities, relations or events, got {', '.join(names)} in {model}"
        )
    found = extract((one for one in texts), batch_size=batch_size, threshold=threshold, stride=stride)
    progress = track(found, "predicting", total=len(texts), console=Console(stderr=True), disable=len(texts) < 2)
    # The progress first: it counts a text when it is asked for the next.
    documents = [{"text": one, task.found: own} for own, one in zip(progress, texts)]

    lines = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    if output is None:
        typer.echo(lines, nl=False)
    else:
        with atomic_write(output) as stream:
            stream.write(lines)
    if html is not None:
        from hf_ext.tasks.entities.page import write_entity_page

        write_entity_page(html, documents, title=f"{len(documents)} texts")
