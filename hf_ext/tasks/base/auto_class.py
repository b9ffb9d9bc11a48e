"""Auto classes of the heads."""

from transformers.models.auto.auto_factory import _BaseAutoModelClass

from hf_ext.tasks.base.head import HeadMapping
from hf_ext.tasks.entities.span_head import SpanExtraction
from hf_ext.tasks.entities.tag_head import SequenceLabeling
from hf_ext.tasks.events.head import EventExtraction
from hf_ext.tasks.reading_comprehension.head import ReadingComprehension
from hf_ext.tasks.relations.head import RelationExtraction


class AutoModelForSequenceLabeling(_BaseAutoModelClass):
    """Any encoder with a sequence labelling head.

    ``from_pretrained(name, id2label=..., label2id=..., sequence_head="crf", constrained_transitions=True)`` opens a
    checkpoint of an encoder, a masked language model or a sequence labelling model; ``from_config(config)`` begins
    anew. The class is ``<Family>ForSequenceLabeling``; see `SequenceLabeling` for the fields.
    """

    _model_mapping = HeadMapping(SequenceLabeling)  # type: ignore[assignment]


class AutoModelForEventExtraction(_BaseAutoModelClass):
    """Any encoder with an event extraction head, GPLinker's.

    ``from_pretrained(name, id2label={0: "type|role", ...}, label2id=..., span_head_size=64)`` opens a checkpoint of an
    encoder, a masked language model or an event extraction model; ``from_config(config)`` begins anew. The class is
    ``<Family>ForEventExtraction``; see `EventExtraction` for the fields.
    """

    _model_mapping = HeadMapping(EventExtraction)  # type: ignore[assignment]


class AutoModelForReadingComprehension(_BaseAutoModelClass):
    """Any encoder with a reading comprehension head.

    ``from_pretrained(name, answer_head="global_pointer", answer_head_size=64)`` opens a checkpoint of an encoder, a
    masked language model or a reading comprehension model; ``from_config(config)`` begins anew. The class is
    ``<Family>ForReadingComprehension``; see `ReadingComprehension` for the fields.
    """

    _model_mapping = HeadMapping(ReadingComprehension)  # type: ignore[assignment]


class AutoModelForRelationExtraction(_BaseAutoModelClass):
    """Any encoder with a relation extraction head, GPLinker's.

    ``from_pretrained(name, id2label=..., label2id=..., span_head_size=64)`` opens a checkpoint of an encoder, a masked
    language model or a relation extraction model; ``from_config(config)`` begins anew. The class is
    ``<Family>ForRelationExtraction``; see `RelationExtraction` for the fields.
    """

    _model_mapping = HeadMapping(RelationExtraction)  # type: ignore[assignment]


class AutoModelForSpanExtraction(_BaseAutoModelClass):
    """Any encoder with a span extraction head.

    ``from_pretrained(name, id2label=..., label2id=..., span_head="global_pointer", span_head_size=64)`` opens a
    checkpoint of an encoder, a masked language model or a span extraction model; ``from_config(config)`` begins anew.
    The class is ``<Family>ForSpanExtraction``; see `SpanExtraction` for the fields.
    """

    _model_mapping = HeadMapping(SpanExtraction)  # type: ignore[assignment]
