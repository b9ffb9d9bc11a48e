"""`hf-ext analyze signal`: how large the numbers of a model are, module by module."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device


def signal(
    model: Annotated[str, typer.Argument(help="A model that reads tokens: a folder or a name on the Hub.")],
    file: Annotated[
        Path | None, typer.Option(help="A text a line, or JSON lines with a text each; else tokens that are drawn.")
    ] = None,
    new_weights: Annotated[
        str | None,
        typer.Option(
            help="Look at new weights, not at its own: family, as a new model has them, or bert, lecun, xavier, he, "
            "orthogonal or deepnorm."
        ),
    ] = None,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Also run backwards, from noise at what the model gives.")
    ] = False,
    modules: Annotated[
        str | None, typer.Option(help="Regular expression of the whole names of the modules to show; else all.")
    ] = None,
    texts: Annotated[int, typer.Option(min=1, help="Texts to look at, at most.")] = 64,
    max_length: Annotated[int, typer.Option(min=1, help="Tokens of a text, at most.")] = 128,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts run at a time.")] = 8,
    csv: Annotated[Path | None, typer.Option(help="Write the table here too, as comma-separated values.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the mean squares into this PNG.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn: tokens, new weights, noise.")] = 0,
    device: Device = None,
) -> None:
    """Show mean square, mean and largest number of what each module gives, of attention scores, and of gradients."""
    import torch
    from rich.console import Console
    from rich.progress import track
    from transformers import AutoModel, AutoTokenizer

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.analysis import SecondMomentProbe
    from hf_ext.data.model_name import check_model_name
    from hf_ext.data.text_lines import texts_of
    from hf_ext.training.quiet import quiet_libraries

    check_model_name(model)
    for path in (csv, plot):
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path} must be in a folder that exists")
    torch.manual_seed(seed)
    with quiet_libraries():
        net: Any = AutoModel.from_pretrained(model) if new_weights is None else _new(model, new_weights)
        tokenizer: Any = None if file is None else AutoTokenizer.from_pretrained(model)
    if not hasattr(net.config, "vocab_size"):
        raise ValueError(f"model must read tokens, got {model}, a {type(net).__name__}")
    net.eval().to(device or torch.accelerator.current_accelerator() or "cpu")

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        if tokenizer is None:
            for start in range(0, texts, batch_size):
                shape = (min(batch_size, texts - start), max_length)
                yield {"input_ids": torch.randint(net.config.vocab_size, shape)}
            return
        lines = islice(texts_of(file), texts)
        while chunk := list(islice(lines, batch_size)):
            names = ["input_ids", "attention_mask"]
            made = tokenizer(chunk, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
            yield {name: made[name] for name in names}

    found = list(batches())
    if not found:
        raise ValueError(f"file must have texts, got none in {file}")
    with SecondMomentProbe(net, modules) as probe, torch.set_grad_enabled(gradients):
        console = Console(stderr=True)
        for batch in track(found, "running", console=console, disable=len(found) < 2):
            batch = {name: tensor.to(net.device) for name, tensor in batch.items()}
            if getattr(net.config, "is_encoder_decoder", False):
                batch |= {f"decoder_{name}": tensor for name, tensor in batch.items()}
            states = net(**batch).last_hidden_state
            if gradients:
                noise = torch.randn_like(states)
                if "attention_mask" in batch:
                    noise *= batch["attention_mask"].unsqueeze(-1)
                states.backward(noise)
                net.zero_grad()
    tokens = sum(int(batch.get("attention_mask", torch.ones_like(batch["input_ids"])).sum()) for batch in found)
    typer.echo(f"{type(net).__name__}, {tokens:,} tokens", err=True)
    out = Console()
    # Names are what a table is read by: where nobody looks at it, none is cut off.
    if not out.is_terminal:
        out.width = 160
    out.print(probe.table())
    if csv is not None:
        probe.save_csv(csv)
    if plot is not None:
        probe.plot(plot)


def _new(name: str, scheme: str) -> Any:
    """A model with new weights."""
    from transformers import AutoConfig, AutoModel

    from hf_ext.modules.initialization import SCHEMES, initialize_

    if scheme not in ("family", *SCHEMES):
        raise ValueError(f"new_weights must be one of family, {', '.join(SCHEMES)}, got {scheme!r}")
    model = AutoModel.from_config(AutoConfig.from_pretrained(name))
    return model if scheme == "family" else initialize_(model, scheme)
