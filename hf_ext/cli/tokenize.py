"""`hf-ext tokenize`: how a tokenizer reads texts, and why a word is not one token."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hf_ext.data.model_name import check_model_name
from hf_ext.data.text_lines import texts_of, valid_unicode

if TYPE_CHECKING:
    from hf_ext.analysis import TokenizedText


def tokenize(
    tokenizer: Annotated[str, typer.Argument(help="A tokenizer, or a model with one: a folder or a name on the Hub.")],
    text: Annotated[list[str] | None, typer.Argument(help="Texts; without them or --file, standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A text a line, JSON lines with a text each, or a JSON array.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line a text, and no table.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the JSON lines here instead.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page of them here instead.")] = None,
) -> None:
    """Show the tokens of texts, and the words that they are of, as tables, JSON lines or a page.

    A table has the place of each token, its entry in the vocabulary, its id, its characters and what they are in the
    text; and where a word is not one token that has its text, why.
    """
    from transformers import AutoTokenizer

    import hf_ext  # noqa: F401  (registers the tokenizers)
    from hf_ext.analysis import tokenized_text, write_token_page
    from hf_ext.atomic_file import atomic_write
    from hf_ext.training.quiet import quiet_libraries

    if text and file:
        raise typer.BadParameter("give either texts or --file, got both")
    for target in (output, html):
        if target is not None and not target.parent.is_dir():
            raise ValueError(f"{target} must be in a folder that exists")
        if target is not None and file is not None and target.is_file() and file.is_file() and target.samefile(file):
            raise ValueError(f"output and html must not be the file of the texts, got {target} for both")
    if output is not None and html is not None and output.resolve() == html.resolve():
        raise ValueError(f"output and html must be files of their own, got {output} for both")
    if as_json and output is not None:
        raise typer.BadParameter("give either --json, for standard output, or --output, got both")
    check_model_name(tokenizer, "tokenizer")
    with quiet_libraries():
        loaded: Any = AutoTokenizer.from_pretrained(tokenizer)
    given = [valid_unicode(one, "texts") for one in text or ()]
    read = [tokenized_text(loaded, one) for one in (given or texts_of(file))]
    most = loaded.model_max_length
    for number, one in enumerate(read, 1):
        if len(one.tokens) > most:
            told = f"text {number} has {len(one.tokens)} tokens, more than the {most} that a model is given of it"
            typer.echo(told, err=True)
    lines = "".join(json.dumps(one.as_dict(), ensure_ascii=False) + "\n" for one in read)
    if output is not None:
        with atomic_write(output) as stream:
            stream.write(lines)
    if html is not None:
        write_token_page(html, read, title=f"Tokens of {type(loaded).__name__}")
    if as_json:
        typer.echo(lines, nl=False)
    elif output is None and html is None:
        _print_tables(read)


def _print_tables(texts: "list[TokenizedText]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    # What is told is read to its end: where nobody looks at it, no cell is cut off.
    if not console.is_terminal:
        console.width = 160
    for one in texts:
        table = Table("", "token", "id", "characters", "text", "remarks", title=Text(_visible(one.text)))
        for place, token in enumerate(one.tokens):
            word = None if token.word is None else one.words[token.word]
            begins = place == 0 or one.tokens[place - 1].word != token.word
            told = "" if word is None or not begins or not word.reasons else f"{word.text}: {'; '.join(word.reasons)}"
            where, surface = f"{token.start} to {token.end}", one.text[token.start : token.end]
            cells = (str(place), token.token, str(token.id), "" if word is None else where, surface, told)
            table.add_row(*(Text(_visible(cell)) for cell in cells))
        console.print(table)
        if one.left_out:
            places = ", ".join(f"{_visible(one.text[start:end])} at {start}" for start, end in one.left_out)
            console.print(Text(f"left out: {places}"), soft_wrap=True)


def _visible(text: str) -> str:
    """The text with what does not print, or moves the cursor, as Python writes it."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
