"""Sequence labelling over any encoder: a tag a token, by a CRF, a MEMM or a softmax (kexue.fm/archives/5542, 7213)."""

from typing import Any

from hf_ext.tasks.base.head import auto_class, head_class_by_name
from hf_ext.tasks.base.tag_head import TagHead


class SequenceLabeling(TagHead):
    """Head that gives each token a tag, with regard to its neighbours'; see `TagHead` for the fields of the config."""

    suffix = "ForSequenceLabeling"


AutoModelForSequenceLabeling = auto_class(
    SequenceLabeling, 'id2label=..., label2id=..., sequence_head="crf", constrained_transitions=True'
)
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, SequenceLabeling)
