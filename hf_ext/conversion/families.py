"""The families of releases that can be converted, and how a release is told to be one of them.

A family joins by a file `hf_ext/models/<family>/conversion_<family>.py` with a tuple `FAMILIES` of dicts, the
arguments of `Family`. The file is data: it imports the family's own config and models, nothing of this package.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel

import hf_ext.models
from hf_ext.conversion.checkpoint import Checkpoint, is_training_state
from hf_ext.conversion.choices import Choice
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.release import Release
from hf_ext.conversion.table import Row, Table, check_table, count_layers, expand


@dataclass(frozen=True, kw_only=True)
class Identity:
    """How a family is called, and what tells it from one whose checkpoints have the same variables.

    Attributes:
        name: what `--family` takes.
        title: what a reader calls it.
        folder_words: words of a release folder's name that mean it.
        config_keys: keys of a config file that mean it.
        vocabulary_sizes: numbers of tokens that its releases have; asked only where the others say nothing.
    """

    name: str
    title: str
    folder_words: frozenset[str] = frozenset()
    config_keys: frozenset[str] = frozenset()
    vocabulary_sizes: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Family(Identity):
    """All that the conversion of one family's releases needs to know.

    Attributes:
        table: (variable, parameter, transform) rows, see `hf_ext.conversion.table`.
        optional: beginnings of variable names that a release may lack; those with the same beginning come together.
        config: the config class.
        models: attention mode -> model class whose checkpoint is written; the modes that the family's originals have.
        fields: key of the original config -> field of ours.
        harmless: key of the original config -> the one value that changes nothing (`...`: any).
        constants: fields of ours that no original config states.
        token_fields: field of ours -> the token whose id it is.
        choice_fields: choice ("attention_mode", "pooler") -> field of ours.
        pooler: beginning of the names of the pooler's variables; None: the family has no pooler.
        tokenizer_options: arguments of the tokenizer, such as ``model_input_names`` of a model without token types.
    """

    table: Table
    config: type[PreTrainedConfig]
    models: Mapping[str, type[PreTrainedModel]]
    fields: Mapping[str, str]
    constants: Mapping[str, Any]
    token_fields: Mapping[str, str]
    choice_fields: Mapping[str, str] = field(default_factory=dict)
    pooler: str | None = None
    optional: tuple[str, ...] = ()
    harmless: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_table(self.table)


@dataclass(frozen=True, kw_only=True)
class Announced(Identity):
    """A family that is recognised but not converted: by one of its variables, or by having those of another family."""

    variable: str | None = None
    like: str | None = None


_ANNOUNCED = (
    Announced(name="bert", title="BERT, WoBERT or SimBERT", variable="bert/embeddings/position_embeddings"),
    Announced(name="gau_alpha", title="GAU-alpha", variable="GAU_alpha/encoder/layer_0/gau/i_dense/kernel"),
    Announced(name="gpt", title="CDial-GPT", variable="gpt/embeddings/word_embeddings"),
    Announced(
        name="nezha",
        title="NEZHA or WoNEZHA",
        like="roformer",
        folder_words=frozenset({"nezha", "wonezha"}),
        config_keys=frozenset({"use_relative_position", "max_relative_position"}),
        vocabulary_sizes=frozenset({21128, 33586}),
    ),
)

_registered: dict[str, Family] = {}


def register_conversion(family: Family) -> None:
    """Make a family known to the conversion; one of the same name is replaced."""
    _registered[family.name] = family


def families() -> dict[str, Family]:
    """All registered families by name."""
    _discover()
    return dict(_registered)


def recognise(release: Release, checkpoint: Checkpoint, name: str | None = None) -> tuple[Family, Choice]:
    """The family of a release, by the names of its variables.

    RoFormer and NEZHA have the same ones. Between such, `name` decides; else the config's keys and the folder's name;
    else the size of the vocabulary; else the registered family is assumed, and the choice says so.

    Raises:
        ConversionError: the family is unknown, is not converted, or the evidence contradicts itself.
    """
    known = families()
    announced = {entry.name: entry for entry in _ANNOUNCED if entry.name not in known}
    if name is not None:
        if name in announced:
            raise ConversionError(f"family={name!r} (--family): {announced[name].title} is known but not supported yet")
        if name not in known:
            raise ConversionError(f"family={name!r} (--family); one of {', '.join(sorted(known))} is expected")
        if difference := _difference(known[name], checkpoint):
            raise ConversionError(f"{checkpoint.prefix} is not {known[name].title}: it {difference}")
        return known[name], Choice("family", name, "given")

    for entry in announced.values():
        if entry.variable in checkpoint.shapes:
            raise _unsupported(release, entry, f"it has {entry.variable}")
    fitting = [family for family in known.values() if not _difference(family, checkpoint)]
    if not fitting:
        nearest = min(known.values(), key=lambda family: sum(map(len, _unlike(family, checkpoint))))
        raise ConversionError(
            f"{checkpoint.prefix} has the variables of no known family; the nearest is {nearest.title}, "
            f"but it {_difference(nearest, checkpoint)}"
        )
    names = {family.name for family in fitting}
    contenders = [*fitting, *(entry for entry in announced.values() if entry.like in names)]
    found, choice = _decide(contenders, release)
    if isinstance(found, Announced):
        raise _unsupported(
            release, found, choice.reason, f"; if it is {fitting[0].title}, pass --family {fitting[0].name}"
        )
    assert isinstance(found, Family)
    return found, choice


def rows_of(family: Family, checkpoint: Checkpoint) -> tuple[Row, ...]:
    """The rows for the variables that a checkpoint of the family has, without the optional ones it lacks."""
    rows = expand(family.table, count_layers(family.table, checkpoint.shapes))
    absent = tuple(start for start in family.optional if not any(name.startswith(start) for name in checkpoint.shapes))
    return tuple(row for row in rows if not row.variable.startswith(absent)) if absent else rows


def _decide(contenders: list[Identity], release: Release) -> tuple[Identity, Choice]:
    """Choose between families with the same variables."""
    if len(contenders) == 1:
        return contenders[0], Choice("family", contenders[0].name, "by its variables")
    titles = " and ".join(entry.title for entry in contenders)
    evidence = [
        (entry, reason)
        for entry in contenders
        for reason in (
            *(f"the config has {key!r}" for key in sorted(entry.config_keys & release.settings.keys())),
            *(f"the folder's name says {word!r}" for word in sorted(entry.folder_words & release.words)),
        )
    ]
    if not evidence:
        size = len(release.vocabulary)
        reason = f"{titles} have the same variables; a vocabulary of {size} tokens is its own"
        evidence = [(entry, reason) for entry in contenders if size in entry.vocabulary_sizes]
    if not evidence:
        reason = f"{titles} have the same variables and nothing in the folder tells which it is; see --family"
        return contenders[0], Choice("family", contenders[0].name, reason, assumed=True)
    if len({entry.name for entry, _ in evidence}) > 1:
        claims = "; ".join(f"{entry.title}: {reason}" for entry, reason in evidence)
        raise ConversionError(f"{release.folder} contradicts itself ({claims}); state the family (--family)")
    return evidence[0][0], Choice("family", evidence[0][0].name, evidence[0][1])


def _unlike(family: Family, checkpoint: Checkpoint) -> tuple[list[str], list[str]]:
    """The variables that a checkpoint lacks to be of a family, and those it has besides."""
    wanted = {row.variable for row in rows_of(family, checkpoint)}
    present = {name for name in checkpoint.shapes if not is_training_state(name)}
    return sorted(wanted - present), sorted(present - wanted)


def _difference(family: Family, checkpoint: Checkpoint) -> str:
    lacking, besides = _unlike(family, checkpoint)
    parts = [f"{verb} {_some(names)}" for verb, names in (("lacks", lacking), ("also has", besides)) if names]
    return " and ".join(parts)


def _some(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _unsupported(release: Release, entry: Announced, reason: str, advice: str = "") -> ConversionError:
    return ConversionError(f"{release.folder} is {entry.title} ({reason}), which is not supported yet{advice}")


@cache
def _discover() -> None:
    """Register the families that the model folders declare."""
    for folder in pkgutil.iter_modules(hf_ext.models.__path__):
        module = f"hf_ext.models.{folder.name}.conversion_{folder.name}"
        if folder.ispkg and importlib.util.find_spec(module):
            for declaration in importlib.import_module(module).FAMILIES:
                register_conversion(Family(**declaration))
