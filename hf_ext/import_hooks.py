"""Acting on a library once the user imports it, so that importing this package does not import it."""

import importlib.abc
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Action = Callable[[ModuleType], None]


class _ActionLoader(importlib.abc.Loader):
    """Loads a module as its own loader does, then runs the actions that wait for it."""

    def __init__(self, loader: Any, waiting: dict[str, list[Action]]):
        self.loader = loader
        self.waiting = waiting

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module is as if it had never been waited for: reload and pickling see its own loader.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        for action in self.waiting.pop(module.__name__, ()):
            action(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class _WaitingFinder(importlib.abc.MetaPathFinder):
    """Finds the modules that are waited for, through the other finders."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Action]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        # Looking for a module is not importing it: the actions wait until the loader has run.
        if spec is not None and spec.loader is not None:
            spec.loader = _ActionLoader(spec.loader, self.waiting)
        return spec


_FINDER = _WaitingFinder()


def when_imported(module: str, action: Action) -> None:
    """Run ``action(module)`` as soon as a module is imported; at once if it is already.

    Args:
        module: full name.
        action: what to do; called once.
    """
    if module in sys.modules:
        action(sys.modules[module])
        return
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.waiting.setdefault(module, []).append(action)
