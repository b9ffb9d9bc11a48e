"""The families of releases that can be converted, and how the family of a release is recognised.

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
from hf_ext.conversion.choices import POOLERS, Choice, stated_mode
from hf_ext.conversion.errors import ConversionError, some
from hf_ext.conversion.hdf5 import KERAS_ADVICE
from hf_ext.conversion.release import CHECKPOINT_NAMES, CONFIG_NAMES, Release
from hf_ext.conversion.table import Row, Table, check_table, count_layers, expand


@dataclass(frozen=True, kw_only=True)
class Family:
    """All that the conversion of one family's releases needs to know.

    Attributes:
        name: what `--family` takes.
        title: what a reader calls it.
        folder_words: words of a release folder's name that mean it and no other family with the same variables.
        config_keys: keys of a config file that mean it.
        vocabulary_sizes: numbers of tokens that its releases have; asked only where the others say nothing.
        table: (variable, parameter, transform) rows, see `hf_ext.conversion.table`.
        optional: beginnings of variable names that a release may lack; those with the same beginning come together.
        absent: beginning of optional variables -> config fields that say that a release lacks them.
        config: the config class.
        models: attention mode -> model class whose checkpoint is written; the modes that the family's originals have.
            Of several classes, the fullest first, it is the one whose parameters a release has: the model without a
            head is the last.
        fields: key of the original config -> field of ours.
        harmless: key of the original config -> the one value that changes nothing (`...`: any).
        settings: key of the original config -> what a release that is written here says, where no field of ours does.
        constants: fields of ours that no original config states.
        token_fields: field of ours -> the token whose id it is.
        choice_fields: choice ("attention_mode", "pooler") -> field of ours.
        pooler: beginning of the names of the pooler's variables; None: the family has no pooler.
        tokenizer_options: arguments of the tokenizer, such as ``model_input_names`` of a model without token types.
        config_name: name of the config file in the family's releases.
        checkpoint_name: name of the checkpoint in the family's releases.
    """

    name: str
    title: str
    table: Table
    config: type[PreTrainedConfig]
    models: Mapping[str, type[PreTrainedModel] | tuple[type[PreTrainedModel], ...]]
    fields: Mapping[str, str]
    constants: Mapping[str, Any]
    token_fields: Mapping[str, str]
    choice_fields: Mapping[str, str] = field(default_factory=dict)
    folder_words: frozenset[str] = frozenset()
    config_keys: frozenset[str] = frozenset()
    vocabulary_sizes: frozenset[int] = frozenset()
    pooler: str | None = None
    optional: tuple[str, ...] = ()
    absent: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    harmless: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    config_name: str = CONFIG_NAMES[0]
    checkpoint_name: str = CHECKPOINT_NAMES[0]

    def __post_init__(self) -> None:
        check_table(self.table)

    @property
    def modes(self) -> frozenset[str]:
        """The attention modes that the family's originals have."""
        return frozenset(self.models)

    @property
    def poolers(self) -> tuple[str, ...]:
        """The activations of a pooler that the family's config can state; BERT's own where it states none."""
        return POOLERS if "pooler" in self.choice_fields else POOLERS[:1]

    def model_classes(self, attention_mode: str) -> tuple[type[PreTrainedModel], ...]:
        """The model classes of an attention mode, the fullest first."""
        classes = self.models[attention_mode]
        return classes if isinstance(classes, tuple) else (classes,)


# Of families with the same variables, the one that is assumed where nothing tells them apart.
_ASSUMED = ("bert", "roformer")

_registered: dict[str, Family] = {}


def register_conversion(family: Family) -> None:
    """Make a family known to the conversion; one of the same name is replaced."""
    _registered[family.name] = family


def families() -> dict[str, Family]:
    """All registered families by name."""
    _discover()
    return dict(_registered)


def recognise(
    release: Release, checkpoint: Checkpoint, name: str | None = None, attention_mode: str | None = None
) -> tuple[Family, Choice]:
    """The family of a release, by the names of its variables.

    RoFormer and NEZHA have the same ones, and BERT and SimBERT. Between such, `name` decides; else the config's keys
    and the folder's name; else the attention mode, where it is stated and one of them alone has it; else the size of
    the vocabulary; else RoFormer or BERT is assumed, and the choice says so.

    Raises:
        ConversionError: the family is unknown, or the evidence contradicts itself.
    """
    if any(".ATTRIBUTES/" in variable for variable in checkpoint.shapes):
        raise ConversionError(f"{checkpoint.prefix} is a checkpoint of Keras' save_weights; {KERAS_ADVICE}")
    known = families()
    if name is not None:
        if name not in known:
            raise ConversionError(f"family={name!r} (--family); one of {', '.join(sorted(known))} is expected")
        if difference := _difference(known[name], checkpoint):
            raise ConversionError(f"{checkpoint.prefix} is not {known[name].title}: it {difference}")
        return known[name], Choice("family", name, "given")

    fitting = [family for family in known.values() if not _difference(family, checkpoint)]
    if not fitting:
        apart = {family.name: sum(map(len, _unlike(family, checkpoint))) for family in known.values()}
        nearest = min(known.values(), key=lambda family: (apart[family.name], family.name not in _ASSUMED))
        raise ConversionError(
            f"{checkpoint.prefix} has the variables of no known family; the nearest is {nearest.title}, "
            f"but it {_difference(nearest, checkpoint)}"
        )
    return _decide(fitting, release, stated_mode(attention_mode, release))


def rows_of(family: Family, checkpoint: Checkpoint) -> tuple[Row, ...]:
    """The rows for the variables that a checkpoint of the family has, without the optional ones it lacks."""
    rows = expand(family.table, count_layers(family.table, checkpoint.shapes))
    absent = tuple(start for start in family.optional if not any(name.startswith(start) for name in checkpoint.shapes))
    return tuple(row for row in rows if not row.variable.startswith(absent)) if absent else rows


def _decide(contenders: list[Family], release: Release, mode: tuple[str, str] | None) -> tuple[Family, Choice]:
    """Choose between families with the same variables; `mode` is the attention mode that is stated, and by what."""
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
    if not evidence and mode is not None and (able := [entry for entry in contenders if mode[0] in entry.modes]):
        contenders = able
        if len(able) == 1:
            reason = (
                f"of {titles}, which have the same variables, it alone has the attention mode {mode[0]} ({mode[1]})"
            )
            return able[0], Choice("family", able[0].name, reason)
    if not evidence:
        size = len(release.vocabulary)
        reason = f"{titles} have the same variables; a vocabulary of {size} tokens is its own"
        evidence = [(entry, reason) for entry in contenders if size in entry.vocabulary_sizes]
    if not evidence:
        reason = f"{titles} have the same variables and nothing in the folder tells which it is; see --family"
        assumed = next((entry for entry in contenders if entry.name in _ASSUMED), contenders[0])
        return assumed, Choice("family", assumed.name, reason, assumed=True)
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
    parts = [f"{verb} {some(names)}" for verb, names in (("lacks", lacking), ("also has", besides)) if names]
    return " and ".join(parts)


@cache
def _discover() -> None:
    """Register the families that the model folders declare."""
    for folder in pkgutil.iter_modules(hf_ext.models.__path__):
        module = f"hf_ext.models.{folder.name}.conversion_{folder.name}"
        if folder.ispkg and importlib.util.find_spec(module):
            for declaration in importlib.import_module(module).FAMILIES:
                register_conversion(Family(**declaration))
