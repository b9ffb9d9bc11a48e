"""Rows of ids from the ids of texts: special tokens, truncation and padding, as the Rust tokenizer does them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from tokenizers import Tokenizer

from hf_ext.tokenization.encoder import Tokens, make_encoding

# Ids that no token has, to find where the post-processor puts the first text and the second.
_FIRST = 2**32 - 2

T = TypeVar("T")


class Template(NamedTuple):
    """Ids and type ids of the special tokens before, between and after one or two texts."""

    ids: list[list[int]]
    type_ids: list[list[int]]
    text_type_ids: list[int]

    @property
    def size(self) -> int:
        """Number of special tokens."""
        return sum(map(len, self.ids))


def fill(specials: Sequence[list[T]], contents: Sequence[list[T]]) -> list[T]:
    """A row of what the special tokens have and what the texts have, alternating."""
    row = list(specials[0])
    for content, after in zip(contents, specials[1:]):
        row += content
        row += after
    return row


def read_template(tokenizer: Tokenizer, pair: bool, add_special_tokens: bool) -> Template | None:
    """What the tokenizer's post-processor puts around a text, or around the two of a pair; None if it reorders them."""
    truncation, padding = tokenizer.truncation, tokenizer.padding
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        texts = [make_encoding(Tokens([_FIRST + i], '""', [0, 0], [0]), type_id=i) for i in range(2 if pair else 1)]
        encoding = tokenizer.post_process(texts[0], texts[1] if pair else None, add_special_tokens)
    finally:
        if truncation is not None:
            tokenizer.enable_truncation(**truncation)
        if padding is not None:
            tokenizer.enable_padding(**padding)
    template = Template([[]], [[]], [])
    for index, type_id in zip(encoding.ids, encoding.type_ids):
        if index >= _FIRST:
            template.text_type_ids.append(type_id)
            template.ids.append([])
            template.type_ids.append([])
        else:
            template.ids[-1].append(index)
            template.type_ids[-1].append(type_id)
    in_order = [index - _FIRST for index in encoding.ids if index >= _FIRST] == [*range(len(texts))]
    return template if in_order else None


def truncated_lengths(lengths: Sequence[int], limit: int, strategy: str) -> Sequence[int] | None:
    """Lengths of one or two texts cut to ``limit`` tokens together; None if the strategy cannot reach it.

    Args:
        lengths: tokens of the one text or the two.
        limit: tokens they may have together.
        strategy: ``longest_first``, ``only_first`` or ``only_second``.
    """
    excess = sum(lengths) - limit
    if limit <= 0 or (strategy == "only_second" and len(lengths) == 1):
        return None
    if excess <= 0:
        return lengths
    if strategy == "longest_first" and len(lengths) == 2:
        shorter = min(lengths)
        longer = max(shorter, limit - shorter)
        if shorter + longer > limit:
            shorter = limit // 2
            longer = shorter + limit % 2
        return (longer, shorter) if lengths[0] > lengths[1] else (shorter, longer)
    cut = int(strategy == "only_second")
    if lengths[cut] <= excess:
        return None
    return [length - excess * (index == cut) for index, length in enumerate(lengths)]


def pad_rows(rows: list[list[T]], length: int, multiple: int | None, value: T, left: bool) -> list[list[T]]:
    """The rows filled up to ``length`` rounded up to a multiple; longer ones stay as they are."""
    if multiple:
        length = -(-length // multiple) * multiple
    if left:
        return [[value] * (length - len(row)) + row for row in rows]
    return [row + [value] * (length - len(row)) for row in rows]


def text_items(text: Any, text_pair: Any) -> list[Sequence[str]] | None:
    """One tuple of one or two texts a row; None for anything but texts and pairs of texts."""
    if isinstance(text, str):
        if not text_pair:
            return [(text,)]
        return [(text, text_pair)] if isinstance(text_pair, str) else None
    if not isinstance(text, list | tuple) or not text:
        return None
    if text_pair is not None:
        if not isinstance(text_pair, list | tuple) or len(text) != len(text_pair):
            return None
        items: Iterable[Any] = zip(text, text_pair)
    else:
        items = ((item,) if isinstance(item, str) else item for item in text)
    rows = list(items)
    return rows if all(_is_item(row) for row in rows) else None


def _is_item(row: Any) -> bool:
    return isinstance(row, list | tuple) and 1 <= len(row) <= 2 and all(isinstance(part, str) for part in row)
