"""Renders the model card of a run: what a Trainer knows and what it is told, in the template of the task."""

import re
import shlex
import sys
from os import PathLike
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from transformers import Trainer

from hf_ext.training.model_card.facts import CardFacts
from hf_ext.training.model_card.readme import quoted
from hf_ext.training.model_card.results import (
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
    start = _base_model(model, facts)
    on_hub = start is not None and not Path(start).exists() and _HUB_NAME.fullmatch(start) is not None
    found = evaluations(trainer, facts)
    adapted = model.get_base_model() if hasattr(model, "get_base_model") else model
    id2label = getattr(model.config, "id2label", None) or {}
    labels = [str(id2label[number]) for number in sorted(id2label)]
    module = type(adapted).__module__
    is_adapter = hasattr(model, "peft_config")
    run = {
        "architecture": type(adapted).__name__,
        "model_type": model.config.model_type,
        "module": "transformers" if module.startswith("transformers.") else module,
        "adapter": is_adapter,
        "start": start,
        "parameters": sum(one.numel() for one in adapted.parameters()),
        "trained_parameters": sum(one.numel() for one in adapted.parameters() if one.requires_grad),
        "fields": model.config.to_dict(),
        "labels": labels,
        # Every config has two labels until it is told others.
        "has_labels": labels not in ([], ["LABEL_0", "LABEL_1"]),
        "max_length": _max_length(trainer),
        "base_model": f"[{start}](https://huggingface.co/{start})" if on_hub else start and f"`{Path(start).name}`",
        "config": facts.config and Path(facts.config).name,
        "data": _data(facts),
        "made_by": facts.made_by,
        "results": results_table(found) if found else None,
        "origins": [origin_of_scores(trainer, one, facts.examples) for one in found],
        "parts": [
            (f"{one.file.name}: {title}" if len(found) > 1 else title, part_table(rows))
            for one in found
            for title, rows in one.parts.items()
        ],
        "files": file_table(facts.files, facts.examples) if facts.files else None,
        "settings": table(["setting", "value"], settings(trainer, facts).items(), words=2),
        "curves": curves,
        "pipeline": next((task for end, task in _PIPELINES.items() if type(adapted).__name__.endswith(end)), None),
    }
    # What a template says of use is of whole models.
    template = None if is_adapter else facts.template or template_beside(type(adapted), "head")
    card = ModelCard(render_template(template, run=run, name=name))
    data: Any = card.data
    if is_adapter:
        data.library_name = "peft"
    data.pipeline_tag = data.pipeline_tag or run["pipeline"]
    fields = {
        "language": facts.languages or None,
        "license": facts.license,
        "library_name": data.library_name,
        "pipeline_tag": data.pipeline_tag,
        "base_model": start if on_hub else None,
        "datasets": list(facts.datasets) or None,
        "tags": [*(data.tags or ()), *facts.tags],
        "metrics": hub_metrics(found) or None,
    }
    # A result without its task is refused by the Hub.
    if found and data.pipeline_tag:
        fields |= {"model_name": name.rpartition("/")[2], "eval_results": model_index(found, data.pipeline_tag)}
    return f"---\n{ModelCardData(**fields).to_yaml()}\n---\n{card.text}"


def render_template(template: str | PathLike[str] | None, **values: Any) -> str:
    """A template of the package by its path in there, or any other by its own path; None: the base alone."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    path = PACKAGE / (template or "training/model_card/base.md.jinja")
    environment = Environment(
        loader=FileSystemLoader([PACKAGE, path.parent]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"python": quoted, "shell": shlex.quote}
    environment.filters |= {"text": lambda text: cell(text).strip()}

    def block_of(other: str, block: str, **changed: Any) -> str:
        """A block of another template, for a card that is of two tasks."""
        source = environment.get_template(other)
        return "".join(source.blocks[block](source.new_context({**values, **changed})))

    environment.globals["block_of"] = block_of
    inside = path.is_relative_to(PACKAGE)
    text = environment.get_template(path.relative_to(PACKAGE).as_posix() if inside else path.name).render(**values)
    # Parts that are left out leave their blank lines.
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


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
    return model.config._name_or_path or None


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
