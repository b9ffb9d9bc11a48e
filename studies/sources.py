"""The texts that experiments are made on, as files that jobs read; generated ones for a quick look without any data."""

import json
import random
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from hf_ext import generate_samples
from hf_ext.atomic_file import atomic_write
from hf_ext.tasks.classification import read_labelled_texts
from hf_ext.tasks.entities import read_entities, write_entities
from hf_ext.tasks.relations import read_relations
from hf_ext.tasks.similarity import read_text_pairs

Example = dict[str, Any]
Split = tuple[str, int | None, int | None]
"""A file, and the first and the last example (exclusive) to take."""

_ENTITIES: dict[str, dict[str, Split]] = {
    "weibo": {
        "train": ("weibo_ner/weiboNER_2nd_conll.train", None, None),
        "dev": ("weibo_ner/weiboNER_2nd_conll.dev", None, None),
        "test": ("weibo_ner/weiboNER_2nd_conll.test", None, None),
    },
    "resume": {
        "train": ("resume_ner/train.char.bmes", None, None),
        "dev": ("resume_ner/dev.char.bmes", None, None),
        "test": ("resume_ner/test.char.bmes", None, None),
    },
    "people's daily": {
        "train": ("peoples_daily_ner/example.test", None, 3200),
        "dev": ("peoples_daily_ner/example.test", 3200, 3600),
        "test": ("peoples_daily_ner/example.test", 3600, None),
    },
    "cluener": {
        "train": ("cluener2020/train.json", None, None),
        "dev": ("cluener2020/valid.json", None, None),
    },
    "duie": {
        "train": ("duie2_subset/train_part.json", None, 1500),
        "dev": ("duie2_subset/train_part.json", 2200, 2500),
        "test": ("duie2_subset/train_part.json", 2500, None),
    },
}
_LABELLED: dict[str, dict[str, Split]] = {
    "events": {
        "train": ("duee_event_multilabel/train.csv", None, None),
        "test": ("duee_event_multilabel/test.csv", None, None),
    },
    "divorce": {"train": ("cail2019_elements/divorce.train.json", None, None)},
    "news": {
        "train": ("tnews/train.tsv", None, 8000),
        "dev": ("tnews/train.tsv", 8000, None),
        "test": ("tnews/dev.tsv", None, None),
    },
    "inference": {
        "train": ("ocnli/train.3k.json", None, 2600),
        "dev": ("ocnli/train.3k.json", 2600, None),
        "test": ("ocnli/dev.json", None, None),
    },
    "sentiment": {
        "train": ("sentiment_bert4keras/sentiment.train.data", None, None),
        "dev": ("sentiment_bert4keras/sentiment.valid.data", None, None),
        "test": ("sentiment_bert4keras/sentiment.test.data", None, None),
    },
}
_PAIRS: dict[str, dict[str, Split]] = {
    "STS-B": {
        "train": ("stsb_zh/STS-B.train.data", None, None),
        "dev": ("stsb_zh/STS-B.train.data", None, 1500),
        "test": ("stsb_zh/STS-B.valid.data", None, None),
    },
    "AFQMC": {"train": ("afqmc/train.txt", None, None), "test": ("afqmc/dev.txt", None, None)},
}
_GENERATED = {"train": 1000, "dev": 200, "test": 500}
_QUICK_TEXTS = 24


@dataclass(frozen=True)
class Sources:
    """Where texts are read, and a folder to write what jobs read.

    Attributes:
        folder: of files and models that nobody keeps.
        data: the shared data sets; None: a few generated sentences stand in for each of them.
    """

    folder: Path
    data: Path | None = None

    @property
    def quick(self) -> bool:
        """Whether runs are to take two steps and no more."""
        return self.data is None

    def entities(self, name: str, part: str) -> list[Example]:
        """Texts with entities: "train", "dev" or "test" of a data set."""
        if self.data is None or name == "generated":
            return generate_samples(_GENERATED[part] if self.data else _QUICK_TEXTS, _seed(name, part))
        file, first, last = _ENTITIES[name][part]
        examples = (_relation_ends if name == "duie" else read_entities)(self.data / file)
        return [dict(example) for example in examples[first:last]]

    def labelled(self, name: str, part: str) -> list[Example]:
        """Texts or pairs with a class, or with any number: "train", "dev" or "test" of a data set."""
        if self.data is None:
            return [_generated_classes(one, name) for one in generate_samples(_QUICK_TEXTS, _seed(name, part))]
        file, first, last = _LABELLED[name][part]
        return read_labelled_texts(self.data / file)[first:last]

    def pairs(self, name: str, part: str) -> list[Example]:
        """Pairs of texts, each with a number that says how alike they are: "train", "dev" or "test" of a data set."""
        if self.data is None:
            texts = [one["text"] for one in generate_samples(_QUICK_TEXTS, _seed(name, part))]
            return [{"text1": one, "text2": other, "score": len(one)} for one, other in pairwise(texts)]
        file, first, last = _PAIRS[name][part]
        return read_text_pairs(self.data / file)[first:last]

    def entity_file(self, name: str, part: str) -> Path:
        """A file of these texts for a job."""
        path = self.folder / f"{name} {part}.jsonl"
        if not path.exists():
            write_entities(path, self.entities(name, part))
        return path

    def labelled_file(self, name: str, part: str) -> Path:
        """A file of texts or pairs with classes for a job."""
        path = self.folder / f"{name} {part} with classes.jsonl"
        if not path.exists():
            write_json_lines(path, self.labelled(name, part))
        return path


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write a record a line."""
    with atomic_write(path) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def draw_of_each_class(examples: Sequence[Example], number: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Draw texts, as many of each class, and return them and the others.

    Args:
        examples: texts with a ``label``.
        number: how many of each class; of one that has fewer, all.
        seed: of the draw.
    """
    drawn: list[Example] = []
    others: list[Example] = []
    taken: Counter[str] = Counter()
    for example in random.Random(seed).sample(examples, len(examples)):
        taken[example["label"]] += 1
        (drawn if taken[example["label"]] <= number else others).append(example)
    return drawn, others


def _seed(name: str, part: str) -> int:
    return zlib.crc32(f"{name} {part}".encode())


def _generated_classes(example: Example, name: str) -> Example:
    labels = sorted({entity["label"] for entity in example["entities"]})
    if name in ("events", "divorce"):
        return {"text": example["text"], "labels": labels}
    second = {"text2": example["text"][::-1]} if name == "inference" else {}
    return {"text": example["text"], **second, "label": str(int("person" in labels))}


def _relation_ends(path: Path) -> list[Example]:
    """DuIE's subjects and objects as entities of two types; what is both is two entities in the same place."""
    return [
        _spans(
            example["text"],
            [
                (relation[end]["start"], relation[end]["end"], end)
                for relation in example["relations"]
                for end in ("subject", "object")
            ],
        )
        for example in read_relations(path)
    ]


def _spans(text: str, spans: Sequence[tuple[int, int, str]]) -> Example:
    entities = [{"start": start, "end": end, "label": label} for start, end, label in sorted(set(spans))]
    return {"text": text, "entities": entities}
