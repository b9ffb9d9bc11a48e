"""The old name of the argument ``cache``, kept as long as Transformers keeps it."""

from collections.abc import Callable
from typing import Any, TypeVar

from transformers.utils.deprecation import deprecate_kwarg

Method = TypeVar("Method", bound=Callable[..., Any])


def takes_past_key_values(method: Method) -> Method:
    """Decorate a method with the argument ``cache``: ``past_key_values`` is taken for it, with a FutureWarning."""
    return deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")(method)
