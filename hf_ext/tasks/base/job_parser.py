"""Reads a job and its training arguments from the words of a command and from a file."""

import json
from argparse import SUPPRESS, Action, ArgumentError, ArgumentTypeError
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool

from hf_ext.tasks.base.job import Job
from hf_ext.tasks.base.option import METHODS
from hf_ext.tasks.base.options_file import read_options_file

TRAINING = "Training"
"""The group of the options that are training arguments."""


class OptionError(ValueError):
    """An option that is unknown, missing, without effect, or has a value that it does not take."""


@dataclass
class Option:
    """What there is to show of an option.

    Attributes:
        name: of the field.
        help: what it is.
        group: the heading that it stands under.
        kind: the type of its value.
        choices: its values, if they are counted.
        default: its value where none is given.
        required: whether it has to be given.
        aliases: further spellings.
        note: what its default depends on, instead of it.
    """

    name: str
    help: str
    group: str
    kind: Any
    choices: tuple[str, ...]
    default: Any
    required: bool
    aliases: tuple[str, ...] = ()
    note: str | None = None

    @property
    def flag(self) -> str:
        """As it is shown; underscores are read as well."""
        return spelled(self.name)


_OPTIONS_FILE = (
    "YAML or JSON with options by their names; those of the command line override it. Paths in it are relative to the "
    "working directory."
)


class JobParser(HfArgumentParser):
    """Reads a job and its training arguments from the words of a command and from a file.

    Args:
        jobs: those of one command. With several, ``head`` says which is meant.
        options_class: its fields are options too; None: the training arguments.

    Attributes:
        ignored: fields that a file may have for another command.
    """

    arguments: Mapping[str, str] = {"FILE": _OPTIONS_FILE}
    """The words that are no options, each with what it is, as the help shows them."""

    def __init__(self, jobs: Sequence[type[Job]], options_class: type | None = None) -> None:
        self.jobs = jobs
        self.ignored: Collection[str] = ()
        self.options: dict[str, Option] = {}
        self._actions_by_spelling: dict[str, Action] = {}
        classes: list[Any] = [*jobs, options_class or jobs[0].arguments_class]
        self.hints = {name: hint for one in reversed(classes) for name, hint in get_type_hints(one).items()}
        super().__init__(
            classes,
            prog=f"hf-ext {jobs[0].program if jobs else ''}".strip(),
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
        )
        # Those of methods, which all jobs inherit, behind the jobs' own.
        last = (METHODS, TRAINING)
        places = {name: last.index(one.group) + 1 for name, one in self.options.items() if one.group in last}
        self.options = {name: self.options[name] for name in sorted(self.options, key=lambda name: places.get(name, 0))}
        if options_class is not None:
            return
        output = self.options["output_dir"]
        output.help, output.group, output.required = f"Folder for {jobs[0].saved()}.", "Files", True
        scratch, tuned = jobs[0].defaults_from_scratch, jobs[0].defaults_fine_tuning
        scratch, tuned = ({**jobs[0].defaults, **own} for own in (scratch, tuned))
        for name in {*scratch, *tuned}:
            one, other = scratch.get(name), tuned.get(name)
            self.options[name].default = one
            if one != other:
                self.options[name].note = f"{one} from scratch, {other} fine-tuning"

    def add_argument(self, *names: Any, group: str = TRAINING, config_field: str | None = None, **settings: Any) -> Any:
        """Add an option, or its choices to one of another job; an option that is not given has no value."""
        name = str(settings.get("dest", names[0])).lstrip("-")
        default, required = settings.pop("default", MISSING), settings.pop("required", False)
        if "dest" in settings:
            # The --no-... of one that is there.
            return super().add_argument(*names, default=SUPPRESS, **settings)
        kind = settings.get("type")
        if kind is string_to_bool:
            kind = bool
            settings |= {"nargs": "?", "const": True}
        elif get_origin(kind) is Mapping:
            settings |= {"type": _entry, "action": _Entries}
        choices = tuple(settings.get("choices") or _values(self.hints[name]))
        if name in self.options:
            known = self.options[name]
            known.choices += tuple(one for one in choices if one not in known.choices)
            self._actions_by_spelling[name].choices = known.choices or None
            return None
        text = " ".join(str(settings.get("help", "")).replace("%%", "%").split())
        aliases = tuple(one for one in names if one.replace("-", "_").lstrip("_") != name)
        self.options[name] = Option(name, text, group, kind, choices, default, required, aliases)
        action = super().add_argument(*names, default=SUPPRESS, **settings)
        self._actions_by_spelling |= dict.fromkeys((one.lstrip("-").replace("-", "_") for one in names), action)
        return action

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed."""
        raise OptionError(message)

    def job_and_arguments(self, words: list[str]) -> tuple[Job, Any]:
        """The job and its training arguments from the words of a command.

        Raises:
            OptionError: if an option is unknown, missing, has no effect or has a value that it does not take.
            ValueError: if the job refuses its values.
        """
        given = self.given(words)
        needed = {one.name for one in self.options.values() if one.required}
        if given.get("dataset") is None:
            needed |= {"train_file"} if self.jobs[0].streams else {"train_file", "validation_file"}
        missing = [one.flag for one in self.options.values() if one.name in needed and given.get(one.name) is None]
        if missing:
            raise OptionError(f"{' and '.join(missing)} must be given")
        job_class = self.job_class(given)
        own = {one.name for one in fields(job_class)}
        job = job_class(**{name: value for name, value in given.items() if name in own})
        return job, job.training_arguments(**{name: value for name, value in given.items() if name not in own})

    def given(self, words: list[str]) -> dict[str, Any]:
        """Values by field of the options in the words of a command, and in the file that they may name.

        Raises:
            OptionError: if an option is unknown or its value cannot be read.
        """
        given, rest = self.read_words(words)
        if len(rest) > 1:
            raise OptionError(f"at most one file of options can be given, got {' and '.join(rest)}")
        return self.read_file(Path(rest[0])) | given if rest else given

    def job_class(self, given: Mapping[str, Any]) -> type[Job]:
        """The job that ``head`` says, the first without it.

        Raises:
            OptionError: if an option is given that another job has.
        """
        head = given.get("head")
        fields_of = {job: {one.name: one for one in fields(job)} for job in self.jobs}
        (chosen, *_) = [job for job in self.jobs if head in (None, *_choices(fields_of[job].get("head")))]
        for name, value in given.items():
            others = [job for job in self.jobs if name in fields_of[job]]
            if others and chosen not in others:
                heads = [str(one) for job in others for one in _choices(fields_of[job]["head"])]
                got = "without --head" if head is None else f"with --head {head}"
                raise OptionError(f"{spelled(name)} goes with --head {_any_of(heads)}, got {value} {got}")
        return chosen

    def read_words(self, words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """Values by field of the options in the words of a command, and the words that are no options.

        Raises:
            OptionError: if an option is unknown or its value cannot be read.
        """
        try:
            given, rest = self.parse_known_args(words)
        except ArgumentError as error:
            flag = (error.argument_name or "").rpartition("/")[2]
            raise OptionError(f"{flag}: {error.message}") from error
        for word in rest:
            if word.startswith("-"):
                flag = word.partition("=")[0]
                raise OptionError(_unknown(flag, [one.flag for one in self.options.values()]))
        return vars(given), rest

    def read_file(self, path: Path) -> dict[str, Any]:
        """Values by field of the options in a file.

        Raises:
            OptionError: as for those of the command line, naming the file.
        """
        given: dict[str, Any] = {}
        try:
            read = read_options_file(path)
        except ValueError as error:
            raise OptionError(str(error)) from error
        for key, value in read.items():
            action = self._actions_by_spelling.get(key.replace("-", "_"))
            if action is None and key.replace("-", "_") in self.ignored:
                continue
            if action is None:
                known = [option.flag.lstrip("-") for option in self.options.values()]
                raise OptionError(f"{path}: {_unknown(key, known)}")
            name = action.dest
            if name in given:
                raise OptionError(f"{path}: {name} is given twice, in two spellings")
            if value is None or isinstance(value, list | dict):
                if not isinstance(value, _classes(self.hints[name])):
                    raise OptionError(f"{path}: {key} must be one value, got {value}")
                given[name] = value
            else:
                try:
                    given |= self.read_words([f"--{name}={value}"])[0]
                except OptionError as error:
                    raise OptionError(f"{path}: {error}") from error
        return given


def spelled(name: str) -> str:
    """A field's name as an option of the command line."""
    return f"--{name.replace('_', '-')}"


def _values(hint: Any) -> tuple[str, ...]:
    """The values of an enumeration or a literal that a type names."""
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return tuple(str(one.value) for one in kind)
        if get_origin(kind) is Literal and all(isinstance(one, str) for one in get_args(kind)):
            return get_args(kind)
    return ()


def _choices(field: Field[Any] | None) -> tuple[str, ...]:
    if field is None:
        return ()
    return tuple(field.metadata.get("choices") or _values(field.type))


def _classes(hint: Any) -> tuple[type, ...]:
    """The classes that a type names, without what they hold."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(one for one in (get_origin(kind) or kind for kind in kinds) if isinstance(one, type))


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _unknown(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name.replace("_", "-").lower(), list(known), n=1)
    return f'unknown option "{name}"' + (f': did you mean "{close[0]}"?' if close else "; --help-all shows all")


def _entry(word: str) -> tuple[str, Any]:
    """An entry of a mapping from a word such as ``gamma=1.0``; a value is JSON, or else a string."""
    name, equals, value = word.partition("=")
    if not equals:
        raise ArgumentTypeError(f"must be NAME=VALUE, got {word!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


class _Entries(Action):
    """Gathers the entries of a mapping, each given as an option of its own."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        name, value = values
        setattr(namespace, self.dest, {**getattr(namespace, self.dest, {}), name: value})
