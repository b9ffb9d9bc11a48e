"""The plots that documents show, and that a script draws without any runs."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLOTS = runpy.run_path(str(ROOT / "docs" / "make_plots.py"))["PLOTS"]


@pytest.mark.parametrize("name", PLOTS)
def test_plot_is_drawn(name, tmp_path):
    PLOTS[name](tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (ROOT / "docs" / "images" / name).is_file()
