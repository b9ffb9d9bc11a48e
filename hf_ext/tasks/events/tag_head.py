"""Event extraction by tags over any encoder: each token's type and role (kexue.fm/archives/7321)."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_ext.tasks.base.head import auto_class, head_class_by_name
from hf_ext.tasks.base.tag_head import TagHead

_OUTSIDE = 0


class EventTagging(TagHead):
    """Head that finds the arguments of events by tags, each of which has a type and a role.

    See `TagHead` for the fields of the config, and one more, ``first_tag_outside`` (True): a row's first real token is
    always outside of an argument, as is the original's [CLS], which it tags, as it does [SEP]. Such tokens take part in
    the sequence: they say from what the first word's tag comes. The first entry of ``id2label`` is the tag of what is
    outside; the others are tags of ``"type|role"``.
    """

    suffix = "ForEventTagging"
    fields: ClassVar[dict[str, Any]] = {**TagHead.fields, "first_tag_outside": True}

    def limited(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """The emissions ``[B, L, K]``, at the first token of each row next to nothing but for what is outside."""
        if not self.config.first_tag_outside:
            return emissions
        place = torch.arange(emissions.shape[1], device=emissions.device)
        first = mask & (place == mask.int().argmax(1, keepdim=True))
        inside = torch.arange(emissions.shape[2], device=emissions.device) != _OUTSIDE
        # Finite, so that probabilities can be computed of them.
        least = torch.finfo(emissions.dtype).min / 4
        return emissions.masked_fill(first.unsqueeze(-1) & inside, least)


AutoModelForEventTagging = auto_class(
    EventTagging, 'id2label={0: "O", 1: "B-type|role", ...}, label2id=..., sequence_head="crf"'
)
"""Gives any encoder this head."""


def __getattr__(name: str) -> Any:
    return head_class_by_name(name, EventTagging)
