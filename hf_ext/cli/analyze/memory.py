"""`hf-ext analyze memory`: what training keeps for the backward pass, with and without gradient checkpointing."""

from typing import Annotated, Any

import typer

from hf_ext.cli.devices import Device
from hf_ext.cli.model_config import config_of


def memory(
    model: Annotated[str, typer.Argument(help="A model, a folder or a name on the Hub; or tiny, small, medium, base.")],
    length: Annotated[int, typer.Option(help="Tokens of a text.")] = 128,
    batch_size: Annotated[int, typer.Option(help="Texts at a time.")] = 4,
    layers: Annotated[int | None, typer.Option(help="Blocks, to see what depth does; else as many as it has.")] = None,
    device: Device = None,
) -> None:
    """Count the bytes that a model's forward pass keeps for the backward pass, and time a step of both.

    With gradient checkpointing each block keeps its input alone and runs again, at the price of one more forward pass.
    The blocks run with random weights and dropout, without a head; optimizer and weights come on top.
    """
    import time

    import torch
    from rich.console import Console
    from rich.table import Table
    from transformers import AutoModel, AutoModelForTextEncoding

    import hf_ext  # noqa: F401  (registers the models)
    from hf_ext.analysis.backward_bytes import backward_bytes
    from hf_ext.training.quiet import quiet_libraries

    for name, number in (("length", length), ("batch_size", batch_size), ("layers", layers)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    config = config_of(model)
    if not hasattr(config, "vocab_size"):
        raise ValueError(f"model must read tokens, got {model}, a {config.model_type}")
    if layers is not None:
        name = "num_layers" if hasattr(config, "d_kv") else "num_hidden_layers"
        config = type(config).from_dict(config.to_dict() | {name: layers})
    longest = getattr(config, "longest_input", None)
    if longest is not None and length > longest:
        raise ValueError(f"length must be at most the {longest} tokens that the model takes, got {length}")
    opener: Any = AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    with quiet_libraries():
        trained = opener.from_config(config).to(device).train()
    ids = torch.randint(config.vocab_size, (batch_size, length), device=device)

    def loss() -> Any:
        return trained(input_ids=ids).last_hidden_state.float().square().mean()

    def seconds() -> float:
        least = float("inf")
        for _ in range(3):
            trained.zero_grad()
            begin = time.perf_counter()
            loss().backward()
            if str(device).startswith("cuda"):
                torch.cuda.synchronize()
            least = min(least, time.perf_counter() - begin)
        return least

    table = Table("", title=f"{config.model_type}, {batch_size} texts of {length} tokens, {trained.dtype}".lower())
    for name in ("MiB kept", "KiB a token", "s a step"):
        table.add_column(name, justify="right")
    sizes: list[int] = []
    times: list[float] = []
    for shown in ("all kept", "gradient checkpointing"):
        if sizes:
            trained.activation_checkpointing_enable({"use_reentrant": False})
        sizes.append(backward_bytes(loss))
        times.append(seconds())
        cells = (f"{sizes[-1] / 2**20:.1f}", f"{sizes[-1] / batch_size / length / 2**10:.1f}", f"{times[-1]:.3f}")
        table.add_row(shown, *cells)
    Console(highlight=False).print(table)
    typer.echo(f"{sizes[0] / sizes[1]:.1f} times as many texts in the same memory, {times[1] / times[0]:.2f} the time")
