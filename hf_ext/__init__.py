"""Su Jianlin's models, heads and losses for Transformers v5. Importing registers them with the Auto classes.

The public names below are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

import hf_ext.models.roformer  # noqa: F401  (registers)
from hf_ext.version import __version__

if TYPE_CHECKING:
    from hf_ext.models.roformer import (  # noqa: F401
        RoFormerConfig,
        RoFormerForCausalLM,
        RoFormerForMaskedLM,
        RoFormerForMultipleChoice,
        RoFormerForQuestionAnswering,
        RoFormerForSequenceClassification,
        RoFormerForTokenClassification,
        RoFormerModel,
    )

_PUBLIC = {
    "hf_ext.models.roformer": (
        "RoFormerConfig",
        "RoFormerForCausalLM",
        "RoFormerForMaskedLM",
        "RoFormerForMultipleChoice",
        "RoFormerForQuestionAnswering",
        "RoFormerForSequenceClassification",
        "RoFormerForTokenClassification",
        "RoFormerModel",
    ),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hf_ext' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
