"""`hf-ext sample`: texts from the latents of an autoencoder: drawn, written again, between two, and mixed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device, Dtype
from hf_ext.data.model_name import check_model_name
from hf_ext.data.text_lines import texts_of


def _numbers(word: str) -> list[int]:
    try:
        return [int(part) for part in word.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--layers must be numbers between commas, as 0,1, got {word}") from None


def sample(
    model: Annotated[str, typer.Argument(help="A trained autoencoder: a folder or a name on the Hub.")],
    count: Annotated[int | None, typer.Option(help="Draw so many texts from the prior; else 10, or none.")] = None,
    reconstruct: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Write a text again; may be given several times.")
    ] = None,
    input: Annotated[
        Path | None, typer.Option(help="Write those of a file again: a text a line, JSON lines or a JSON array.")
    ] = None,
    interpolate: Annotated[
        tuple[str, str] | None, typer.Option(metavar="TEXT TEXT", help="Go from one text to another.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Texts of that way, both ends among them; else 5.")] = None,
    swap: Annotated[
        tuple[str, str] | None, typer.Option(metavar="TEXT TEXT", help="Give the first text latents of the second.")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Which latents those are, as 0,1 or -1; else each by itself in turn.")
    ] = None,
    num_beams: Annotated[int | None, typer.Option(help="Write with so many beams; else the likeliest token.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Write by drawing from the likeliest tokens of this probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is drawn, for the same texts again.")] = None,
    batch_size: Annotated[int, typer.Option(help="Texts written at a time.")] = 64,
    output: Annotated[Path | None, typer.Option(help="Write JSON lines here; else texts to standard output.")] = None,
    device: Device = None,
    dtype: Dtype = "auto",
) -> None:
    """Write texts with an autoencoder: from its prior, or from the latents of texts.

    Standard output has a line for each text written, after the text that it was made of and a tab where there is one.
    """
    from rich.console import Console
    from rich.progress import track
    from transformers import pipeline, set_seed

    import hf_ext  # noqa: F401  (registers the pipeline)
    from hf_ext.atomic_file import atomic_write
    from hf_ext.tasks.base.saved_model import SavedModel
    from hf_ext.training.quiet import quiet_libraries

    ways = {"reconstruct": reconstruct, "input": input, "interpolate": interpolate, "swap": swap, "count": count}
    given = [f"--{name}" for name, value in ways.items() if value]
    if len(given) > 1:
        raise typer.BadParameter(f"give one of --count, --reconstruct, --input, --interpolate and --swap, got {given}")
    for name, value, goes_with in (("steps", steps, interpolate), ("layers", layers, swap)):
        if value is not None and goes_with is None:
            raise ValueError(f"{name} goes with {'interpolate' if name == 'steps' else 'swap'}, got {value} without")
    if num_beams is not None and top_p is not None:
        raise ValueError(f"top_p has no effect with num_beams, which searches; leave it out, got {top_p}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
    for name, number in (("count", count), ("num_beams", num_beams), ("batch_size", batch_size)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    drawn = top_p is not None or not given or count is not None
    if seed is not None and not drawn:
        raise ValueError("seed has no effect where nothing is drawn: leave it out, or give top_p")
    if output is not None and not output.parent.is_dir():
        raise ValueError(f"{output} must be in a folder that exists")
    if input is not None and output is not None and output.is_file() and input.is_file() and output.samefile(input):
        raise ValueError(f"output must not be the file of the texts, got {output} for both")
    chosen = None if layers is None else _numbers(layers)
    check_model_name(model)
    name, _ = SavedModel.read(model).predictor("autoencoder")

    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    with quiet_libraries():
        write = make_pipeline(name, model=model, device=device).run_in(dtype)
    if seed is not None:
        set_seed(seed)
    settings: dict[str, Any] = {"batch_size": batch_size}
    if num_beams is not None:
        settings["num_beams"] = num_beams
    if top_p is not None:
        settings |= {"do_sample": True, "top_p": top_p, "top_k": 0}

    lines: Iterable[dict[str, Any]]
    if interpolate is not None:
        found = write.interpolate(*interpolate, steps=5 if steps is None else steps, **settings)
        lines = [{"step": number, "text": text} for number, text in enumerate(found)]
    elif swap is not None:
        each = [[number] for number in range(write.model.config.num_latent_layers)] if chosen is None else [chosen]
        lines = [{"layers": one, "text": write.swap(*swap, one, **settings)} for one in each]
    elif reconstruct or input is not None:
        texts = list(reconstruct or texts_of(input))
        # All at once: a text that is too long is to be found before any is written.
        parts = write.encode(texts, batch_size=batch_size).split(batch_size)
        progress = track(parts, "writing", console=Console(stderr=True), disable=len(parts) < 2)
        written = [text for part in progress for text in write.write(part, **settings)]
        lines = [{"source": source, "text": text} for source, text in zip(texts, written)]
    else:
        lines = [{"text": text} for text in write.sample(count or 10, seed, **settings)]
    if output is not None:
        with atomic_write(output) as stream:
            stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        return
    for line in lines:
        *before, text = line.values()
        typer.echo(
            "\t".join([*(",".join(map(str, one)) if isinstance(one, list) else str(one) for one in before), text])
        )
