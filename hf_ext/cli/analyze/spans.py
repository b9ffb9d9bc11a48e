"""`hf-ext analyze spans`: the score of each span of a text, as a heat map."""

from pathlib import Path
from typing import Annotated

import typer

from hf_ext.cli.devices import Device


def spans(
    model: Annotated[str, typer.Argument(help="A model of entities by GlobalPointer: a folder or a name on the Hub.")],
    text: Annotated[str, typer.Argument(help="A text that a window of the model holds.")],
    output: Annotated[Path, typer.Option(help="The page or picture to write: .html or .png.")],
    label: Annotated[
        list[str] | None, typer.Option(help="Show this label alone; may be given several times. Else all.")
    ] = None,
    device: Device = None,
) -> None:
    """Draw how likely the model thinks each span of a text, by its first and last token, for each label.

    Spans that it finds are framed. On a page the label is chosen, and each cell tells its number.
    """
    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.analysis import span_score_maps, write_score_maps
    from hf_ext.analysis.map_page import check_map_file
    from hf_ext.data.text_lines import valid_unicode
    from hf_ext.tasks.base.saved_model import SavedModel
    from hf_ext.tasks.entities import SpanExtractionPipeline

    check_map_file(output)
    valid_unicode(text, "text")
    saved = SavedModel.read(model)
    kind = saved.predictor()[1]
    if not issubclass(kind, SpanExtractionPipeline):
        seen = ", ".join(saved.class_names)
        raise ValueError(f"model must find entities by GlobalPointer, which scores each span, got {seen} in {model}")
    maps = span_score_maps(saved.open(device=device, dtype="float32"), text, label)
    write_score_maps(output, maps, text, title="Scores of spans")
    typer.echo(f"{len(maps)} maps of {len(maps[0].tokens)} tokens, {sum(len(one.marked) for one in maps)} spans found")
