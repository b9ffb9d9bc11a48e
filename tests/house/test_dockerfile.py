"""The image of the server: its Dockerfile passes its linter, and what it copies and runs is there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import typer

from hf_ext.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# A line that goes on is one.
INSTRUCTIONS = [
    line.split(maxsplit=1) for line in DOCKERFILE.replace("\\\n", " ").splitlines() if re.match("[A-Z]", line)
]


def arguments(instruction):
    """What stands behind each of the instructions of a name."""
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def test_the_linter_finds_nothing():
    linter = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    assert linter, "hadolint is in the extra dev"
    done = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_is_copied_is_there_and_not_ignored():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert [name for name in kept if not (ROOT / name).exists()] == []
    copied = [word for rest in arguments("COPY") if "--from" not in rest for word in rest.split()[:-1]]
    assert {word.removeprefix("./") for word in copied} == set(kept)


def test_nobody_is_root_and_its_health_is_asked():
    (user,) = arguments("USER")
    assert user.isdigit()
    assert int(user) > 0
    names = [name for name, _ in INSTRUCTIONS]
    assert names.count("FROM") == 2
    assert names.index("USER") > len(names) - names[::-1].index("FROM")
    assert "/ready" in arguments("HEALTHCHECK")[0]


def test_the_command_and_its_options_exist():
    program, name, *words = re.findall(r'"([^"]*)"', arguments("ENTRYPOINT")[0])
    assert program == "hf-ext"
    command = typer.main.get_command(app).commands[name].load()
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', DOCKERFILE)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert [one for one in extras.split(",") if f"\n{one} = [" not in project] == []


def test_the_versions_of_a_release_are_installed():
    (run,) = arguments("RUN")[:1]
    assert len(re.findall(r"pip install", run)) == len(re.findall(r"--constraint constraints\.txt", run)) == 2
    assert "--index-url https://download.pytorch.org/whl/cpu" in run
