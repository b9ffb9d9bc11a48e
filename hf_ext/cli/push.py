"""`hf-ext push`: a trained model to the Hub."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a trained model.")],
    repo_id: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository on the Hub; made if it is not there.")],
    code: Annotated[
        Literal["thin", "full"] | None,
        typer.Option(
            help="Write code into the folder first: thin, which says that hf_ext is required, or full, with which it "
            "need not be installed; else the code that is there goes."
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository a private one.")] = False,
) -> None:
    """Upload a trained model to the Hub, with its card, scores and code, without checkpoints and optimizers.

    Log in first, by `hf auth login` or with a token in HF_TOKEN. After a break the same command goes on.
    """
    from hf_ext.data.model_name import near_folders
    from hf_ext.hub import push_model

    if not folder.is_dir():
        raise ValueError(f"folder must be there, got {folder}{near_folders(folder)}")
    # False would ask for a public one where the owner's are private.
    typer.echo(push_model(folder, repo_id, code=code, private=private or None))
