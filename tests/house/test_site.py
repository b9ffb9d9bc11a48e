"""The site: its menu has every page, it builds strictly, and what its pages link to is there."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urljoin

import pytest
from mkdocs.utils.yaml import get_yaml_loader, yaml_load

ROOT = Path(__file__).resolve().parents[2]
HOOKS = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "site_hooks.py")))
CONFIG = yaml_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), get_yaml_loader())
HOME = CONFIG["repo_url"]


def pages_of(menu):
    for entry in menu:
        for page in entry.values():
            yield from pages_of(page) if isinstance(page, list) else [page]


def test_menu_has_every_page_once():
    pages = {file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").rglob("*.md")}
    menu = list(pages_of(CONFIG["nav"]))
    assert sorted(menu) == sorted({*pages, *HOOKS.HOMES.values()})


def test_what_leads_nowhere_is_told():
    links = CONFIG["validation"]["links"]
    assert set(links.values()) == set(CONFIG["validation"]["nav"].values()) == {"warn"}
    assert {"not_found", "anchors"} <= links.keys()


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("a.md", "b.md#c", "b.md#c"),
        ("tasks/a.md", "../b.md", "../b.md"),
        ("a.md", "../examples/ner.py", f"{HOME}/blob/main/examples/ner.py"),
        ("tasks/a.md", "../../CHANGELOG.md#b", f"{HOME}/blob/main/CHANGELOG.md#b"),
        ("zh/a.md", "../../README_zh.md#任务", "index.md#任务"),
        ("a.md", "../README.md", "index.md"),
        ("a.md", "https://kexue.fm", "https://kexue.fm"),
        ("a.md", "#b", "#b"),
    ],
)
def test_links_out_of_the_documents_lead_to_the_repository(page, link, expected):
    text = f"[x]({link})\n```\n[x](../examples/ner.py)\n```\n"
    assert HOOKS.outward(text, page, HOME) == text.replace(f"({link})", f"({expected})", 1)


def test_link_to_a_file_that_is_not_there_is_told(caplog):
    HOOKS.outward("[x](../none.py)", "a.md", HOME)
    assert [record.getMessage() for record in caplog.records] == ["a.md: no none.py in the repository"]


def test_readmes_read_alike_among_the_pages():
    text = "[a](docs/zh/b.md#c) ![d](docs/images/e.png) [f](LICENSE) [g](https://h) [i](#j)"
    assert HOOKS.in_place(text, "zh/index.md") == (
        "[a](b.md#c) ![d](../images/e.png) [f](../../LICENSE) [g](https://h) [i](#j)"
    )


def test_names_lead_to_their_docstrings():
    index = "# Names\n\n## `hf_ext.data`\n\n| [`One`](../hf_ext/data/one.py) | Two |\n\n"
    index += "## `hf_ext`\n\n| [`A`](../hf_ext/a.py) | |\n"
    assert HOOKS.to_docstrings(index) == (
        "# Names\n\n## `hf_ext.data`\n\n| [`One`](reference/hf_ext.data.md#hf_ext.data.one.One) | Two |\n\n"
        "## `hf_ext`\n\n| [`A`](reference/hf_ext.md#hf_ext.a.A) | |\n"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages by their addresses, built as `make site` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return {f"/{file.relative_to(folder).as_posix()}": file for file in folder.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_links_of_the_site_lead_somewhere(site):
    texts = {name: file.read_text(encoding="utf-8") for name, file in site.items() if name.endswith(".html")}
    anchors = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in texts.items()}
    broken = []
    for name, text in texts.items():
        for link in re.findall(r'(?:href|src)="([^"]*)"', text):
            # The page of a missing address has links from the site's root.
            if re.match(r"https?:|mailto:|data:", link) or name == "/404.html":
                continue
            target, _, anchor = unquote(urljoin(name, link)).partition("#")
            target += "index.html" if target.endswith("/") else ""
            if target not in site or (anchor and anchor not in anchors.get(target, [anchor])):
                broken.append((name, link))
    assert broken == []
    assert len(texts) > 60


@pytest.mark.slow
def test_site_has_docstrings_of_all_names_and_loads_nothing_from_elsewhere(site):
    for package in HOOKS.MAKE_API.public_packages():
        text = site[f"/reference/{package}/index.html"].read_text(encoding="utf-8")
        for name in HOOKS.MAKE_API.public_names(package):
            assert f'id="{HOOKS.MAKE_API.defining_module(package, name)}.{name}"' in text
        assert not HOOKS.ROLE.search(text)
        assert not re.search(r'(?:<script[^>]* src|<link[^>]*rel="stylesheet"[^>]* href)="https?:', text)
