"""A trained folder to the Hub, with the code that loads it where this package is not installed."""

from os import PathLike
from typing import Literal

from hf_ext.hub.code import add_code
from hf_ext.training.upload import files_to_upload, make_repository, upload


def push_model(
    folder: str | PathLike[str],
    repo_id: str,
    *,
    code: Literal["thin", "full"] | None = None,
    private: bool | None = None,
    revision: str | None = None,
) -> str:
    """Upload a folder that a model was saved in to the Hub.

    Args:
        folder: what ``save_pretrained`` or a job wrote.
        repo_id: ``"organisation/name"`` or ``"user/name"``; made if it is not there.
        code: give the folder code of this kind first, as `hf_ext.hub.add_code` does; None: what it has.
        private: whether a repository that is made is private; None: as its owner has it.
        revision: the branch, made if it is not there; None: the main one.

    Returns:
        The address of the repository.

    Raises:
        ValueError: if ``folder`` holds no model, or none of this package's and code is asked for, ``repo_id`` is not of
            this form, or ``private`` is asked of a repository that is there and is public.
        PermissionError: if there is no token, or it may not write there.
        ConnectionError: if the upload was broken off; the same call goes on with it.
    """
    if code is not None:
        # Before the folder is written to, that there is somewhere to upload it to.
        files_to_upload(folder)
        make_repository(repo_id, private)
        add_code(folder, code)
    return upload(folder, repo_id, private=private, revision=revision)
