"""Sentences with synonyms: files, drawn pairs and batches."""

import json

import pytest
import torch

from hf_ext import build_char_tokenizer
from hf_ext.tasks.paraphrase import DataCollatorForParaphrase, ParaphraseDataset, read_paraphrases

EXAMPLES = [{"text": "天气不错", "synonyms": ["今天天气很好", "天气真好"]}, {"text": "你好", "synonyms": ["您好"]}]


def test_files_are_read_as_published(shared):
    folder = shared / "data" / "simbert_sample"
    for name in ("data_sample.jsonl", "data_similarity.jsonl"):
        examples = read_paraphrases(folder / name)
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        assert len(examples) == len(lines) > 0
        for example, line in zip(examples, lines):
            record = json.loads(line)
            assert example["text"] == record["text"].strip()
            assert example["synonyms"] == [one.strip() for one in record["synonyms"]]


def test_byte_order_mark_line_ends_and_blank_lines(tmp_path):
    lines = [json.dumps(example | {"id": 1}, ensure_ascii=False) for example in EXAMPLES]
    file = tmp_path / "a.jsonl"
    file.write_bytes(("\ufeff" + lines[0] + "\r\n\r\n" + lines[1].replace("您", " 您\u2028")).encode())
    assert read_paraphrases(file) == [EXAMPLES[0], {"text": "你好", "synonyms": ["您\u2028好"]}]
    file.write_bytes(b"")
    assert read_paraphrases(file) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("天气", "must be JSON"),
        ("[1]", "must be a JSON object, got '\\[1\\]'"),
        ('{"synonyms": ["a"]}', "text must be a string that is not blank, got none"),
        ('{"text": "a"}', "synonyms must be a list of at least one string, got 'None'"),
        ('{"text": "a", "synonyms": []}', "at least one string"),
        ('{"text": "a", "synonyms": "b"}', "at least one string, got 'b'"),
        ('{"text": "a", "synonyms": ["b", 1]}', "a synonym must be a string that is not blank, got '1'"),
        ('{"text": "a", "synonyms": ["b", " "]}', "a synonym must be a string that is not blank"),
        ('{"text": " ", "synonyms": ["b"]}', "text must be a string that is not blank"),
    ],
)
def test_errors_name_file_and_line(line, message, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text(f'{{"text": "a", "synonyms": ["b"]}}\n{line}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=rf"bad\.jsonl:2: .*{message}"):
        read_paraphrases(file)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_bytes(b'{"text": "a", "synonyms": ["b"]}\n' + "天".encode("gbk"))
    with pytest.raises(ValueError, match=r"bad\.jsonl:2: the file must be UTF-8"):
        read_paraphrases(file)


def test_pairs_are_drawn_from_all_sentences():
    drawn, fixed = ParaphraseDataset(EXAMPLES), ParaphraseDataset(EXAMPLES, draw=False)
    assert len(drawn) == len(fixed) == 2
    assert [fixed[0], fixed[1]] == [("天气不错", "今天天气很好"), ("你好", "您好")]
    seen = set()
    for epoch in range(200):
        drawn.set_epoch(epoch)
        seen.add(drawn[0])
    sentences = ["天气不错", "今天天气很好", "天气真好"]
    assert seen == {(a, b) for a in sentences for b in sentences if a != b}


def test_a_batch_has_each_pair_both_ways():
    tokenizer = build_char_tokenizer(["天气不错", "你好"])
    batch = DataCollatorForParaphrase(tokenizer)([("天气", "不错"), ("你", "好好好")])
    rows = [tokenizer.convert_ids_to_tokens(ids) for ids in batch["input_ids"].tolist()]
    assert rows == [
        ["[CLS]", "天", "气", "[SEP]", "不", "错", "[SEP]"],
        ["[CLS]", "不", "错", "[SEP]", "天", "气", "[SEP]"],
        ["[CLS]", "你", "[SEP]", "好", "好", "好", "[SEP]"],
        ["[CLS]", "好", "好", "好", "[SEP]", "你", "[SEP]"],
    ]
    assert batch["token_type_ids"].tolist() == [[0] * 4 + [1] * 3] * 2 + [[0] * 3 + [1] * 4, [0] * 5 + [1] * 2]
    asked = batch["labels"] != -100
    assert torch.equal(asked, batch["token_type_ids"] == 1)
    assert torch.equal(batch["labels"][asked], batch["input_ids"][asked])
    assert bool(batch["attention_mask"].all())


def test_padding_is_never_asked_for_and_long_rows_are_cut():
    tokenizer = build_char_tokenizer(["天气不错你好"])
    collate = DataCollatorForParaphrase(tokenizer, max_length=8, pad_to_multiple_of=4)
    batch = collate([("天气天气天气天气", "不"), ("你", "好")])
    assert batch["input_ids"].shape == (4, 8)
    assert collate([("你", "好")])["input_ids"].shape == (2, 8)
    assert batch["attention_mask"].sum(-1).tolist() == [8, 8, 5, 5]
    # The short sentence is whole, and the target ends with [SEP].
    ends = [row[row != -100][-1].item() for row in batch["labels"]]
    assert ends == [tokenizer.sep_token_id] * 4
    assert (batch["labels"] != -100).sum(-1).tolist() == [2, 5, 2, 2]
    assert bool((batch["labels"][batch["attention_mask"] == 0] == -100).all())


class _Untyped:
    """A tokenizer all of whose types are 0."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, *texts, **options):
        batch = self.tokenizer(*texts, **options)
        batch["token_type_ids"] = torch.zeros_like(batch["token_type_ids"])
        return batch


def test_a_tokenizer_that_does_not_tell_pairs_apart_is_refused():
    tokenizer = build_char_tokenizer(["你好"])
    with pytest.raises(ValueError, match="token type 1"):
        DataCollatorForParaphrase(_Untyped(tokenizer))([("你", "好")])
