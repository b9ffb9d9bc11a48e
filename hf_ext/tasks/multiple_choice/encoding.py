"""From questions with choices to batches: a row for each choice, made when the batch is.

Shapes: B questions, K choices of the one that has most, L tokens.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from hf_ext.data.formats.chid import BLANK

if TYPE_CHECKING:
    from torch import Tensor

NO_LABEL = -100

# Tokens that a blank stands for which is not asked for, as idioms have four characters.
_BLANK_WIDTH = 4
# What the blank that is asked for is, where the vocabulary has it.
_ASKED = "[unused1]"


class ChoiceEncoder:
    """Makes the rows of a question, one for each choice.

    A row is ``[CLS] text [SEP] question [SEP] choice [SEP]``, without a question ``[CLS] text [SEP] choice [SEP]``;
    what is too long loses the last token of its longest part, the first of several, until it fits. In a text with
    blanks it is ``[CLS] choice [SEP] left [unused1] right [SEP]``, see `fit_sides`: the blank is one token ([MASK] of a
    vocabulary without ``[unused1]``), and other blanks are four [MASK]. So the CLUE baselines do
    (kexue.fm/archives/8739); all tokens have the type 0.

    Args:
        tokenizer: of the model; has a token that begins a row, and one that ends its parts.
        max_length: most tokens of a row.
        num_choices: with ``padding_choice``: choices of every question, of which those beyond are left out.
        padding_choice: text of the choices that a question has too few; None: there are none.

    Raises:
        ValueError: if the tokenizer lacks a token, or there is no room for a text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int = 512,
        num_choices: int | None = None,
        padding_choice: str | None = None,
    ) -> None:
        if max_length < 2 * _BLANK_WIDTH:
            raise ValueError(f"max_length must be at least {2 * _BLANK_WIDTH}, got {max_length}")
        check_padding_choice(num_choices, padding_choice)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.num_choices, self.padding_choice = num_choices, padding_choice
        self.first = self._token("begins a row", tokenizer.cls_token_id, tokenizer.bos_token_id)
        self.end = self._token("ends a text", tokenizer.sep_token_id, tokenizer.eos_token_id)

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> list[list[list[int]]]:
        """The token ids of each choice of each question."""
        prepared = [self._parts(example) for example in examples]
        tokens = self._tokens(chain.from_iterable(texts for _, rows in prepared for row in rows for texts in row))
        return [[(self._blank_row if blank else self._row)(row, tokens) for row in rows] for blank, rows in prepared]

    def choices_of(self, example: Mapping[str, Any]) -> list[str]:
        """The choices of a question, as many as it is to have."""
        choices = list(example["choices"])
        if self.num_choices is None or self.padding_choice is None:
            return choices
        return (choices + [self.padding_choice] * (self.num_choices - len(choices)))[: self.num_choices]

    def _parts(self, example: Mapping[str, Any]) -> tuple[bool, list[list[list[str]]]]:
        """Whether there is a blank, and the parts of each row: texts, or the choice, what is left and what is right."""
        choices = self.choices_of(example)
        if "blank" not in example:
            shared = [[example[name]] for name in ("text", "question") if name in example]
            return False, [[*shared, [choice]] for choice in choices]
        left, right = (BLANK.split(side) for side in example["text"].split(example["blank"]))
        # Idioms of ChID have four characters each; of longer choices all rows of a question have the same room.
        width = max(_BLANK_WIDTH, *map(len, choices))
        sides = fit_sides(left, right, self.max_length - (3 + width + 1))
        return True, [[[choice], *sides] for choice in choices]

    def _tokens(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """The tokens of each text, made once."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return {}
        encoded: Any = self.tokenizer(distinct, add_special_tokens=False, return_attention_mask=False, verbose=False)
        return dict(zip(distinct, encoded["input_ids"]))

    def _row(self, parts: Sequence[Sequence[str]], tokens: Mapping[str, list[int]]) -> list[int]:
        ids = [tokens[text] for (text,) in parts]
        lengths = longest_first([len(part) for part in ids], self.max_length - 1 - len(ids))
        row = [self.first]
        for part, length in zip(ids, lengths):
            row += [*part[:length], self.end]
        return row

    def _blank_row(self, parts: Sequence[Sequence[str]], tokens: Mapping[str, list[int]]) -> list[int]:
        mask = self._token("stands for a blank", self.tokenizer.mask_token_id)
        known: Any = self.tokenizer.convert_tokens_to_ids(_ASKED)
        asked = mask if known in (None, self.tokenizer.unk_token_id) else known
        (choice,), *sides = parts
        left, right = (_joined([tokens[text] for text in side], [mask] * _BLANK_WIDTH) for side in sides)
        # A character may be several tokens, though hardly ever one of Chinese.
        room = max(0, self.max_length - len(tokens[choice]) - 4)
        while len(left) + len(right) > room:
            if len(left) > len(right):
                del left[0]
            else:
                del right[-1]
        return [self.first, *tokens[choice], self.end, *left, asked, *right, self.end]

    def _token(self, what: str, *candidates: Any) -> int:
        found: int | None = next((one for one in candidates if one is not None), None)
        if found is None:
            raise ValueError(
                f"tokenizer must have a token that {what}, got {type(self.tokenizer).__name__} without one"
            )
        return found


@dataclass
class DataCollatorForChoices:
    """Makes batches of questions: their rows are made and thrown away with the batch, as there are so many of them.

    A question with fewer choices than others is filled up with rows of a first token alone, which models of this task
    give the logit -inf.

    Args:
        encoder: makes the rows.
    """

    encoder: ChoiceEncoder

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> "dict[str, Tensor]":
        """``input_ids`` and ``attention_mask`` ``[B, K, L]``, and ``labels`` ``[B]``, -100 of questions without one."""
        # Questions are encoded where there is no PyTorch, too.
        import torch

        rows = self.encoder(examples)
        choices = max(map(len, rows))
        length = max(len(row) for own in rows for row in own)
        pad: Any = self.encoder.tokenizer.pad_token_id
        ids = torch.full((len(rows), choices, length), 0 if pad is None else pad)
        mask = torch.zeros_like(ids)
        ids[:, :, 0], mask[:, :, 0] = self.encoder.first, 1
        for number, own in enumerate(rows):
            for choice, row in enumerate(own):
                ids[number, choice, : len(row)] = torch.tensor(row)
                mask[number, choice, : len(row)] = 1
        labels = torch.tensor([example.get("label", NO_LABEL) for example in examples])
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def check_padding_choice(num_choices: int | None, padding_choice: str | None) -> None:
    """Raise ValueError if one of both is given alone, or there are to be fewer than two choices."""
    if (num_choices is None) != (padding_choice is None):
        raise ValueError(
            f"num_choices and padding_choice must be given together, got {num_choices} and {padding_choice!r}"
        )
    if num_choices is not None and num_choices < 2:
        raise ValueError(f"num_choices must be at least 2, got {num_choices}")


def longest_first(lengths: Sequence[int], room: int) -> list[int]:
    """Lengths of parts that are to fit in a row: a token at a time is cut off the longest, the first of several."""
    kept = list(lengths)
    while sum(kept) > room:
        kept[kept.index(max(kept))] -= 1
    return kept


def fit_sides(left: Sequence[str], right: Sequence[str], room: int) -> tuple[list[str], list[str]]:
    """What is kept of the texts on both sides of a blank, which other blanks cut into segments.

    While there are too many characters, one is cut off the outer end of the longer side, of sides that are alike off
    the right one's. An outermost segment of one character or none goes as a whole, with the blank beside it, which is
    worth four characters (kexue.fm/archives/8739).

    Args:
        left: segments before the blank.
        right: segments behind it.
        room: characters for both, and for four of each other blank.

    Raises:
        ValueError: if there is no room even for nothing.
    """
    if room < 0:
        raise ValueError(f"max_length must leave room for the choices and a blank, got {-room} too little")
    left, right = list(left), list(right)
    while True:
        before, behind = sum(map(len, left)), sum(map(len, right))
        if before + behind + _BLANK_WIDTH * (len(left) + len(right) - 2) <= room:
            return left, right
        # A side of nothing can give nothing.
        from_left = before > behind or (right == [""] and left != [""])
        if from_left:
            left = [left[0][1:], *left[1:]] if len(left[0]) > 1 or len(left) == 1 else left[1:]
        else:
            right = [*right[:-1], right[-1][:-1]] if len(right[-1]) > 1 or len(right) == 1 else right[:-1]


def _joined(segments: Sequence[Sequence[int]], between: Sequence[int]) -> list[int]:
    joined = list(segments[0])
    for segment in segments[1:]:
        joined += [*between, *segment]
    return joined
