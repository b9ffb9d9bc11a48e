"""Variables of a release that are kept in an HDF5 file, each as a dataset under its name."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hf_ext.conversion.errors import ConversionError
from hf_ext.extras import extra

_SIGNATURE = b"\x89HDF\r\n\x1a\n"

# What Keras 2 says of a file, and the groups of Keras 3 that hold what a layer has.
_KERAS_ATTRIBUTES = ("layer_names", "keras_version", "model_config")
_KERAS_GROUP = "/vars/"
# Of the layers of Transformers 4, such as tf_bert_for_masked_lm.
_TRANSFORMERS_GROUP = "/tf_"

KERAS_ADVICE = (
    "load it into the model of bert4keras' build_transformer_model(..., return_keras_model=False), whose "
    "save_weights_as_checkpoint writes the checkpoint of a release"
)


def is_hdf5(file: Path) -> bool:
    """Whether a file is HDF5, by its first bytes."""
    with file.open("rb") as opened:
        return opened.read(len(_SIGNATURE)) == _SIGNATURE


class HDF5File:
    """An HDF5 file that is open.

    Attributes:
        entries: type and shape of each variable, as ``dtype`` and ``shape``.

    Raises:
        ConversionError: the file is cut off or damaged, or it is of Keras or of Transformers 4, whose layers are no
            variables of a release.
        MissingExtraError: h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        with extra("convert", f"{path.name}, an HDF5 file,"):
            import h5py
        self._path = path
        self.entries: dict[str, Any] = {}

        def add(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                self.entries[name.removesuffix(":0")] = item

        try:
            file = h5py.File(path, "r")
            file.visititems(add)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise ConversionError(f"{path} is not readable as HDF5: {' '.join(str(error).split())}") from error
        if any(_TRANSFORMERS_GROUP in name for name in self.entries):
            raise ConversionError(
                f"{path} holds a TensorFlow model of Transformers, no release; Transformers 4 loads it with "
                "from_tf=True and saves it for PyTorch"
            )
        if any(name in file.attrs for name in _KERAS_ATTRIBUTES) or any(_KERAS_GROUP in name for name in self.entries):
            raise ConversionError(f"{path} holds the layers of a Keras model, no release; {KERAS_ADVICE}")

    def read(self, name: str) -> Tensor:
        """A variable.

        Raises:
            ConversionError: it is damaged, or of a type that PyTorch has not.
        """
        try:
            return torch.from_numpy(self.entries[name][()])
        except (OSError, TypeError, ValueError) as error:
            raise ConversionError(
                f"{self._path}: {name} cannot be read; it is damaged or holds no numbers: "
                f"{' '.join(str(error).split())}"
            ) from error
