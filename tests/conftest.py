"""Where the reference data is, and settings that keep every test offline and on few threads."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import torch

SHARED = Path(os.environ.get("HF_EXT_SHARED", Path(__file__).resolve().parents[2] / "shared"))

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden numbers, vocabularies and data; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"reference data not found at {SHARED}; set HF_EXT_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """The originals' inputs, weights and outputs, one folder a case."""
    return shared / "golden"
