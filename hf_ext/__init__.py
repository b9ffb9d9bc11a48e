"""Su Jianlin's models, heads and losses for Transformers v5. Importing registers them with the Auto classes.

The public names below are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

import hf_ext.models.roformer
import hf_ext.pipelines  # noqa: F401  (registers, as the line above does)
from hf_ext.version import __version__

if TYPE_CHECKING:
    from hf_ext.conversion import convert_release  # noqa: F401
    from hf_ext.data import (  # noqa: F401
        DataCollatorForSpanExtraction,
        SpanEncoder,
        build_char_tokenizer,
        decode_dataset,
        decode_spans,
        generate_samples,
        read_entities,
        write_entities,
    )
    from hf_ext.heads import AutoModelForSpanExtraction  # noqa: F401
    from hf_ext.metrics import SpanMetric, span_metrics, span_scores  # noqa: F401
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
    from hf_ext.modules.global_pointer import EfficientGlobalPointer, GlobalPointer  # noqa: F401
    from hf_ext.pipelines.span_extraction import SpanExtractionPipeline  # noqa: F401
    from hf_ext.tokenization import JiebaWordPieceTokenizer  # noqa: F401

_PUBLIC = {
    "hf_ext.conversion": ("convert_release",),
    "hf_ext.data": (
        "DataCollatorForSpanExtraction",
        "SpanEncoder",
        "build_char_tokenizer",
        "decode_dataset",
        "decode_spans",
        "generate_samples",
        "read_entities",
        "write_entities",
    ),
    "hf_ext.heads": ("AutoModelForSpanExtraction",),
    "hf_ext.metrics": ("SpanMetric", "span_metrics", "span_scores"),
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
    "hf_ext.modules.global_pointer": ("EfficientGlobalPointer", "GlobalPointer"),
    "hf_ext.pipelines.span_extraction": ("SpanExtractionPipeline",),
    "hf_ext.tokenization": ("JiebaWordPieceTokenizer",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hf_ext' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
