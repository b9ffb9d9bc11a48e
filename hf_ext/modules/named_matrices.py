"""The matrices of a model by name, as they act: with adapters, under parametrisations, and fused ones apart."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers.pytorch_utils import Conv1D

_FUSED = {"qkv": 3, "Wqkv": 3, "gate_up_proj": 2}
"""Names of what holds several matrices of one size behind each other, and how many."""

# Of these there are as many as fit, each as wide as what comes in: three, or two of attention to another text.
_FUSED_SQUARES = ("c_attn", "qkv_proj", "in_proj_weight")

# The rows of each head lie together, so that those of one matrix do not.
_INTERLEAVED = ("query_key_value",)


@dataclass(frozen=True)
class NamedMatrix:
    """A matrix of a model.

    Attributes:
        name: that of its parameter in the model without adapters.
        module: what it is a parameter of, or the adapter around that.
        parameters: names of the parameters that it is made of, as the model at hand has them.
        tensor: makes it, ``[outputs, inputs]``.
        parts: how many matrices are fused in it, one behind the other; None where they are several, which lie in
            another way.
        learns: whether one of its parameters does.
    """

    name: str
    module: nn.Module
    parameters: tuple[str, ...]
    tensor: Callable[[], Tensor]
    parts: int | None
    learns: bool

    def matrices(self) -> tuple[Tensor, ...]:
        """The matrices ``[outputs, inputs]`` that it holds, with the graph that leads to the parameters."""
        return self.tensor().chunk(self.parts or 1)


def plain_name(name: str) -> str:
    """The name that a parameter or module has without what PEFT puts around it."""
    name = name.removeprefix("base_model.model.")
    return re.sub(r"\.(base_layer|modules_to_save\.[^.]+)(?=\.|$)", "", name)


def named_matrices(model: nn.Module) -> Iterator[NamedMatrix]:
    """The parameters of a model that are matrices, each as it acts on what comes in.

    Under LoRA a matrix is the sum of the one below and the product of the adapter's two. The name is that of the model
    without adapters.

    Raises:
        ValueError: where an adapter is of a kind of which the matrix cannot be told.
    """
    adapters = {name: module for name, module in model.named_modules() if hasattr(module, "base_layer")}
    known = dict(model.named_parameters(remove_duplicate=False))
    for prefix, module in model.named_modules():
        around = next((one for one in adapters if prefix.startswith(f"{one}.")), None)
        if around is not None and prefix != f"{around}.base_layer":
            continue
        if ".original_module" in prefix or ".parametrizations" in f".{prefix}":
            continue
        for attribute, parameters in _parameters(module):
            shape = getattr(module, attribute).shape
            if len(shape) != 2:
                continue
            names = [f"{prefix}.{one}" if prefix else one for one in parameters]
            adapter: Any = None if around is None else adapters[around]
            if adapter is not None and attribute == "weight":
                names += [f"{around}.{one}" for one, _ in adapter.named_parameters() if one.startswith("lora_")]
            name = plain_name(f"{prefix}.{attribute}" if prefix else attribute)
            yield NamedMatrix(
                name,
                module if adapter is None else adapter,
                tuple(names),
                _acting(name, module, attribute, adapter),
                _parts(name, attribute, (shape[1], shape[0]) if isinstance(module, Conv1D) else (shape[0], shape[1])),
                any(known[one].requires_grad for one in names),
            )


def _parameters(module: nn.Module) -> Iterator[tuple[str, list[str]]]:
    """Names of a module's own parameters, each with those that it is made of."""
    for name, _ in module.named_parameters(recurse=False):
        yield name, [name]
    if parametrize.is_parametrized(module):
        for name, made in module.parametrizations.items():  # type: ignore[union-attr, operator]
            yield name, [f"parametrizations.{name}.{one}" for one, _ in made.named_parameters()]


def _acting(name: str, module: nn.Module, attribute: str, adapter: Any) -> Callable[[], Tensor]:
    def make() -> Tensor:
        weight: Tensor = getattr(module, attribute)
        if adapter is not None and attribute == "weight" and not (adapter.merged or adapter.disable_adapters):
            for active in adapter.active_adapters:
                if active in getattr(adapter, "use_dora", {}) and adapter.use_dora[active]:
                    raise ValueError(f"adapters must be plain LoRA to be penalised, got DoRA at {name}")
                if not hasattr(adapter, "lora_A"):
                    raise ValueError(f"adapters must be LoRA to be penalised, got {type(adapter).__name__} at {name}")
                if active in adapter.lora_A or active in adapter.lora_embedding_A:
                    weight = weight + adapter.get_delta_weight(active)
        return weight.T if isinstance(module, Conv1D) else weight

    return make


def _parts(name: str, attribute: str, shape: tuple[int, int]) -> int | None:
    """How many matrices there are in one ``[outputs, inputs]``; None if it is several of unknown places."""
    owner = name.removesuffix(f".{attribute}").rpartition(".")[2]
    if owner in _INTERLEAVED:
        return None
    if not {owner, attribute}.isdisjoint(_FUSED_SQUARES):
        return None if shape[0] % shape[1] else shape[0] // shape[1]
    return _FUSED.get(owner, 1)
