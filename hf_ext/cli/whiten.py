"""`hf-ext whiten`: fit a whitening to the vectors of texts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device
from hf_ext.data.model_name import check_model_name
from hf_ext.data.text_lines import texts_of


def whiten(
    model: Annotated[str, typer.Argument(help="An encoder: a folder or a name on the Hub.")],
    output_dir: Annotated[Path, typer.Option(help="Folder for the whitening; that of the model is fine.")],
    input: Annotated[
        Path | None,
        typer.Option(help="A text a line, JSON lines with a text each, or a JSON array of them; else standard input."),
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option(
            help="Instead of input: a file of pairs, as hf-ext train similarity reads it, both of whose texts count; "
            "may be given several times."
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Numbers of a vector to keep; else all that vary.")] = None,
    pooling: Annotated[str | None, typer.Option(help="As of hf-ext embed.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a text; else 512, or what the model takes.")] = None,
    device: Device = None,
) -> None:
    """Fit a whitening, which makes an encoder's vectors comparable by their cosines, on texts of its use."""
    from transformers import pipeline

    import hf_ext
    from hf_ext.tasks.similarity.files import pair_texts, read_text_pairs
    from hf_ext.training.quiet import quiet_libraries

    if pairs and input is not None:
        raise ValueError(f"input must be left out with pairs, got {input}")
    check_model_name(model)
    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    with quiet_libraries():
        extract = make_pipeline("text-embedding", model=model, device=device)
    options = {"pooling": pooling, "max_length": max_length}

    texts = texts_of(input) if not pairs else (text for file in pairs for text in pair_texts(read_text_pairs(file)))
    whitening = hf_ext.Whitening.fit(extract.stream(texts, **options), size)
    whitening.save_pretrained(output_dir)
    typer.echo(f"{len(whitening.mean)} to {whitening.kernel.shape[1]} numbers in {output_dir}", err=True)
