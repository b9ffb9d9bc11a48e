"""Word tokenizers, as WoBERT, RoFormer and T5-PEGASUS have them."""

from importlib import import_module
from typing import Any

_HOMES = {"JiebaWordPieceTokenizer": "jieba_wordpiece", "register_tokenizers": "registration"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
