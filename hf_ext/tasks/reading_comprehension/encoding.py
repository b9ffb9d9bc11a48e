"""From questions about texts to model inputs with the token spans of their answers."""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from hf_ext.data.span_encoding import TokenBorders, rows_of
from hf_ext.data.windows import check_gives_offsets, check_stride, encode_windows
from hf_ext.tokenization.pair_windows import encode_pair_windows
from hf_ext.transformers_private import pad_inputs

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from torch import Tensor

logger = logging.getLogger(__name__)

_LEFT_OUT = [-100, -100]
_NO_ANSWER = [0, 0]


class ReadingEncoder:
    """Encodes batches of questions with their texts; a text longer than a window gives several rows.

    Call it with a batch ``{"question": [...], "context": [...], "answers": [[{"text", "start"}]]}``, or let
    :meth:`encode_dataset` do so; without ``answers`` there are no labels. The rows hold the tokenizer's inputs and

    - ``context_mask``: 1 at tokens of the context;
    - ``labels``: the answer's first and last token, counted from the row's first token: the first listed answer that
      is wholly in the row, white space at its ends aside. ``[0, 0]``, the first token, if the row has none.
      ``[-100, -100]``, not learnt, if all answers have the place -1, or no row holds a whole answer and this one has a
      part of one;
    - ``answer_labels``: the labels of all answers that are wholly in the row, each once, of which training may draw
      one; none if it has none;
    - ``offset_mapping``: ``[start, end]`` of each token in the context, ``[0, 0]`` outside of it;
    - ``example_id``: index of the question, where ``indices`` are given;
    - ``lost_answers`` and ``cut_questions``: in the first row of a question, 1 if no row holds a whole answer because
      it begins or ends inside a token or is too long, and 1 if the question was cut.

    Args:
        tokenizer: a fast tokenizer, which gives offsets.
        max_length: tokens in a row: question, window of the context and special ones.
        stride: tokens of the context that two windows share, at least the length of the longest answer; None: 128, or
            half of the least room for the context if that is less.
        max_question_length: a longer question loses what is beyond; None: 64, or a quarter of a smaller row.
        step: instead of ``stride``, tokens from the beginning of a window to that of the next, as the CLUE baseline
            counts: windows then share the more the shorter the question is.
        windows: whether a longer text gives several rows; else what is beyond the first is cut off, and a question
            whose answers are there is not learnt.

    Raises:
        ValueError: if the tokenizer is not fast, a length leaves no room for new tokens in a window, or ``stride`` or
            ``step`` are given with each other or without windows.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int = 512,
        stride: int | None = None,
        max_question_length: int | None = None,
        step: int | None = None,
        windows: bool = True,
    ):
        check_gives_offsets(tokenizer)
        if max_question_length is None:
            max_question_length = max(1, min(64, max_length // 4))
        if max_question_length < 1:
            raise ValueError(f"max_question_length must be at least 1, got {max_question_length}")
        special = tokenizer.num_special_tokens_to_add(pair=True)
        room = max_length - special - max_question_length
        if room < 1:
            wanted = f"{special} special tokens, {max_question_length} of a question and one of its text"
            raise ValueError(f"max_length must have room for {wanted}, got {max_length}")
        if stride is not None and step is not None:
            raise ValueError(f"give stride or step, got stride={stride} and step={step}")
        if not windows and (stride, step) != (None, None):
            raise ValueError(f"stride and step need windows, got stride={stride}, step={step} and windows={windows}")
        if step is not None and not 1 <= step <= room:
            raise ValueError(f"step must be in [1, {room}], the least room of a window, got {step}")
        if stride is None:
            stride = min(128, room // 2)
        check_stride(stride, room)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.stride = stride
        self.max_question_length = max_question_length
        self.step = step
        self.windows = windows
        # Truncation becomes part of the tokenizer's state; set now, it does not change this object's fingerprint later.
        self._tokenize([""], ["."])

    def __call__(
        self, batch: Mapping[str, Sequence[Any]], indices: Sequence[int] | None = None
    ) -> dict[str, list[Any]]:
        """Encode a batch, as ``datasets.Dataset.map(batched=True, with_indices=True)`` passes it.

        Raises:
            ValueError: if a question has no tokens, and the tokenizer puts none before it.
        """
        contexts = list(batch["context"])
        questions, cut = self._cut(list(batch["question"]))
        columns = self._tokenize(questions, contexts)
        owners, masks, offsets = columns.pop("owner"), columns["context_mask"], columns["offset_mapping"]
        for mask, owner in zip(masks, owners):
            if mask[:1] == [1]:
                raise ValueError(f"question must have a token for no answer to stand at, got {questions[owner]!r}")
        rows = rows_of(owners, len(contexts))
        columns["cut_questions"] = [0] * len(owners)
        for own, shortened in zip(rows, cut):
            columns["cut_questions"][own[0]] = int(shortened)
        if "answers" in batch:
            columns |= {"labels": [_LEFT_OUT] * len(owners), "lost_answers": [0] * len(owners)}
            columns["answer_labels"] = [[] for _ in owners]
            for context, answers, own in zip(contexts, batch["answers"], rows):
                found = [_whole_answers(answers, TokenBorders(context, offsets[row])) for row in own]
                labels = _labels(answers, found, [offsets[row] for row in own], self.windows)
                columns["lost_answers"][own[0]] = int(_is_lost(answers, labels))
                for row, label, whole in zip(own, labels, found):
                    columns["labels"][row] = label
                    columns["answer_labels"][row] = whole
        if indices is not None:
            columns["example_id"] = [indices[owner] for owner in owners]
        return columns

    @property
    def features(self) -> "Features":
        """Types of the columns."""
        from datasets import Features, List, Value

        names = [*self.tokenizer.model_input_names, "context_mask"]
        inputs = {name: List(Value("int32")) for name in names}
        counts = {name: Value("int32") for name in ("lost_answers", "cut_questions")}
        pairs = {"offset_mapping": List(List(Value("int32"))), "labels": List(Value("int64"))}
        pairs["answer_labels"] = List(List(Value("int64")))
        return Features({**inputs, **pairs, **counts, "example_id": Value("int64")})

    def encode_dataset(self, dataset: "Dataset", num_proc: int | None = None) -> "Dataset":
        """Encode a dataset of ``question``, ``context`` and ``answers``; what is lost is counted in a logged warning.

        Raises:
            ValueError: if the dataset is empty, or as a call.
        """
        encoded, lost = encode_windows(self, dataset, "answers", "lost_answers", num_proc, more=("answer_labels",))
        if lost:
            where = "fit in no window of" if self.windows else "are not within the first"
            message = "the answers of %d of %d questions begin or end inside a token, or %s %d tokens"
            logger.warning(message + "; they are neither learnt nor found", lost, len(dataset), where, self.max_length)
        cut = sum(encoded["cut_questions"])
        if cut:
            message = "%d of %d questions are cut to %d tokens (max_question_length)"
            logger.warning(message, cut, len(dataset), self.max_question_length)
        return encoded

    def _cut(self, questions: list[str]) -> tuple[list[str], list[bool]]:
        """The questions, none longer than it may be, and which were cut."""
        encoded = self.tokenizer(
            questions, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        ends = [
            pairs[self.max_question_length - 1][1] if len(pairs) > self.max_question_length else None
            for pairs in encoded["offset_mapping"]
        ]
        return [question[:end] for question, end in zip(questions, ends)], [end is not None for end in ends]

    def _tokenize(self, questions: list[str], contexts: list[str]) -> dict[str, list[Any]]:
        columns = encode_pair_windows(self.tokenizer, questions, contexts, self.max_length, self.stride, self.step)
        if self.windows:
            return columns
        owners = columns["owner"]
        firsts = [row for row, owner in enumerate(owners) if row == 0 or owners[row - 1] != owner]
        return {name: [values[row] for row in firsts] for name, values in columns.items()}


@dataclass
class DataCollatorForReadingComprehension:
    """Pads model inputs with the tokenizer and ``context_mask`` with 0; ``labels`` are ``[B, 2]``.

    Columns that are none of these are dropped; without labels in the rows there are none in the batch. Labels count
    from the row's first real token, so padding on the left does not move them.

    Args:
        tokenizer: names the model inputs and pads them.
        pad_to_multiple_of: pads the number of tokens up to a multiple of this.
    """

    tokenizer: PreTrainedTokenizerBase
    pad_to_multiple_of: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> "dict[str, Tensor]":
        """A batch of ``[B, L]`` model inputs and ``context_mask``, and ``[B, 2]`` labels.

        Args:
            rows: with the tokenizer's model inputs, ``context_mask`` and, if any, ``labels``.
        """
        # Questions are encoded where there is no PyTorch, too.
        import torch

        batch = pad_inputs(self.tokenizer, rows, pad_to_multiple_of=self.pad_to_multiple_of)
        batch["context_mask"] = torch.zeros_like(batch["input_ids"])
        for padded, row in zip(batch["context_mask"], rows):
            own = torch.as_tensor(row["context_mask"])
            first = len(padded) - len(own) if self.tokenizer.padding_side == "left" else 0
            padded[first : first + len(own)] = own
        if "labels" in rows[0]:
            batch["labels"] = torch.stack([torch.as_tensor(row["labels"], dtype=torch.long) for row in rows])
        return batch


def _labels(
    answers: Sequence[Mapping[str, Any]],
    found: Sequence[Sequence[list[int]]],
    windows: Sequence[Sequence[tuple[int, int]]],
    are_all: bool,
) -> list[list[int]]:
    """The label of each window of a text, from the answers that are whole in it, and whether these are all windows."""
    if not answers:
        return [_NO_ANSWER for _ in windows]
    places = _places(answers)
    if not places:
        return [_LEFT_OUT for _ in windows]
    if any(found):
        return [own[0] if own else _NO_ANSWER for own in found]
    return [_NO_ANSWER if are_all and not _has_part(places, offsets) else _LEFT_OUT for offsets in windows]


def _places(answers: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """Where those answers are that are in the text."""
    there = (answer for answer in answers if answer["start"] >= 0)
    return [{"start": answer["start"], "end": answer["start"] + len(answer["text"])} for answer in there]


def _whole_answers(answers: Sequence[Mapping[str, Any]], borders: TokenBorders) -> list[list[int]]:
    """First and last token of each answer whose borders are borders of tokens here, each once."""
    found = (borders.tokens(place) for place in _places(answers))
    return [list(tokens) for tokens in dict.fromkeys(found) if tokens is not None]


def _has_part(places: Sequence[Mapping[str, int]], offsets: Sequence[tuple[int, int]]) -> bool:
    return any(max(one["start"], left) < min(one["end"], right) for one in places for left, right in offsets)


def draw_answer(row: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """A row of `ReadingEncoder` whose label is any of the answers in it; for :class:`hf_ext.data.DrawnRows`."""
    drawn = dict(row)
    labels = drawn.pop("answer_labels")
    return {**drawn, "labels": chance.choice(labels)} if labels else drawn


def _is_lost(answers: Sequence[Mapping[str, Any]], labels: Sequence[Sequence[int]]) -> bool:
    """Whether an answer is in the text and in no label."""
    return any(answer["start"] >= 0 for answer in answers) and not any(label[1] > 0 for label in labels)
