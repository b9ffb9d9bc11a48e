"""The NTK form of linear layers: the root of the number of inputs beside the weights, and not in them (8620)."""

from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize


class NTKForm(nn.Module):
    """Parametrisation ``W = V / sqrt(m)`` of the weight of a layer with m inputs.

    Args:
        inputs: m.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs

    def forward(self, weight: Tensor) -> Tensor:
        """The weight that acts, from the one that is learnt, ``[n, m]``."""
        return weight / self.inputs**0.5

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The one that is learnt, from the one that acts."""
        return weight * self.inputs**0.5


def to_ntk_form(model: nn.Module) -> nn.Module:
    """Give the linear layers of a model weights of variance 1 or so, divided by ``sqrt(m)`` as they act.

    What the model computes stays the same. Under Adam a learning rate is then a part of the weights, as 0.01 is one
    hundredth, whatever the width. Layers tied to an embedding are left as they are. Names of parameters are others:
    `from_ntk_form` before the model is saved.

    Args:
        model: changed in place.

    Returns:
        The model.

    Raises:
        ValueError: if it has no linear layers, or parametrisations already.
    """
    embedded = {id(one.weight) for one in model.modules() if isinstance(one, nn.Embedding)}
    layers = [one for one in model.modules() if isinstance(one, nn.Linear) and id(one.weight) not in embedded]
    if not layers or any(parametrize.is_parametrized(one) for one in layers):
        found = "some with parametrisations" if layers else "none"
        raise ValueError(f"model must have plain linear layers to be given the NTK form, got {found}")
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", NTKForm(layer.in_features))
    return model


def from_ntk_form(model: nn.Module) -> nn.Module:
    """Undo `to_ntk_form`: plain weights under their old names, and the same numbers.

    Args:
        model: changed in place; its optimiser knows the old parameters, and is of no use any more.

    Returns:
        The model.

    Raises:
        ValueError: if it has no layers in the NTK form.
    """
    layers = [one for one in model.modules() if _has_ntk_form(one)]
    if not layers:
        raise ValueError("model must have layers in the NTK form, got none")
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return model


def _has_ntk_form(layer: Any) -> bool:
    return parametrize.is_parametrized(layer, "weight") and isinstance(layer.parametrizations.weight[0], NTKForm)
