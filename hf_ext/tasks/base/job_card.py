"""What the card of a model says of the job that made it."""

from collections.abc import Sized
from dataclasses import fields
from pathlib import Path
from typing import Any

from hf_ext.tasks.base.data_source import source_of
from hf_ext.tasks.base.option import METHODS
from hf_ext.training.model_card.facts import CardFacts, CardFile
from hf_ext.training.model_card.render import template_beside

# Groups of options whose values the card has in other places.
_TOLD = ("Files", "Data set", "Start from", "Model card")


def card_facts(job: Any) -> CardFacts:
    """The facts of a job for its card, but for what is not yet read: files and scores.

    Args:
        job: of a task, whose template lies beside it.

    Raises:
        ValueError: if licence or language is none that the Hub takes.
    """
    dataset = (job.as_given or job).dataset
    told = [one.name for one in fields(job) if one.metadata.get("group") not in (*_TOLD, METHODS)]
    # A file of texts without labels stands among the files.
    told += [name for name in job.methods_given() if name != "unlabelled_file"]
    options = {name: getattr(job, name) for name in told}
    return CardFacts(
        template=template_beside(type(job), "job"),
        examples=job.examples,
        base_model=job.model,
        config=job.config,
        options={name: value for name, value in options.items() if value not in (None, {})},
        made_by=f"hf-ext {job.program} {job.command}",
        license=job.license,
        language=job.language,
        datasets=[dataset] if dataset and not Path(dataset).exists() else (),
        overwrite=job.overwrite,
    )


def card_files(job: Any, files: Any) -> list[CardFile]:
    """The files of a job, with the numbers of examples that were read from them.

    Args:
        job: with the paths.
        files: what they hold; see `hf_ext.tasks.base.job.Files`.
    """
    held = {part: getattr(files, part) for part in ("train", "validation", "test", "unlabelled")}
    return [
        CardFile(part, source_of(job, part), len(examples) if isinstance(examples, Sized) else None)
        for part, examples in held.items()
        if examples is not None
    ]
