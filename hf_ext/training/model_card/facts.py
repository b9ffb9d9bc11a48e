"""What a card says that a Trainer does not know: files, scores on them, where the model started, licence, languages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

# As the Hub writes them; ``other`` and ``unknown`` are among them.
_LICENSE = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9.]+)*")
_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")


@dataclass(frozen=True)
class CardFile:
    """A file of a run.

    Attributes:
        part: what it was for: ``"train"``, ``"validation"``, ``"test"`` or ``"unlabelled"``.
        path: of the file, or what a data set is called.
        count: how many texts, questions, pairs ... are in it.
    """

    part: str
    path: str | PathLike[str]
    count: int | None = None

    @property
    def name(self) -> str:
        """Without folders, which tell of the machine and not of the model."""
        return name_of(self.path)

    @property
    def size(self) -> int | None:
        """In bytes; None if there is no such file."""
        path = Path(self.path)
        return path.stat().st_size if path.is_file() else None


def name_of(source: str | PathLike[str]) -> str:
    """A file or folder, or a data set on this machine and its split, without the folders; another data set as it is."""
    whole = fspath(source)
    start, _, split = whole.rpartition(" (")
    if split.endswith(")") and Path(start).exists():
        return f"{Path(start).resolve().name} ({split}"
    return Path(whole).resolve().name if Path(whole).exists() else whole


@dataclass
class CardFacts:
    """What a card says that a Trainer does not know; all of it may be left out.

    Attributes:
        template: a Jinja template that extends ``training/model_card/base.md.jinja``: the path of a file, in the
            package or elsewhere; None: that of the model's head, or the base alone.
        files: of the run.
        scores: by the path of a file, the model's scores on it; None: what Trainer measured last.
        examples: what a file holds.
        base_model: the model that was fine-tuned, a name on the Hub or a folder; None: what the model's config says.
        config: the config of a model from scratch.
        options: further settings of the training, by name.
        made_by: the command that trained it.
        license: identifier of a licence, as the Hub writes it.
        language: codes of languages, as ISO 639 has them, with commas between them.
        datasets: names of data sets on the Hub.
        tags: further tags, beside those of the task.
        overwrite: replace a README.md that somebody else wrote or changed.

    Raises:
        ValueError: if ``license`` or ``language`` is none that the Hub takes.
    """

    template: str | PathLike[str] | None = None
    files: Sequence[CardFile] = ()
    scores: dict[str | PathLike[str], Mapping[str, Any]] | None = None
    examples: str = "texts"
    base_model: str | None = None
    config: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    made_by: str | None = None
    license: str | None = None
    language: str | None = None
    datasets: Sequence[str] = ()
    tags: Sequence[str] = ()
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.license is not None and not _LICENSE.fullmatch(self.license):
            raise ValueError(f"license must be an identifier of the Hub, such as apache-2.0, got {self.license!r}")
        for one in self.languages:
            if not _LANGUAGE.fullmatch(one):
                raise ValueError(f"language must be codes of two or three letters, such as zh or zh,en, got {one!r}")

    @property
    def languages(self) -> list[str]:
        """The codes of ``language``."""
        return [] if self.language is None else [one.strip() for one in self.language.split(",")]
