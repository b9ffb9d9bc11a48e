"""Tags and spans of tokens, and which tags may follow each other."""

import itertools
import random

import pytest
import torch
from datasets import Dataset

from hf_ext.data import decode_span_dataset
from hf_ext.data.tag_encoding import TagEncoder, tags_to_predictions
from hf_ext.data.tag_schemes import spans_to_tags, tags_of_labels, tags_to_spans
from hf_ext.ops.tag_rules import TAG_SCHEMES, may_follow, scheme_of_tags, split_tag, tag_rules

schemes = pytest.mark.parametrize("scheme", TAG_SCHEMES)
CASES = {
    "BIO": "B-a I-a I-a O B-b B-a",
    "BMES": "B-a M-a E-a O S-b S-a",
    "BIOES": "B-a I-a E-a O S-b S-a",
}


def follow(tags, scheme):
    """Whether tags may begin a sequence, follow each other and end it."""
    return all(may_follow(before, tag, scheme) for before, tag in itertools.pairwise([None, *tags, None]))


@schemes
def test_known_sequences(scheme):
    spans = [("a", 0, 2), ("b", 4, 4), ("a", 5, 5)]
    assert spans_to_tags(spans, 6, scheme) == CASES[scheme].split()
    assert tags_to_spans(CASES[scheme].split()) == spans


@schemes
def test_all_spans_and_back(scheme):
    """Every way to put up to two spans on five tokens."""
    possible = [(label, first, last) for label in "ab" for first in range(5) for last in range(first, 5)]
    tried = 0
    for count in range(3):
        for spans in itertools.combinations(possible, count):
            if len({place for _, first, last in spans for place in range(first, last + 1)}) < sum(
                last - first + 1 for _, first, last in spans
            ):
                continue
            tags = spans_to_tags(spans, 5, scheme)
            assert sorted(tags_to_spans(tags)) == sorted(spans)
            assert follow(tags, scheme)
            tried += 1
    assert tried > 100


@schemes
def test_rules_allow_what_spans_give_and_nothing_else(scheme):
    """A sequence is allowed exactly if its spans give it back."""
    tags = tags_of_labels("ab", scheme)
    rules = tag_rules(tags, scheme)
    for length in (1, 2, 3):
        for path in itertools.product(range(len(tags)), repeat=length):
            names = [tags[tag] for tag in path]
            score = (
                rules.start[path[0]] + rules.end[path[-1]] + sum(rules.transitions[p] for p in itertools.pairwise(path))
            )
            valid = spans_to_tags(tags_to_spans(names), length, scheme) == names
            assert (score == 0) == valid
            assert follow(names, scheme) == valid
            if not valid:
                assert score == -torch.inf


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("I-a I-a", [("a", 0, 1)]),
        ("B-a I-b", [("a", 0, 0), ("b", 1, 1)]),
        ("O E-a O", [("a", 1, 1)]),
        ("S-a E-a", [("a", 0, 0), ("a", 1, 1)]),
        ("B_a I_a", [("a", 0, 1)]),
        ("", []),
    ],
)
def test_invalid_sequences_are_read_as_conlleval_reads_them(tags, spans):
    assert tags_to_spans(tags.split()) == spans


@pytest.mark.parametrize("seed", range(30))
def test_spans_are_those_of_seqeval(seed):
    from seqeval.metrics import sequence_labeling as metrics

    generator = torch.Generator().manual_seed(seed)
    tags = tags_of_labels("ab", "BIOES")
    for _ in range(10):
        names = [tags[tag] for tag in torch.randint(0, len(tags), (8,), generator=generator).tolist()]
        assert tags_to_spans(names) == metrics.get_entities(names)


def test_scheme_is_told_by_the_tags():
    assert scheme_of_tags(["O", "B-a"]) == "BIO"
    assert scheme_of_tags(["O", "B-a", "M-a"]) == "BMES"
    assert scheme_of_tags(["I-a", "E-a"]) == "BIOES"
    assert split_tag("B-a-b") == ("B", "a-b")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tags_of_labels("a", "IOB"), "scheme must be one of BIO, BMES, BIOES, got 'IOB'"),
        (lambda: spans_to_tags([("a", 0, 3)], 3), "within the 3 tokens, got 'a' at 0 to 3"),
        (lambda: spans_to_tags([("a", 1, 0)], 3), "got 'a' at 1 to 0"),
        (lambda: spans_to_tags([("a", 0, 1), ("b", 1, 2)], 3), "must not overlap, got 'b' at 1 to 2"),
        (lambda: tags_to_spans(["person"]), "O or a label after B-, .*got 'person'"),
        (lambda: scheme_of_tags(["M-a", "I-a"]), r"one scheme of BIO, BMES, BIOES, got the prefixes \['I', 'M'\]"),
        (lambda: tag_rules(["M-a"], "BIO"), "a tag of BIO must begin with one of OBI, got 'M-a'"),
        (lambda: tag_rules(["O"], "XYZ"), "tag_scheme must be one of .*got 'XYZ'"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture(scope="module")
def tokenizer():
    from hf_ext import build_char_tokenizer

    return build_char_tokenizer(["张三在北京大学工作"])


@schemes
def test_encoder(tokenizer, scheme):
    encoder = TagEncoder(tokenizer, ["person", "place"], scheme)
    entities = [
        {"start": 0, "end": 2, "label": "person"},
        {"start": 3, "end": 5, "label": "place"},
        {"start": 3, "end": 7, "label": "place"},
    ]
    rows = encoder({"text": ["张三在北京大学", ""], "entities": [entities, []]}, [4, 5])
    labels = rows["labels"][0]
    assert labels[0] == labels[-1] == -100
    assert tags_to_spans([encoder.tags[tag] for tag in labels[1:-1]]) == [("person", 0, 1), ("place", 3, 6)]
    assert rows["lost_entities"] == [1, 0]
    assert rows["example_id"] == [4, 5]
    spans = tags_to_predictions(labels, dict(enumerate(encoder.tags)), encoder.label2id, [0.5] * len(labels))
    assert spans == [[0, 1, 2, 0.5], [1, 4, 7, 0.5]]
    assert encoder.features["labels"].feature.dtype == "int64"


def test_an_entity_that_overlaps_in_every_window_is_lost_once(tokenizer):
    encoder = TagEncoder(tokenizer, ["a"], max_length=7, stride=4)
    places = [(2, 4), (2, 5), (0, 3)]
    entities = [{"start": start, "end": end, "label": "a"} for start, end in places]
    rows = encoder({"text": ["张三在北京大学工作"], "entities": [entities]})
    windows = [(own[1][0], own[-2][1]) for own in rows["offset_mapping"]]
    assert windows[:3] == [(0, 5), (1, 6), (2, 7)]
    # (0, 3) is kept in the first window and (2, 5) in the others; (2, 4) nowhere.
    assert rows["lost_entities"] == [1] + [0] * (len(windows) - 1)


@pytest.mark.parametrize("seed", range(4))
def test_what_tags_hold_comes_back_and_the_rest_is_lost(tokenizer, seed):
    source = random.Random(seed)
    text = "".join(source.choices("张三在北京大学工作", k=24))
    for stride in range(8):
        encoder = TagEncoder(tokenizer, ["a", "b"], "BIOES", max_length=12, stride=stride)
        places = {tuple(sorted(source.sample(range(25), 2))) for _ in range(6)}
        entities = [{"start": start, "end": end, "label": source.choice("ab")} for start, end in sorted(places)]
        encoded = encoder.encode_dataset(Dataset.from_list([{"text": text, "entities": entities}]))
        names = dict(enumerate(encoder.tags))
        rows = [tags_to_predictions(row, names, encoder.label2id) for row in encoded["labels"]]
        (found,) = decode_span_dataset(rows, encoded, [text], dict(enumerate(encoder.names)))
        found = [{key: one[key] for key in ("start", "end", "label")} for one in found]
        assert sum(encoded["lost_entities"]) == sum(one not in found for one in entities)
        assert all(one in entities for one in found)


def test_predictions_pass_over_tokens_without_a_tag():
    names = {0: "O", 1: "B-a", 2: "I-a"}
    assert tags_to_predictions([-100, 1, -100, 2, 0, -100, 1], names, {"a": 7}, [0, 0.9, 0, 0.8, 1, 0, 0.7]) == [
        [7, 1, 3, 0.8],
        [7, 6, 6, 0.7],
    ]


@pytest.mark.parametrize(
    "file", ["resume_ner/dev.char.bmes", "weibo_ner/weiboNER_2nd_conll.dev", "peoples_daily_ner/example.test"]
)
def test_files_of_tags(shared, file):
    """The entities of real files survive the way to tags of every scheme and back."""
    from hf_ext.tasks.entities import read_entities

    examples = read_entities(shared / "data" / file)
    assert any(example["entities"] for example in examples)
    for example in examples:
        spans = [(one["label"], one["start"], one["end"] - 1) for one in example["entities"]]
        for scheme in TAG_SCHEMES:
            assert tags_to_spans(spans_to_tags(spans, len(example["text"]), scheme)) == spans
