"""What a user installs: the wheel's contents, its requirements, and the files of pinned versions."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
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
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

EXTRAS = PROJECT["optional-dependencies"]
# What users install beside the requirements, each for one use.
USES = ("plots", "summaries", "convert", "images", "analysis", "search", "onnx", "serve", "demo", "ray")

# Triton comes with PyTorch where there is a GPU for it; mteb is a benchmark that users have or have not.
OPTIONAL = {"triton", "mteb"}


def requirements(lines):
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return requirements(line for line in lines if line and not line.startswith("#"))


def package_files():
    """Sources, the stubs that list the public names, templates, patterns, and the mark of a typed package."""
    files = [file for end in ("py", "pyi", "jinja", "html", "json") for file in (ROOT / "hf_ext").rglob(f"*.{end}")]
    return {file.relative_to(ROOT).as_posix() for file in (*files, ROOT / "hf_ext" / "py.typed")}


def owners_of_extras():
    """The modules that the extras bring, and which extras bring each."""
    owner = {}
    for extra in USES:
        for name in requirements(EXTRAS[extra]):
            owner.setdefault(name, set()).add(extra)
    found = {module: {canonicalize_name(one) for one in names} for module, names in packages_distributions().items()}
    return {module: owner[name] for module, names in found.items() for name in names & owner.keys()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of wheel and source archive, built from a copy, so that nothing left in the working tree gets in."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT / "hf_ext", source / "hf_ext", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "hf_ext_cli.py"):
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
    assert package_files() | {"hf_ext_cli.py", "pyproject.toml", "setup.py", "README.md", "LICENSE"} <= shipped
    assert [name for name in shipped if name.startswith(("tests", "benchmarks", "studies"))] == []


def test_wheel_says_what_it_is(wheel):
    folder = f"hf_ext-{__version__}.dist-info"
    metadata = HeaderParser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert b"Apache License" in wheel.read(f"{folder}/licenses/LICENSE")
    assert "hf-ext = hf_ext_cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra")) == EXTRAS.keys()
    assert {url.partition(", ")[0] for url in metadata.get_all("Project-URL")} == PROJECT["urls"].keys()


def test_links_of_the_package_page_lead_somewhere(wheel):
    """Each is whole, and is one of README.md or a file of the repository as it was when the version was tagged."""
    page = HeaderParser().parsestr(wheel.read(f"hf_ext-{__version__}.dist-info/METADATA").decode()).get_payload()
    page, readme = (re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S) for text in (page, README))
    found, written = (re.findall(r"\]\(([^)\s]+)\)", text) for text in (page, readme))
    assert len(found) == len(written) > 10
    for link, origin in zip(found, written):
        if origin.startswith(("https:", "#")):
            assert link == origin
        else:
            kind = "raw" if origin.endswith(".png") else "blob"
            assert link == f"{PROJECT['urls']['Homepage']}/{kind}/v{__version__}/{origin}"


def test_pictures_and_code_of_a_readme(tmp_path):
    """As the file that builds the package makes its page."""
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "hf_ext").mkdir()
    (tmp_path / "hf_ext" / "version.py").write_text('__version__ = "9.0.0.dev1"')
    text = "[a](b.md#c) ![d](e.png) [f](#g)\n```\n[h](i.md)\n```\n[j](https://k.l) [![m](n.png)](o)\n"
    (tmp_path / "README.md").write_text(text)
    code = "import setuptools, sys; setuptools.setup = lambda **page: print(page['long_description'], end=''); "
    code += f"import runpy; runpy.run_path({str(tmp_path / 'setup.py')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    home = PROJECT["urls"]["Homepage"]
    assert done.stdout == (
        f"[a]({home}/blob/main/b.md#c) ![d]({home}/raw/main/e.png) [f](#g)\n```\n[h](i.md)\n```\n"
        f"[j](https://k.l) [![m]({home}/raw/main/n.png)]({home}/blob/main/o)\n"
    ), done.stderr


def test_the_index_takes_what_is_built(built):
    pytest.importorskip("twine", reason="twine is not installed")
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, sorted(built.iterdir()))]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_alone_runs_the_demo(built, golden, tmp_path):
    """In a fresh environment, which has the requirements of this one and no library of an extra."""
    (wheel,) = built.glob("*.whl")
    environment = tmp_path / "environment"
    builder = venv.EnvBuilder()
    builder.create(environment)
    python = builder.ensure_directories(environment).env_exe
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120)
    (packages,) = environment.rglob("site-packages")
    absent = {*owners_of_extras(), "tensorflow"}
    lines = [f"import sys; sys.modules.update(dict.fromkeys({sorted(absent)}))"]
    lines += [path for path in sys.path if path.endswith("site-packages")]
    (packages / "requirements.pth").write_text("\n".join(lines))

    def run(*arguments):
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        program = Path(python).with_name("hf-ext")
        done = subprocess.run([program, *arguments], cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    assert run("--version")[0] == f"{__version__}\n"
    _, told = run("demo", "--texts", "100", "--epochs", "1")
    assert told.count('pip install "hf-ext[plots]"') == 1
    made = {file.name for file in (tmp_path / "demo_output").iterdir()}
    assert {"entities.html", "predictions.jsonl", "model"} <= made
    assert "curves.png" not in made
    run("convert", str(golden / "roformer"), "roformer")
    assert (tmp_path / "roformer" / "model.safetensors").is_file()


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
    lacking = {name for name in foreign if not {canonicalize_name(one) for one in owners[name]} & declared.keys()}
    assert lacking == owners_of_extras().keys() & foreign
    assert set(requirements(EXTRAS["all"])["hf-ext"].extras) == set(USES)


def test_a_library_of_an_extra_is_imported_where_its_lack_is_told():
    """Within ``with extra(...)`` of the extra that brings it."""
    owners = owners_of_extras()
    seen = set()
    for file in (ROOT / "hf_ext").rglob("*.py"):
        told = {}
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for block in (node for node in ast.walk(tree) if isinstance(node, ast.With)):
            call = block.items[0].context_expr
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "extra":
                told |= dict.fromkeys(ast.walk(block), call.args[0].value)
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names = [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else names
            for name in (name.partition(".")[0] for name in names):
                if name in owners:
                    assert told.get(node) in owners[name], f"{file}:{node.lineno}"
                    seen.add(told[node])
    assert seen == set(USES)


def test_pins_cover_the_requirements_and_fit_them():
    pinned = pins("constraints.txt")
    wanted = requirements([*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)])
    del wanted["hf-ext"]
    for name, requirement in wanted.items():
        (exact,) = pinned[name].specifier
        assert exact.operator == "=="
        assert Version(exact.version).local is None
        assert requirement.specifier.contains(exact.version), requirement


def test_minimum_versions_are_those_that_the_requirements_say():
    lowest = pins("constraints-minimum.txt")
    wanted = requirements([*PROJECT["dependencies"], *(line for use in USES for line in EXTRAS[use])])
    assert lowest.keys() >= wanted.keys()
    for name, requirement in wanted.items():
        (least,) = [one.version for one in requirement.specifier if one.operator == ">="]
        (exact,) = lowest[name].specifier
        assert exact.operator == "=="
        assert Version(exact.version) == Version(least), requirement


def test_version_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", __version__)
    assert str(Version(__version__)) == __version__
