"""How the weights of a new model begin (kexue.fm/archives/7180, 8620, 8978)."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from hf_ext.losses.rows import check_at_least, check_positive
from hf_ext.modules.named_matrices import named_matrices
from hf_ext.modules.transformer_block import AttentionSublayer, ResidualOutput, TransformerLayer

SCHEMES = ("bert", "lecun", "xavier", "he", "orthogonal", "deepnorm")
OPTIMIZERS = ("adam", "sgd", "lamb", "paper")


def truncated_std(bound: float = 2.0) -> float:
    """Standard deviation of a standard normal variable drawn anew until it is within ``[-bound, bound]``."""
    check_positive("bound", bound)
    density = math.exp(-(bound**2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * bound * density / math.erf(bound / math.sqrt(2)))


@torch.no_grad()
def truncated_normal_(
    tensor: Tensor, std: float = 1.0, bound: float = 2.0, generator: torch.Generator | None = None
) -> Tensor:
    """Fill a tensor from a normal distribution that is cut, so that the standard deviation of what is left is ``std``.

    `torch.nn.init.trunc_normal_` takes that of the uncut one, and bounds that are not multiples of it: with its own
    bounds, -2 and 2, a standard deviation of 0.02 cuts nothing.

    Args:
        tensor: of any shape, filled in place.
        std: of what is drawn.
        bound: where it is cut, in standard deviations of the uncut distribution; at 2 that one's is 1.1368 ``std``.
        generator: to draw by.

    Returns:
        The tensor.

    Raises:
        ValueError: if ``std`` is negative or ``bound`` not above 0.
    """
    check_at_least("std", std, 0)
    nominal = std / truncated_std(bound)
    if nominal == 0:
        return tensor.zero_()
    return nn.init.trunc_normal_(tensor, 0.0, nominal, -bound * nominal, bound * nominal, generator)


def second_moment(function: str | Callable[[Tensor], Tensor]) -> float:
    """``E f(x)^2`` of an activation over standard normal x; divided by its root, outputs have the inputs' moment.

    Args:
        function: a name of Transformers' (``"gelu"``), or a function of tensors.
    """
    function = ACT2FN[function] if isinstance(function, str) else function
    # The trapezoid rule is exact to rounding where a function is smooth; the kink of ReLU is on a point.
    points = torch.arange(-16 * 4096, 16 * 4096 + 1, dtype=torch.float64) / 4096
    density = torch.exp(-points.square() / 2) / math.sqrt(2 * math.pi)
    return float((function(points).square() * density).sum() / 4096)


def deepnorm_constants(sublayers: int, optimizer: str = "adam") -> tuple[float, float]:
    """Factors of residuals and of weights, ``alpha`` and ``lambda``, under which a deep post-norm model learns evenly.

    With M sublayers (2 N of an encoder with N blocks): under ``"adam"`` M^(1/2) and M^(-1/2), under ``"sgd"`` M^(1/4)
    and M^(-1/4), under ``"lamb"`` 1 and M^(-1/2), all of kexue.fm/archives/8978; ``"paper"`` are those of arXiv
    2203.00555 for an encoder or a decoder alone, M^(1/4) and (4 M)^(-1/4).

    Raises:
        ValueError: if there are no sublayers, or the optimiser is another.
    """
    check_at_least("sublayers", sublayers, 1)
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    return {
        "adam": (sublayers**0.5, sublayers**-0.5),
        "sgd": (sublayers**0.25, sublayers**-0.25),
        "lamb": (1.0, sublayers**-0.5),
        "paper": (sublayers**0.25, (4 * sublayers) ** -0.25),
    }[optimizer]


@torch.no_grad()
def initialize_(
    model: nn.Module,
    scheme: str = "bert",
    optimizer: str = "adam",
    activation: str | None = None,
    generator: torch.Generator | None = None,
) -> nn.Module:
    """Draw the weights of a new model anew.

    Matrices of linear layers and convolutions have, of m inputs and n outputs, a fused one (``qkv``) each by itself:
    ``"bert"``, a normal distribution of ``config.initializer_range`` (0.02 without one) cut at twice that, as the
    originals draw; ``"lecun"``, variance 1 / m; ``"xavier"``, 2 / (m + n); ``"he"``, 1 / (m times the second moment of
    the activation), 2 / m for ReLU; each cut too, and with that variance after it; ``"orthogonal"``, orthonormal rows,
    or columns where there are fewer; ``"deepnorm"``, as ``"xavier"``, times ``lambda`` of `deepnorm_constants` but for
    queries and keys, and sets ``residual_scale`` of the config and of the blocks to ``alpha``.

    Embeddings begin as under ``"bert"``, biases at 0, norms at 1 and 0. Bare parameters of other modules stay as the
    family makes them.

    Args:
        model: changed in place; one of Transformers, or any module.
        scheme: as above.
        optimizer: of ``"deepnorm"``: ``"adam"``, ``"sgd"``, ``"lamb"`` or ``"paper"``.
        activation: of ``"he"``: Transformers' name of what follows the layers; None: ReLU.
        generator: to draw by.

    Returns:
        The model.

    Raises:
        ValueError: if a name is unknown or would have no effect, the model has adapters or parametrisations, or under
            ``"deepnorm"`` no post-norm residuals of ours.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}")
    if optimizer != "adam" and scheme != "deepnorm":
        raise ValueError(f"optimizer has no effect under scheme={scheme!r}, got {optimizer!r}")
    if activation is not None and scheme != "he":
        raise ValueError(f"activation has no effect under scheme={scheme!r}, got {activation!r}")
    if any(hasattr(one, "base_layer") or hasattr(one, "parametrizations") for one in model.modules()):
        raise ValueError(
            f"model must have neither adapters nor parametrisations to be initialised, got a {type(model).__name__} "
            "with some"
        )
    small: set[nn.Module] = set()
    factor = 1.0
    if scheme == "deepnorm":
        outputs = _post_norm_outputs(model)
        alpha, factor = deepnorm_constants(len(outputs), optimizer)
        set_residual_scale(model, alpha)
        small = _scaled_layers(model)
    range_ = getattr(getattr(model, "config", None), "initializer_range", 0.02)
    embedded = {id(one.weight) for one in model.modules() if isinstance(one, nn.Embedding)}
    linear = {one.module: one for one in named_matrices(model) if one.name.endswith("weight")}
    moment = second_moment(activation or "relu") if scheme == "he" else 1.0
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            truncated_normal_(module.weight, range_ * truncated_std(), generator=generator)
            if module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            for name, value in (("weight", 1.0), ("bias", 0.0)):
                if getattr(module, name, None) is not None:
                    getattr(module, name).fill_(value)
        elif id(getattr(module, "weight", None)) not in embedded and _is_linear(module):
            # A kernel of a convolution is one of as many inputs as it covers.
            whole: Any = module.weight
            for weight in linear[module].matrices() if module in linear else (whole.flatten(1),):
                _draw_(weight, scheme, range_, moment, generator)
                if module in small:
                    weight.mul_(factor)
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()  # type: ignore[operator]
    return model


def set_residual_scale(model: nn.Module, scale: float) -> None:
    """Set the factor of the residuals of a model's blocks, and ``residual_scale`` of its config, which is saved.

    Args:
        model: of a family with post-norm residuals of ours, without adapters.
        scale: alpha of DeepNorm.

    Raises:
        ValueError: if it has none, or the factor is not above 0.
    """
    check_positive("scale", scale)
    for one in _post_norm_outputs(model):
        one.residual_scale = scale
    config: Any = model.config
    config.residual_scale = scale


def _post_norm_outputs(model: nn.Module) -> list[ResidualOutput]:
    config: Any = getattr(model, "config", None)
    outputs = [one for one in model.modules() if isinstance(one, ResidualOutput)]
    if not outputs or not isinstance(model, PreTrainedModel) or "residual_scale" in config.fixed_fields:
        raise ValueError(
            "model must be of a family of hf_ext with post-norm residuals, such as RoFormer, to have a residual_scale, "
            f"got {type(model).__name__}"
        )
    return outputs


def _scaled_layers(model: nn.Module) -> set[nn.Module]:
    """The layers of the blocks but for those of queries and keys."""
    found: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, ResidualOutput):
            found.add(module.dense)
        elif isinstance(module, AttentionSublayer):
            found.add(module.self.value)
        elif isinstance(module, TransformerLayer):
            found.add(module.intermediate.dense)
    return found


def _is_linear(module: nn.Module) -> bool:
    # Conv1D is Transformers' linear layer with inputs first.
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return isinstance(module, kinds) or type(module).__name__ == "Conv1D"


def _draw_(weight: Tensor, scheme: str, range_: float, moment: float, generator: torch.Generator | None) -> None:
    outputs, inputs = weight.shape
    if scheme == "orthogonal":
        nn.init.orthogonal_(weight, generator=generator)
        return
    variance = {
        "bert": (range_ * truncated_std()) ** 2,
        "lecun": 1 / inputs,
        "he": 1 / (inputs * moment),
    }.get(scheme, 2 / (inputs + outputs))
    truncated_normal_(weight, math.sqrt(variance), generator=generator)
