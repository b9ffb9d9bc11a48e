"""Character spans to token spans and back, windows of long texts, batches."""

import logging
import pickle
import random
import re

import pytest
import torch
from datasets import Dataset, List, Value
from datasets.fingerprint import Hasher
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.utils.data import DataLoader
from transformers import BertTokenizer, PreTrainedTokenizerFast

from hf_ext import DataCollatorForSpanExtraction, SpanEncoder, build_char_tokenizer, generate_samples
from hf_ext.data import decode_span_dataset, decode_spans
from hf_ext.data.span_encoding import TokenBorders
from hf_ext.data.windows import trim

LABELS = ["organization", "person", "place", "position", "time", "work"]
LABEL2ID = {label: index for index, label in enumerate(LABELS)}
ID2LABEL = dict(enumerate(LABELS))


@pytest.fixture(scope="module")
def samples():
    return generate_samples(60, seed=3)


@pytest.fixture(scope="module")
def tokenizer(samples):
    return build_char_tokenizer(sample["text"] for sample in samples)


@pytest.fixture(scope="module")
def byte_level():
    """Byte-level tokens, as decoders such as Qwen have them: several in a character, spaces counted to words."""
    pieces = {piece: index for index, piece in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=pieces, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="!")


def entity(start, end, label="place"):
    return {"start": start, "end": end, "label": label}


def borders_by_all_tokens(text, offsets, span):
    """What `TokenBorders` finds, by a look at each token."""
    firsts, lasts = {}, {}
    for token, (start, end) in enumerate(offsets):
        start, end = trim(text, start, end)
        if start < end:
            firsts.setdefault(start, token)
            lasts[end] = token
    start, end = trim(text, span["start"], span["end"])
    first, last = firsts.get(start), lasts.get(end)
    return None if first is None or last is None or first > last else (first, last)


def test_borders_of_all_spans(tokenizer, byte_level):
    text = " 他在 CSOL里　2008年！\n"
    special = [(0, 0)] * 2
    rows = [
        [*special, *tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"], *special],
        byte_level(text, return_offsets_mapping=True)["offset_mapping"],
        # White space with a word before or behind it, a token of nothing, and one with parts of two characters.
        [*special, (0, 2), (2, 3), (3, 8), (8, 8), (8, 11), (10, 12), (12, 12), (12, 16), (16, 17), *special],
        special,
        [],
    ]
    found = 0
    for offsets in rows:
        for start in range(len(text)):
            for end in range(start + 1, len(text) + 1):
                span = entity(start, end)
                tokens = TokenBorders(text, offsets).tokens(span)
                assert tokens == borders_by_all_tokens(text, offsets, span)
                found += tokens is not None
    assert found > 100


def predictions_of(labels, k=16):
    """Perfect predictions ``[K, 4]`` of token spans, padded as a head pads them."""
    rows = torch.full((k, 4), -1.0)
    for row, span in zip(rows, labels):
        row[:] = torch.tensor([*span, 1.5])
    return rows.numpy()


def without_score(spans):
    return [{key: span[key] for key in ("start", "end", "label")} for span in spans]


def test_labels_are_inclusive_token_spans(tokenizer):
    batch = {"text": ["他在CSOL里2008年！", ""], "entities": [[entity(2, 6, "work"), entity(7, 12, "time")], []]}
    encoded = SpanEncoder(tokenizer, LABEL2ID)(batch, [5, 9])
    assert encoded["labels"] == [[[5, 3, 6], [4, 8, 12]], []]
    assert encoded["lost_entities"] == [0, 0]
    assert encoded["example_id"] == [5, 9]
    plain = tokenizer(batch["text"], return_offsets_mapping=True)
    for name in ("input_ids", "token_type_ids", "attention_mask", "offset_mapping"):
        assert encoded[name] == plain[name]
    assert "example_id" not in SpanEncoder(tokenizer, LABEL2ID)(batch)


def test_entities_inside_tokens_are_counted():
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "北", "##京", "new", "##york", "!"]
    tokenizer = BertTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)})
    encoder = SpanEncoder(tokenizer, LABEL2ID)
    text = "北 newyork!"
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            encoded = encoder({"text": [text], "entities": [[entity(start, end)]]})
            first, last = (2 if start == 1 else start), (1 if end == 2 else end)
            aligned = first in (0, 2, 5, 9) and last in (1, 5, 9, 10) and first < last
            assert encoded["lost_entities"] == [not aligned]
            found = decode_spans(predictions_of(encoded["labels"][0]), encoded["offset_mapping"][0], ID2LABEL, text)
            assert without_score(found) == [entity(first, last)] * aligned


def test_byte_level_tokens_take_whole_characters_and_no_spaces(byte_level):
    text = "北 new 京"
    encoder = SpanEncoder(byte_level, LABEL2ID)
    wanted = [entity(0, 1), entity(2, 5), entity(2, 7), entity(6, 7)]
    # White space at the ends of an entity is no part of it, and the same entity twice is one.
    encoded = encoder({"text": [text], "entities": [[*wanted, entity(1, 5), entity(0, 2), entity(1, 2)]]})
    assert encoded["lost_entities"] == [1]
    found = decode_spans(predictions_of(encoded["labels"][0]), encoded["offset_mapping"][0], ID2LABEL, text)
    assert without_score(found) == wanted


@pytest.mark.parametrize("max_length", [26, 40, 512])
def test_every_entity_comes_back_through_windows(samples, tokenizer, max_length):
    texts, entities = [], []
    for first in range(0, len(samples), 6):
        text, own = "", []
        for sample in samples[first : first + 6]:
            own += [{**e, "start": e["start"] + len(text), "end": e["end"] + len(text)} for e in sample["entities"]]
            text += sample["text"]
        texts.append(text)
        entities.append(own)
    encoder = SpanEncoder(tokenizer, LABEL2ID, max_length, stride=16)
    assert max(e["end"] - e["start"] for own in entities for e in own) <= 16
    encoded = encoder.encode_dataset(Dataset.from_dict({"text": texts, "entities": entities}))
    assert sum(encoded["lost_entities"]) == 0
    assert (len(encoded) > len(texts)) == (max_length < 512)
    assert max(map(len, encoded["input_ids"])) <= max_length
    found = decode_span_dataset([predictions_of(row, 64) for row in encoded["labels"]], encoded, texts, ID2LABEL)
    assert list(map(without_score, found)) == entities
    for text, spans in zip(texts, found):
        assert all(span["text"] == text[span["start"] : span["end"]] and span["score"] == 1.5 for span in spans)


def test_labels_of_windows_by_brute_force(tokenizer):
    source = random.Random(0)
    for _ in range(40):
        text = "".join(source.choices("北京大学 a1，", k=source.randint(0, 40)))
        spans = {tuple(sorted(source.sample(range(len(text) + 1), 2))) for _ in range(6)} if text else set()
        encoder = SpanEncoder(tokenizer, LABEL2ID, max_length=12, stride=source.randint(0, 9))
        encoded = encoder({"text": [text], "entities": [[entity(*span) for span in sorted(spans)]]})
        # White space at the ends of an entity is no part of it.
        written = {span: re.search(r"^\s*(.*?)\s*$", text[slice(*span)]).span(1) for span in spans}
        written = {(start, end): (start + left, start + right) for (start, end), (left, right) in written.items()}
        seen = set()
        for offsets, labels in zip(encoded["offset_mapping"], encoded["labels"]):
            expected = {
                (2, i, j)
                for i, (start, stop) in enumerate(offsets)
                for j, (begin, end) in enumerate(offsets)
                if start < stop and begin < end and (start, end) in written.values()
            }
            assert set(map(tuple, labels)) == expected
            seen |= {(offsets[i][0], offsets[j][1]) for _, i, j in expected}
        assert (
            sum(encoded["lost_entities"])
            == encoded["lost_entities"][0]
            == sum(place not in seen for place in written.values())
        )


def test_encode_dataset_reports_what_is_lost(tokenizer, caplog):
    rows = Dataset.from_dict(
        {"text": ["北京大学" * 10, "CSOL"], "entities": [[entity(0, 30)], [entity(0, 4)]], "x": [0, 1]}
    )
    encoder = SpanEncoder(tokenizer, LABEL2ID, max_length=22, stride=4)
    with caplog.at_level(logging.WARNING, logger="hf_ext"):
        encoded = encoder.encode_dataset(rows)
    assert [record.getMessage().split(" entities")[0] for record in caplog.records] == ["1 of 2"]
    assert encoded["example_id"][:] == [0, 0, 0, 1]
    assert encoded["lost_entities"][:] == [1, 0, 0, 0]


def test_columns_have_types_where_no_text_has_an_entity(tokenizer):
    rows = Dataset.from_dict({"text": ["北京"], "entities": [[]]})
    encoded = SpanEncoder(tokenizer, LABEL2ID).encode_dataset(rows)
    assert encoded.features["labels"] == List(List(Value("int64")))
    with pytest.raises(ValueError, match="at least one row"):
        SpanEncoder(tokenizer, LABEL2ID).encode_dataset(rows.select([]))


def test_processes_and_pickling_change_nothing(samples, tokenizer):
    rows = Dataset.from_list(samples)
    encoder = SpanEncoder(tokenizer, LABEL2ID, 32, 8)
    before = Hasher.hash(encoder)
    one = encoder.encode_dataset(rows)
    assert Hasher.hash(encoder) == before
    two = pickle.loads(pickle.dumps(encoder)).encode_dataset(rows, num_proc=2)
    assert one.to_list() == two.to_list()


def test_without_annotations_there_are_no_labels(tokenizer):
    encoder = SpanEncoder(tokenizer, {}, max_length=6, stride=None)
    assert encoder.stride == 1
    assert SpanEncoder(tokenizer, {}, stride=None).stride == 64
    wanted = {"input_ids", "token_type_ids", "attention_mask", "offset_mapping", "example_id"}
    assert set(encoder({"text": ["北京大学"]}, [3])) == wanted
    encoded = encoder.encode_dataset(Dataset.from_dict({"text": ["北京大学上海"]}))
    assert set(encoded.column_names) == wanted
    assert len(encoded) == 2


def test_bad_encoders(tokenizer):
    with pytest.raises(ValueError, match="less than the 6 tokens"):
        SpanEncoder(tokenizer, LABEL2ID, max_length=8, stride=6)
    with pytest.raises(ValueError, match="stride must be at least 0"):
        SpanEncoder(tokenizer, LABEL2ID, max_length=2, stride=-1)
    with pytest.raises(ValueError, match=r"label of an entity must be one of .*'work'\], got 'animal'"):
        SpanEncoder(tokenizer, LABEL2ID)({"text": ["猫"], "entities": [[entity(0, 1, "animal")]]})

    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match=r"must be a fast one.*Slow"):
        SpanEncoder(Slow(), LABEL2ID)


def test_decoding_leaves_out_padding_and_special_tokens():
    offsets, text = [(0, 0), (0, 1), (1, 3), (0, 0)], "北京市"
    rows = [(2, 1, 2, 0.5), (0, 2, 2, 2), (2, 0, 1, 1), (2, 2, 3, 1), (2, 0, 0, 1), (-1, -1, -1, -1), (-100,) * 4]
    assert decode_spans(rows, offsets, ID2LABEL, text) == [
        {"start": 0, "end": 3, "label": "place", "score": 0.5, "text": "北京市"},
        {"start": 1, "end": 3, "label": "organization", "score": 2.0, "text": "京市"},
    ]
    assert decode_spans([], offsets, ID2LABEL, text) == []


@pytest.mark.parametrize("span", [(0, 1, 4), (0, 2, 1), (0, -1, 2)])
def test_decoding_refuses_spans_outside_the_row(span):
    with pytest.raises(ValueError, match="within the row's 4 tokens"):
        decode_spans([(*span, 1.0)], [(0, 0), (0, 1), (1, 2), (0, 0)], ID2LABEL, "北京")


def test_decode_span_dataset_wants_a_prediction_a_row(tokenizer):
    encoded = SpanEncoder(tokenizer, LABEL2ID).encode_dataset(Dataset.from_dict({"text": ["a"], "entities": [[]]}))
    assert decode_span_dataset([predictions_of([])], encoded, ["a"], ID2LABEL) == [[]]
    with pytest.raises(ValueError, match="each of the 1 rows, got 0"):
        decode_span_dataset([], encoded, ["a"], ID2LABEL)


def test_collator_pads_and_drops(tokenizer):
    encoder = SpanEncoder(tokenizer, LABEL2ID)
    batch = {"text": ["北京大学", "a", "上海"], "entities": [[entity(0, 2), entity(0, 4)], [], [entity(0, 2)]]}
    columns = encoder(batch, [0, 1, 2])
    rows = [{name: column[index] for name, column in columns.items()} for index in range(3)]
    out = DataCollatorForSpanExtraction(tokenizer)(rows)
    assert set(out) == {"input_ids", "token_type_ids", "attention_mask", "labels"}
    assert out["labels"].dtype == torch.long
    assert out["labels"].tolist() == [[[2, 1, 2], [2, 1, 4]], [[-100] * 3] * 2, [[2, 1, 2], [-100] * 3]]
    assert out["input_ids"].shape == (3, 6)
    assert out["attention_mask"].sum(1).tolist() == [6, 3, 4]
    assert (out["input_ids"] == tokenizer.pad_token_id).eq(out["attention_mask"] == 0).all()
    # Without any span there is still one padded row of labels.
    assert DataCollatorForSpanExtraction(tokenizer)(rows[1:2])["labels"].tolist() == [[[-100] * 3]]
    unlabelled = [{name: row[name] for name in ("input_ids", "attention_mask")} for row in rows]
    assert set(DataCollatorForSpanExtraction(tokenizer)(unlabelled)) == {"input_ids", "attention_mask"}
    assert DataCollatorForSpanExtraction(tokenizer, pad_to_multiple_of=8)(rows)["input_ids"].shape == (3, 8)


def test_collator_keeps_places_of_tokens_whatever_side_is_padded():
    tokenizer = build_char_tokenizer(["北京大学上海"], padding_side="left")
    columns = SpanEncoder(tokenizer, LABEL2ID)({"text": ["北京大学", "上海"], "entities": [[], [entity(0, 2)]]})
    batch = DataCollatorForSpanExtraction(tokenizer)([{k: v[i] for k, v in columns.items()} for i in range(2)])
    _, first, last = batch["labels"][1, 0].tolist()
    assert tokenizer.decode(batch["input_ids"][1, first : last + 1]).replace(" ", "") == "上海"


@pytest.mark.parametrize("formatted", [None, "torch", "numpy"])
def test_collator_in_worker_processes(samples, tokenizer, formatted):
    encoded = SpanEncoder(tokenizer, LABEL2ID).encode_dataset(Dataset.from_list(samples[:8]))
    reference = DataCollatorForSpanExtraction(tokenizer)([encoded[index] for index in range(8)])
    encoded.set_format(formatted)
    loader = DataLoader(encoded, batch_size=8, collate_fn=DataCollatorForSpanExtraction(tokenizer), num_workers=1)
    (batch,) = loader
    assert batch.keys() == reference.keys()
    for name, tensor in batch.items():
        assert torch.equal(tensor, reference[name])
