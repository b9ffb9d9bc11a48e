"""Rows of texts in their pattern, and the tokens of labels' words.

Shapes: L tokens, k masks, C labels, W words of a label.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from hf_ext.data.listed_labels import listed_labels
from hf_ext.data.windows import check_gives_offsets
from hf_ext.tasks.cloze.files import candidates_of
from hf_ext.tasks.cloze.pattern import ClozePattern, Segment, text_of_field

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

NOT_THERE = -1
"""What fills up words and places that a label or a row does not have."""
NO_LABEL = -100

# Entries of BERT's vocabularies that no text has.
_UNUSED = "[unused{}]"
_ADDED = "[soft{}]"


class ClozeEncoder:
    """Puts texts into a pattern and makes rows of tokens of them.

    A whole text with its pattern is read by the tokenizer at once, as fill-mask reads it. Where it is too long, the
    longest of its texts loses tokens, the pattern none.

    Args:
        pattern: with a verbalizer, or candidates.
        tokenizer: a fast one, with a mask token.
        max_length: most tokens of a row, special ones included.

    Attributes:
        words: ``[C, W, k]``, the tokens of each label's words, filled up with -1; None with candidates.
        soft_ids: the tokens that stand for the pattern's soft ones.

    Raises:
        ValueError: if the tokenizer does not fit, or a word is not what it can say: of unknown or special tokens, of
            another number of tokens than the pattern has masks, or of the tokens of another label's word. Candidates,
            which nobody chose, may have unknown tokens, and are scored by these.
    """

    def __init__(self, pattern: ClozePattern, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        check_gives_offsets(tokenizer)
        if tokenizer.mask_token is None:
            raise ValueError(f"tokenizer must have a mask token, got {type(tokenizer).__name__} without one")
        self.pattern, self.tokenizer, self.max_length = pattern, tokenizer, max_length
        mask: Any = tokenizer.mask_token
        self._vocabulary = tokenizer.get_vocab()
        self._special = {*tokenizer.all_special_ids}
        self._mask_takes_space = tokenizer(f"a {mask}")["input_ids"] == tokenizer(f"a{mask}")["input_ids"]
        self.soft_ids = soft_token_ids(tokenizer, pattern.soft_tokens)
        self.words = None if pattern.candidates is not None else self._words_of_labels()
        self._label_ids = {} if self.words is None else {name: index for index, name in enumerate(pattern.labels)}

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Rows of examples.

        Args:
            examples: with the pattern's texts, and, where it is known, ``label``.

        Returns:
            Inputs of the model; ``mask_places``, k of them; ``spared``, for each token whether it is special, a mask or
            a soft token, none of which is ever masked at random; ``labels``, a number, -100 where it is not known; and
            of candidates ``words``, ``[C][1][k]``.

        Raises:
            ValueError: if an example lacks a text, or a pattern alone has more than ``max_length`` tokens.
        """
        if not examples:
            return []
        read = [self._segments(example) for example in examples]
        texts = ["".join(self._written(segment) for segment in segments) for segments, _ in read]
        encoded = self.tokenizer(
            texts,
            truncation=False,
            verbose=False,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        rows = []
        for number, (example, (segments, candidates)) in enumerate(zip(examples, read)):
            columns = {name: list(values[number]) for name, values in encoded.items()}
            row = self._row(segments, columns)
            row["labels"] = self._label(example)
            if candidates is not None:
                row["words"] = candidates
            rows.append(row)
        return rows

    def _segments(self, example: Mapping[str, Any]) -> tuple[list[Segment], list[list[list[int]]] | None]:
        segments = self.pattern.segments(example)
        if self.words is not None:
            return _repeated(segments, self.words.shape[-1]), None
        after_space = _follows_space(segments)
        given = candidates_of(example, self.pattern, "an example")
        words = [[self._tokens_of_word(word, after_space, may_be_unknown=True)] for word in given]
        return _repeated(segments, self._common_length({word: own[0] for word, own in zip(given, words)})), words

    def _written(self, segment: Segment) -> str:
        return str(self.tokenizer.mask_token) if segment.kind in ("mask", "soft") else segment.text

    def _row(self, segments: Sequence[Segment], columns: dict[str, list[Any]]) -> dict[str, Any]:
        offsets, added = columns.pop("offset_mapping"), columns.pop("special_tokens_mask")
        ids: list[int] = columns["input_ids"]
        # By their end: a mask may take the space before it.
        gaps = {end: place for place, (_, end) in enumerate(offsets) if ids[place] == self.tokenizer.mask_token_id}
        masks: list[int] = []
        soft: list[int] = []
        shortened: list[tuple[deque[int], str]] = []
        at = 0
        for segment in segments:
            end = at + len(self._written(segment))
            if segment.kind in ("mask", "soft"):
                if end not in gaps:
                    raise ValueError(
                        f"tokenizer must read {self.tokenizer.mask_token} as one token, got {type(self.tokenizer)}"
                    )
                (masks if segment.kind == "mask" else soft).append(gaps[end])
            elif segment.cut_from is not None:
                own = (
                    place
                    for place, (first, last) in enumerate(offsets)
                    if at <= first < last <= end and not added[place]
                )
                shortened.append((deque(own), segment.cut_from))
            at = end
        for place, token in zip(soft, self.soft_ids):
            ids[place] = token
        spared = [bool(mark) or token in self._special for mark, token in zip(added, ids)]
        for place in (*masks, *soft):
            spared[place] = True
        cut = self._cut(len(ids), shortened)
        kept = [place for place in range(len(ids)) if place not in cut]
        new_place = {old: new for new, old in enumerate(kept)}
        row: dict[str, Any] = {name: [values[place] for place in kept] for name, values in columns.items()}
        row["mask_places"] = [new_place[place] for place in masks]
        row["spared"] = [spared[place] for place in kept]
        return row

    def _cut(self, length: int, shortened: list[tuple[deque[int], str]]) -> set[int]:
        """The tokens that go."""
        cut: set[int] = set()
        while length - len(cut) > self.max_length:
            longest, end = max(shortened, key=lambda one: len(one[0]), default=(deque(), ""))
            if not longest:
                raise ValueError(
                    f"max_length must leave room for the pattern, which has {length - len(cut)} tokens, got "
                    f"{self.max_length}"
                )
            cut.add(longest.popleft() if end == "start" else longest.pop())
        return cut

    def _label(self, example: Mapping[str, Any]) -> int:
        label = example.get("label")
        if label is None:
            return NO_LABEL
        if self.words is None:
            return int(label)
        if label not in self._label_ids:
            raise ValueError(f"label must be one of {listed_labels(self._label_ids)}, got {label!r}")
        return self._label_ids[label]

    def _words_of_labels(self) -> NDArray[np.int64]:
        words = self.pattern.words
        after_space = self.pattern.blank is None and _follows_space(self.pattern.segments(_nested(self.pattern)))
        tokens = {name: [self._tokens_of_word(word, after_space) for word in own] for name, own in words.items()}
        length = self._common_length({word: ids for name, own in words.items() for word, ids in zip(own, tokens[name])})
        owners: dict[tuple[int, ...], tuple[str, str]] = {}
        for name, own in words.items():
            for word, ids in zip(own, tokens[name]):
                other, same = owners.setdefault(tuple(ids), (name, word))
                is_shared = self.pattern.shared_words and other != name and same == word
                if (other, same) != (name, word) and not is_shared:
                    raise ValueError(
                        f"words must have tokens of their own, got {self._shown(ids)} for {same!r} of {other!r} and "
                        f"{word!r} of {name!r}"
                    )
        most = max(len(own) for own in tokens.values())
        found = np.full((len(words), most, length), NOT_THERE, np.int64)
        for label, each in enumerate(tokens.values()):
            found[label, : len(each)] = each
        return found

    def _tokens_of_word(self, word: str, after_space: bool, may_be_unknown: bool = False) -> list[int]:
        """The tokens of a word where it stands in the pattern.

        Raises:
            ValueError: if one is special, or unknown where it may not be.
        """
        tokenizer: Any = self.tokenizer
        # A vocabulary with tokens for words behind a space has others for those within a word.
        ids: list[int] = tokenizer(
            f" {word}" if after_space and self._mask_takes_space else word, add_special_tokens=False
        )["input_ids"]
        if len(ids) > 1:
            known = self._vocabulary.get(word)
            # Of SentencePiece, which puts a space before whatever it reads.
            ids = [known] if known is not None and tokenizer.decode([ids[0]]).strip() == "" else ids
        refused = self._special - ({tokenizer.unk_token_id} if may_be_unknown else set())
        if not ids or {*ids} & refused:
            raise ValueError(
                f"a label's word must be of tokens that the model can predict, got {self._shown(ids)} for {word!r}"
            )
        return ids

    def _common_length(self, tokens: Mapping[str, Sequence[int]]) -> int:
        wanted = self.pattern.masks
        for word, ids in tokens.items():
            wanted = wanted or len(ids)
            if len(ids) != wanted:
                masks = f"the pattern's {wanted} masks" if self.pattern.masks else f"the first word's {wanted}"
                raise ValueError(
                    f"a label's word must have as many tokens as {masks}, got {len(ids)} for {word!r}: "
                    f"{self._shown(ids)}"
                )
        return wanted

    def _shown(self, ids: Sequence[int]) -> str:
        names: Any = self.tokenizer.convert_ids_to_tokens(list(ids))
        return " ".join(map(str, names)) or "no tokens"


def encode_cloze(
    examples: Sequence[Mapping[str, Any]],
    pattern: ClozePattern,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int = 128,
) -> "Dataset":
    """Rows of texts in their pattern, for :class:`DataCollatorForCloze`; see `ClozeEncoder`.

    Args:
        examples: as :func:`read_cloze_texts` gives them.
        pattern: with a verbalizer, or candidates.
        tokenizer: a fast one, with a mask token.
        max_length: most tokens of a row; the texts are cut, the pattern is not.

    Raises:
        ValueError: as `ClozeEncoder`.
    """
    from datasets import Dataset

    rows = ClozeEncoder(pattern, tokenizer, max_length)(examples)
    candidates = [ids for row in rows for (ids,) in row.get("words", ())]
    unknown = sum(tokenizer.unk_token_id in ids for ids in candidates)
    if unknown:
        message = "%d of %d candidates have characters that the vocabulary lacks; these are scored as %s"
        logger.warning(message, unknown, len(candidates), tokenizer.unk_token)
    return Dataset.from_list(rows)


def encode_unlabelled(
    examples: Sequence[Mapping[str, Any]],
    pattern: ClozePattern,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int = 128,
) -> "Dataset":
    """Rows of the texts of examples without their pattern, whose tokens are masked at random and no others.

    Args:
        examples: as :func:`read_unlabelled_texts` gives them.
        pattern: says which texts there are; of two or more the rows have the first two, as a pair.
        tokenizer: of the model.
        max_length: most tokens of a row; what is beyond is cut off.
    """
    from datasets import Dataset

    texts = [[text_of_field(example, name) for name in pattern.fields[:2]] for example in examples]
    second = [own[1] for own in texts] if len(pattern.fields) > 1 else None
    encoded = tokenizer(
        [own[0] for own in texts], second, truncation=True, max_length=max_length, return_special_tokens_mask=True
    )
    special = {*tokenizer.all_special_ids}
    rows = []
    for number in range(len(examples)):
        row = {name: list(values[number]) for name, values in encoded.items()}
        added = row.pop("special_tokens_mask")
        row["spared"] = [bool(mark) or token in special for mark, token in zip(added, row["input_ids"])]
        rows.append({**row, "mask_places": [], "labels": NO_LABEL})
    return Dataset.from_list(rows)


def cloze_example(given: Any) -> Mapping[str, Any]:
    """What is asked, as an example without a label: a text, or a mapping with the texts of a pattern.

    Raises:
        TypeError: if it is neither.
    """
    if isinstance(given, str):
        return {"text": given}
    if not isinstance(given, Mapping):
        raise TypeError(f"inputs must be texts, or mappings with those of the pattern, got {type(given).__name__}")
    # What a label may be, who answers is not told.
    return {name: value for name, value in given.items() if name != "label"}


def soft_token_ids(tokenizer: PreTrainedTokenizerBase, number: int) -> list[int]:
    """The tokens of a vocabulary that stand for soft ones: ``[unused1]`` and on, or those that `add_soft_tokens` added.

    Raises:
        ValueError: if there are fewer.
    """
    vocabulary = tokenizer.get_vocab()
    for name in (_UNUSED, _ADDED):
        names = [name.format(index) for index in range(1, number + 1)]
        if all(one in vocabulary for one in names):
            return [vocabulary[one] for one in names]
    raise ValueError(
        f"tokenizer must have {number} tokens that no text has, [unused1] and on, for the soft tokens of the pattern, "
        "got fewer; add_soft_tokens adds some"
    )


def add_soft_tokens(tokenizer: PreTrainedTokenizerBase, model: Any, number: int) -> list[int]:
    """The ids of soft tokens, which a vocabulary without unused entries is given, and the model rows for.

    Args:
        tokenizer: of the model.
        model: a masked language model.
        number: how many.
    """
    try:
        return soft_token_ids(tokenizer, number)
    except ValueError:
        tokenizer.add_tokens([_ADDED.format(index) for index in range(1, number + 1)], special_tokens=True)
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        return soft_token_ids(tokenizer, number)


def _repeated(segments: Sequence[Segment], masks: int) -> list[Segment]:
    """A single mask as many times as a word has tokens."""
    number = sum(segment.kind == "mask" for segment in segments)
    if number == masks:
        return list(segments)
    return [one for segment in segments for one in [segment] * (masks if segment.kind == "mask" else 1)]


def _follows_space(segments: Sequence[Segment]) -> bool:
    """Whether the first mask stands behind a space of the pattern or of the text."""
    before = ""
    for segment in segments:
        if segment.kind == "mask":
            break
        before = segment.text or before if segment.kind in ("words", "text") else before
    return before[-1:].isspace()


def _nested(pattern: ClozePattern) -> dict[str, Any]:
    """An example with an empty text under each name."""
    example: dict[str, Any] = {}
    for name in pattern.fields:
        *outer, last = name.split(".")
        place = example
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = ""
    return example
