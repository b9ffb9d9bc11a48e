"""The files of the tasks' metrics, which ``evaluate.load`` takes by their paths."""

from pathlib import Path

_FILE = "evaluate_metric.py"
_TASKS = Path(__file__).resolve().parents[1]


def metric_path(task: str) -> str:
    """The path of a task's metric, where the package is installed: ``evaluate.load(metric_path("entities"))``.

    Args:
        task: ``"classification"``, ``"entities"``, ``"events"``, ``"reading_comprehension"`` or ``"relations"``, the
            folder of a task.

    Raises:
        ValueError: if there is no such task, or it has no such metric.
    """
    known = {file.parent.name: file for file in sorted(_TASKS.glob(f"*/{_FILE}"))}
    if task not in known:
        raise ValueError(f"task must be one of {', '.join(known)}, got {task!r}")
    return str(known[task])
