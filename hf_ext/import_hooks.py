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

    def __init__(self, loader: Any):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # From here on the module is as if it had never been waited for: reload and pickling see its own loader.
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _FINDER.act(module)

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
            spec.loader = _ActionLoader(spec.loader)
        return spec

    def wait(self, module: str, action: Action) -> None:
        """Keep an action until the module is imported; nothing is looked for while nothing waits."""
        self.waiting.setdefault(module, []).append(action)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def act(self, module: ModuleType) -> None:
        """Run what waits for a module."""
        actions = self.waiting.pop(module.__name__, [])
        if not self.waiting and self in sys.meta_path:
            sys.meta_path.remove(self)
        for action in actions:
            action(module)


class _WatchedSpec(ModuleSpec):
    """The spec of a module that is half imported: when the import system marks the end, the actions run."""

    @property
    def _initializing(self) -> bool:
        return bool(self.__dict__.get("_initializing"))

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        self.__dict__["_initializing"] = value
        # A module that failed is gone by now, and its actions wait for the next attempt.
        if not value and (module := sys.modules.get(self.name)) is not None:
            self.__class__ = ModuleSpec  # type: ignore[assignment]
            _FINDER.act(module)


_FINDER = _WaitingFinder()


def when_imported(module: str, action: Action) -> None:
    """Run ``action(module)`` as soon as a module is imported as a whole; at once if it is already.

    Args:
        module: full name.
        action: what to do; called once.
    """
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if module in sys.modules and not getattr(spec, "_initializing", False):
        action(sys.modules[module])
        return
    _FINDER.wait(module, action)
    if isinstance(spec, ModuleSpec) and not isinstance(spec.loader, _ActionLoader):
        spec.__class__ = _WatchedSpec
