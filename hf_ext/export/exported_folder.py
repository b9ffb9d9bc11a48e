"""Folders of ``hf-ext export onnx`` where a model may be given too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_ext.export.description import FILE_NAME


def is_exported(name: str) -> bool:
    """Whether a name is that of such a folder."""
    return (Path(name) / FILE_NAME).is_file()


def open_exported(name: str, of_models: Mapping[str, Any], threads: int | None = None) -> Any:
    """The `OnnxPipeline` of a folder.

    Args:
        name: the folder.
        of_models: options that a model has and an exported folder has not, by name; what is not given is None or False.
        threads: as of `OnnxPipeline`.

    Raises:
        MissingExtraError: if onnxruntime is not installed.
        ValueError: naming the option, if one is given; or as `OnnxPipeline` does.
    """
    for option, value in of_models.items():
        if value is not None and value is not False:
            raise ValueError(f"{option} has no effect with an exported folder; leave it out for {name}")
    # Loads the tokenizers of all families.
    from hf_ext.export.onnx_pipeline import OnnxPipeline

    return OnnxPipeline(name, threads=threads)
