"""README.md with a card in it: what a run wrote is written anew, what somebody else wrote is kept."""

import hashlib
import json
import re
import shlex
from os import PathLike
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard
from transformers.utils import logging

from hf_ext.atomic_file import atomic_write
from hf_ext.training.model_card.results import cell
from hf_ext.version import __version__

logger = logging.get_logger(__name__)

_BEGIN = (
    "<!-- hf-ext {version} wrote what follows, of {name} ({digest}). A run writes it anew: add your own text above "
    "this line, or below the last one. -->"
)
_END = "<!-- hf-ext wrote what is above. -->"
_WRITTEN = re.compile(
    r"<!-- hf-ext \S+ wrote what follows, of (?P<name>[^\n]+) \((?P<digest>[0-9a-f]{16})\)[^\n]*-->\n"
    rf"(?P<body>.*)^{re.escape(_END)}\n",
    re.MULTILINE | re.DOTALL,
)
# Fields of the metadata that are of the model as it is; those that a person adds beside them are kept.
_OF_THE_RUN = ("library_name", "pipeline_tag", "base_model", "metrics", "model-index")
# What Trainer and PEFT write of their own accord, and would themselves replace.
_MADE_BY_OTHERS = (
    "<!-- This model card has been generated automatically according to the information the Trainer had access to.",
    "# Model Card for Model ID",
)
_FENCED = re.compile(r"^```\w*\n.*?^```$", re.MULTILINE | re.DOTALL)


def write_readme(folder: str | PathLike[str], card: str, name: str, overwrite: bool = False) -> bool:
    """Write README.md with a card, and keep what somebody added before, after it and to its metadata.

    Args:
        folder: of the model.
        card: metadata and text.
        name: that the card calls the model by.
        overwrite: replace a README.md that is somebody else's, or was changed in what a run had written.

    Returns:
        Whether it was written. A README.md of somebody else stays as it is, with a warning, unless ``overwrite``.
    """
    path = Path(folder) / "README.md"
    new = ModelCard(card)
    data, body = new.data.to_dict(), new.text.lstrip("\n")
    before, after = "", ""
    if path.exists():
        old = path.read_text(encoding="utf-8")
        parts = _parts(old)
        if parts is not None:
            kept, before, after = parts
            data = _merged(kept, data)
        elif not overwrite and not any(sign in old for sign in _MADE_BY_OTHERS):
            logger.warning(
                "%s was written or changed by hand, and stays as it is: it does not tell of this run. Without it, or "
                "with overwrite, a new one is written; what stands outside of the marks of hf-ext is kept.",
                path,
            )
            return False
    with atomic_write(path) as file:
        file.write(_readme(data, before, body, name, after))
    return True


def rename_card(folder: str | PathLike[str], name: str) -> bool:
    """Call the model by another name in the title and code of its card: that which it gets on the Hub.

    Args:
        folder: of the model.
        name: as ``ORG/NAME``.

    Returns:
        Whether there was a card of a run, unchanged, to do it in.
    """
    path = Path(folder) / "README.md"
    new = renamed(path.read_text(encoding="utf-8"), name) if path.exists() else None
    if new is None:
        return False
    with atomic_write(path) as file:
        file.write(new)
    return True


def renamed(text: str, name: str) -> str | None:
    """A card with another name of the model in its title and its code; None if it is none of a run, or was changed.

    Args:
        text: of README.md.
        name: as ``ORG/NAME``.
    """
    parts, match = _parts(text), _WRITTEN.search(text)
    if parts is None or match is None:
        return None
    if match["name"] == name:
        return text
    data, before, after = parts
    # Where code loads it: the folder may be called as a variable, a word or a key is.
    in_python = re.compile(rf"(model=|from_pretrained\((?:model, )?){re.escape(quoted(match['name']))}")
    in_shell = re.compile(rf"^(hf-ext [\w-]+ ){re.escape(shlex.quote(match['name']))}(?=\s)", re.MULTILINE)

    def in_code(code: re.Match[str]) -> str:
        own = in_python.sub(lambda found: found[1] + quoted(name), code[0])
        return in_shell.sub(lambda found: found[1] + shlex.quote(name), own)

    for result in data.get("model-index", ()):
        result["name"] = name.rpartition("/")[2]
    title = re.compile(rf"^#{re.escape(cell(match['name']).rstrip())}$", re.MULTILINE)
    body = title.sub(lambda found: f"#{cell(name).rstrip()}", _FENCED.sub(in_code, match["body"]), count=1)
    return _readme(data, before, body, name, after)


def quoted(value: Any) -> str:
    """A text, or a list of them, as it stands in Python's code."""
    return json.dumps(value, ensure_ascii=False)


def _parts(text: str) -> tuple[dict[str, Any], str, str] | None:
    """Metadata, and what stands before and after what a run wrote; None if that is missing or was changed."""
    match = _WRITTEN.search(text)
    if match is None or _digest(match["body"]) != match["digest"]:
        return None
    try:
        card = ModelCard(text, ignore_metadata_errors=True)
    except (ValueError, yaml.YAMLError):
        return None
    start = card.text.index(match[0])
    return card.data.to_dict(), card.text[:start], card.text[start + len(match[0]) :]


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a new card, with what somebody added to those of the old one."""
    kept = {name: value for name, value in old.items() if name not in _OF_THE_RUN}
    merged = {**kept, **new}
    tags = [*new.get("tags", ()), *kept.get("tags", ())]
    if tags:
        merged["tags"] = list(dict.fromkeys(tags))
    return merged


def _readme(data: dict[str, Any], before: str, body: str, name: str, after: str) -> str:
    begin = _BEGIN.format(version=__version__, name=name, digest=_digest(body))
    metadata = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    before = before if before.strip() else "\n"
    return f"---\n{metadata}---\n{before}{begin}\n{body}{_END}\n{after}"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]
