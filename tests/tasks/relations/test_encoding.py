"""Relations to links of tokens and back, through windows."""

import itertools
import random

import pytest
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_ext import build_char_tokenizer
from hf_ext.tasks.relations import RelationEncoder, decode_relation_dataset
from hf_ext.tasks.relations.encoding import MOST_CHOICES, join_slots, merge_links
from hf_ext.tasks.relations.files import relation_names

LETTERS = "一二三四五六七八九十甲乙丙丁戊己庚辛壬癸"


def span(text, start, end, **extra):
    return {**extra, "start": start, "end": end, "text": text[start:end]}


def plain(relation):
    return {key: relation[key] for key in ("predicate", "subject", "object", "slots")}


def round_trip(tokenizer, text, relations, max_length, stride):
    """What the labels of a text's windows come to, the number of lost relations, and where the windows are."""
    labels = sorted(set(relation_names(relations)))
    encoder = RelationEncoder(tokenizer, {name: number for number, name in enumerate(labels)}, max_length, stride)
    encoded = encoder.encode_dataset(Dataset.from_list([{"text": text, "relations": relations}]))
    table = [[[*link, 1.0] for link in row] for row in encoded["labels"]]
    (found,) = decode_relation_dataset(table, encoded, [text], dict(enumerate(labels)))
    windows = [(offsets[1][0], offsets[-2][1]) for offsets in encoded["offset_mapping"]]
    return list(map(plain, found)), sum(encoded["lost_entities"]), windows


@pytest.mark.parametrize("seed", range(6))
def test_what_one_window_holds_comes_back_and_the_rest_is_lost(seed):
    source = random.Random(seed)
    text = "".join(source.choices(LETTERS, k=30))
    tokenizer = build_char_tokenizer([LETTERS])

    def anywhere(**extra):
        start = source.randrange(29)
        return span(text, start, min(30, start + source.randint(1, 4)), **extra)

    for max_length, stride in itertools.product((8, 12, 40), (0, 1, 4, 5)):
        relations = [
            {"predicate": str(number), "subject": anywhere(), "object": anywhere(), "slots": slots}
            for number, slots in enumerate([[], [], [anywhere(name="x")], [anywhere(name="x"), anywhere(name="y")]])
        ]
        found, lost, windows = round_trip(tokenizer, text, relations, max_length, stride)

        def held(*parts, windows=windows):
            return any(all(left <= one["start"] and one["end"] <= right for one in parts) for left, right in windows)

        whole = [
            one
            for one in relations
            if held(one["subject"], one["object"])
            and all(held(one["subject"], one["object"], slot) for slot in one["slots"])
        ]
        assert lost == len(relations) - len(whole)
        assert all(one in found for one in whole)
        assert len(found) == sum(held(one["subject"], one["object"]) for one in relations)


def test_a_link_at_a_border_is_dropped_where_another_window_sees_both_entities():
    windows = [(0, 10), (4, 14)]

    def link(subject, object_, score=1.0):
        places = {"subject": span(LETTERS, *subject), "object": span(LETTERS, *object_)}
        return {"predicate": "p", **places, "score": score}

    # The second window does not see the subject, and cannot tell.
    assert merge_links([[link((0, 2), (8, 10))], []], windows) == [link((0, 2), (8, 10))]
    # It sees both, and knows better.
    assert merge_links([[link((5, 6), (8, 10))], []], windows) == []
    cut, whole = link((5, 6), (8, 10), 2.0), link((5, 6), (8, 12))
    assert merge_links([[cut], [whole]], windows) == [whole]
    # Found twice: the better one.
    assert merge_links([[link((5, 6), (8, 9), 1.0)], [link((5, 6), (8, 9), 2.0)]], windows) == [
        link((5, 6), (8, 9), 2.0)
    ]


def test_slots_inside_a_token_and_white_space():
    words = ["[PAD]", "[UNK]", "周", "演", "如果爱", "金像奖"]
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    text = "周 演 如果爱 金像奖"
    encoder = RelationEncoder(tokenizer, {"获奖": 0, "获奖|作品": 1}, max_length=16, stride=4)

    def encoded(slot, subject=(0, 1)):
        relation = {"predicate": "获奖", "subject": span(text, *subject), "object": span(text, 8, 11)}
        rows = encoder({"text": [text], "relations": [[{**relation, "slots": [span(text, *slot, name="作品")]}]]})
        return rows["labels"][0], rows["lost_entities"][0]

    assert encoded((4, 7)) == ([[0, 0, 0, 3, 3], [1, 3, 3, 2, 2]], 0)
    assert encoded((3, 8), (0, 2)) == encoded((4, 7))
    assert encoded((5, 7)) == ([[0, 0, 0, 3, 3]], 1)
    assert encoded((4, 7), (0, 3)) == ([[0, 0, 1, 3, 3], [1, 3, 3, 2, 2]], 0)
    assert encoded((4, 7), (0, 5)) == ([], 1)


def links_of(values, scores):
    """A link, and values of slots of its object with their scores."""
    place = iter(range(4, 10_000))
    found = [{"predicate": "p", "subject": span("x", 0, 1), "object": span("x", 2, 3), "score": 0.9}]
    for name, number in values.items():
        for _ in range(number):
            start = next(place)
            slot = {"predicate": f"p|{name}", "subject": span("x", 2, 3), "object": span("x", start, start + 1)}
            found.append({**slot, "score": next(scores)})
    return found


@pytest.mark.parametrize("values", [{}, {"x": 1}, {"x": 3, "y": 2}, {"x": 2, "y": 2, "z": 3}, {"x": 40, "y": 30}])
def test_choices_of_slots_are_the_best_of_all(values):
    source = random.Random(0)
    links = links_of(values, iter(source.random, None))
    by_slot = {name: [one for one in links if one["predicate"] == f"p|{name}"] for name in values}
    every = [
        min(0.9, *(one["score"] for one in chosen)) if chosen else 0.9
        for chosen in itertools.product(*by_slot.values())
    ]
    found = join_slots(links)
    assert len(found) == min(len(every), 1 + MOST_CHOICES)
    assert sorted((one["score"] for one in found), reverse=True) == sorted(every, reverse=True)[: len(found)]
    keys = [tuple((slot["name"], slot["start"]) for slot in one["slots"]) for one in found]
    assert keys == sorted(set(keys))
    assert all([name for name, _ in key] == sorted(values) for key in keys)


def test_choices_of_slots_do_not_grow_as_their_product():
    links = links_of({"x": 85, "y": 85, "z": 85}, itertools.repeat(1.0))
    subjects = [{**links[0], "subject": span("x", -number, 1 - number)} for number in range(60)]
    found = join_slots([*subjects, *links[1:]])
    assert len(found) == 60 + len(links) - 1 + 60
    assert {one["subject"]["start"] for one in found} == {-number for number in range(60)}
