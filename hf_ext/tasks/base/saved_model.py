"""What a saved model is for, told by its small files before it is loaded."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.utils import find_adapter_config_file

from hf_ext.data.documents import purpose_line
from hf_ext.data.model_name import check_model_name
from hf_ext.tasks.base.discovery import task_modules
from hf_ext.tasks.base.head_guard import classes_of_adapter
from hf_ext.tasks.base.job_file import read_job_file
from hf_ext.training.quiet import quiet_libraries

_MOST_LABELS = 6


@dataclass(frozen=True)
class SavedModel:
    """What the small files of a model say.

    Attributes:
        name: the folder, or the name on the Hub.
        class_names: of the model's class; of an adapter, that of what it was trained over, or else those of its base.
        is_adapter: whether there is an adapter, which may hold a head that its base lacks.
        config: of the model; of an adapter, that of its base.
        job: what ``job.json`` says; None without one.
    """

    name: str
    class_names: Sequence[str]
    is_adapter: bool
    config: Any
    job: Mapping[str, Any] | None

    @classmethod
    def read(cls, name: str) -> "SavedModel":
        """Read them.

        Raises:
            ValueError: if there is no such model, or its config cannot be read.
        """
        check_model_name(name)
        base, trained_over = name, []
        adapter = find_adapter_config_file(name)
        if adapter is not None and not (Path(name) / "config.json").is_file():
            settings = json.loads(Path(adapter).read_text(encoding="utf-8"))
            base, trained_over = settings["base_model_name_or_path"], classes_of_adapter(settings)
        config: Any = AutoConfig.from_pretrained(base)
        classes = tuple(trained_over or config.architectures or ())
        return cls(name, classes, adapter is not None, config, read_job_file(name))

    def predictor(self, task: str | None = None) -> tuple[str, Any]:
        """The name and the class of the pipeline that predicts with it.

        Args:
            task: the command that trains such models; None: what ``job.json`` or the name of its class says.

        Raises:
            ValueError: if there is no such task, the model is not known to be for one, or has no head for it.
        """
        known = predictors()
        commands = sorted({kind.command for kind in known.values()})
        if task is not None and task not in commands:
            raise ValueError(f"task must be one of {', '.join(commands)}, got {task!r}")
        trained_for = None if self.job is None else self.job["command"]
        wanted = task or (trained_for if trained_for in commands else None)
        of_task = {name: kind for name, kind in known.items() if wanted in (None, kind.command)}
        fitting = [pair for pair in of_task.items() if self.has_head(pair[1])]
        uses = [
            kind.used_by.format(name=self.name)
            for kind in _pipelines().values()
            if wanted is None and kind.used_by is not None and self.has_head(kind)
        ]
        # A causal model that was pre-trained here has the class of one that was trained on dialogues.
        if fitting and (trained_for is None or not uses):
            return fitting[0]
        if wanted is not None:
            for pair in of_task.items():
                # The head of an adapter lies in the adapter, which may not say its class.
                if self.is_adapter or not pair[1].endings:
                    return pair
        endings = sorted({f"...{ending}" for kind in of_task.values() for ending in kind.endings})
        seen = ", ".join(self.class_names) or "no class that its config names"
        if uses:
            raise ValueError(
                f"model must be trained for a task, got {seen} in {self.name}: {'; '.join(uses)}; hf-ext train TASK "
                f"--model {self.name} trains it for one of {', '.join(commands)}"
            )
        more = "" if wanted else f"; or say by its task what it is for, one of {', '.join(commands)}"
        one_of = f"{'one of ' if len(endings) > 1 else ''}{', '.join(endings)}"
        raise ValueError(f"model must have a trained head, {one_of}, got {seen} in {self.name}{more}")

    def open(self, task: str | None = None, device: str | None = None, dtype: str = "auto") -> Any:
        """Load it, as the pipeline that predicts with it.

        Args:
            task: as of `predictor`.
            device: such as ``"cpu"``; None: a GPU if there is one.
            dtype: of the numbers to run in, as of `TaskPipeline.run_in`.

        Raises:
            ValueError: as of `predictor`, or if neither the model nor its adapter has a trained head.
        """
        from transformers import pipeline

        name, kind = self.predictor(task)
        # The library's types list its own tasks only.
        make_pipeline: Any = pipeline
        with quiet_libraries():
            opened = make_pipeline(name, model=self.name, device=device).run_in(dtype)
        if kind.endings and not self.has_head(kind) and not _has_adapter(opened.model):
            raise ValueError(f"model must have a trained head, in its adapter if its base has none, got {self.name}")
        return opened

    def purpose(self, kind: Any) -> str:
        """A line that says what it is for, with a pipeline of that class."""
        labels = kind.labels(self.config)
        shown = ""
        # A config whose classes have no names has LABEL_0 and LABEL_1.
        if labels and not all(re.fullmatch(r"LABEL_\d+", label) for label in labels):
            more = len(labels) - _MOST_LABELS
            shown = f" ({', '.join(labels[:_MOST_LABELS])}{f' and {more} more' if more > 0 else ''})"
        return purpose_line(self.name, f"{kind.found}{shown}", kind.reads)

    def has_head(self, kind: Any) -> bool:
        """Whether the name of its class says that it has a head for a pipeline of that class."""
        named = any(name.endswith(ending) for name in self.class_names for ending in kind.endings)
        return named and kind.suits(self.config)


def predictors() -> dict[str, Any]:
    """The pipelines of all tasks that ``hf-ext predict`` runs, by their names, in the order of their modules."""
    return {name: kind for name, kind in _pipelines().items() if kind.command is not None}


def _has_adapter(model: Any) -> bool:
    try:
        return bool(model.active_adapters())
    except (ImportError, ValueError):
        return False


def _pipelines() -> dict[str, Any]:
    for module in task_modules("pipeline"):
        import_module(module)
    from transformers.pipelines import PIPELINE_REGISTRY

    kinds = {name: entry["impl"] for name, entry in PIPELINE_REGISTRY.supported_tasks.items()}
    # Transformers names some of its own by strings, and users may add theirs.
    return {name: kind for name, kind in kinds.items() if hasattr(kind, "used_by")}
