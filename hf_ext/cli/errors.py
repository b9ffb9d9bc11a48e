"""Which errors are a user's to mend, and the line that says so."""

import re
from pickle import PickleError
from zipfile import BadZipFile

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from hf_ext.extras import MissingExtraError
from hf_ext.tasks.base.head_guard import OtherHeadError

# What torch.load and torch.save raise has no class of its own.
_TORCH_FILES = re.compile(
    "PytorchStream(Reader|Writer)|inline_container|file in archive|Invalid magic number|cannot be opened"
    "|Parent directory .* does not exist"
)


def error_line(error: Exception) -> str | None:
    """The line that says what is wrong with an input; None for a mistake of ours."""
    if isinstance(error, ValueError | OSError | StrictDataclassError | MissingExtraError | OtherHeadError):
        message = str(error)
    elif isinstance(error, SafetensorError | PickleError | EOFError | BadZipFile):
        message = f"a file of weights or of a training's state cannot be read or written: {error}"
    elif isinstance(error, RuntimeError) and _TORCH_FILES.search(str(error)):
        message = f"a file of PyTorch cannot be read or written: {error}"
    else:
        return None
    return " ".join(message.split())
