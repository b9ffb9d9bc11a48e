"""Renders the model card of a run: what a Trainer knows and what it is told, in the template of the task."""

import re
import shlex
import sys
from collections.abc import Sequence
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers import Trainer

from hf_ext.training.model_card.facts import CardFacts
from hf_ext.training.model_card.readme import quoted
from hf_ext.training.model_card.results import (
    Evaluation,
    cell,
    evaluations,
    file_table,
    hub_metrics,
    model_index,
    origin_of_scores,
    part_table,
    results_table,
    table,
)
from hf_ext.training.model_card.settings import settings

PACKAGE = Path(__file__).resolve().parents[2]
"""The folder that the names of templates begin in."""

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# What Transformers' classes are for, by the ends of their names.
_PIPELINES = {
    "ForSequenceClassification": "text-classification",
    "ForImageClassification": "image-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
}


def render_card(trainer: Trainer, facts: CardFacts, name: str | None = None, curves: bool = False) -> str:
    """The text of a card, which begins with its metadata.

    Args:
        trainer: of the run.
        facts: what it does not know.
        name: of the model, as it is to be loaded; None: that on the Hub if it goes there, or else of the folder.
        curves: whether ``curves.png`` is beside it.
    """
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    name = name or model_name(trainer)
    found = evaluations(trainer, facts)
    run = {**_of_model(model, facts), **_of_training(trainer, facts, found), "curves": curves}
    # What a template says of use is of whole models.
    template = None if run["adapter"] else facts.template or template_beside(type(model), "head")
    card = ModelCard(render_template(template, run=run, name=name))
    data: Any = card.data
    task = data.pipeline_tag or run["pipeline"]
    fields = {
        "language": facts.languages or None,
        "license": facts.license,
        "library_name": "peft" if run["adapter"] else data.library_name,
        "pipeline_tag": task,
        "base_model": run["on_hub"],
        "datasets": list(facts.datasets) or None,
        "tags": [*(data.tags or ()), *facts.tags],
        "metrics": hub_metrics(found) or None,
    }
    # A result without its task is refused by the Hub.
    if found and task:
        fields |= {"model_name": name.rpartition("/")[2], "eval_results": model_index(found, task)}
    return f"---\n{ModelCardData(**fields).to_yaml()}\n---\n{card.text}"


def _of_model(model: Any, facts: CardFacts) -> dict[str, Any]:
    """What a template is told of the model."""
    is_adapter = hasattr(model, "peft_config")
    whole = model.get_base_model() if is_adapter else model
    config: Any = getattr(model, "config", None)
    id2label = getattr(config, "id2label", None) or {}
    labels = [str(id2label[number]) for number in sorted(id2label)]
    module = type(whole).__module__
    start = _base_model(model, facts)
    on_hub = start if start and not Path(start).exists() and _HUB_NAME.fullmatch(start) else None
    start = on_hub or (start and Path(start).name)
    return {
        "architecture": type(whole).__name__,
        "module": "transformers" if module.startswith("transformers.") else module,
        "pipeline": next((task for end, task in _PIPELINES.items() if type(whole).__name__.endswith(end)), None),
        "adapter": is_adapter,
        "loads": hasattr(whole, "from_pretrained"),
        "start": start,
        "on_hub": on_hub,
        "base_model": f"[{on_hub}](https://huggingface.co/{on_hub})" if on_hub else start and f"`{start}`",
        "config": facts.config and (Path(facts.config).name if Path(facts.config).exists() else facts.config),
        "fields": {} if config is None else config.to_dict(),
        "labels": labels,
        # Of the score that things are found by, as training may have chosen it.
        "threshold": f"{getattr(config, 'score_threshold', 0.5):.4g}",
        # Every config has two labels until it is told others.
        "has_labels": labels not in ([], ["LABEL_0", "LABEL_1"]),
        "parameters": sum(one.numel() for one in whole.parameters()),
        "trained_parameters": sum(one.numel() for one in whole.parameters() if one.requires_grad),
    }


def _of_training(trainer: Trainer, facts: CardFacts, found: Sequence[Evaluation]) -> dict[str, Any]:
    """What a template is told of the training: its data and settings, and the scores that it has found."""
    return {
        "data": _data(facts),
        "made_by": facts.made_by,
        "max_length": _max_length(trainer),
        "files": file_table(facts.files, facts.examples) if facts.files else None,
        "settings": table(["setting", "value"], settings(trainer, facts).items(), words=2),
        "results": results_table(found) if found else None,
        "origins": [origin_of_scores(trainer, one, facts) for one in found],
        "parts": [
            (f"{one.file.name}: {title}" if len(found) > 1 else title, part_table(rows))
            for one in found
            for title, rows in one.parts.items()
        ],
    }


def render_template(template: str | PathLike[str] | None, **values: Any) -> str:
    """A template of the package by its path in there, or any other by its own path; None: the base alone."""
    path = PACKAGE / (template or "training/model_card/base.md.jinja")
    environment = _environment(path.parent)

    def block_of(other: str, block: str, **changed: Any) -> str:
        """A block of another template, for a card that is of two tasks."""
        source = environment.get_template(other)
        return "".join(source.blocks[block](source.new_context({**given, **changed})))

    given = {**values, "block_of": block_of}
    inside = path.is_relative_to(PACKAGE)
    text = environment.get_template(path.relative_to(PACKAGE).as_posix() if inside else path.name).render(given)
    # Parts that are left out leave their blank lines.
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


@lru_cache
def _environment(folder: Path) -> Any:
    """What reads templates of the package and of a folder; it keeps those that it has compiled."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([PACKAGE, folder]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"python": quoted, "shell": shlex.quote}
    environment.filters |= {"text": lambda text: cell(text).strip()}
    return environment


def template_beside(made: type, kind: str) -> str | None:
    """The template beside a class: of one in ``job.py`` ``card.md.jinja``, in ``span_job.py`` ``span_card.md.jinja``.

    Args:
        made: the class, or one that inherits from such a class.
        kind: what the name of its file ends in: ``"job"`` or ``"head"``.

    Returns:
        The path; None if there is no such template.
    """
    for one in made.__mro__:
        file = Path(getattr(sys.modules.get(one.__module__), "__file__", None) or "")
        path = file.with_name(f"{file.stem.removesuffix(kind)}card.md.jinja") if file.stem.endswith(kind) else file
        if path.suffix == ".jinja" and path.is_file():
            return path.as_posix()
    return None


def model_name(trainer: Trainer) -> str:
    """The model's name on the Hub if it goes there, or else that of its folder."""
    on_hub = trainer.hub_model_id or trainer.args.hub_model_id
    return str(on_hub or Path(str(trainer.args.output_dir)).resolve().name)


def _base_model(model: Any, facts: CardFacts) -> str | None:
    if facts.base_model or facts.config:
        return facts.base_model
    adapters = getattr(model, "peft_config", None)
    if adapters:
        return next(iter(adapters.values())).base_model_name_or_path
    return getattr(getattr(model, "config", None), "_name_or_path", None) or None


def _max_length(trainer: Trainer) -> int | None:
    # Of a tokenizer without a limit it is a number beyond all texts.
    length = getattr(trainer.processing_class, "model_max_length", None)
    return length if length and length < 10**9 else None


def _data(facts: CardFacts) -> str | None:
    names = [
        f"`{one.name}`" + (f" ({one.count:,} {facts.examples})" if one.count is not None else "")
        for one in facts.files
        if one.part == "train"
    ]
    names = names or [f"[{one}](https://huggingface.co/datasets/{one})" for one in facts.datasets]
    return " and ".join(names) or None
