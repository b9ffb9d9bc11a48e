"""Batches of texts in their pattern, some of whose other tokens are masked at random.

Shapes: B rows, L tokens, k masks, C labels, W words of a label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hf_ext.data.whole_word_masking import IGNORED, DataCollatorForWholeWordMasking
from hf_ext.tasks.cloze.encoding import NOT_THERE
from hf_ext.transformers_private import pad_inputs


@dataclass
class DataCollatorForCloze:
    """Pads rows of :func:`encode_cloze`, and masks some of their tokens at random on top.

    Each token that is no special one, no mask of the pattern and no soft token is chosen with ``mlm_probability``. Of
    these 80 % become the mask, 10 % any token that is not special, 10 % stay. In a text without a pattern one at least
    is chosen. A row's ``chance``, a number, says which; without it they are drawn from the generator.

    With ``predicts="words"`` a batch is what any masked language model trains on: ``labels`` ``[B, L]`` are the tokens
    of the label's word at the pattern's masks, and the original ones where a token was masked at random (the author's
    way, kexue.fm/archives/7764). With ``"labels"`` they are numbers of labels ``[B]``, -100 of texts without one, for
    :class:`ClozeTrainer`: of texts in their pattern no token is masked at random then, and of the others
    ``token_labels`` ``[B, L]`` are the original tokens (the paper's way, arXiv 2001.07676).

    ``Trainer`` keeps the columns that this needs only with ``remove_unused_columns=False``.

    Args:
        tokenizer: pads, and knows the special tokens.
        words: the tokens of the labels' words, `ClozeEncoder.words` ``[C, 1, k]``; not used by ``"labels"``, nor for
            rows with words of their own.
        predicts: as above.
        mlm_probability: share of the tokens that is chosen.
        mask_replace_prob: share of the chosen tokens that becomes the mask.
        random_replace_prob: share of them that becomes another token.
        generator: source of chance; None: PyTorch's global one.

    Raises:
        ValueError: if a probability is not one, or there are several words of a label to be predicted.
    """

    tokenizer: PreTrainedTokenizerBase
    words: NDArray[np.int64] | Tensor | None = None
    predicts: Literal["words", "labels"] = "words"
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        if self.predicts not in ("words", "labels"):
            raise ValueError(f'predicts must be "words" or "labels", got {self.predicts!r}')
        if self.predicts == "words" and self.words is not None and self.words.shape[1] > 1:
            raise ValueError(
                f"a label must have one word to be predicted as such, got up to {self.words.shape[1]}; with several, "
                "labels are learnt by their mean score"
            )
        self.masking = DataCollatorForWholeWordMasking(
            self.tokenizer,
            self.mlm_probability,
            self.mask_replace_prob,
            self.random_replace_prob,
            generator=self.generator,
        )

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """A batch.

        Args:
            rows: of :func:`encode_cloze`, or without masks and labels; a row may have another under ``unlabelled``,
                which becomes one of the batch.

        Returns:
            ``input_ids`` and ``attention_mask`` ``[B, L]``, ``token_type_ids`` if the model has some, ``labels``, and
            with ``predicts="labels"`` also ``mask_places`` ``[B, k]``, -1 of texts without a pattern, ``token_labels``
            if there is a text without one, and ``words`` ``[B, C, 1, k]`` of rows that have their own.

        Raises:
            ValueError: if a row has not been encoded as a cloze.
        """
        rows = [*rows, *(row["unlabelled"] for row in rows if "unlabelled" in row)]
        for row in rows:
            if not {"mask_places", "spared"} <= row.keys():
                raise ValueError(
                    f"rows must have mask_places and spared, got {sorted(row)}; encode_cloze makes them, and Trainer "
                    "drops them unless remove_unused_columns=False"
                )
        # Whatever the tokenizer's side: the tables of positions of most encoders count from the left.
        batch = pad_inputs(self.tokenizer, rows, padding_side="right")
        shape = batch["input_ids"].shape
        places = [list(row["mask_places"]) for row in rows]
        targets = torch.full(shape, IGNORED)
        if self.mlm_probability > 0:
            for line, row in enumerate(rows):
                if self.predicts == "words" or not row["mask_places"]:
                    own = slice(line, line + 1), slice(len(row["input_ids"]))
                    self._mask(row, batch["input_ids"][own], targets[own])
        if self.predicts == "words":
            for line, row in enumerate(rows):
                if places[line] and row["labels"] != IGNORED:
                    targets[line, places[line]] = torch.as_tensor(self._word(row))
            return {**batch, "labels": targets}
        batch["labels"] = torch.tensor([row["labels"] for row in rows])
        width = max(map(len, places))
        batch["mask_places"] = torch.tensor([own + [NOT_THERE] * (width - len(own)) for own in places])
        if self.mlm_probability > 0 and not all(places):
            batch["token_labels"] = targets
        if any(row.get("words") is not None for row in rows):
            batch["words"] = self._words_of(rows)
        return batch

    def _mask(self, row: Mapping[str, Any], ids: Tensor, targets: Tensor) -> None:
        """Mask some tokens of a row ``[1, L]`` in place; without its padding, which would change what is drawn."""
        free = ~torch.tensor(row["spared"], dtype=torch.bool)
        # Each token is a word of its own, which none of those is that are spared.
        words = torch.where(free, torch.arange(len(free)), -1)[None]
        chance = row.get("chance")
        generator = None if chance is None else torch.Generator().manual_seed(int(chance))
        # A text without a pattern has nothing else to be learnt.
        ids[:], targets[:] = self.masking.mask_words(ids, words, generator, at_least_one=not row["mask_places"])

    def _word(self, row: Mapping[str, Any]) -> Any:
        if row.get("words") is not None:
            return row["words"][row["labels"]][0]
        if self.words is None:
            raise ValueError(
                "words must be given, the tokens of the labels' words, got none and rows without their own"
            )
        return self.words[row["labels"], 0]

    def _words_of(self, rows: Sequence[Mapping[str, Any]]) -> Tensor:
        given = [row.get("words") or [[[]]] for row in rows]
        shape = (len(rows), max(map(len, given)), 1, max(len(own[0][0]) for own in given))
        words = torch.full(shape, NOT_THERE)
        for line, own in enumerate(given):
            for number, (ids,) in enumerate(own):
                words[line, number, 0, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        return words
