"""A trained folder to the Hub, in one commit: all that is needed to use the model, and nothing of its training."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from os import PathLike
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.utils import validate_repo_id

from hf_ext.training.model_card.readme import renamed
from hf_ext.version import __version__

# Names of files and folders, at any depth. What a training was resumed from, or tried, is of no use to others, its
# arguments are a pickle, which is code, and the report and what a task writes of an evaluation have its texts, which
# are perhaps not to be published.
_LEFT_OUT = (
    "checkpoint-*",
    "optimizer*",
    "scheduler.*",
    "scaler.*",
    "rng_state*",
    "trainer_state.json",
    "trials",
    "trials.json",
    "training_args.bin",
    "report.json",
    "report.html",
    "predictions.json",
    "nbest_predictions.json",
    "summaries.jsonl",
    "__pycache__",
    ".*",
)
_SETTINGS = ("config.json", "adapter_config.json")
# What is deleted there if the folder has not got it: `from_pretrained` might take it for the model's.
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.bin.index.json")
_CODE = ("hf_ext_*.py",)


def upload(
    folder: str | PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    message: str = "Upload model",
) -> str:
    """Upload a folder that a model was saved in to a repository on the Hub, which is made if it is not there.

    Everything in the folder goes, in one commit, but checkpoints, optimizers and what else a training is resumed from,
    what has the texts of an evaluation, and what is hidden. The card that a run wrote calls the model there by its name
    on the Hub. Weights, and code of ours, that the repository has and the folder has not are deleted there. The folder
    itself is only read. After a break the same call goes on: files of
    weights that arrived are not sent again.

    Args:
        folder: what ``save_pretrained`` or a job wrote.
        repo_id: ``"organisation/name"`` or ``"user/name"``.
        private: whether a repository that is made is private; None: as its owner has it.
        revision: the branch, made if it is not there; None: the main one.
        message: of the commit.

    Returns:
        The address of the repository.

    Raises:
        ValueError: if ``folder`` holds no model, ``repo_id`` is not of this form, or ``private`` is asked of a
            repository that is there and is public.
        PermissionError: if there is no token, or it may not write there.
        ConnectionError: if the upload was broken off.
    """
    if "/" not in repo_id:
        raise ValueError(f"the repository must be named with its owner, ORG/NAME, got {repo_id}")
    path, names = Path(folder), files_to_upload(folder)
    make_repository(repo_id, private)
    api = _api()
    goes_on = f"; {path} is as it was, and `hf-ext push {path} {repo_id}` goes on with it"
    with _told(f"the upload to {repo_id}", goes_on):
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        operations: list[Any] = [
            *(CommitOperationDelete(name) for name in _stale(api.list_repo_files(repo_id, revision=revision), names)),
            *(CommitOperationAdd(name, _content(path, name, repo_id)) for name in names),
        ]
        api.create_commit(repo_id, operations, commit_message=message, revision=revision)
    return f"{api.endpoint}/{repo_id}"


def make_repository(name: str, private: bool | None) -> str:
    """Make a repository that may be written to, if there is none of that name.

    Args:
        name: with its owner or, if that is the user, without.
        private: whether it is to be private; None: as its owner has it.

    Returns:
        Its name with its owner.

    Raises:
        ValueError: if that is no name, or ``private`` is asked of one that is there and is public.
        PermissionError: if there is no token, or it may not write there.
        ConnectionError: if the Hub cannot be reached.
    """
    # What the Hub refuses in names is a ValueError that says so.
    validate_repo_id(name)
    if get_token() is None:
        raise PermissionError(
            f"there must be a token to write to {constants.ENDPOINT} with: log in by `hf auth login`, or set HF_TOKEN"
        )
    api = _api()
    with _told(f"making {name}"):
        address = api.create_repo(name, private=private, exist_ok=True)
        if private and not api.model_info(address.repo_id).private:
            raise ValueError(
                f"private has no effect on a repository that is there, and {name} is public; change it in its "
                f"settings, {address}/settings"
            )
    return address.repo_id


def files_to_upload(folder: str | PathLike[str]) -> list[str]:
    """The files of a model's folder that go to the Hub, relative to it.

    Raises:
        ValueError: if there is no such folder, or it holds no model.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ValueError(f"folder must be there, got {folder}")
    files = (file.relative_to(path) for file in sorted(path.rglob("*")) if file.is_file())
    names = [file.as_posix() for file in files if not any(_is_one_of(part, _LEFT_OUT) for part in file.parts)]
    if not {*_SETTINGS} & {*names} or not any(_is_one_of(name, _WEIGHTS) for name in names):
        raise ValueError(f"folder must hold a saved model, its config and its weights, got {folder}")
    return names


def _content(folder: Path, name: str, repo_id: str) -> Path | bytes:
    """What goes of a file: itself, or the card with the name that the model gets."""
    path = folder / name
    card = renamed(path.read_text(encoding="utf-8"), repo_id) if name == "README.md" else None
    return path if card is None else card.encode()


def _api() -> HfApi:
    return HfApi(library_name="hf-ext", library_version=__version__)


def _stale(there: Iterable[str], names: list[str]) -> list[str]:
    """The weights and the code of the repository's model that are not the folder's."""
    return sorted(name for name in {*there} - {*names} if "/" not in name and _is_one_of(name, _WEIGHTS + _CODE))


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


@contextmanager
def _told(what: str, rest: str = "") -> Iterator[None]:
    """Say of errors of the connection what failed, and what to do about it."""
    try:
        yield
    # HTTPError is the base of the HTTP library's own, which is another library in each major version of the Hub's.
    except (HTTPError, OSError, RuntimeError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
            raise PermissionError(f"the token must be one that may write, and {what} was refused: {error}") from error
        # Of an upload within a thread, the library says what failed, and its cause says why.
        cause = (isinstance(error, RuntimeError) and error.__cause__) or error
        raise ConnectionError(f"{what} was broken off ({type(cause).__name__}: {cause}){rest}") from error
