"""The command and its subcommands."""

import logging
import re
import sys
from pickle import PickleError
from typing import NoReturn
from zipfile import BadZipFile

import typer
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

import hf_ext.cli.train_classification
import hf_ext.cli.train_events
import hf_ext.cli.train_ner
import hf_ext.cli.train_paraphrase
import hf_ext.cli.train_reading_comprehension
import hf_ext.cli.train_relations
import hf_ext.cli.train_similarity
import hf_ext.cli.train_summarization  # noqa: F401  (registers with train)
from hf_ext.cli import chat, convert, demo, embed, export_release, predict, train, train_dialogue, whiten  # noqa: F401
from hf_ext.version import __version__

_TORCH_FILES = re.compile(
    "PytorchStream(Reader|Writer)|inline_container|file in archive|Invalid magic number|cannot be opened"
    "|Parent directory .* does not exist"
)

app = typer.Typer(
    help="Su Jianlin's models, heads and losses for Transformers: train, predict, convert.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("chat")(chat.chat)
app.command("convert")(convert.convert)
app.command("demo")(demo.demo)
app.command("embed")(embed.embed)
app.command("export-release")(export_release.export_release)
app.command("predict")(predict.predict)
app.add_typer(train.app, name="train")
app.command("whiten")(whiten.whiten)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Show the version."),
) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)


def main() -> None:
    """Run the command; an input that cannot be used is one line on standard error and exit status 1."""
    try:
        app()
    except (ValueError, OSError, StrictDataclassError) as error:
        _exit(str(error))
    except (SafetensorError, PickleError, EOFError, BadZipFile) as error:
        _exit(f"a file of weights or of a training's state cannot be read or written: {error}")
    except RuntimeError as error:
        # What torch.load and torch.save raise has no class of its own; any other is a mistake of ours.
        if not _TORCH_FILES.search(str(error)):
            raise
        _exit(f"a file of PyTorch cannot be read or written: {error}")


def _exit(message: str) -> NoReturn:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(1)
