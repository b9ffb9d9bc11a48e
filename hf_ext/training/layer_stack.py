"""The blocks of a model, and how far each of its parameters is from the output, for any encoder."""

from typing import Any

from torch import nn


def layer_stack(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The list of a model's blocks, and its name in the model without a head, ``"encoder.layer"``.

    Args:
        model: of Transformers or of this package, with or without a head; an adapter may be around it.

    Raises:
        ValueError: if there is not just one such list, with a block for each of ``config.num_hidden_layers``.
    """
    base = base_of(model)
    wanted = getattr(getattr(base, "config", None), "num_hidden_layers", None)
    found = {
        name: module
        for name, module in base.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == wanted and any(True for _ in module.parameters())
    }
    if len(found) == 1:
        return next(iter(found.items()))
    seen = ", ".join(f"{name} with {len(module)}" for name, module in found.items()) or "none"
    raise ValueError(
        f"model must have one stack of blocks, as many as num_hidden_layers={wanted}, got {seen} in a "
        f"{type(base).__name__}"
    )


def base_of(model: nn.Module) -> Any:
    """The model without a head and without an adapter around it."""
    found: Any = model
    found = found.get_base_model() if hasattr(found, "get_base_model") else found
    return getattr(found, "base_model", found)


def distances_from_output(model: nn.Module) -> dict[int, int]:
    """By ``id`` of each parameter: how many blocks it is below the head.

    0 of a head and all that comes after the blocks, 1 of the last block, as many as there are blocks of the first one,
    and one more of embeddings and what else comes before it.

    Raises:
        ValueError: as of `layer_stack`.
    """
    _, layers = layer_stack(model)
    base = base_of(model)
    found = {id(parameter): 0 for parameter in model.parameters()}
    in_blocks = {id(parameter) for parameter in layers.parameters()}
    before = True
    for own, parameter in base.named_parameters():
        before &= id(parameter) not in in_blocks
        # Some families make layers behind their embeddings, but name them after these, after their blocks.
        if before or "embed" in own:
            found[id(parameter)] = len(layers) + 1
    for number, layer in enumerate(layers):
        found |= {id(parameter): len(layers) - number for parameter in layer.parameters()}
    return found
