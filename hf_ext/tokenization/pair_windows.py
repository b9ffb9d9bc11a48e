"""Rows of pairs of texts, the second cut into overlapping windows, each text tokenized once however often it occurs."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from transformers import PreTrainedTokenizerBase

from hf_ext.tokenization.rows import Template, fill, read_template

_INPUTS = frozenset({"input_ids", "token_type_ids", "attention_mask"})
# Of each token of a text: its id, and where it is in the text.
_Content = tuple[list[int], list[tuple[int, int]]]


def encode_pair_windows(
    tokenizer: PreTrainedTokenizerBase,
    firsts: Sequence[str],
    seconds: Sequence[str],
    max_length: int,
    stride: int,
    step: int | None = None,
) -> dict[str, list[Any]]:
    """Rows of pairs, of which a long second text gives several.

    Args:
        tokenizer: a fast tokenizer, which gives offsets.
        firsts: texts that are whole in each row.
        seconds: texts that are cut; one that occurs many times, as the text of many questions, is tokenized once.
        max_length: tokens in a row, special ones included.
        stride: tokens of a second text that two of its windows share.
        step: tokens from the beginning of a window to that of the next, instead of ``stride``.

    Returns:
        The tokenizer's model inputs; ``offset_mapping``, places in the second text, ``(0, 0)`` at all other tokens;
        ``context_mask``, 1 at tokens of the second text; and ``owner``, the number of the pair.
    """
    template = _template(tokenizer)
    if template is None:
        return encode_pair_windows_readable(tokenizer, firsts, seconds, max_length, stride, step)
    contents = _contents(tokenizer, chain(firsts, seconds))
    pairs = [(contents[first], contents[second]) for first, second in zip(firsts, seconds)]
    rooms = [max_length - template.size - len(ids) for (ids, _), _ in pairs]
    if min(rooms, default=stride + 1) <= stride or min(rooms, default=step or 0) < (step or 0):
        # The tokenizer says what is wrong.
        return encode_pair_windows_readable(tokenizer, firsts, seconds, max_length, stride, step)
    names = [*tokenizer.model_input_names, "offset_mapping", "context_mask", "owner"]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    nowhere = [[(0, 0)] * len(special) for special in template.ids]
    outside = [[0] * len(special) for special in template.ids]
    for owner, (((first, _), (second, places)), room) in enumerate(zip(pairs, rooms)):
        for begin, end in _windows(len(second), room, step or room - stride):
            sizes = len(first), end - begin
            types = [[kind] * size for kind, size in zip(template.text_type_ids, sizes)]
            row = {
                "input_ids": fill(template.ids, [first, second[begin:end]]),
                "token_type_ids": fill(template.type_ids, types),
                "offset_mapping": fill(nowhere, [[(0, 0)] * sizes[0], places[begin:end]]),
                "context_mask": fill(outside, [[0] * sizes[0], [1] * sizes[1]]),
                "attention_mask": [1] * (template.size + sum(sizes)),
                "owner": owner,
            }
            for name in names:
                columns[name].append(row[name])
    return columns


def encode_pair_windows_readable(
    tokenizer: PreTrainedTokenizerBase,
    firsts: Sequence[str],
    seconds: Sequence[str],
    max_length: int,
    stride: int,
    step: int | None = None,
) -> dict[str, list[Any]]:
    """The same by the tokenizer alone: the readable form, and the way of tokenizers whose rows are not their parts."""
    if step is not None:
        return _stepping_windows(tokenizer, firsts, seconds, max_length, step)
    encoded = tokenizer(
        list(firsts),
        list(seconds),
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    columns: dict[str, list[Any]] = dict(encoded)
    columns["owner"] = columns.pop("overflow_to_sample_mapping")
    rows = range(len(columns["owner"]))
    columns["context_mask"] = [[int(text == 1) for text in encoded.sequence_ids(row)] for row in rows]
    columns["offset_mapping"] = [
        [tuple(pair) if inside else (0, 0) for pair, inside in zip(pairs, mask)]
        for pairs, mask in zip(columns["offset_mapping"], columns["context_mask"])
    ]
    return columns


def _stepping_windows(
    tokenizer: PreTrainedTokenizerBase, firsts: Sequence[str], seconds: Sequence[str], max_length: int, step: int
) -> dict[str, list[Any]]:
    """Pair by pair, since how much of its windows a text shares depends on what stands before it."""
    columns: dict[str, list[Any]] = {}
    taken = tokenizer.num_special_tokens_to_add(pair=True)
    for owner, (first, second) in enumerate(zip(firsts, seconds)):
        ids = tokenizer(first, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        room = max_length - taken - len(ids)
        if room < step:
            raise ValueError(f"step must be at most the {room} tokens of a window beside {first!r}, got {step}")
        rows = encode_pair_windows_readable(tokenizer, [first], [second], max_length, room - step)
        rows["owner"] = [owner] * len(rows["owner"])
        for name, values in rows.items():
            columns.setdefault(name, []).extend(values)
    return columns


def _template(tokenizer: PreTrainedTokenizerBase) -> Template | None:
    """What stands around the two texts of a row; None if a row is not made of what its texts are by themselves."""
    backend = tokenizer.backend_tokenizer
    processor = backend.post_processor
    # Byte-level ones take the space before a word from its place, but not at the beginning of a window.
    trims = processor is not None and b'"trim_offsets":true' in processor.__getstate__()
    if trims or tokenizer.truncation_side != "right" or not {*tokenizer.model_input_names} <= _INPUTS:
        return None
    return read_template(backend, pair=True, add_special_tokens=True)


def _contents(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> dict[str, _Content]:
    """The tokens of each of the texts."""
    different = list(dict.fromkeys(texts))
    if not different:
        return {}
    encoded = tokenizer(
        different, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
    )
    return dict(zip(different, zip(encoded["input_ids"], encoded["offset_mapping"])))


def _windows(length: int, room: int, step: int) -> Iterator[tuple[int, int]]:
    """Where the windows of a text begin and end (exclusive); one window at least, the last one ends with the text."""
    begin = 0
    while begin + room < length:
        yield begin, begin + room
        begin += step
    yield begin, length
