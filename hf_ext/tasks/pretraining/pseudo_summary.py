"""The pre-training task of T5-PEGASUS: to write the sentences of a document that say most of the rest."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

from hf_ext.data.text_to_text import encode_summaries
from hf_ext.extras import extra

# A full stop inside a number or a name ends nothing; closing quotes belong to what they close.
_END = re.compile(r"(?:[。！？!?；;…]|\.(?![0-9A-Za-z]))+[”’」』）)\"']*|\n")


def split_sentences(text: str) -> list[str]:
    """The sentences of a text with their ends; joined they are the text, without blank ones."""
    ends = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    sentences = (text[start:end] for start, end in pairwise(ends))
    return [sentence for sentence in sentences if sentence.strip()]


def select_pseudo_summary(sentences: Sequence[str], ratio: float = 0.25) -> list[int]:
    """Which sentences make the summary that has most in common with what is left (kexue.fm/archives/8209).

    Sentences are moved one at a time, each the one after which the joined summary and the joined rest have the longest
    common subsequence of characters, the first of equals; until the summary has the share ``ratio`` of the characters,
    or one sentence is left. Sentences are compared by bits, many characters at a time.

    Args:
        sentences: those of a document, two or more.
        ratio: least share of the summary, between 0 and 1.

    Returns:
        Indices of the summary's sentences, ascending.

    Raises:
        ValueError: if there are fewer than two sentences, or ``ratio`` is out of its range.
        MissingExtraError: if rapidfuzz is not installed.
    """
    if len(sentences) < 2:
        raise ValueError(f"sentences must be two or more, one of them for the summary, got {len(sentences)}")
    if not 0 < ratio < 1:
        raise ValueError(f"ratio must be between 0 and 1, got {ratio}")
    with extra("summaries", "choosing pseudo-summaries"):
        from rapidfuzz.distance import LCSseq
    wanted = ratio * sum(map(len, sentences))
    summary: list[int] = []
    rest = list(range(len(sentences)))
    while len(rest) > 1 and sum(len(sentences[i]) for i in summary) < wanted:
        overlaps = [LCSseq.similarity(*_join(sentences, sorted([*summary, i]))) for i in rest]
        summary = sorted([*summary, rest.pop(overlaps.index(max(overlaps)))])
    return summary


def make_pseudo_summary(text: str, ratio: float = 0.25) -> dict[str, str]:
    """A document as ``{"text", "summary"}``: the sentences of `select_pseudo_summary` against all others.

    Where the chosen sentences are the longer part, as a single long one can be, the two change places.

    Raises:
        ValueError: if the text has fewer than two sentences.
    """
    sentences = split_sentences(text)
    summary, rest = _join(sentences, select_pseudo_summary(sentences, ratio))
    if len(summary) > len(rest):
        summary, rest = rest, summary
    return {"text": rest, "summary": summary}


def _join(sentences: Sequence[str], chosen: Sequence[int]) -> tuple[str, str]:
    own = set(chosen)
    parts = ([sentence for i, sentence in enumerate(sentences) if (i in own) == mine] for mine in (True, False))
    summary, rest = map("".join, parts)
    return summary, rest


@dataclass
class DataCollatorForPseudoSummary:
    """Makes batches of the pre-training task from documents, ``{"text"}``.

    Args:
        tokenizer: of the model.
        model: gives the decoder's inputs; its ``decoder_start_token_id`` is left off the labels.
        max_source_length: tokens of the input, [CLS] and [SEP] included.
        max_target_length: tokens of the target, the same.
        ratio: least share of the summary.
        pad_to_multiple_of: pads rows up to a multiple of this.
    """

    tokenizer: PreTrainedTokenizerBase
    model: Any
    max_source_length: int = 512
    max_target_length: int = 256
    ratio: float = 0.25
    pad_to_multiple_of: int | None = None

    def __post_init__(self) -> None:
        self._pad = DataCollatorForSeq2Seq(
            self.tokenizer, model=self.model, pad_to_multiple_of=self.pad_to_multiple_of, return_tensors="pt"
        )

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask`` ``[B, L]``, ``labels`` and ``decoder_input_ids`` ``[B, M]``.

        Raises:
            ValueError: if a document has fewer than two sentences.
        """
        examples = [make_pseudo_summary(row["text"], self.ratio) for row in rows]
        encoded = encode_summaries(
            examples,
            self.tokenizer,
            self.model.config.decoder_start_token_id,
            self.max_source_length,
            self.max_target_length,
        )
        return dict(self._pad(encoded))
