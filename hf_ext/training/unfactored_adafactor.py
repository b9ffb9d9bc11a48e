"""AdaFactor with momentum and nothing factored, the optimiser of the articles' benchmarks (kexue.fm/archives/8739)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_EPSILON = 1e-30
_LARGEST_UPDATE = 1.0
_LEAST_SCALE = 1e-3
_DECAY = 0.8


class UnfactoredAdafactor(Optimizer):
    """AdaFactor (arXiv 1804.04235) with momentum, steps in proportion to the weights, and a second moment of each.

    For a parameter p with gradient g, at step t from 1, with rms over the whole tensor::

        b = 1 - t ** -0.8
        v = b v + (1 - b) (g² + 1e-30)
        u = g / sqrt(v + 1e-30);  u = u / max(1, rms(u))
        m = momentum m + (1 - momentum) u
        p = p - lr max(rms(p), 1e-3) m

    This is bert4keras' AdaFactor as its benchmarks have it. Transformers' `Adafactor` factors each matrix and scales
    what goes into the momentum; `torch.optim.Adafactor` has no momentum. Its benchmarks keep the rate constant, without
    warm-up. A bias that begins at 0 moves by 5e-7 a step at first.

    State is in float32 for parameters of lower precision. Steps would mostly be lost to their rounding, so what it
    takes away is kept too, and added to the parameter in the next step, as if that were in float32.

    ``Trainer(..., optimizer_cls_and_kwargs=(UnfactoredAdafactor, {"lr": 5e-4}))`` trains by it.

    Args:
        params: parameters, or groups of them.
        lr: factor of the steps; a schedule may change it.
        momentum: share of its past that m keeps.
        micro_steps: how many steps each counts for in t. The original counts each micro-batch of an accumulated
            gradient: their number gives what it computes.
        weight_decay: 0; groups as Trainer makes them have it.

    Raises:
        ValueError: if an argument is out of range, a parameter is no tensor of floating point or divided among
            processes, or, in a step, a gradient is sparse.
    """

    def __init__(
        self, params: Any, lr: float = 5e-4, momentum: float = 0.9, micro_steps: int = 1, weight_decay: float = 0.0
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "micro_steps": micro_steps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As of any optimiser, checked."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if not group["lr"] >= 0:
            raise ValueError(f"lr must be at least 0, got {group['lr']}")
        if not 0 <= group["momentum"] < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {group['momentum']}")
        if group["micro_steps"] < 1:
            raise ValueError(f"micro_steps must be at least 1, got {group['micro_steps']}")
        if group["weight_decay"] != 0:
            raise ValueError(f"weight_decay must be 0, as this optimiser has none, got {group['weight_decay']}")
        for parameter in group["params"]:
            if not parameter.is_floating_point():
                raise ValueError(f"params must be of floating point, got {parameter.dtype}")
            # Of a DTensor.
            if hasattr(parameter, "device_mesh"):
                raise ValueError("params must be whole, as steps go by the size of all of a tensor, got a DTensor")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; parameters without a gradient stay as they are.

        Args:
            closure: computes gradients and gives the loss, which is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameters in _batches([one for one in group["params"] if one.grad is not None]):
                self._update(parameters, group["lr"], group["momentum"], group["micro_steps"])
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As of any optimiser, without casting the state to the types of the parameters."""
        super().load_state_dict(state_dict)
        numbers = (number for group in state_dict["param_groups"] for number in group["params"])
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        for number, parameter in zip(numbers, parameters):
            for name, value in state_dict["state"].get(number, {}).items():
                place = value.device if name == "step" else parameter.device
                self.state[parameter][name] = value.detach().to(place, copy=True)

    def _update(self, parameters: list[Tensor], lr: float, momentum: float, micro_steps: int) -> None:
        """A step of parameters of one type on one device."""
        states = [self._state_of(one) for one in parameters]
        squares, momenta = ([state[name] for state in states] for name in ("square", "momentum"))
        gradients = [one.grad.to(square.dtype) for one, square in zip(parameters, squares) if one.grad is not None]
        kept = []
        for state in states:
            state["step"] += 1
            kept.append(1 - (float(state["step"]) * micro_steps) ** -_DECAY)
        updates = torch._foreach_mul(gradients, gradients)
        torch._foreach_add_(updates, _EPSILON)
        torch._foreach_mul_(updates, [1 - one for one in kept])
        torch._foreach_mul_(squares, kept)
        torch._foreach_add_(squares, updates)
        roots = torch._foreach_add(squares, _EPSILON)
        torch._foreach_sqrt_(roots)
        updates = torch._foreach_div(gradients, roots)
        torch._foreach_div_(updates, [size.clamp(min=_LARGEST_UPDATE) for size in _sizes(updates)])
        torch._foreach_lerp_(momenta, updates, 1 - momentum)
        rounded = "rounded" in states[0]
        weights = [one.float() + state["rounded"] for one, state in zip(parameters, states)] if rounded else parameters
        factors = [lr * size.clamp(min=_LEAST_SCALE) for size in _sizes(weights)]
        torch._foreach_sub_(weights, torch._foreach_mul(momenta, factors))
        if rounded:
            for parameter, weight, state in zip(parameters, weights, states):
                parameter.copy_(weight)
                torch.sub(weight, parameter, out=state["rounded"])

    def _state_of(self, parameter: Tensor) -> dict[str, Any]:
        """The state of a parameter, made before its first step."""
        gradient = parameter.grad
        if gradient is not None and gradient.is_sparse:
            raise ValueError("params must have dense gradients, got a sparse one; make embeddings with sparse=False")
        state: dict[str, Any] = self.state[parameter]
        if not state:
            dtype = torch.promote_types(parameter.dtype, torch.float32)
            state["step"] = torch.zeros(())
            names = ("square", "momentum") if dtype == parameter.dtype else ("square", "momentum", "rounded")
            for name in names:
                state[name] = torch.zeros_like(parameter, dtype=dtype, memory_format=torch.preserve_format)
        return state


def _batches(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Parameters that are updated at once: on an accelerator all of a type, on the CPU, which gains nothing, one."""
    found: dict[Any, list[Tensor]] = {}
    for parameter in parameters:
        key = id(parameter) if parameter.device.type == "cpu" else (parameter.device, parameter.dtype)
        found.setdefault(key, []).append(parameter)
    yield from found.values()


def _sizes(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Root of the mean of the squares of each tensor."""
    return [norm / max(one.numel(), 1) ** 0.5 for one, norm in zip(tensors, torch._foreach_norm(list(tensors)))]
