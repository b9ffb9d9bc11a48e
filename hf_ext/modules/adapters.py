"""What heads do for PEFT: take a tuned prefix, and refuse adapters that could not be loaded again."""

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from torch import nn

CACHE_ARGUMENTS = ("cache", "past_key_values")
"""Names under which encoders take a cache."""


def takes_prefix(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Give the ``forward`` of a head the argument ``past_key_values``, by which PEFT knows what a prefix can tune.

    It goes to the encoder, as the keys and values of tokens before the text.
    """

    @wraps(forward)
    def with_prefix(self: Any, *args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
        if past_key_values is not None:
            encoder_class: Any = type(self.base_model)
            kwargs[cache_argument(encoder_class)] = past_key_values
        return forward(self, *args, **kwargs)

    signature = inspect.signature(forward)
    *parameters, rest = signature.parameters.values()
    prefix = inspect.Parameter("past_key_values", inspect.Parameter.KEYWORD_ONLY, default=None)
    with_prefix.__signature__ = signature.replace(parameters=[*parameters, prefix, rest])  # type: ignore[attr-defined]
    return with_prefix


@cache
def cache_argument(encoder_class: type[nn.Module]) -> str:
    """The name under which an encoder takes a cache.

    Raises:
        ValueError: if it takes none.
    """
    known = inspect.signature(encoder_class.forward).parameters
    for name in CACHE_ARGUMENTS:
        if name in known:
            return name
    raise ValueError(f"past_key_values must be None, as a {encoder_class.__name__} takes no keys and values, got some")


def refuse_adapted_head(name: str, module: Any) -> None:
    """Raise ValueError where PEFT is to train and save a head as a whole whose layers it has put adapters into.

    Such a model trains and is saved, and cannot be loaded.
    """
    if not hasattr(module, "original_module") or not hasattr(module, "modules_to_save"):
        return
    adapted = [own for own, layer in module.original_module.named_modules() if hasattr(layer, "base_layer")]
    if adapted:
        raise ValueError(
            f"target_modules must leave out the layers of {name!r}, which is trained and saved as a whole, got "
            f"{', '.join(f'{name}.{own}' for own in adapted)}; give modules_to_save=['{name}']"
        )
