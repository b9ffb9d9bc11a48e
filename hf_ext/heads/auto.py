"""Auto classes of the heads."""

from transformers.models.auto.auto_factory import _BaseAutoModelClass

from hf_ext.heads.generic import HeadMapping
from hf_ext.heads.span_extraction import SpanExtraction


class AutoModelForSpanExtraction(_BaseAutoModelClass):
    """Any encoder with a span extraction head.

    ``from_pretrained(name, id2label=..., label2id=..., span_head="global_pointer", span_head_size=64)`` opens a
    checkpoint of an encoder, a masked language model or a span extraction model; ``from_config(config)`` begins anew.
    The class is ``<Family>ForSpanExtraction``; see `SpanExtraction` for the fields.
    """

    _model_mapping = HeadMapping(SpanExtraction)  # type: ignore[assignment]
