"""Whether some layers of a model can stand for several: they are all alike, and nothing but run one after the other."""

import copy
import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.modules.evaluation_mode import evaluation_mode

_SIMPLE = (bool, int, float, str, tuple, type(None), torch.dtype)
# What may differ between layers, as it says how they are run and not what they are.
_MODES = frozenset({"training", "gradient_checkpointing"})


def check_can_be_cut(base: Any, name: str, chains: Sequence[nn.Module], num_layers: int) -> None:
    """Refuse a model of which fewer layers would be another one, or whose layers cannot be run in groups.

    Layers are compared with each other and with those of a new model of ``num_layers``: their modules, the shapes of
    their parameters and what else they know. Then the model is run in groups of layers on a few tokens, or an image.

    Args:
        base: a model without a head.
        name: of its layers.
        chains: groups of them, each called as one layer.
        num_layers: how many there are to be, as many as groups.

    Raises:
        ValueError: saying why it cannot.
    """
    layers: Any = base.get_submodule(name)
    kind = type(base).__name__
    if getattr(base.config, "is_encoder_decoder", False):
        raise ValueError(f"model must be of one stack of layers to get a successor, got a {kind} with a decoder")
    for field, value in base.config.to_dict().items():
        if "layer" in field and isinstance(value, list | tuple) and value:
            raise ValueError(
                f"model must have no settings of single layers to get a successor, got a {kind} with {field}={value}"
            )
    smaller = _smaller(base, num_layers)
    fresh: Any = smaller.get_submodule(name)
    numbers = [*range(len(layers)), *range(num_layers)]
    if different := _first_difference([*layers, *fresh], numbers):
        raise ValueError(
            f"model must have layers that are all alike to get a successor, got a {kind} whose layers differ in "
            f"{different}"
        )
    shapes, own = ({n: tuple(p.shape) for n, p in one.named_parameters()} for one in (smaller, base))
    # A pooler is there or not as the head has asked for.
    if changed := [parameter for parameter in shapes if parameter in own and own[parameter] != shapes[parameter]]:
        raise ValueError(
            f"model must have parameters of its layers in its layers alone to get a successor, got a {kind} with "
            f"{', '.join(changed)}"
        )
    inputs = _sample(base)
    before = _states(base, inputs)
    with _layers(base, name, chains):
        try:
            after = _states(base, inputs)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"model must run its layers one after the other, got a {kind}, where {error}") from error
    if not torch.allclose(before, after, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise ValueError(
            f"model must run its layers one after the other and nothing else to get a successor, got a {kind} whose "
            "outputs are others when its layers are run in groups"
        )


def without_cache(base: Any) -> dict[str, Any]:
    """What a model is told so that its layers, each by its number, keep no keys and values."""
    return {"use_cache": False} if "use_cache" in inspect.signature(base.forward).parameters else {}


def replace_layers(base: Any, name: str, layers: Sequence[nn.Module]) -> None:
    """Give a model other layers, and its config their number."""
    parent, _, last = name.rpartition(".")
    setattr(base.get_submodule(parent), last, nn.ModuleList(layers))
    base.config.num_hidden_layers = len(layers)


@contextmanager
def _layers(base: Any, name: str, layers: Sequence[nn.Module]) -> Iterator[None]:
    before = list(base.get_submodule(name))
    replace_layers(base, name, layers)
    try:
        yield
    finally:
        replace_layers(base, name, before)


def _smaller(base: Any, num_layers: int) -> Any:
    """A model of fewer layers as it would be opened, without weights."""
    settings = copy.deepcopy(base.config.to_dict())
    try:
        config = type(base.config).from_dict(settings, num_hidden_layers=num_layers)
        with torch.device("meta"):
            return type(base)._from_config(config)
    # Configs check themselves, each in its own way.
    except Exception as error:
        raise ValueError(
            f"model must be of a family whose config takes any number of layers to get a successor, got a "
            f"{type(base).__name__}: {error}"
        ) from error


def _first_difference(layers: Sequence[nn.Module], numbers: Sequence[int]) -> str | None:
    """What layers differ in beside their numbers; None: in nothing."""
    found = [_features(layer) for layer in layers]
    for name in {name: None for features in found for name in features}:
        values = [features.get(name, ...) for features in found]
        is_number = all(type(value) is int for value in values) and values == list(numbers)
        if not is_number and any(value != values[0] for value in values):
            return name
    return None


def _features(layer: nn.Module) -> dict[str, Any]:
    """By its name in a layer: each module's class, its parameters' shapes, and what else is simple about it."""
    found: dict[str, Any] = {}
    for path, module in layer.named_modules():
        found[path or "the class"] = type(module)
        tensors = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        values = {name: tuple(tensor.shape) for name, tensor in tensors}
        values |= {
            name: value
            for name, value in vars(module).items()
            if isinstance(value, _SIMPLE) and not name.startswith("_") and name not in _MODES
        }
        found |= {f"{path}.{name}".lstrip("."): value for name, value in values.items()}
    return found


def _sample(base: Any) -> dict[str, Tensor]:
    """Some tokens, or an image."""
    generator = torch.Generator().manual_seed(0)
    config, parameter = base.config, next(base.parameters())
    if base.main_input_name == "input_ids":
        ids = torch.randint(min(config.vocab_size, 1000), (2, 5), generator=generator)
        return {"input_ids": ids.to(parameter.device), "attention_mask": torch.ones_like(ids).to(parameter.device)}
    if base.main_input_name == "pixel_values":
        size = config.image_size if isinstance(config.image_size, Iterable) else (config.image_size,) * 2
        image = torch.rand(1, config.num_channels, *size, generator=generator)
        return {"pixel_values": image.to(parameter.device, parameter.dtype)}
    raise ValueError(
        f"model must read input_ids or pixel_values to get a successor, got a {type(base).__name__} that reads "
        f"{base.main_input_name}"
    )


@torch.no_grad()
def _states(base: Any, inputs: dict[str, Tensor]) -> Tensor:
    """The states that a model ends with, ``[B, L, H]`` or as it has them."""
    with evaluation_mode(base):
        states: Tensor = base(**inputs, **without_cache(base))[0]
    return states.float()
