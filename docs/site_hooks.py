"""What the site has beside docs/: the READMEs as its first pages, docstrings, and links that lead into the repository.

mkdocs calls these functions by their names (mkdocs.yml).
"""

import logging
import posixpath
import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
MAKE_API = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "make_api.py")))

# Pages that stand elsewhere in the repository.
HOMES = {"README.md": "index.md", "README_zh.md": "zh/index.md"}

CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
# A row of docs/api.md.
NAME = re.compile(r"\| \[`(\w+)`\]\(\.\./([\w/]+)\.py\)")
# Sphinx's roles in docstrings, as Markdown leaves them.
ROLE = re.compile(r":\w+:<code>~?([\w.]+)</code>")

# mkdocs counts what is logged here, and stops under --strict.
log = logging.getLogger("mkdocs.hooks.site")


def on_config(config: Any) -> None:
    """Add the pages of docstrings to the menu."""
    (reference,) = (section["Reference"] for section in config.nav if "Reference" in section)
    reference += [{package: reference_page(package)} for package in MAKE_API.public_packages()]


def on_files(files: Any, config: Any) -> None:
    """Add the pages that are made here."""
    for source, page in HOMES.items():
        content = in_place((ROOT / source).read_text(encoding="utf-8"), page)
        files.append(File.generated(config, page, content=content))
    for package in MAKE_API.public_packages():
        names = [f"::: {MAKE_API.defining_module(package, name)}.{name}\n" for name in MAKE_API.public_names(package)]
        content = "\n".join([f"# `{package}`\n", *names])
        files.append(File.generated(config, reference_page(package), content=content))


def on_page_markdown(markdown: str, page: Any, **given: Any) -> str:
    """Lead names to their docstrings, and links out of docs/ to the repository's page."""
    if page.file.src_uri == "api.md":
        markdown = to_docstrings(markdown)
    return outward(markdown, page.file.src_uri, given["config"].repo_url)


def on_page_content(html: str, **given: Any) -> str:
    """Make links of Sphinx's roles, where what they name is on the site."""
    return ROLE.sub(r'<autoref optional identifier="\1"><code>\1</code></autoref>', html)


def reference_page(package: str) -> str:
    """The path of the docstrings of a package."""
    return f"reference/{package}.md"


def in_place(markdown: str, page: str) -> str:
    """A text whose links are relative to the repository, as it reads on this page of docs/."""

    def moved(link: re.Match[str]) -> str:
        return f"]({posixpath.relpath(link[1], posixpath.join('docs', posixpath.dirname(page)))}{link[2] or ''})"

    return outside_code(LINK, moved, markdown)


def outward(markdown: str, page: str, repository: str) -> str:
    """A page of docs/ whose links to files outside it lead to the repository, or to the pages made of them."""
    folder = posixpath.dirname(page)

    def whole(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link[1]))
        if path.startswith("docs/"):
            return link[0]
        if path in HOMES:
            return f"]({posixpath.relpath(HOMES[path], folder or '.')}{link[2] or ''})"
        if not (ROOT / path).exists():
            log.warning("%s: no %s in the repository", page, path)
        return f"]({repository}/blob/main/{path}{link[2] or ''})"

    return outside_code(LINK, whole, markdown)


def to_docstrings(index: str) -> str:
    """The table of public names with links to docstrings in the place of those to files."""
    parts = re.split(r"^(## `([\w.]+)`)$", index, flags=re.MULTILINE)
    text = parts[0]
    for heading, package, table in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):

        def linked(row: re.Match[str], package: str = package) -> str:
            return f"| [`{row[1]}`]({reference_page(package)}#{row[2].replace('/', '.')}.{row[1]})"

        text += heading + NAME.sub(linked, table)
    return text


def outside_code(pattern: re.Pattern[str], change: Any, markdown: str) -> str:
    """Replace what a pattern finds, but for blocks of code."""
    parts = CODE.split(markdown)
    return "".join(part if number % 2 else pattern.sub(change, part) for number, part in enumerate(parts))
