"""The main job for tags: train a CRF, a MEMM or a softmax over tags on files with entities."""

from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from hf_ext.tasks.base.tag_job import TagJob
from hf_ext.tasks.entities.span_job import EntityJob
from hf_ext.tasks.entities.tag_head import AutoModelForSequenceLabeling


@dataclass
class SequenceLabelingJob(TagJob, EntityJob):
    """Named-entity recognition with a CRF, a MEMM or a softmax over tags, of entities that do not overlap."""

    command: ClassVar[str] = "ner"
    auto_class: ClassVar[Any] = AutoModelForSequenceLabeling

    def head_options(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Fields of the head's config, with the tokens that have no tag."""
        names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
        untagged = {getattr(tokenizer, name) for name in names} - {None, tokenizer.unk_token_id}
        return {**super().head_options(tokenizer), "untagged_token_ids": sorted(untagged)}
