"""What a search tries: options of a job and training arguments, each with its values or its ends."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING, Any, get_origin

if TYPE_CHECKING:
    from hf_ext.tasks.base.job import Job

# What a score cannot choose, or a search decides by itself.
_OF_GROUPS = ("Files", "Data set", "Model card", "Search")
_OF_ARGUMENTS = (
    "output_dir",
    "resume_from_checkpoint",
    "push_to_hub",
    "hub_model_id",
    "metric_for_best_model",
    "greater_is_better",
    "load_best_model_at_end",
    "seed",
    "data_seed",
    "use_cpu",
)


@dataclass(frozen=True)
class Choices:
    """Values of which one is taken, as words of the command line."""

    values: tuple[str, ...]

    def suggest(self, trial: Any, name: str) -> str:
        """The value that a trial of Optuna has."""
        word: str = trial.suggest_categorical(name, self.values)
        return word

    @property
    def words(self) -> tuple[str, ...]:
        """All of them."""
        return self.values


@dataclass(frozen=True)
class Range:
    """Numbers between two, both included.

    Attributes:
        low: the least.
        high: the greatest.
        log: whether their logarithms are drawn evenly, and not they themselves.
        step: how far apart they are; None: any.
        whole: whether they are integers.
    """

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    def suggest(self, trial: Any, name: str) -> str:
        """The value that a trial of Optuna has, as a word of the command line."""
        if self.whole:
            return str(trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log))
        return repr(trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log))

    @property
    def words(self) -> tuple[str, ...]:
        """Both ends."""
        return tuple(str(int(end)) if self.whole else repr(end) for end in (self.low, self.high))


class SearchSpace:
    """The values of options that a search chooses among.

    Args:
        job: whose options they are.
        given: by the name of an option ``"low:high"``, ``"low:high:log"``, ``"low:high:step"`` or ``"one,two"``, or a
            list of values.

    Raises:
        ValueError: if there is no such option, it is none to be searched, or does not take a value.
    """

    def __init__(self, job: "Job", given: Mapping[str, Any]):
        # It is made of jobs.
        from hf_ext.tasks.base.job_parser import JobParser

        self._parser = JobParser([type(job)])
        self._own = {one.name for one in fields(job)}
        self.dimensions: dict[str, Choices | Range] = {}
        for spelling, value in given.items():
            name = spelling.replace("-", "_")
            self._check_name(job, name)
            self.dimensions[name] = self._dimension(name, value)
            for word in self.dimensions[name].words:
                self.typed(name, word)

    def typed(self, name: str, word: str) -> Any:
        """The value of an option that a word of the command line is.

        Raises:
            ValueError: if the option does not take it.
        """
        try:
            return self._parser.given([f"--{name}={word}"])[name]
        except ValueError as error:
            raise ValueError(f"search of {name} must be over values that it takes: {error}") from error

    def values(self, trial: Any) -> dict[str, Any]:
        """The values of a trial of Optuna by the names of the options."""
        return {name: self.typed(name, one.suggest(trial, name)) for name, one in self.dimensions.items()}

    def is_of_job(self, name: str) -> bool:
        """Whether an option is the job's own, and no training argument."""
        return name in self._own

    def _check_name(self, job: "Job", name: str) -> None:
        option = self._parser.options.get(name)
        if option is None:
            close = get_close_matches(name, self._parser.options, n=1)
            near = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"search must be over options of {job.program} {job.command}, got {name}{near}")
        if option.group in _OF_GROUPS or name in _OF_ARGUMENTS:
            raise ValueError(f"search must be over what a model is trained by, got {name}")
        if get_origin(option.kind) is Mapping:
            raise ValueError(f"search must be over options with one value, got {name}, which has entries")

    def _dimension(self, name: str, value: Any) -> Choices | Range:
        kind = self._parser.options[name].kind
        if isinstance(value, list | tuple) or (isinstance(value, str) and "," in value):
            words = tuple(str(one).strip() for one in (value.split(",") if isinstance(value, str) else value))
            if len({*words}) < max(len(words), 2) or "" in words:
                raise ValueError(f"search of {name} must have two values or more that differ, got {value}")
            return Choices(words)
        parts = str(value).split(":")
        if len(parts) not in (2, 3):
            raise ValueError(f"search of {name} must be LOW:HIGH, LOW:HIGH:log, LOW:HIGH:STEP or ONE,TWO, got {value}")
        if kind not in (int, float):
            raise ValueError(
                f"search of {name} must be over values with commas between, as it is no number, got {value}"
            )
        log = parts[2:] == ["log"]
        try:
            low, high, *step = (kind(part) for part in parts[: 2 if log else 3])
        except ValueError as error:
            wanted = "integers" if kind is int else "numbers"
            raise ValueError(f"search of {name} must be between {wanted}, got {value}") from error
        if not all(map(isfinite, (low, high, *step))) or low >= high or (log and low <= 0) or (step and step[0] <= 0):
            wanted = "LOW below HIGH, both above 0 by the logarithm, and STEP above 0"
            raise ValueError(f"search of {name} must have {wanted}, got {value}")
        return Range(low, high, log, step[0] if step else None, kind is int)
