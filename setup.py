"""The page of a release on PyPI: README.md, whose links to files of the repository would lead nowhere there."""

import re
import runpy
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s]+)\)")
PICTURES = (".gif", ".jpg", ".png", ".svg", ".webp")


def package_page() -> str:
    """README.md with links to the files as they were when this version was tagged."""
    home = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Homepage"]
    version = runpy.run_path(str(ROOT / "hf_ext" / "version.py"))["__version__"]
    ref = "main" if "dev" in version else f"v{version}"

    def whole(link: re.Match[str]) -> str:
        return f"]({home}/{'raw' if link[1].endswith(PICTURES) else 'blob'}/{ref}/{link[1]})"

    # Code is every second part.
    parts = CODE.split((ROOT / "README.md").read_text(encoding="utf-8"))
    return "".join(part if i % 2 else LINK.sub(whole, part) for i, part in enumerate(parts))


setup(long_description=package_page(), long_description_content_type="text/markdown")
