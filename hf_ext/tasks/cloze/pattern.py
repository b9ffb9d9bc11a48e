"""Patterns of PET: a text with words and masks around it, and the words that stand for labels at the masks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from hf_ext.tasks.base.options_file import SUFFIXES, read_options_file

SHIPPED = Path(__file__).parent / "patterns"
"""The folder of the patterns that come with the package."""

Kind = Literal["words", "mask", "soft", "text"]
End = Literal["start", "end"]

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_WHOLE = ":whole"
# Names that are no text's.
_KINDS: Mapping[str, Kind] = {"mask": "mask", "soft": "soft"}
_FILE_KEYS = ("pattern", "verbalizer", "shared_words", "blank", "soft_around_blank", "candidates", "answer")
# Between the texts of a field that has several, as keywords.
_JOINED_BY = "，"


@dataclass(frozen=True)
class Segment:
    """A piece of a text in its pattern.

    Attributes:
        kind: words of the pattern, a mask for a label's word, a soft token, or a piece of a text.
        text: what it says; nothing of masks and soft tokens.
        cut_from: the end at which it loses tokens where the whole is too long; None: it is never cut.
    """

    kind: Kind
    text: str = ""
    cut_from: End | None = None


@dataclass(frozen=True)
class ClozePattern:
    """A text as a cloze, and what may stand in the gap.

    ``ClozePattern("{mask}满意。{text}", {"positive": "很", "negative": "不"})`` makes ``[MASK]满意。真好`` of 真好.

    In the template ``{mask}`` is where the word of a label stands: a single one takes as many masks as the words have
    tokens, of several each is one token. Other names in braces are those of the example's texts, a dot reaching into
    what is nested (``{target.span1_text}``), and lists are joined by ``，``. What is too long is cut at the end of
    these, unless they are marked as ``{keyword:whole}``, and never in the pattern's words. ``{soft}`` is a token that
    means nothing before it is trained (P-tuning, kexue.fm/archives/8295), and ``{{`` and ``}}`` are braces.

    The idea is PET's (arXiv 2001.07676; kexue.fm/archives/7764).

    Args:
        template: the text with its words and masks.
        verbalizer: the word of each label, or its words; their order is that of the labels. None: a pattern that is
            not complete, or has ``candidates``.
        shared_words: whether two labels may have a word in common, and so the same score.
        blank: what stands in an example's text in place of the masks, such as ``#idiom#``, instead of ``{mask}``.
        soft_around_blank: soft tokens around that, half of them before it, the rest behind.
        candidates: the key of an example's own words, which are scored in place of labels.
        answer: the key of the number of the right one among them, from 0; default ``"answer"``.

    Raises:
        ValueError: if the template cannot be read or has no mask or no text, or a word is blank, given twice, or that
            of two labels.
    """

    template: str
    verbalizer: Mapping[str, str | Sequence[str]] | None = None
    shared_words: bool = False
    blank: str | None = None
    soft_around_blank: int = 0
    candidates: str | None = None
    answer: str = "answer"

    def __post_init__(self) -> None:
        parts = list(_parts(self.template))
        names = [name for kind, name in parts if kind != "words"]
        if self.blank == "":
            raise ValueError("blank must be left out or some characters, got ''")
        if self.soft_around_blank < 0 or (self.soft_around_blank and self.blank is None):
            raise ValueError(f"soft_around_blank goes with a blank and is 0 or more, got {self.soft_around_blank}")
        if (self.blank is None) == ("mask" not in names):
            wanted = "at least one {mask}" if self.blank is None else f"no {{mask}} with the blank {self.blank!r}"
            raise ValueError(f"template must have {wanted}, got {self.template!r}")
        if not self.fields:
            raise ValueError(f"template must have a text, such as {{text}}, got {self.template!r}")
        if self.verbalizer is not None:
            if self.candidates is not None:
                raise ValueError(f"give either a verbalizer or candidates, got both, {self.candidates!r}")
            object.__setattr__(self, "verbalizer", _words_of_labels(self.verbalizer, self.shared_words))

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the example's texts, each once."""
        names = (name.removesuffix(_WHOLE) for kind, name in _parts(self.template) if kind == "text")
        return tuple(dict.fromkeys(names))

    @property
    def masks(self) -> int:
        """How many tokens the template fixes for a word; 0: as many as the words have."""
        number = sum(kind == "mask" for kind, _ in _parts(self.template))
        return number if number > 1 else 0

    @property
    def soft_tokens(self) -> int:
        """How many soft tokens there are."""
        return self.soft_around_blank + sum(kind == "soft" for kind, _ in _parts(self.template))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in their order; those of candidates are their numbers, of which no pattern knows how many.

        Raises:
            ValueError: if there is no verbalizer.
        """
        return tuple(self.words)

    def labels_of(self, example: Mapping[str, Any]) -> Sequence[str]:
        """What may stand in the gap of an example: the labels, or its own candidates."""
        return self.labels if self.candidates is None else example[self.candidates]

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        """The words of each label.

        Raises:
            ValueError: if there is no verbalizer.
        """
        if self.verbalizer is None:
            raise ValueError(f"verbalizer must be given, with the word of each label, got none for {self.template!r}")
        words: Any = self.verbalizer
        return dict(words)

    def segments(self, example: Mapping[str, Any]) -> list[Segment]:
        """The pieces of an example, from left to right.

        Raises:
            ValueError: if it lacks a text, or does not have the ``blank`` once.
        """
        pieces: list[Segment] = []
        blanks = 0
        before = self.soft_around_blank // 2
        gap = [*[Segment("soft")] * before, Segment("mask"), *[Segment("soft")] * (self.soft_around_blank - before)]
        for kind, name in _parts(self.template):
            if kind != "text":
                pieces.append(Segment(kind, name if kind == "words" else ""))
                continue
            text = text_of_field(example, name.removesuffix(_WHOLE))
            is_cut = not name.endswith(_WHOLE)
            around = [text] if self.blank is None else text.split(self.blank)
            blanks += len(around) - 1
            for number, piece in enumerate(around):
                if number:
                    pieces += gap
                # What is near the gap says most of it.
                cut_from: End = "start" if number < len(around) - 1 else "end"
                pieces.append(Segment("text", piece, cut_from if is_cut else None))
        if self.blank is not None and blanks != 1:
            raise ValueError(f"a text must have the blank {self.blank!r} once, got it {blanks} times")
        return pieces

    def with_soft_tokens(self, number: int) -> "ClozePattern":
        """The same pattern with that many soft tokens around its mask, half of them before it, the rest behind.

        Raises:
            ValueError: if it has some of its own, or several masks apart, or ``number`` is below 1.
        """
        if number < 1:
            raise ValueError(f"soft_tokens must be at least 1, got {number}")
        if self.soft_tokens:
            raise ValueError(
                f"soft_tokens must be left out where the pattern says where they stand, got {number} with "
                f"{self.template!r}"
            )
        if self.blank is not None:
            return replace(self, soft_around_blank=number)
        found = re.search(r"(?:\{mask\})+", self.template)
        if found is None or self.template.count("{mask}") != found[0].count("{mask}"):
            raise ValueError(f"soft tokens need a pattern with its masks in one place, got {self.template!r}")
        before = number // 2
        around = f"{'{soft}' * before}{found[0]}{'{soft}' * (number - before)}"
        template = f"{self.template[: found.start()]}{around}{self.template[found.end() :]}"
        return replace(self, template=template)

    def with_verbalizer(self, verbalizer: Mapping[str, str | Sequence[str]]) -> "ClozePattern":
        """The same pattern with words for its labels, which it lacks.

        Raises:
            ValueError: if it has some, or they cannot be used.
        """
        if self.verbalizer is not None:
            raise ValueError(f"verbalizer must be left out where the pattern has one, got one for {self.template!r}")
        return replace(self, verbalizer=verbalizer)

    def as_json(self) -> dict[str, Any]:
        """What a file of the pattern holds; see `from_json`."""
        said: dict[str, Any] = {"pattern": self.template}
        if self.verbalizer is not None:
            # A config is written with its keys sorted, and the order of labels is that of a model's scores.
            said["verbalizer"] = [[name, list(words)] for name, words in self.words.items()]
        if self.shared_words:
            said["shared_words"] = True
        if self.blank is not None:
            said["blank"] = self.blank
        if self.soft_around_blank:
            said["soft_around_blank"] = self.soft_around_blank
        if self.candidates is not None:
            said |= {"candidates": self.candidates, "answer": self.answer}
        return said

    @classmethod
    def from_json(cls, said: Mapping[str, Any], source: str = "a pattern") -> "ClozePattern":
        """The pattern that a file holds: ``pattern``, and of the other arguments those that it has.

        A verbalizer is a mapping, or a list of pairs.

        Args:
            said: what the file holds.
            source: its name, for errors.

        Raises:
            ValueError: if there is no pattern, or something else that is not known.
        """
        unknown = said.keys() - {*_FILE_KEYS}
        if unknown or not isinstance(said.get("pattern"), str):
            raise ValueError(
                f"{source} must have a pattern and none but {', '.join(_FILE_KEYS)}, got {', '.join(said)}"
            )
        options = {name: value for name, value in said.items() if name != "pattern"}
        try:
            if isinstance(options.get("verbalizer"), list):
                options["verbalizer"] = dict(options["verbalizer"])
            return cls(said["pattern"], **options)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{source}: {error}") from error

    @classmethod
    def load(cls, name: str) -> "ClozePattern":
        """A pattern by what a user says: a template, a file of JSON or YAML, or one of `shipped_patterns`.

        Raises:
            ValueError: if there is no such pattern.
        """
        if "{" in name:
            return cls(name)
        if name in _shipped():
            path = SHIPPED / f"{name}.json"
        elif name.endswith(SUFFIXES):
            path = Path(name)
        else:
            raise ValueError(
                "pattern must be a template with {mask} and {text}, a file of JSON or YAML, or one of "
                f"{', '.join(shipped_patterns())}, got {name!r}"
            )
        return _pattern_of_file(path, path.resolve(), path.stat().st_mtime_ns if path.is_file() else None)


# Jobs ask for theirs with every example.
@cache
def _shipped() -> frozenset[str]:
    return frozenset(shipped_patterns())


@lru_cache(maxsize=8)
def _pattern_of_file(path: Path, resolved: Path, changed: int | None) -> ClozePattern:
    return ClozePattern.from_json(read_options_file(path), str(path))


def shipped_patterns() -> list[str]:
    """The names of the patterns that come with the package: those of FewCLUE's tasks."""
    return sorted(file.relative_to(SHIPPED).with_suffix("").as_posix() for file in SHIPPED.rglob("*.json"))


def value_of_field(example: Mapping[str, Any], name: str) -> Any:
    """What an example has under a name, whose dots reach into what is nested; None: nothing."""
    value: Any = example
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text_of_field(example: Mapping[str, Any], name: str) -> str:
    """The text that an example has under a name, see `value_of_field`; texts of a list are joined.

    Raises:
        ValueError: if there is none.
    """
    value = value_of_field(example, name)
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        value = _JOINED_BY.join(value)
    if not isinstance(value, str):
        raise ValueError(f"an example must have a text under {name!r}, as its pattern says, got {value!r}")
    return value


def _parts(template: str) -> Iterator[tuple[Kind, str]]:
    """The kind of each part of a template, and its words or the name in its braces."""
    words, end = "", 0
    for found in _PART.finditer(template):
        words += template[end : found.start()]
        end = found.end()
        if found[0] in ("{{", "}}"):
            words += found[0][0]
            continue
        name = found[1]
        if not name or name != name.strip():
            raise ValueError(f"template must have names in its braces, and others doubled, got {template!r}")
        if words:
            yield "words", words
        words = ""
        yield _KINDS.get(name, "text"), name
    if words := words + template[end:]:
        yield "words", words


def _words_of_labels(verbalizer: Mapping[str, str | Sequence[str]], shared: bool) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    owners: dict[str, str] = {}
    for name, given in verbalizer.items():
        words = tuple(given) if isinstance(given, list | tuple) else (given,)
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise ValueError(f"the words of a label must be texts that are not blank, got {given!r} of {name!r}")
        for word in words:
            if words.count(word) > 1:
                raise ValueError(f"the words of a label must differ, got {word!r} twice of {name!r}")
            other = owners.setdefault(word, str(name))
            if other != str(name) and not shared:
                raise ValueError(
                    f"labels must have words of their own, got {word!r} of {other!r} and {name!r}, whose scores would "
                    "always tie; shared_words allows that"
                )
        found[str(name)] = words
    if len(found) < 2:
        raise ValueError(f"verbalizer must have at least two labels, got {list(found)}")
    return found
