"""The word tokenizer against the originals' ids, pairs and character positions."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_ext.tokenization import JiebaWordPieceTokenizer

# Vocabularies of releases, which are not ours to publish, and those made for this.
PUBLISHED = {
    "real_word50000": "roformer-word_wobert-plus_t5-pegasus.vocab.txt",
    "real_wobert_word": "wobert.vocab.txt",
}
SYNTHETIC = {"synthetic_wobert": "vocab_wobert.txt", "synthetic_t5_pegasus": "vocab_t5.txt"}


def records(golden: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (golden / "tokenizer" / f"{name}.jsonl").read_text().split("\n") if line]


@pytest.fixture(scope="module", params=[*PUBLISHED, *SYNTHETIC])
def case(request: pytest.FixtureRequest, golden: Path) -> tuple[JiebaWordPieceTokenizer, list[dict]]:
    if request.param in SYNTHETIC:
        vocabulary = golden / "tokenizer" / SYNTHETIC[request.param]
    else:
        vocabulary = request.getfixturevalue("shared") / "vocab" / PUBLISHED[request.param]
    tokenizer = JiebaWordPieceTokenizer(str(vocabulary))
    rows = records(golden, request.param)
    texts = records(golden, "texts")
    for row in rows:
        if "text" not in row:
            row["text"] = texts[row["i"]]["text"] if isinstance(texts[row["i"]], dict) else texts[row["i"]]
    return tokenizer, rows


# Special tokens typed in a text are plain text in the originals.
@pytest.mark.parametrize("arguments", [{}, {"return_offsets_mapping": True}])
def test_ids_are_the_originals(case, arguments):
    tokenizer, rows = case
    batch = tokenizer([row["text"] for row in rows], split_special_tokens=True, **arguments)
    assert len(rows) >= 255
    for row, ids in zip(rows, batch["input_ids"]):
        assert ids == row["ids"], row["text"]


@pytest.mark.parametrize("mode", SYNTHETIC)
@pytest.mark.parametrize("arguments", [{}, {"return_offsets_mapping": True}])
def test_pairs_are_the_originals(golden, mode, arguments):
    tokenizer = JiebaWordPieceTokenizer(str(golden / "tokenizer" / SYNTHETIC[mode]))
    rows = [row for row in records(golden, "encode_pairs") if row["mode"] == mode and not row["arguments"]]
    batch = tokenizer([r["first"] for r in rows], [r["second"] for r in rows], split_special_tokens=True, **arguments)
    assert batch["input_ids"] == [row["ids"] for row in rows]
    assert batch["token_type_ids"] == [row["segments"] for row in rows]
    assert len(rows) == 10


@pytest.mark.parametrize("mode", SYNTHETIC)
def test_truncated_pairs_have_the_originals_lengths(golden, mode):
    tokenizer = JiebaWordPieceTokenizer(str(golden / "tokenizer" / SYNTHETIC[mode]))
    rows = [row for row in records(golden, "encode_pairs") if row["mode"] == mode and [*row["arguments"]] == ["maxlen"]]
    for row in rows:
        limit = row["arguments"]["maxlen"]
        pair = None if row["second"] is None else [row["second"]]
        batch = tokenizer([row["first"]], pair, truncation=True, max_length=limit, split_special_tokens=True)
        assert len(batch["input_ids"][0]) == len(row["ids"])
        # Of an odd number of places, the one left over goes to the other text there.
        if (limit - 3) % 2 == 0 or len(row["ids"]) < limit:
            assert batch["input_ids"][0] == row["ids"]
            assert batch["token_type_ids"][0] == row["segments"]
    assert len(rows) == 32


def test_offsets_are_the_originals_where_lower_casing_keeps_positions(case):
    tokenizer, rows = case
    compared = 0
    for row in rows:
        text = row["text"]
        if row.get("rematch_error") or any(len(character.lower()) != 1 for character in text):
            continue
        batch = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
        for (start, end), positions, index in zip(batch["offset_mapping"], row["rematch"], row["ids"]):
            # The originals look a token's text up in the sentence; an unknown token they place by its length.
            if positions and index != tokenizer.unk_token_id:
                assert (start, end) == (positions[0], positions[-1] + 1), text
                compared += 1
    assert compared > 1000


def test_offsets_point_into_the_original_text(case):
    tokenizer, _ = case
    text = "\u0130x 한국어 ガ 中文éa\u0301b"
    batch = tokenizer(text, return_offsets_mapping=True)
    for start, end in batch["offset_mapping"][1:-1]:
        assert 0 <= start < end <= len(text)
    # The two jamo of a syllable both point to it.
    hangul = [text[start:end] for start, end in batch["offset_mapping"] if text[start:end] in tuple("한국어")]
    assert hangul or "한국어" in [text[start:end] for start, end in batch["offset_mapping"]]
