"""`hf-ext analyze unargmaxable`: the tokens that a language model can never find the likeliest."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device


def unargmaxable(
    model: Annotated[str, typer.Argument(help="A language model: a folder or a name on the Hub.")],
    box: Annotated[
        float,
        typer.Option(help="Greatest size of a number of the hidden state; 0: any. Of effect with biases alone."),
    ] = 100.0,
    output: Annotated[Path | None, typer.Option(help="Write them here as JSON lines, with what proves it.")] = None,
    device: Device = None,
) -> None:
    """Find the tokens that a language model can never find the likeliest, whatever its hidden state is.

    Standard output has a line for each: what is so, id and token. Those that never win are means of others, by weights
    that --output gives; duplicates have the row of another and no higher bias. One that wins outside of the box alone
    is out of reach in practice. The norm before the head, which gives fewer states than a box has, is left out.
    """
    import torch
    from rich.console import Console
    from rich.progress import Progress
    from transformers import AutoTokenizer

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.analysis.unargmaxable import unargmaxable_tokens
    from hf_ext.atomic_file import atomic_write
    from hf_ext.data.model_name import check_model_name
    from hf_ext.tasks.scoring.likelihood import AutoLanguageModel
    from hf_ext.training.quiet import quiet_libraries

    if output is not None and not output.parent.is_dir():
        raise ValueError(f"{output} must be in a folder that exists")
    check_model_name(model)
    with quiet_libraries():
        loaded: Any = AutoLanguageModel.from_pretrained(model)
    head = loaded.get_output_embeddings()
    if head is None:
        raise ValueError(f"model must have a matrix over the vocabulary, got {type(loaded).__name__} without one")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    weight = head.weight.detach().to(device)
    bias = None if head.bias is None else head.bias.detach().to(device)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("tokens decided", total=len(weight))
        found = unargmaxable_tokens(weight, bias, box or None, report=lambda count: progress.advance(bar, count))
    try:
        names: Any = AutoTokenizer.from_pretrained(model).convert_ids_to_tokens(list(found.tokens))
    except (OSError, ValueError):
        names = [None] * len(found.tokens)
    rows = []
    for token, kind, name in zip(found.tokens, found.kinds, names):
        if kind == "wins":
            continue
        row: dict[str, Any] = {"id": token, "token": name, "kind": kind}
        if kind in ("never", "duplicate"):
            others, weights = found.proof(token)
            row |= {"others": others.tolist(), "weights": weights.tolist()}
        rows.append(row)
        typer.echo("\t".join([kind, str(token), *([] if name is None else [name])]))
    if output is not None:
        with atomic_write(output) as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    counts = {kind: found.kinds.count(kind) for kind in sorted(set(found.kinds))}
    told = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    typer.echo(
        f"{len(found.tokens)} tokens of {weight.shape[1]} numbers{'' if bias is None else ' and a bias'}: {told}",
        err=True,
    )
