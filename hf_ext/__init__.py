"""Su Jianlin's models, heads and losses for Transformers v5. Importing registers them with the Auto classes.

The public names below are imported when they are first used.
"""

from typing import TYPE_CHECKING

import hf_ext.models.gau_alpha
import hf_ext.models.gpt_cdial
import hf_ext.models.nezha
import hf_ext.models.roformer
import hf_ext.models.t5_pegasus
import hf_ext.models.unilm_bert
import hf_ext.pipelines  # noqa: F401  (registers, as the line above does)
from hf_ext.lazy_names import lazy_names
from hf_ext.version import __version__

if TYPE_CHECKING:
    from hf_ext.conversion import convert_release, export_release  # noqa: F401
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
    from hf_ext.models.gau_alpha import (  # noqa: F401
        GAUAlphaConfig,
        GAUAlphaForMaskedLM,
        GAUAlphaForMultipleChoice,
        GAUAlphaForQuestionAnswering,
        GAUAlphaForSequenceClassification,
        GAUAlphaForTokenClassification,
        GAUAlphaModel,
    )
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
    from hf_ext.models.t5_pegasus import (  # noqa: F401
        T5PegasusConfig,
        T5PegasusEncoderModel,
        T5PegasusForConditionalGeneration,
        T5PegasusModel,
    )
    from hf_ext.modules.global_pointer import EfficientGlobalPointer, GlobalPointer  # noqa: F401
    from hf_ext.pipelines.span_extraction import SpanExtractionPipeline  # noqa: F401
    from hf_ext.tokenization import JiebaWordPieceTokenizer  # noqa: F401

_PUBLIC = {
    "hf_ext.conversion": ("convert_release", "export_release"),
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
    "hf_ext.models.gau_alpha": (
        "GAUAlphaConfig",
        "GAUAlphaForMaskedLM",
        "GAUAlphaForMultipleChoice",
        "GAUAlphaForQuestionAnswering",
        "GAUAlphaForSequenceClassification",
        "GAUAlphaForTokenClassification",
        "GAUAlphaModel",
    ),
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
    "hf_ext.models.t5_pegasus": (
        "T5PegasusConfig",
        "T5PegasusEncoderModel",
        "T5PegasusForConditionalGeneration",
        "T5PegasusModel",
    ),
    "hf_ext.modules.global_pointer": ("EfficientGlobalPointer", "GlobalPointer"),
    "hf_ext.pipelines.span_extraction": ("SpanExtractionPipeline",),
    "hf_ext.tokenization": ("JiebaWordPieceTokenizer",),
}

__all__ = ["__version__", *(name for names in _PUBLIC.values() for name in names)]

__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)
