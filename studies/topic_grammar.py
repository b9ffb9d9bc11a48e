"""Sentences of two factors that know nothing of each other, to see which part of a code holds which.

A template is a row of function words with two slots, a topic a few words that fill them; any topic goes with any
template. Ids: 0 is padding, 1 begins a sentence, 2 ends it; then come the function words, then the words of topics.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

Sentence = list[int]
"""Ids from that which begins a sentence to that which ends it."""
Factors = tuple[int, int]
"""Numbers of a topic and a template."""

PADDING, BEGIN, END = 0, 1, 2
TOPICS = TEMPLATES = 20
_TOPIC_WORDS = 2
_FUNCTION_WORDS = 24
_FIRST_TOPIC_WORD = END + 1 + _FUNCTION_WORDS
VOCABULARY = _FIRST_TOPIC_WORD + TOPICS * _TOPIC_WORDS
_LENGTHS = (4, 8)
_SLOTS = 2
_SLOT = -1
LONGEST = _LENGTHS[1] + 2
_HELD_OUT = TOPICS * TEMPLATES // 10


def _make_templates() -> Iterator[tuple[int, ...]]:
    chance = random.Random(0)
    while True:
        length = chance.randint(*_LENGTHS)
        words = [chance.randrange(END + 1, _FIRST_TOPIC_WORD) for _ in range(length)]
        for place in chance.sample(range(length), _SLOTS):
            words[place] = _SLOT
        yield tuple(words)


# By their words, so that none is there twice; in order of their numbers.
_NUMBERS: dict[tuple[int, ...], int] = {}
for _template in _make_templates():
    if len(_NUMBERS) == TEMPLATES:
        break
    _NUMBERS.setdefault(_template, len(_NUMBERS))
_TEMPLATES = list(_NUMBERS)


def combinations(part: str) -> list[Factors]:
    """Topics with templates; those of "dev" and "test", a tenth of all each, stand in no sentence of "train"."""
    every = [(topic, template) for topic in range(TOPICS) for template in range(TEMPLATES)]
    random.Random(0).shuffle(every)
    first, second = _HELD_OUT, 2 * _HELD_OUT
    return {"dev": every[:first], "test": every[first:second], "train": every[second:]}[part]


def sentence(factors: Factors, chance: random.Random) -> Sentence:
    """A sentence on a topic in the form of a template, whose slots are filled by chance."""
    topic, template = factors
    first = _FIRST_TOPIC_WORD + topic * _TOPIC_WORDS
    words = [first + chance.randrange(_TOPIC_WORDS) if word == _SLOT else word for word in _TEMPLATES[template]]
    return [BEGIN, *words, END]


def sentences(part: str, count: int, chance: random.Random) -> list[Sentence]:
    """Sentences of the combinations of a part, each as likely as the others."""
    among = combinations(part)
    return [sentence(chance.choice(among), chance) for _ in range(count)]


def pairs(part: str, count: int, chance: random.Random) -> tuple[list[Sentence], list[Sentence]]:
    """Sentences of a part, and to each another one with another topic and another template."""
    among = combinations(part)
    both: tuple[list[Sentence], list[Sentence]] = ([], [])
    while len(both[0]) < count:
        first, second = chance.choice(among), chance.choice(among)
        if first[0] != second[0] and first[1] != second[1]:
            both[0].append(sentence(first, chance))
            both[1].append(sentence(second, chance))
    return both


def topic_of(text: Sequence[int]) -> int | None:
    """The topic that all topic words of a text belong to; None where there is not just one."""
    topics = {(word - _FIRST_TOPIC_WORD) // _TOPIC_WORDS for word in text if word >= _FIRST_TOPIC_WORD}
    return topics.pop() if len(topics) == 1 else None


def template_of(text: Sequence[int]) -> int | None:
    """The template whose function words a text has, with any topic words in the slots; None: the text has no such form.

    Args:
        text: ids, padded on the right or not.
    """
    if not text or text[0] != BEGIN or END not in text:
        return None
    words = text[1 : text.index(END)]
    return _NUMBERS.get(tuple(_SLOT if word >= _FIRST_TOPIC_WORD else word for word in words))


def factors_of(text: Sequence[int]) -> Factors | None:
    """Topic and template of a text of the grammar; None of any other text."""
    topic, template = topic_of(text), template_of(text)
    return None if topic is None or template is None else (topic, template)


def collate(rows: Sequence[Mapping[str, Sentence]]) -> dict[str, Tensor]:
    """A batch for an autoencoder: ``input_ids``, ``attention_mask`` and ``labels``, each ``[B, L]``.

    Args:
        rows: with ``input_ids``, a sentence each.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.tensor([row["input_ids"] + [PADDING] * (longest - len(row["input_ids"])) for row in rows])
    labels = ids.masked_fill(ids == PADDING, -100)
    labels[:, 0] = -100
    return {"input_ids": ids, "attention_mask": (ids != PADDING).long(), "labels": labels}
