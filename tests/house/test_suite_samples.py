"""The samples that the suites' page is measured on are in the official form: every check finds no error in them."""

import runpy
import sys
from pathlib import Path

import pytest

from hf_ext.suites.check import check_suite
from hf_ext.suites.discovery import shipped_suites

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "suite_samples.py"
FOLDERS = {"clue": "CLUE", "fewclue": "FewCLUE", "lic2020": "LIC2020", "similarity-suite": "SIMILARITY"}
pytestmark = pytest.mark.slow


def lay_out(folder, data, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(folder), "--data", str(data), *options])
    runpy.run_path(str(SCRIPT), run_name="__main__")


@pytest.fixture(scope="module")
def samples(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples") / "samples"
    with pytest.MonkeyPatch.context() as patch:
        lay_out(folder, shared / "data", patch, "--most", "1000")
    return folder


@pytest.mark.parametrize("name", FOLDERS)
def test_samples_are_in_the_official_form(name, samples):
    found = check_suite(shipped_suites()[name], samples / FOLDERS[name])
    assert all(own.rows.get("train") for own in found if own.rows)
    errors = [(own.name, one.message) for own in found for one in own.findings if one.severity == "error"]
    assert errors == []


def test_a_folder_that_is_there_is_left_alone(shared, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        lay_out(tmp_path, shared / "data", monkeypatch)
    assert f"folder {tmp_path} must not be there yet" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
