"""A model that a page shows, and what may be asked of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from hf_ext.data.documents import pick_document, pipeline_input, read_documents, with_found
from hf_ext.data.text_lines import valid_unicode
from hf_ext.tasks.base.saved_model import SavedModel

MOST_CHARACTERS = 20_000
"""Characters of all that is typed, and of a document of a file."""
MOST_DOCUMENTS = 200
"""Documents of a file: what a page still shows."""
MOST_BYTES = 4 * 2**20
"""Of a file, or an image."""

# What a page has a field for: a number of texts there is a line each.
_LISTS = ("turns", "choices")
# By it files tell which questions belong together.
_OF_FILES = "group"
_NUMBERS = ("threshold", "top_k")
_BATCH = 8


@dataclass(frozen=True)
class OpenedModel:
    """A model that is loaded.

    Attributes:
        name: how the page calls it: without the folders above its own.
        purpose: a line that says what it is for.
        pipeline: what predicts with it.
        sample: a text to begin with.
    """

    name: str
    purpose: str
    pipeline: Any
    sample: str = ""

    @classmethod
    def open(cls, model: str, device: str | None = None, dtype: str = "auto", sample: str = "") -> "OpenedModel":
        """Load a model.

        Args:
            model: a folder, or a name on the Hub.
            device: as of `SavedModel.open`.
            dtype: as of `SavedModel.open`.
            sample: a text to begin with.

        Raises:
            ValueError: as of `SavedModel.open`.
        """
        saved = SavedModel.read(model)
        name = Path(model).resolve().name if Path(model).is_dir() else model
        purpose = replace(saved, name=name).purpose(saved.predictor()[1])
        return cls(name, purpose, saved.open(device=device, dtype=dtype), sample)

    @property
    def found(self) -> str:
        """What it finds: ``"entities"``."""
        return self.pipeline.found

    @property
    def fields(self) -> list[str]:
        """The keys that a document has on the page, those that it must have first."""
        keys = dict.fromkeys((*self.pipeline.reads[0], *self.pipeline.optional))
        return [key for key in keys if key != _OF_FILES]

    @property
    def numbers(self) -> list[str]:
        """The options that are numbers."""
        return [name for name in _NUMBERS if name in self.pipeline.predict_options]

    def document(self, values: Mapping[str, str | None]) -> dict[str, Any]:
        """The document of what the fields have.

        Args:
            values: a text for each of `fields`; of several texts a line each. An empty one is left out.

        Raises:
            ValueError: if what it must have is empty, or all is too long.
        """
        filled = {key: value for key, value in values.items() if value and value.strip()}
        if not any(filled.keys() >= {*keys} for keys in self.pipeline.reads):
            wanted = min(([key for key in keys if key not in filled] for keys in self.pipeline.reads), key=len)
            raise ValueError(f"{' and '.join(wanted)} must not be empty")
        _check_length("a text", filled)
        texts: dict[str, Any] = {
            key: value if key == "image" else valid_unicode(value, key) for key, value in filled.items()
        }
        if "image" in texts and not Path(texts["image"]).is_file():
            raise ValueError("image must be a file that is sent")
        for key in texts.keys() & {*_LISTS}:
            texts[key] = [line.strip() for line in texts[key].splitlines() if line.strip()]
        return pick_document(texts, self.pipeline.reads, self.pipeline.optional)

    def documents_of_file(self, path: str) -> list[dict[str, Any]]:
        """The documents of a file of somebody else.

        Raises:
            ValueError: without the file's folder, if it cannot be read, has more than `MOST_DOCUMENTS`, or one that has
                more than `MOST_CHARACTERS`.
        """
        if "image" in self.fields:
            # Such a file names others, which are the server's.
            raise ValueError("a model of images reads no files of texts")
        file = Path(path)
        if (size := file.stat().st_size) > MOST_BYTES:
            raise ValueError(f"a file must have at most {MOST_BYTES:,} bytes, got {size:,}")
        try:
            documents = read_documents(file, False, self.pipeline.reads, self.pipeline.optional)
            taken = list(islice(documents, MOST_DOCUMENTS + 1))
        except ValueError as error:
            raise ValueError(str(error).replace(str(file), file.name)) from None
        if len(taken) > MOST_DOCUMENTS:
            raise ValueError(
                f"{file.name} must have at most {MOST_DOCUMENTS} documents, got more; hf-ext predict takes any number"
            )
        for number, document in enumerate(taken, 1):
            _check_length(f"document {number} of {file.name}", document)
        return taken

    def answers(
        self, documents: Sequence[Mapping[str, Any]], numbers: Mapping[str, str | None]
    ) -> list[dict[str, Any]]:
        """Documents, each with what the model finds in it, as ``hf-ext predict`` gives them.

        Args:
            documents: as of `document`.
            numbers: of the options in `numbers`, as they are typed; an empty one is as the model has it.

        Raises:
            ValueError: if an option is no number, or not one that the model takes, or a document cannot be read.
        """
        typed = {name: value.strip() for name, value in numbers.items() if value and value.strip()}
        options = {self.pipeline.predict_options[name]: _number(name, value) for name, value in typed.items()}
        inputs = (pipeline_input(document) for document in documents)
        found = self.pipeline(inputs, batch_size=_BATCH, **options)
        # An image is named without the folders of the server.
        shown = ({**one, "image": Path(one["image"]).name} if "image" in one else one for one in documents)
        return [with_found(document, self.found, own) for own, document in zip(found, shown)]


def _check_length(what: str, document: Mapping[str, Any]) -> None:
    """Raise ValueError if the texts of a document, those in lists among them, have more than `MOST_CHARACTERS`."""
    length = _length([*document.values()])
    if length > MOST_CHARACTERS:
        raise ValueError(f"{what} must have at most {MOST_CHARACTERS:,} characters, got {length:,}")


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        value = [*value.values()]
    return sum(map(_length, value)) if isinstance(value, list) else 0


def _number(name: str, value: str) -> float:
    whole = name == "top_k"
    try:
        return int(value) if whole else float(value)
    except ValueError:
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number, got {value!r}") from None
