"""Reading, encoding and batching texts with labelled spans."""

from importlib import import_module
from typing import Any

_HOMES = {
    "DataCollatorForSpanExtraction": "span_collator",
    "EntityDataError": "entity_example",
    "EntityExample": "entity_example",
    "SpanEncoder": "span_encoding",
    "build_char_tokenizer": "char_vocabulary",
    "build_char_vocabulary": "char_vocabulary",
    "check_labels": "entity_example",
    "decode_dataset": "span_encoding",
    "decode_spans": "span_encoding",
    "generate_samples": "samples",
    "merge_spans": "windows",
    "read_entities": "entities",
    "sample_vocabulary": "samples",
    "split_windows": "windows",
    "write_entities": "entities",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
