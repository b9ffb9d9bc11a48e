"""Actions that wait for a module: once, at the right time, and without a trace in how the module is imported."""

import importlib
import importlib.util
import inspect
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hf_ext.import_hooks import when_imported

SOURCE = """
count = globals().get("count", 0) + 1

class Thing:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with modules that nobody has imported."""
    names = ("awaited_module", "awaited_package", "awaited_package.inner", "broken_module")
    (tmp_path / "awaited_module.py").write_text(SOURCE)
    (tmp_path / "awaited_package").mkdir()
    (tmp_path / "awaited_package" / "__init__.py").write_text("")
    (tmp_path / "awaited_package" / "inner.py").write_text(SOURCE)
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('broken')")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["awaited_module", "awaited_package", "awaited_package.inner"])
def test_action_runs_once_after_the_module(folder: Path, name: str) -> None:
    seen: list[tuple[str, ModuleType]] = []
    when_imported(name, lambda module: seen.append(("first", module)))
    when_imported(name, lambda module: seen.append(("second", module)))
    assert not seen
    module = importlib.import_module(name)
    assert seen == [("first", module), ("second", module)]
    assert importlib.import_module(name) is module
    assert len(seen) == 2


def test_action_sees_a_whole_module(folder: Path) -> None:
    found: list[bool] = []
    when_imported("awaited_module", lambda module: found.append(hasattr(module, "Thing")))
    importlib.import_module("awaited_module")
    assert found == [True]


def test_action_runs_at_once_for_an_imported_module() -> None:
    seen: list[ModuleType] = []
    when_imported("json", seen.append)
    assert seen == [importlib.import_module("json")]


def test_module_is_as_if_it_had_never_been_waited_for(folder: Path) -> None:
    seen: list[ModuleType] = []
    when_imported("awaited_module", seen.append)
    module = importlib.import_module("awaited_module")
    assert type(module.__loader__).__module__.startswith(("importlib", "_frozen_importlib"))
    assert module.__spec__.loader is module.__loader__
    assert inspect.getsource(module) == SOURCE
    assert type(pickle.loads(pickle.dumps(module.Thing()))) is module.Thing
    assert importlib.reload(module) is module
    assert module.count == 2
    assert len(seen) == 1


def test_looking_for_a_module_is_not_importing_it(folder: Path) -> None:
    seen: list[ModuleType] = []
    when_imported("awaited_module", seen.append)
    for _ in range(2):
        spec = importlib.util.find_spec("awaited_module")
        assert spec.origin == str(folder / "awaited_module.py")
        assert not seen
    module = importlib.import_module("awaited_module")
    assert seen == [module]


@pytest.mark.parametrize("name", ["missing_module", "awaited_package.missing", "missing_module.inner"])
def test_missing_module(folder: Path, name: str) -> None:
    with pytest.raises(ModuleNotFoundError) as plain:
        importlib.import_module(name)
    when_imported(name, lambda module: pytest.fail("ran"))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError) as found:
            importlib.import_module(name)
        assert (str(found.value), found.value.name) == (str(plain.value), plain.value.name)
    if "." not in name:
        assert importlib.util.find_spec(name) is None


def test_module_that_fails_and_is_mended(folder: Path) -> None:
    """A failed import passes its own error on, and the action still waits."""
    seen: list[ModuleType] = []
    when_imported("broken_module", seen.append)
    with pytest.raises(RuntimeError, match="broken"):
        importlib.import_module("broken_module")
    assert not seen
    (folder / "broken_module.py").write_text("mended = 'for good, and so of another size'")
    importlib.invalidate_caches()
    module = importlib.import_module("broken_module")
    assert seen == [module]
    assert module.mended


HALF = """
from hf_ext.import_hooks import when_imported

when_imported(__name__, lambda module: module.seen.append(hasattr(module, "Thing")))
seen = []

class Thing:
    pass
"""


def test_half_imported_module(folder: Path) -> None:
    """An action asked for while the module is on its way waits until it is there."""
    (folder / "awaited_module.py").write_text(HALF)
    module = importlib.import_module("awaited_module")
    assert module.seen == [True]
    assert type(module.__spec__) is importlib.machinery.ModuleSpec
    assert not module.__spec__._initializing


def test_half_imported_module_that_fails(folder: Path) -> None:
    (folder / "broken_module.py").write_text(HALF + "\nraise RuntimeError('broken')")
    with pytest.raises(RuntimeError, match="broken"):
        importlib.import_module("broken_module")
    (folder / "broken_module.py").write_text("seen = []; Thing = None  # of another size than before")
    importlib.invalidate_caches()
    assert importlib.import_module("broken_module").seen == [True]


def test_nothing_is_left_where_nothing_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finder is on the path while something waits, and no longer."""
    from hf_ext import import_hooks

    monkeypatch.setattr(import_hooks._FINDER, "waiting", {})
    monkeypatch.setattr(sys, "meta_path", [one for one in sys.meta_path if one is not import_hooks._FINDER])
    before = list(sys.meta_path)
    for name in ("awaited_module", "awaited_package.inner"):
        when_imported(name, lambda module: None)
    assert sys.meta_path == [import_hooks._FINDER, *before]
    importlib.import_module("awaited_module")
    assert sys.meta_path == [import_hooks._FINDER, *before]
    importlib.import_module("awaited_package.inner")
    assert sys.meta_path == before
