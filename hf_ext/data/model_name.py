"""What the name of a model is one of, and whether there is such a model, before a library looks for it for long."""

import os
from difflib import get_close_matches
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)


def check_model_name(name: str | os.PathLike[str], what: str = "model") -> None:
    """Raise ValueError unless a name is that of something here, or of a model on the Hub.

    Args:
        name: a folder or a file, or a name on the Hub.
        what: the name of the argument, for the error.
    """
    name = os.fspath(name)
    if os.path.exists(name):
        return
    wrong = f"{what} must be there, got {name}: no such folder"
    # A name on the Hub has at most one stroke, within it.
    if name.startswith((".", "~", "/", os.sep)) or name.endswith(("/", os.sep)) or len(Path(name).parts) > 2:
        raise ValueError(f"{wrong}{near_folders(name)}")
    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
        get_hf_file_metadata(hf_hub_url(name, "config.json"), token=get_token())
    except HFValidationError:
        raise ValueError(f"{wrong}{near_folders(name)}") from None
    except GatedRepoError:
        # Who loads it says how to be let in.
        return
    except RepositoryNotFoundError:
        raise ValueError(f"{wrong}, and no such name on {_hub()}{near_folders(name)}") from None
    except HfHubHTTPError:
        # There, but not to be had like this, or a mirror that answers otherwise: who loads it says what is wrong.
        return
    except (HTTPError, OfflineModeIsEnabled, OSError):
        raise ValueError(f"{wrong}, and {_hub()} cannot be asked for one of that name{near_folders(name)}") from None


def is_checkpoint(name: str) -> bool:
    """Whether a name is that of a folder, a file or a repository on the Hub, and not that of a size."""
    return Path(name).exists() or "/" in name


def _hub() -> str:
    return constants.ENDPOINT.partition("://")[2]


def near_folders(name: str | os.PathLike[str]) -> str:
    """What to add to an error of a folder that is not there: those beside it that have nearly this name, if any."""
    path = Path(name)
    if not path.parent.is_dir():
        return ""
    folders = [file.name for file in path.parent.iterdir() if file.is_dir()]
    near = get_close_matches(path.name, folders, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(str(path.parent / one) for one in near)}?" if near else ""
