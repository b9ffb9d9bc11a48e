"""What an experiment is, and how its runs are made: every setting with several seeds, each run a row of a CSV file.

A run that stands in the file is not made again, so an experiment that was interrupted goes on where it stopped.
"""

import contextlib
import csv
import io
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.harness import append_rows, machine
from hf_ext.version import __version__
from studies.sources import Sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Setting = Mapping[str, Any]
"""What tells a run from others, column to value."""

Row = Mapping[str, str]
"""A row of a results file."""

_TUNING_SEED = 0


@dataclass(frozen=True)
class Experiment:
    """A question, the runs that answer it, and how the answer is drawn.

    Where there are rates to choose from, each side tries all of its own on the part "dev" of the first case, with one
    seed; the rate with the best score there is the side's in all runs on the part "test".

    Attributes:
        name: of the results file and the plot.
        cases: what the sides are compared on.
        side: column of what is compared.
        sides: its values.
        score: the measure that chooses a rate.
        run: makes one run and returns its measures.
        draw: draws the runs on "test".
        measures: those that the table lists.
        rates: what to choose from, the same for all sides or each side's own; none where an experiment sets it itself.
        tunes: column of what is chosen.
        seeds: how many runs of a setting say all, where chance has no part; None: as many as are asked for.
    """

    name: str
    cases: Sequence[Setting]
    side: str
    sides: Sequence[str]
    score: str
    run: Callable[[Setting, int, Sources], Mapping[str, Any]]
    draw: Callable[["Figure", "Results"], None]
    measures: Sequence[str]
    rates: Sequence[float] | Mapping[str, Sequence[float]] = ()
    seeds: int | None = None
    tunes: str = "learning_rate"

    def quick(self) -> "Experiment":
        """Fewer runs: the first and the last case, the first and the last side, and a single rate of each."""
        cases = [self.cases[0], *self.cases[1:][-1:]]
        sides = (self.sides[0], self.sides[-1])
        rates = {side: chosen for side in sides if (chosen := self.rates_of(side)[:1])}
        return replace(self, cases=cases, sides=sides, rates=rates or ())

    def rates_of(self, side: str) -> Sequence[float]:
        """What a side chooses from."""
        return self.rates[side] if isinstance(self.rates, Mapping) else self.rates

    def tuning(self) -> list[Setting]:
        """The runs that choose a rate."""
        return [
            {**self.cases[0], self.side: side, "part": "dev", self.tunes: rate}
            for side in self.sides
            for rate in self.rates_of(side)
        ]

    def tests(self, rates: Mapping[str, float]) -> list[Setting]:
        """The runs that are reported, with the rate of each side."""
        chosen = {side: {self.tunes: rates[side]} if self.rates else {} for side in self.sides}
        return [{**case, self.side: side, "part": "test", **chosen[side]} for case in self.cases for side in self.sides]


class Results:
    """The results file of an experiment."""

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.experiment = experiment
        self.path = folder / f"{experiment.name}.csv"

    @property
    def rows(self) -> list[Row]:
        """All rows, those that chose learning rates among them."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def has(self, setting: Setting, seed: int) -> bool:
        """Whether a run stands in the file."""
        wanted = {**{name: str(value) for name, value in setting.items()}, "seed": str(seed)}
        return any(wanted.items() <= row.items() for row in self.rows)

    def rates(self) -> dict[str, float]:
        """The rate of each side that was best on "dev"."""
        best: dict[str, Row] = {}
        for row in self.rows:
            side = row[self.experiment.side]
            score = self.experiment.score
            if row["part"] == "dev" and (side not in best or float(row[score]) > float(best[side][score])):
                best[side] = row
        return {side: float(row[self.experiment.tunes]) for side, row in best.items()}

    def values(self, measure: str, **chosen: Any) -> list[float]:
        """A measure of the runs on "test" whose columns have the values ``chosen``, a number a seed.

        Runs with another rate than that of their side, as an earlier choice may have left, do not count.
        """
        wanted = {**{name: str(value) for name, value in chosen.items()}, "part": "test"}
        rates = self.rates()
        return [
            float(row[measure])
            for row in self.rows
            if wanted.items() <= row.items()
            and row[measure]
            and (not rates or float(row[self.experiment.tunes]) == rates[row[self.experiment.side]])
        ]

    def table(self) -> str:
        """A Markdown table of mean and standard deviation over seeds."""
        experiment = self.experiment
        columns = [*experiment.cases[0], experiment.side]
        lines = [[*columns, *experiment.measures], ["---"] * (len(columns) + len(experiment.measures))]
        for setting in experiment.tests(dict.fromkeys(experiment.sides, 0.0)):
            wanted = {name: setting[name] for name in columns}
            found = [self.values(measure, **wanted) for measure in experiment.measures]
            lines.append([*map(str, wanted.values()), *map(mean_and_spread, found)])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and standard deviation, as ``0.712 ± 0.004``; the deviation needs two values."""
    if not values:
        return ""
    digits = 3 if abs(statistics.mean(values)) < 10 else 0
    text = f"{statistics.mean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def run_experiment(experiment: Experiment, sources: Sources, results: Results, seeds: Sequence[int]) -> None:
    """Make the runs that are missing in the results file."""
    seeds = seeds[: experiment.seeds]
    columns = (TextColumn(experiment.name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # On standard error, so that what Trainer prints can be kept from it.
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console) as progress:
        tuning = [(setting, _TUNING_SEED) for setting in experiment.tuning()]
        total = len(tuning) + len(experiment.cases) * len(experiment.sides) * len(seeds)
        task = progress.add_task("", total=total, note="")

        def make(runs: Sequence[tuple[Setting, int]]) -> None:
            for setting, seed in runs:
                name = " ".join([*map(str, setting.values()), f"seed {seed}"])
                progress.update(task, note=name)
                if not results.has(setting, seed):
                    measures = _run(experiment, setting, seed, sources, results)
                    shown = "  ".join(f"{key} {measures[key]}" for key in (*experiment.measures, "cpu_s"))
                    console.print(f"{name}: {shown}", highlight=False)
                progress.advance(task)

        make(tuning)
        # Seeds outside, so that an interrupted experiment has something to say of all settings.
        make([(setting, seed) for seed in seeds for setting in experiment.tests(results.rates())])


def _run(experiment: Experiment, setting: Setting, seed: int, sources: Sources, results: Results) -> Mapping[str, Any]:
    # For what an experiment draws by itself; jobs set the seed of their training.
    transformers.set_seed(seed)
    wall, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        measures = experiment.run(setting, seed, sources)
    times = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    numbers = {
        name: f"{value:.4f}" if isinstance(value, float) else value for name, value in {**measures, **times}.items()
    }
    versions = {"transformers": transformers.__version__, "hf_ext": __version__}
    append_rows(results.path, [{**setting, "seed": seed, **numbers, **machine(), **versions}])
    return numbers
