"""The job of a task whose texts may come in pairs that a model reads as one row."""

from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from hf_ext.data.token_types import drop_token_types
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.option import option


@dataclass
class PairJob(EncoderJob):
    """A job on texts of which two may be read at once."""

    one_segment: bool = option(
        "Give both texts of a pair the token type 0, as the CLUE baselines do; saved with the tokenizer, which gives "
        "no types then.",
        False,
        group="Lengths",
        kw_only=True,
    )

    def load_tokenizer(self, texts: Iterable[str]) -> PreTrainedTokenizerBase:
        """As any job, without types if that is asked for: a model takes them for 0."""
        tokenizer = super().load_tokenizer(texts)
        if self.one_segment:
            drop_token_types(tokenizer)
        return tokenizer
