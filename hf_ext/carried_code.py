"""Code that goes along with a checkpoint, and goes along again when the checkpoint is saved anew.

Where the ``auto_map`` of a folder names classes in the file `THIN` or `FULL`, ``trust_remote_code=True`` loads it
without an import of this package; `hf_ext.hub.add_code` makes such folders. Under `FULL` a copy of this module is among
the files.
"""

import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

THIN = "hf_ext_thin"
"""The file that takes classes from this package, which has to be installed."""
FULL = "hf_ext_full"
"""The file that takes classes from copies of modules, which lie beside it."""
FILES = "hf_ext_*.py"
"""Names of all files of code."""


def entry_of(auto_map: Any) -> str | None:
    """The file of code that an ``auto_map`` names classes in, if it is one of ours in the same folder."""
    for reference in references(auto_map):
        if (entry := reference.partition(".")[0]) in (THIN, FULL):
            return entry
    return None


def references(auto_map: Any) -> list[str]:
    """The classes that an ``auto_map`` names, ``"<file>.<class>"``; that of a tokenizer may name two."""
    values = auto_map.values() if isinstance(auto_map, dict) else ()
    named = (each for value in values for each in (value if isinstance(value, list | tuple) else (value,)))
    return [each for each in named if isinstance(each, str)]


def write_again(auto_map: Any, folder: str | os.PathLike[str]) -> None:
    """Write the code that an ``auto_map`` names, beside what has just been saved with it."""
    if entry_of(auto_map) is None:
        return
    if __package__ == "hf_ext":
        # By name: what writes it looks at classes, and so stands above them.
        import_module("hf_ext.hub.code").write_code(folder)
        return
    for file in Path(__file__).parent.glob(FILES):
        draft = Path(folder, f".{file.name}.draft")
        shutil.copyfile(file, draft)
        draft.replace(Path(folder, file.name))


class CarriesCode:
    """Mixin of what can be saved with code."""

    @property
    def auto_map_of_code(self) -> Any:
        """The ``auto_map`` that it is saved with; None: it is saved without."""
        raise NotImplementedError

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = None) -> None:
        """Nothing. The library would have each later save copy the file of this class, without those that it needs."""

    def _upload_modified_files(self, working_dir: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        # Of a save that uploads, before it is over.
        write_again(self.auto_map_of_code, working_dir)
        base: Any = super()
        return base._upload_modified_files(working_dir, *args, **kwargs)


class ConfigWithCode(CarriesCode):
    """Mixin of a config."""

    @property
    def auto_map_of_code(self) -> Any:
        """The ``auto_map`` that it is saved with; None: it is saved without."""
        return getattr(self, "auto_map", None)

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        """As of `transformers.PreTrainedConfig`, with the code that the config carries."""
        base: Any = super()
        base.save_pretrained(save_directory, *args, **kwargs)
        write_again(self.auto_map_of_code, save_directory)


class ModelWithCode(CarriesCode):
    """Mixin of a model."""

    @property
    def auto_map_of_code(self) -> Any:
        """The ``auto_map`` that it is saved with; None: it is saved without."""
        model: Any = self
        return getattr(model.config, "auto_map", None)

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        """As of `transformers.PreTrainedModel`, with the code that the model carries."""
        if (entry := entry_of(self.auto_map_of_code)) is not None:
            # The config may come from a folder with another head.
            given = type(self) if getattr(self, "backbone_class", None) else getattr(self, "base_model_class", None)
            if given is not None:
                self.auto_map_of_code["AutoModel"] = f"{entry}.{given.__name__.removeprefix('FSDP')}"
        base: Any = super()
        base.save_pretrained(save_directory, *args, **kwargs)
        # An adapter is saved without the config.
        if Path(save_directory, "config.json").is_file():
            write_again(self.auto_map_of_code, save_directory)


class TokenizerWithCode(CarriesCode):
    """Mixin of a tokenizer."""

    needs_code = True
    """Whether another tokenizer, or none, reads its files where this package is not at hand."""

    @property
    def auto_map_of_code(self) -> Any:
        """The ``auto_map`` that it is saved with; None: it is saved without."""
        tokenizer: Any = self
        return tokenizer.init_kwargs.get("auto_map")

    def _save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        base: Any = super()
        saved = base._save_pretrained(save_directory, *args, **kwargs)
        write_again(self.auto_map_of_code, save_directory)
        return saved
