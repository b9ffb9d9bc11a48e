"""Auto classes of the heads."""

from typing import Any

from hf_ext.heads.event_extraction import EventExtraction
from hf_ext.heads.generic import EncoderHead, HeadMapping
from hf_ext.heads.reading_comprehension import ReadingComprehension
from hf_ext.heads.relation_extraction import RelationExtraction
from hf_ext.heads.sequence_labeling import SequenceLabeling
from hf_ext.heads.span_extraction import SpanExtraction
from hf_ext.transformers_private import BaseAutoModelClass


def auto_class(head: type[EncoderHead], example: str) -> Any:
    """The Auto class of a head, with the attribute ``head``.

    Args:
        head: the mixin.
        example: arguments of ``from_pretrained`` beside the name.
    """
    text = f"""Any encoder with the head `{head.__name__}`.

    ``from_pretrained(name, {example})`` opens a checkpoint of an encoder, a masked language model or a model with this
    head; ``from_config(config)`` starts from random weights. The class is ``<Family>{head.suffix}``; see
    `{head.__name__}` for the fields.
    """
    fields = {"__module__": __name__, "__doc__": text, "head": head, "_model_mapping": HeadMapping(head)}
    return type(f"AutoModel{head.suffix}", (BaseAutoModelClass,), fields)


AutoModelForSequenceLabeling = auto_class(
    SequenceLabeling, 'id2label=..., label2id=..., sequence_head="crf", constrained_transitions=True'
)
AutoModelForEventExtraction = auto_class(
    EventExtraction, 'id2label={0: "type|role", ...}, label2id=..., span_head_size=64'
)
AutoModelForReadingComprehension = auto_class(ReadingComprehension, 'answer_head="global_pointer", answer_head_size=64')
AutoModelForRelationExtraction = auto_class(RelationExtraction, "id2label=..., label2id=..., span_head_size=64")
AutoModelForSpanExtraction = auto_class(
    SpanExtraction, 'id2label=..., label2id=..., span_head="global_pointer", span_head_size=64'
)
