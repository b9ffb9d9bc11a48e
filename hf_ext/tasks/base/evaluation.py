"""The job that a saved model is one of, to evaluate the model again."""

from dataclasses import fields
from typing import Any

from transformers import AutoTokenizer
from transformers.tokenization_utils_base import LARGE_INTEGER

from hf_ext.data.input_limit import input_limit
from hf_ext.tasks.base.command import jobs_of_command
from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.saved_model import SavedModel


def job_of_model(model: str, task: str | None = None) -> Job:
    """The job that trained a model, as far as an evaluation needs it: ``job_of_model(folder).evaluate(file, ...)``.

    Lengths and the like are those of ``job.json``, else of config and tokenizer, else the job's defaults.

    Args:
        model: a folder or a name on the Hub.
        task: the command that trains such models; None: what ``job.json`` or the name of the model's class says.

    Raises:
        ValueError: if the model is not known to be for a task, or has no head for it.
    """
    saved = SavedModel.read(model)
    _, pipeline = saved.predictor(task)
    jobs = jobs_of_command(pipeline.command)
    # Two jobs of a command have heads of their own.
    heads = [job for job in jobs if len(jobs) > 1 and job.auto_class.head.suffix in pipeline.endings]
    job_class = (heads or jobs)[0]
    return job_class(model=model, **_options(job_class, saved, pipeline.command))


def _options(job_class: type[Job], saved: SavedModel, command: str) -> dict[str, Any]:
    known = saved.job["options"] if saved.job is not None and saved.job["command"] == command else {}
    tokenizer: Any = None
    options: dict[str, Any] = {}
    for one in fields(job_class):
        if one.name not in job_class.of_evaluation:
            continue
        value = getattr(saved.config, one.metadata.get("config_field") or "", None)
        if one.name in known:
            value = known[one.name]
        elif one.name in ("max_length", "max_source_length"):
            tokenizer = AutoTokenizer.from_pretrained(saved.name)
            is_limited = 0 < tokenizer.model_max_length < LARGE_INTEGER
            most: Any = None if is_limited else one.default
            value = input_limit(tokenizer, saved.config, most)
        elif one.name == "stride":
            # What suits the window.
            options[one.name] = None
        if value is not None:
            options[one.name] = value
    return options
