"""The sample grammar and the character vocabularies."""

import json
import os
import subprocess
import sys

import pytest
from transformers import AutoTokenizer

from hf_ext import build_char_tokenizer, generate_samples
from hf_ext.data.char_vocabulary import build_char_vocabulary
from hf_ext.data.text_lines import FileLine
from hf_ext.tasks.entities.example import check_labels, checked_example


@pytest.fixture(scope="module")
def train():
    return generate_samples(3000, seed=0)


@pytest.fixture(scope="module")
def held_out():
    return generate_samples(500, seed=1)


def surfaces(samples, label):
    return [s["text"][e["start"] : e["end"]] for s in samples for e in s["entities"] if e["label"] == label]


def test_samples_are_valid_and_varied(train):
    for number, sample in enumerate(train):
        assert checked_example(sample["text"], sample["entities"], FileLine("samples", number)) == sample
        assert 8 <= len(sample["text"]) <= 60
    lengths = [len(sample["text"]) for sample in train]
    assert min(lengths) < 15
    assert max(lengths) > 50
    assert 0.1 < sum(not sample["entities"] for sample in train) / len(train) < 0.3
    nested = sum(
        any(
            a["start"] <= b["start"] and b["end"] <= a["end"] and a is not b
            for a in sample["entities"]
            for b in sample["entities"]
        )
        for sample in train
    )
    assert nested > len(train) / 4
    assert check_labels(train, train) == ["organization", "person", "place", "position", "time", "work"]
    together = "".join(sample["text"] for sample in train)
    assert all(any(test(c) for c in together) for test in (str.isdigit, str.islower, str.isupper))


@pytest.mark.slow
def test_a_seed_gives_the_same_samples_in_any_process(train):
    code = "import json, hf_ext; print(json.dumps(hf_ext.generate_samples(50, seed=0)))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, env=environment)
    assert json.loads(other.stdout) == generate_samples(50, seed=0) == train[:50]
    assert generate_samples(50, seed=1) != train[:50]
    assert generate_samples(0) == []


def test_held_out_names_are_mostly_new_and_made_of_known_characters(train, held_out):
    for label in ("person", "organization"):
        known = set(surfaces(train, label))
        names = surfaces(held_out, label)
        assert sum(name in known for name in names) < len(names) / 3
        assert set("".join(names)) <= set("".join(known))
    texts = {sample["text"] for sample in train}
    assert sum(sample["text"] in texts for sample in held_out) < 20


def test_the_characters_of_names_occur_outside_names_too(train):
    inside = {c for label in ("person", "place") for name in surfaces(train, label) for c in name}
    plain = {c for sample in train if not sample["entities"] for c in sample["text"]}
    assert len(inside & plain) > 20


def test_a_tokenizer_of_the_samples_cuts_them_into_characters(train):
    tokenizer = build_char_tokenizer(sample["text"] for sample in train)
    for sample in train[:500]:
        encoding = tokenizer(sample["text"], add_special_tokens=False, return_offsets_mapping=True)
        assert tokenizer.unk_token_id not in encoding["input_ids"]
        assert encoding["offset_mapping"] == [(at, at + 1) for at in range(len(sample["text"]))]


@pytest.mark.parametrize("lower", [True, False])
def test_texts_are_cut_into_characters(tmp_path, lower):
    text = "中文ABCabc 123,.#㍻ﾊﾝｶｸ１２カタカナ한국é Жук\u2028 😀x"
    tokenizer = build_char_tokenizer([text], do_lower_case=lower)
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        encoding = each(text, add_special_tokens=False, return_offsets_mapping=True)
        assert each.unk_token_id not in encoding["input_ids"]
        pieces = ["".join(text[a:b]) for a, b in dict.fromkeys(encoding["offset_mapping"])]
        assert pieces == [character for character in text if not character.isspace()]


def test_vocabulary_order_and_minimum_count():
    vocabulary = build_char_vocabulary(["乙甲甲丙丙丙Ａ"], min_count=2, do_lower_case=False)
    assert vocabulary[:6] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!"]
    assert "乙" not in vocabulary
    assert "Ａ" not in vocabulary
    assert vocabulary.index("丙") < vocabulary.index("甲") < vocabulary.index("##a")
    assert {"Z", "z", "##Z", "##0", "~"} <= set(vocabulary)
    assert not {"##甲", "##~", " "} & set(vocabulary)
    assert "Z" not in build_char_vocabulary([])
    assert build_char_tokenizer(["甲"], min_count=2).tokenize("甲") == ["[UNK]"]
