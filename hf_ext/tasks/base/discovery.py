"""Finds the modules of the tasks: each folder beside this one is a task, and its files' names say what they hold."""

from importlib import import_module
from pkgutil import iter_modules


def task_modules(kind: str) -> list[str]:
    """Full names of the modules ``<kind>.py`` and ``<what>_<kind>.py`` of all tasks, sorted.

    Args:
        kind: ``"pipeline"`` or ``"job"``.
    """
    found = []
    # By name: the package may still be being imported.
    for task in iter_modules(import_module("hf_ext.tasks").__path__, "hf_ext.tasks."):
        if not task.ispkg or task.name == "hf_ext.tasks.base":
            continue
        spec = task.module_finder.find_spec(task.name, None)
        assert spec is not None
        for module in iter_modules(spec.submodule_search_locations, f"{task.name}."):
            stem = module.name.rpartition(".")[2]
            if stem == kind or stem.endswith(f"_{kind}"):
                found.append(module.name)
    return sorted(found)
