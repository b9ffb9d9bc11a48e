"""What GitHub, Zenodo and pre-commit read says what the package says, and SECURITY.md what the code does."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from hf_ext.version import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SOURCES = sorted((ROOT / "hf_ext").rglob("*.py"))


def read(file):
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def calls(file):
    """The calls of a file, each with the last part of its function's name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}


def test_citation_says_what_the_package_says():
    citation = read(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["message"]
    assert citation["title"] == PROJECT["name"].replace("-", "_")
    assert citation["authors"] == PROJECT["authors"]
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["repository-code"] == PROJECT["urls"]["Homepage"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (version, date), *_ = re.findall(r"^## \[(\d\S*)\] - (\S+)$", changes, re.MULTILINE)
    assert (citation["version"], citation["date-released"]) == (version, date)


def test_references_of_the_citation_are_complete():
    known = {"type", "title", "authors", "year", "url"}
    for reference in read(ROOT / "CITATION.cff")["references"]:
        assert {"type", "title", "authors", "url"} <= reference.keys() <= known
        assert reference["type"] in ("article", "blog")
        assert all(author.keys() == {"family-names", "given-names"} for author in reference["authors"])


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_issue_forms_are_what_github_reads(file):
    form = read(file)
    if file.stem == "config":
        assert isinstance(form["blank_issues_enabled"], bool)
        assert all(link.keys() == {"name", "url", "about"} for link in form["contact_links"])
        assert all(link["url"].startswith(PROJECT["urls"]["Homepage"]) for link in form["contact_links"])
        return
    assert form.keys() == {"name", "description", "labels", "body"}
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
    for field in form["body"]:
        assert field["type"] in ("textarea", "input", "checkboxes")
        assert field["attributes"]["label"]
        required = field["attributes"].get("options") or [field["validations"]]
        assert all(one["required"] for one in required)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_have_few_rights_and_targets_that_exist(file):
    text = file.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["name"] == file.stem
    assert workflow["permissions"] == {"contents": "read"}
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"run: make (\w+)", text)) <= set(targets)


def test_hooks_have_the_versions_that_make_installs():
    pinned = dict(re.findall(r"^(\S+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [hook["id"] for hook in repository["hooks"]] == ["ruff", "ruff-format", "mypy"]
    for hook in repository["hooks"]:
        program = hook["entry"].split()[0]
        if hook["language"] == "python":
            assert hook["additional_dependencies"] == [f"{program}=={pinned[program]}"]
        else:
            assert program == f".venv/bin/{hook['id']}"


def test_nothing_that_is_loaded_is_code():
    """As SECURITY.md says."""
    for file in SOURCES:
        for name, given in calls(file):
            last = name.rpartition(".")[2]
            assert name not in ("eval", "pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.unsafe_load"), file
            assert name != "torch.load" or given.get("weights_only") == "True", file
            assert name not in ("np.load", "numpy.load") or "allow_pickle" not in given, file
            assert given.get("trust_remote_code", "False") == "False", file
            assert name != "yaml.load" or "class _Loader(yaml.SafeLoader)" in file.read_text(encoding="utf-8")
            # Markdown has escapes of its own.
            escaped = file.parts[-2:] == ("model_card", "render.py") or given.get("autoescape") == "True"
            assert last != "Environment" or escaped, file


def test_security_names_the_version_command_and_the_private_form():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"{PROJECT['urls']['Homepage']}/security" in text
    assert "hf-ext --version" in text
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", __version__)
