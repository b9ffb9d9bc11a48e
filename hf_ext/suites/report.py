"""What came out of the runs of a suite, beside published numbers: as data, as Markdown, and as a page."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.suites.report_page import report_page
from hf_ext.suites.runs import Run, find_runs
from hf_ext.suites.suite import Suite, SuiteTask
from hf_ext.version import __version__


def suite_report(suite: Suite, output: Path) -> dict[str, Any]:
    """What there is to report of the runs of a suite; scores are per cent.

    The mean of a task is that of its runs of one configuration. Of a suite with splits it is that of the means of its
    splits, without ``more_splits``; its deviation then is between splits, else between runs.

    Args:
        suite: of the tasks.
        output: the folder of the runs.

    Returns:
        ``suite``, ``version``; ``tasks`` by name, and with a configuration by ``"<name>, <configuration>"``, each
        ``task``, ``configuration``, ``metric``, ``part``, ``mean``, ``deviation`` (None of one), ``splits``, ``runs``,
        ``without_score``, ``minutes`` (of a run, mean), ``settings`` and ``differing`` (settings that are not the same
        in all runs); ``averages``, named likewise, None where a task lacks a score, ``averaged``, the tasks that they
        are of; and ``published``.

    Raises:
        ValueError: if there are no runs of the suite.
    """
    tasks = {}
    for task in suite.tasks:
        by_configuration: dict[str, list[Run]] = {}
        for run, _ in find_runs(output, suite, [task]):
            by_configuration.setdefault(run.configuration, []).append(run)
        for configuration, runs in by_configuration.items():
            tasks[_title(task.name, configuration)] = _of_task(suite, task, configuration, runs)
    if not tasks:
        raise ValueError(f"there must be runs of the suite {suite.name}, as train writes them, got none in {output}")
    published = [
        {
            "name": one.name,
            "part": one.part,
            "scores": dict(one.scores),
            "metrics": {name: one.metrics.get(name, _metric(suite, name)) for name in one.scores},
            "source": one.source,
            "of": dict(one.of),
        }
        for one in suite.published
    ]
    averages: dict[str, float | None] = {}
    averaged = {}
    for name, names in suite.averages.items():
        for configuration in dict.fromkeys(one["configuration"] for one in tasks.values() if one["task"] in names):
            title = _title(name, configuration)
            averages[title] = _average(tasks, [_title(one, configuration) for one in names])
            averaged[title] = list(names)
    return {
        "suite": suite.name,
        "version": __version__,
        "tasks": tasks,
        "averages": averages,
        "averaged": averaged,
        "published": published,
    }


def write_suite_report(folder: Path, report: Mapping[str, Any], title: str | None = None) -> None:
    """Write ``report.md``, ``report.json`` and ``report.html``, which needs no network and no other file."""
    folder.mkdir(parents=True, exist_ok=True)
    title = title or str(report["suite"])
    tables = list(report_tables(report))
    with atomic_write(folder / "report.json") as file:
        json.dump(_without_nan(report), file, ensure_ascii=False, indent=1, allow_nan=False)
    with atomic_write(folder / "report.md") as file:
        file.write(_markdown(title, tables))
    with atomic_write(folder / "report.html") as file:
        file.write(report_page(title, tables))


def report_tables(report: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]], str]]:
    """The tables of a report: a heading, names of columns, rows, and what is to be said below."""
    tasks = report["tasks"]
    rows = []
    for name, one in tasks.items():
        more = "; ".join(f"{metric} {_mean_and(*value)}" for metric, value in one["also"].items())
        others = Counter(run["state"] for run in one["without_score"])
        ended = ", ".join([str(len(one["runs"])), *(f"{number} {state}" for state, number in others.items())])
        score = _mean_and(one["mean"], one["deviation"])
        rows.append([name, one["metric"], one["part"], score, more or "–", ended, _number(one["minutes"], 1)])
    for name, value in report["averages"].items():
        names = ", ".join(report["averaged"][name])
        rows.append([f"mean: {name}", names, "–", _number(value), "–", "–", "–"])
    columns = ["task", "metric", "on", "score", "also", "runs", "minutes"]
    below = "Scores are per cent: the mean over runs, or over splits, ± its sample standard deviation."
    yield "Scores", columns, rows, below
    if any(one["splits"] for one in tasks.values()):
        splits = list(dict.fromkeys(split for one in tasks.values() for split in one["splits"]))
        rows = [
            [name, *(_mean_and(*one["splits"].get(split, (None, None))) for split in splits)]
            for name, one in tasks.items()
        ]
        yield "Splits", ["task", *splits], rows, ""
    yield from _published(report)
    yield "Runs", ["task", "run", "seed", "score", "minutes"], list(_runs(tasks)), ""
    yield "Settings", ["task", "settings"], [[name, _settings(one)] for name, one in tasks.items()], ""


def _title(name: str, configuration: str) -> str:
    return ", ".join(filter(None, (name, configuration)))


def _of_task(suite: Suite, task: SuiteTask, configuration: str, runs: Sequence[Run]) -> dict[str, Any]:
    ended = [run for run in runs if run.state == "finished"]
    by_split: dict[str, list[float]] = {}
    for run in ended:
        if run.split is not None:
            by_split.setdefault(run.split, []).append(_score(run, task))
    splits = {split: _mean(own) for split, own in by_split.items()}
    values = [_score(run, task) for run in ended]
    if suite.splits:
        values = [mean for split, (mean, _) in splits.items() if mean is not None and split in suite.splits]
    mean, deviation = _mean(values)
    said = [{**run.hyperparameters, **run.settings} for run in ended or runs]
    names = list(dict.fromkeys(name for own in said for name in own))
    same = [name for name in names if len({json.dumps(own.get(name)) for own in said}) == 1]
    also: dict[str, Any] = {
        # Without what an assignment takes, a run has no score of it.
        name: _mean([100 * float(run.scored(task)[key]) for run in ended if key in run.scored(task)])
        for name, key in task.also.items()
    }
    official = dict.fromkeys(name for run in ended for name in run.official if name != task.score)
    also |= {name: _mean([100 * run.official[name] for run in ended if name in run.official]) for name in official}
    return {
        "task": task.name,
        "configuration": configuration,
        "metric": task.metric,
        "part": task.scored,
        "mean": mean,
        "deviation": deviation,
        "also": also,
        "splits": splits,
        "runs": [
            {
                "name": run.name,
                "seed": run.seed,
                "split": run.split,
                "score": _score(run, task),
                "minutes": None if run.seconds is None else run.seconds / 60,
            }
            for run in ended
        ],
        "without_score": [
            {"name": run.name, "state": run.state, "error": run.error} for run in runs if run not in ended
        ],
        "minutes": _mean([run.seconds / 60 for run in ended if run.seconds is not None])[0],
        "settings": {name: said[0].get(name) for name in same},
        "differing": {name: [own.get(name) for own in said] for name in names if name not in same},
    }


def _score(run: Run, task: SuiteTask) -> float:
    score = run.score(task)
    assert score is not None
    return 100 * score


def _mean(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation, as far as there are any; NaN of what is in part."""
    if not values:
        return None, None
    mean = fmean(values)
    return mean, None if len(values) == 1 else mean if isnan(mean) else stdev(values)


def _average(tasks: Mapping[str, Any], names: Sequence[str]) -> float | None:
    means = [tasks[name]["mean"] for name in names if name in tasks and tasks[name]["mean"] is not None]
    return fmean(means) if len(means) == len(names) else None


def _metric(suite: Suite, name: str) -> str:
    return next(task.metric for task in suite.tasks if task.name == name)


def _published(report: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]], str]]:
    """A table for each part of which there are published numbers of tasks that were run."""
    by_configuration: dict[str, dict[str, Any]] = {}
    for one in report["tasks"].values():
        by_configuration.setdefault(one["configuration"], {})[one["task"]] = one
    metrics = {one["task"]: one["metric"] for one in report["tasks"].values()}
    for part in dict.fromkeys(one["part"] for one in report["published"]):
        of_part = [one for one in report["published"] if one["part"] == part and metrics.keys() & one["scores"].keys()]
        names = [name for name in metrics if any(name in one["scores"] for one in of_part)]
        others = {name: metric for name in names if (metric := _other_metric(report["tasks"], of_part, name))}
        rows, shown = [], []
        for configuration, own in by_configuration.items():
            there = {name: one for name, one in own.items() if one["part"] == part and one["runs"]}
            if there.keys() & {*names}:
                cells = (_mean_by(there.get(name), others.get(name)) for name in names)
                rows.append([_title("these runs", configuration), *(_mean_and(*cell) for cell in cells)])
            beside = [one for one in of_part if one["of"] and _has(next(iter(own.values())), one["of"])]
            rows += [_published_row(one, names) for one in beside]
            shown += beside
        beside = [one for one in of_part if not one["of"]]
        rows += [_published_row(one, names) for one in beside]
        shown += beside
        if not shown:
            continue
        other = {
            f"{name}: {metric}, here {metrics[name]}"
            for one in shown
            for name, metric in one["metrics"].items()
            if name in names and metric not in (metrics[name], others.get(name))
        }
        below = f"Published by {'; '.join(dict.fromkeys(one['source'] for one in shown))}."
        if other:
            below += f" Other metrics than here: {'; '.join(sorted(other))}."
        columns = [f"{name} ({others[name]})" if name in others else name for name in names]
        yield f"Published, on {part}", ["model", *columns], rows, below


def _other_metric(tasks: Mapping[str, Any], published: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """The metric of all published scores of a task, if that is not its own and the runs have a score by it too."""
    said = {one["metrics"][name] for one in published if name in one["scores"]}
    own = [one for one in tasks.values() if one["task"] == name]
    return next((metric for metric in said if len(said) == 1 and any(metric in one["also"] for one in own)), None)


def _mean_by(one: Mapping[str, Any] | None, other: str | None) -> tuple[float | None, float | None]:
    """Mean and deviation of the runs of a task by another metric, or by its own."""
    if one is None:
        return None, None
    return one["also"].get(other, (None, None)) if other else (one["mean"], one["deviation"])


def _has(one: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether runs have these settings, all of them."""
    return all(one["settings"].get(name) == value for name, value in settings.items())


def _published_row(one: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [one["name"], *(_number(one["scores"].get(name)) for name in names)]


def _without_nan(value: Any) -> Any:
    """None in the place of what is not a number, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _without_nan(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(own) for own in value]
    return None if isinstance(value, float) and isnan(value) else value


def _runs(tasks: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, one in tasks.items():
        for run in one["runs"]:
            yield [name, run["name"], str(run["seed"]), _number(run["score"]), _number(run["minutes"], 1)]
        for run in one["without_score"]:
            yield [name, run["name"], "–", run["error"] or run["state"], "–"]


def _settings(one: Mapping[str, Any]) -> str:
    same = [f"{name} {value}" for name, value in one["settings"].items() if value is not None]
    other = [f"{name} {' / '.join(map(str, values))}" for name, values in one["differing"].items()]
    return ", ".join([*same, *other])


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("nan", "NaN")


def _mean_and(mean: float | None, deviation: float | None) -> str:
    return _number(mean) if deviation is None else f"{_number(mean)} ± {_number(deviation)}"


def _markdown(title: str, tables: Iterable[tuple[str, list[str], list[list[str]], str]]) -> str:
    parts = [f"# {title}\n"]
    for heading, columns, rows, below in tables:
        lines = [columns, ["---"] * len(columns), *rows]
        cells = ("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        parts.append(f"## {heading}\n\n" + "\n".join(cells) + "\n" + (f"\n{below}\n" if below else ""))
    return "\n".join(parts)
