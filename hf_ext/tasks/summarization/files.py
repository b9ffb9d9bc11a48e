"""Texts with summaries: files, model inputs, and back from ids to text."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from transformers import PreTrainedTokenizerBase

_JSON_OBJECT = re.compile(r'\s*\{\s*["}]')
# A space between tokens says something only between two words of letters and digits.
_SPACE_OF_TOKENS = re.compile(r"(?<![0-9A-Za-z]) | (?![0-9A-Za-z])")


def read_summaries(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read texts with their summaries from a file in one of two formats, told by its content.

    1. JSON lines ``{"text": str, "summary": str}``; other keys are ignored.
    2. Lines of summary, tab, text: the summary stands first, as in T5-PEGASUS' own files.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out.

    Returns:
        Dicts ``{"text", "summary"}``, without spaces at their ends.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, or a text or a summary is blank.
    """
    name = os.fspath(path)
    try:
        content = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        broken = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{name}:{broken}: the file must be UTF-8, got {error.reason}") from error
    read = _read_json if _JSON_OBJECT.match(content) else _read_tabs
    examples = []
    # Not splitlines: texts hold U+2028 and its like.
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        example = {key: value.strip() for key, value in read(line.removesuffix("\r"), where).items()}
        for key, value in example.items():
            if not value:
                _fail(where, f"{key} must not be blank", line)
        examples.append(example)
    return examples


def encode_summaries(
    examples: Sequence[Mapping[str, str]],
    tokenizer: PreTrainedTokenizerBase,
    decoder_start_token_id: int | None,
    max_source_length: int,
    max_target_length: int,
) -> list[dict[str, list[int]]]:
    """Model inputs and ``labels`` for texts with summaries, as `transformers.DataCollatorForSeq2Seq` takes them.

    Args:
        examples: ``{"text", "summary"}``.
        tokenizer: of the model.
        decoder_start_token_id: the token that the decoder starts with. Where the tokenizer begins a text with it, as
            T5-PEGASUS' with [CLS], it is left off the labels: the model puts it before them.
        max_source_length: most tokens of a text, special tokens included; what is beyond is cut off.
        max_target_length: the same of a summary.
    """
    if not examples:
        return []
    texts, summaries = ([example[key] for example in examples] for key in ("text", "summary"))
    inputs = tokenizer(texts, truncation=True, max_length=max_source_length, return_token_type_ids=False)
    targets = tokenizer(text_target=summaries, truncation=True, max_length=max_target_length)["input_ids"]
    labels = [ids[1:] if ids[:1] == [decoder_start_token_id] else ids for ids in targets]
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": own}
        for ids, mask, own in zip(inputs["input_ids"], inputs["attention_mask"], labels)
    ]


def decode_summaries(tokenizer: PreTrainedTokenizerBase, ids: Any) -> list[str]:
    """Texts of generated ids or labels ``[B, M]``, -100 among them; no special tokens, no spaces between tokens."""
    padded = np.where(np.asarray(ids) < 0, tokenizer.pad_token_id, ids)
    texts: Any = tokenizer.batch_decode(padded, skip_special_tokens=True)
    return [_SPACE_OF_TOKENS.sub("", text).strip() for text in texts]


def _read_json(line: str, where: str) -> dict[str, str]:
    try:
        record = json.loads(line)
    # ValueError also for an integer of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: the line must be a JSON object, got {error}") from error
    if not isinstance(record, dict):
        _fail(where, "the line must be a JSON object", record)
    example: dict[str, Any] = {key: record.get(key) for key in ("text", "summary")}
    for key, value in example.items():
        if not isinstance(value, str):
            _fail(where, f"{key} must be a string", value)
    return example


def _read_tabs(line: str, where: str) -> dict[str, str]:
    columns = line.split("\t")
    if len(columns) != 2:
        _fail(where, f"a line must be a summary, a tab and a text, not {len(columns)} columns", line)
    return {"text": columns[1], "summary": columns[0]}


def _fail(where: str, wanted: str, seen: Any) -> NoReturn:
    raise ValueError(f"{where}: {wanted}, got {str(seen)[:60]!r}")
