"""`hf-ext chat`: a conversation with a dialogue model in the terminal."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer

from hf_ext.cli.devices import Device
from hf_ext.data.model_name import check_model_name
from hf_ext.data.text_lines import filled_lines, utf8_lines


def read_lines(interactive: bool) -> Iterator[str]:
    """What the user says, a line each, without those that are blank."""
    if not interactive:
        lines = filled_lines(utf8_lines(None), "standard input")
        yield from (line.strip() for _, line in lines)
        return
    while True:
        try:
            line = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if line:
            yield line


def chat(
    model: Annotated[str, typer.Argument(help="A dialogue model: a folder or a name on the Hub.")],
    top_p: Annotated[
        float | None, typer.Option(help="Sample from the likeliest tokens of this probability; else 0.9.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of sampling; below 1, likely tokens become likelier; else 0.7.")
    ] = None,
    num_beams: Annotated[
        int | None, typer.Option(help="Search with this many beams instead of sampling; 1: the likeliest token.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Longest reply, in tokens.")] = 64,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of history and reply, the earliest turns dropped; else the model's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of sampling, for the same replies again.")] = None,
    device: Device = None,
) -> None:
    """Talk with a dialogue model: /reset forgets what was said, /quit ends.

    Standard input may be a file or a pipe, a line a turn; then only the replies are printed.
    """
    from transformers import set_seed

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.tasks.dialogue.chat import Chat

    if seed is not None and num_beams is not None:
        raise ValueError("seed has no effect with num_beams, which searches and draws nothing; leave it out")
    check_model_name(model)
    conversation = Chat.from_pretrained(
        model,
        device,
        top_p=top_p,
        temperature=temperature,
        num_beams=num_beams,
        max_new_tokens=max_new_tokens,
        max_length=max_length,
    )
    if seed is not None:
        set_seed(seed)
    interactive = sys.stdin.isatty()
    if interactive:
        with suppress(ImportError):
            import readline  # noqa: F401  (lets input() edit its line)
        typer.echo("/reset forgets what was said, /quit ends", err=True)
    for line in read_lines(interactive):
        if line == "/quit":
            return
        if line == "/reset":
            conversation.reset()
            continue
        try:
            typer.echo(conversation.reply(line))
        except ValueError as error:
            # A line of nothing but control characters, say: the conversation goes on without it.
            typer.echo(f"error: {error}", err=True)
