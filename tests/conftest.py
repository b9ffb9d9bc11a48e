"""Where the reference data is, what a run skips and why, and settings that keep tests offline and on few threads."""

import gc
import importlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import torch
from fake_hub import FakeHub, serving

GOLDEN = Path(__file__).parent / "golden"
SHARED = Path(os.environ.get("HF_EXT_SHARED", Path(__file__).resolve().parents[2] / "shared"))

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def float32_unless_asked_for() -> Iterator[None]:
    """``auto`` is float32 on any processor, so that what tests expect to the last digits does not depend on it."""
    from hf_ext.ops import precision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "has_fast_bfloat16", lambda device="cpu": False)
        yield


@pytest.fixture(scope="session")
def golden() -> Path:
    """The originals' inputs, weights and outputs, one folder a case."""
    return GOLDEN


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published texts (``data``) and vocabularies (``vocab``), which are not ours to publish.

    Tests that need it are skipped where it is absent, and fail under ``HF_EXT_REQUIRE_SHARED=1``.
    """
    if not SHARED.is_dir():
        absent = "published texts and vocabularies are not here (HF_EXT_SHARED names their folder)"
        if os.environ.get("HF_EXT_REQUIRE_SHARED") == "1":
            pytest.fail(f"{absent}: no folder {SHARED}")
        pytest.skip(absent)
    return SHARED


@pytest.fixture(scope="session")
def tensorflow() -> ModuleType:
    """TensorFlow, beside which its checkpoints are read and written here, for all Pythons that it is released for."""
    if sys.version_info >= (3, 14):
        pytest.skip("TensorFlow has no release for Python 3.14")
    return importlib.import_module("tensorflow")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    """A Hub on loopback, which the libraries of this process take for the real one."""
    with serving() as served:
        served.connect(monkeypatch, tmp_path_factory.mktemp("cache"))
        yield served


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what a quick run leaves out, and skip the tests marked ``gpu`` where there is none.

    Of the grid of families and heads, a quick run takes one head of each family for a test.
    """
    shown = set()
    for item in items:
        if "hub" in getattr(item, "fixturenames", ()):
            # The Hub's library sends large files by an argument that its HTTP library has renamed.
            item.add_marker(pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"))
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")
        if hasattr(case, "family"):
            test = (item.path, item.originalname, case.family.config)
            if test in shown:
                item.add_marker(pytest.mark.slow)
            shown.add(test)
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU with CUDA"))


# The type is quoted, as the first pytest 8 has no public name for it.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> Iterator[None]:
    """One line, below all else, of how many tests were skipped for which reason."""
    yield
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        told = "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"skipped {reasons.total()} ({told})")


def pytest_collection_finish() -> None:
    """Leave what is there by now out of garbage collections, of which every Trainer makes some."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The same with what a file of tests has brought in, some of which are large libraries that stay."""
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()
