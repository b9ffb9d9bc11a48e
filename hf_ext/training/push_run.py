"""What a run with ``push_to_hub`` does of it: look whether it may before all else, and upload when all is written."""

from pathlib import Path

from transformers import Trainer, TrainingArguments

from hf_ext.training.upload import make_repository, upload


def check_push(arguments: TrainingArguments) -> None:
    """See to it that a run that is to be uploaded has where to; to be called before anything is read.

    Args:
        arguments: of the training; ``hub_model_id`` becomes the full name of the repository.

    Raises:
        ValueError: if a token is among them, or the repository is public and is to be private.
        PermissionError: if there is no token, or it may not write there.
        ConnectionError: if the Hub cannot be reached.
    """
    if not arguments.push_to_hub:
        return
    if arguments.hub_token is not None:
        raise ValueError(
            "hub_token must be left out, as it would be saved with the arguments of the training; log in by "
            "`hf auth login`, or set HF_TOKEN"
        )
    if arguments.process_index == 0:
        name = arguments.hub_model_id or Path(str(arguments.output_dir)).absolute().name
        arguments.hub_model_id = make_repository(name, arguments.hub_private_repo)


def push_run(trainer: Trainer) -> None:
    """Upload what a finished run has written, if it is to be.

    Raises:
        ConnectionError: if the upload was broken off; what was written is whole, and `hf-ext push` takes it up.
    """
    arguments = trainer.args
    if arguments.push_to_hub and trainer.is_world_process_zero():
        name, revision = str(arguments.hub_model_id), arguments.hub_revision
        upload(str(arguments.output_dir), name, revision=revision, message="End of training")
