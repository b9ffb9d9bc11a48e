"""Events to arguments of tokens and back, through windows."""

import itertools
import random

import pytest
from datasets import Dataset

from hf_ext import build_char_tokenizer
from hf_ext.tasks.events import EventEncoder, decode_event_dataset
from hf_ext.tasks.events.encoding import MOST_JOINED, merge_events

LETTERS = "一二三四五六七八九十甲乙丙丁戊己庚辛壬癸"


def key(event):
    return event["type"], frozenset((one["role"], one["start"], one["end"]) for one in event["arguments"])


@pytest.mark.parametrize("seed", range(6))
def test_what_one_window_holds_comes_back_and_the_rest_is_lost(seed):
    source = random.Random(seed)
    text = "".join(source.choices(LETTERS, k=30))
    tokenizer = build_char_tokenizer([LETTERS])
    labels = {f"{kind}|{role}": 3 * kind + number for kind in range(4) for number, role in enumerate("xyz")}

    def argument(role):
        start = source.randrange(29)
        return {"role": role, "start": start, "end": min(30, start + source.randint(1, 4))}

    for max_length, stride in itertools.product((8, 12, 40), (0, 1, 4, 5)):
        # Events of different types are part of none other.
        events = [
            {"type": str(kind), "arguments": [argument(role) for role in "xyz"[: source.randint(1, 3)]]}
            for kind in range(4)
        ]
        encoder = EventEncoder(tokenizer, labels, max_length, stride)
        encoded = encoder.encode_dataset(Dataset.from_list([{"text": text, "events": events}]))
        table = [[[*one, 1.0] for one in row] for row in encoded["labels"]]
        names = {number: name for name, number in labels.items()}
        (found,) = decode_event_dataset(table, encoded, [text], names)
        windows = [(offsets[1][0], offsets[-2][1]) for offsets in encoded["offset_mapping"]]
        keys = set(map(key, found))
        whole = [
            event
            for event in events
            if any(
                all(left <= one["start"] and one["end"] <= right for one in event["arguments"])
                for left, right in windows
            )
        ]
        assert all(key(event) in keys for event in whole)
        assert sum(encoded["lost_entities"]) == sum(key(event) not in keys for event in events)


def test_an_argument_inside_a_token_or_with_white_space():
    text = "甲 裁员 abc"
    encoder = EventEncoder(
        build_char_tokenizer([text]), {"裁|方": 0, "裁|触发词": 1, "裁|时": 2}, max_length=16, stride=4
    )

    def encoded(*places):
        arguments = [{"role": role, "start": start, "end": end} for role, start, end in places]
        rows = encoder({"text": [text], "events": [[{"type": "裁", "arguments": arguments}]]})
        return rows["labels"][0], rows["lost_entities"][0]

    assert encoded(("方", 0, 2), ("触发词", 1, 5)) == ([[0, 0, 1, 1], [0, 1, 2, 3]], 0)
    assert encoded(("方", 0, 1), ("时", 1, 2)) == ([[0, 0, 1, 1]], 1)
    assert encoded(("方", 0, 1)) == ([[0, 0, 1, 1]], 0)


def test_events_that_fit_together_do_not_grow_as_a_product():
    """Twelve events a window that agree in what each two windows share: 12 to the power of 6 ways to join them."""

    def event(*places):
        arguments = [{"role": "x", "start": place, "end": place + 1, "text": "x"} for place in places]
        return {"type": "t", "arguments": arguments, "score": 1.0}

    windows = [(20 * number, 20 * number + 24) for number in range(6)]
    events = [
        [event(left + 1, left + 5 + number, left + 21) if left else event(5 + number, 21) for number in range(12)]
        for left, _ in windows
    ]
    found = merge_events(events, windows)
    assert 12 <= len(found) <= MOST_JOINED
    assert all(len(one["arguments"]) >= 12 for one in found)
