"""What a user installs: the wheel's contents, its requirements, and the files of pinned versions."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from hf_ext.version import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# TensorFlow is imported only to read and write its checkpoints, where it is installed; Triton comes with PyTorch where
# there is a GPU for it.
OPTIONAL = {"tensorflow", "triton"}


def requirements(lines):
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return requirements(line for line in lines if line and not line.startswith("#"))


def package_files():
    """Sources, the stubs that list the public names, and the mark of a typed package."""
    files = [*(ROOT / "hf_ext").rglob("*.py"), *(ROOT / "hf_ext").rglob("*.pyi"), ROOT / "hf_ext" / "py.typed"]
    return {file.relative_to(ROOT).as_posix() for file in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of wheel and source archive, built from a copy, so that nothing left in the working tree gets in."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT / "hf_ext", source / "hf_ext", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "hf_ext_cli.py"):
        shutil.copy(ROOT / name, source)
    # Stand-ins for what is in the repository and not for users.
    for name in ("tests/test_packaging.py", "tests/golden/losses/io.npz", "benchmarks/harness.py", "studies/study.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    code = f"from setuptools import build_meta as b; b.build_sdist({str(output)!r}); b.build_wheel({str(output)!r})"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=source, check=True, capture_output=True, timeout=300
    )
    return output


@pytest.fixture(scope="module")
def wheel(built):
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        yield archive


def test_wheel_holds_the_whole_package(wheel):
    shipped = set(wheel.namelist())
    assert package_files() <= shipped
    assert {name.partition("/")[0] for name in shipped} == {
        "hf_ext",
        "hf_ext_cli.py",
        f"hf_ext-{__version__}.dist-info",
    }


def test_source_archive_holds_what_a_wheel_is_made_of(built):
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    assert package_files() | {"hf_ext_cli.py", "pyproject.toml", "README.md", "LICENSE"} <= shipped
    assert [name for name in shipped if name.startswith(("tests", "benchmarks", "studies"))] == []


def test_wheel_says_what_it_is(wheel):
    folder = f"hf_ext-{__version__}.dist-info"
    metadata = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert b"Apache License" in wheel.read(f"{folder}/licenses/LICENSE")
    assert "hf-ext = hf_ext_cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert metadata.get_payload().strip()


def test_every_import_is_a_requirement():
    """Whatever the package imports is required by name, not only by what it requires."""
    imported = set()
    for file in (ROOT / "hf_ext").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"hf_ext", "hf_ext_cli"} - OPTIONAL
    owners = packages_distributions()
    declared = requirements(PROJECT["dependencies"])
    assert {name for name in foreign if not {canonicalize_name(one) for one in owners[name]} & declared.keys()} == set()


def test_pins_cover_the_requirements_and_fit_them():
    pinned = pins("constraints.txt")
    extras = PROJECT["optional-dependencies"]
    wanted = requirements([*PROJECT["dependencies"], *extras["dev"], *extras["convert"], *extras["bench"]])
    del wanted["hf-ext"]
    for name, requirement in wanted.items():
        (exact,) = pinned[name].specifier
        assert exact.operator == "=="
        assert Version(exact.version).local is None
        assert requirement.specifier.contains(exact.version), requirement


def test_minimum_versions_are_those_that_the_requirements_say():
    lowest = pins("constraints-minimum.txt")
    assert lowest.keys() >= requirements(PROJECT["dependencies"]).keys()
    for name, requirement in requirements(PROJECT["dependencies"]).items():
        (least,) = [one.version for one in requirement.specifier if one.operator == ">="]
        (exact,) = lowest[name].specifier
        assert exact.operator == "=="
        assert Version(exact.version) == Version(least), requirement


def test_version_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", __version__)
    assert str(Version(__version__)) == __version__
