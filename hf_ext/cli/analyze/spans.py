"""`hf-ext analyze spans`: the scores of spans of a text and of links between them, as heat maps."""

from pathlib import Path
from typing import Annotated

import typer

from hf_ext.cli.devices import Device


def spans(
    model: Annotated[
        str, typer.Argument(help="A model of entities, relations or events by pointers: a folder or a name on the Hub.")
    ],
    text: Annotated[str, typer.Argument(help="A text that a window of the model holds.")],
    output: Annotated[Path, typer.Option(help="The page or picture to write: .html or .png.")],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Show this label, role or predicate alone; may be given several times. Else all."),
    ] = None,
    device: Device = None,
) -> None:
    """Draw how likely the model thinks each span of a text, by its first and last token, for each label or role.

    Of relations each predicate has two maps more, of the first and of the last tokens of subject and object; of events
    there are two of arguments of the same event. What is above the model's threshold is framed. On a page the map is
    chosen, and each cell tells its number.
    """
    import hf_ext  # noqa: F401  (registers the pipelines)
    from hf_ext.analysis import span_score_maps, write_score_maps
    from hf_ext.analysis.map_page import check_map_file
    from hf_ext.analysis.score_maps import SCORING
    from hf_ext.data.text_lines import valid_unicode
    from hf_ext.tasks.base.saved_model import SavedModel

    check_map_file(output)
    valid_unicode(text, "text")
    saved = SavedModel.read(model)
    if not {*saved.predictor()[1].endings} & {*SCORING}:
        raise ValueError(
            "model must find entities by GlobalPointer, or relations or events by GPLinker, which score each pair of "
            f"tokens, got {', '.join(saved.class_names)} in {model}"
        )
    maps = span_score_maps(saved.open(device=device, dtype="float32"), text, label)
    write_score_maps(output, maps, text, title="Scores of spans")
    framed = sum(len(one.marked) for one in maps)
    typer.echo(f"{len(maps)} maps of {len(maps[0].tokens)} tokens, {framed} cells above the threshold")
