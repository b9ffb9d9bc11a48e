"""The texts of training files of the shared data, without their labels, to pre-train small encoders on."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hf_ext import generate_samples
from studies.sources import write_json_lines

Lines = Iterable[str]


def _columns(*numbers: int, header: bool = False) -> Callable[[Lines], Iterator[str]]:
    """Texts in columns that tabs separate."""

    def texts(lines: Lines) -> Iterator[str]:
        for line in islice(lines, int(header), None):
            cells = line.rstrip("\n").split("\t")
            yield from (cells[number] for number in numbers if number < len(cells))

    return texts


def _keys(*names: str) -> Callable[[Lines], Iterator[str]]:
    """Texts of JSON lines, by their keys; a list has several."""

    def texts(lines: Lines) -> Iterator[str]:
        for line in filter(str.strip, lines):
            record = json.loads(line)
            for name in names:
                value = record.get(name) or ()
                yield from [value] if isinstance(value, str) else value

    return texts


def _letters(lines: Lines) -> Iterator[str]:
    """Sentences with a character a line, each before its tag; that of Weibo has its place in a word behind it."""
    sentence: list[str] = []
    for line in lines:
        if line.strip():
            sentence.append(line[0])
        else:
            yield "".join(sentence)
            sentence = []
    yield "".join(sentence)


def _after_comma(lines: Lines) -> Iterator[str]:
    """The second of two columns of a CSV file that has no quotes."""
    return (line.partition(",")[2] for line in islice(lines, 1, None))


def _spaced(lines: Lines) -> Iterator[str]:
    """Turns whose characters have spaces between them."""
    return (turn.replace(" ", "") for line in lines for turn in line.split("\t"))


def _judgements(lines: Lines) -> Iterator[str]:
    """Each document of sentences."""
    return ("".join(one["sentence"] for one in json.loads(line)) for line in filter(str.strip, lines))


def _articles(lines: Lines) -> Iterator[str]:
    """The paragraphs of a file in SQuAD's form, without its questions."""
    document: Any = json.loads("".join(lines))
    return (one["context"] for article in document["data"] for one in article["paragraphs"])


def _passages(lines: Lines) -> Iterator[str]:
    """The passages of WebQA's form, without questions."""
    document: Any = json.loads("".join(lines))
    return (one["passage"] for entry in document for one in entry.get("passages", ()))


# Files and what is read of them; of some only the lines that experiments train on, as later ones are scored on.
_FILES: dict[str, tuple[Callable[[Lines], Iterator[str]], int | None]] = {
    "afqmc/train.txt": (_columns(0, 1), None),
    "cail2019_elements/labor.train.json": (_judgements, None),
    "cail2019_elements/loan.train.json": (_judgements, None),
    "chnsenticorp/train.tsv": (_columns(1, header=True), None),
    "clue/chid/derived_train.json": (_keys("content"), None),
    "cluener2020/train.json": (_keys("text"), None),
    "cmrc2018/cmrc2018_trial.json": (_articles, None),
    "csl_benchmark/cls_ctg.train.tsv": (_columns(1), None),
    "csl_title_clge/summarization_csl_train.tsv": (_columns(0, 1), None),
    "duee_event_multilabel/train.csv": (_after_comma, None),
    "duie1_subset/train_data.json": (_keys("text"), None),
    "duie2_subset/train_part.json": (_keys("text"), 1500),
    "fewclue/bustm/unlabeled.json": (_keys("sentence1", "sentence2"), None),
    "fewclue/csl/train_few_all.json": (_keys("abst"), None),
    "fewclue/csldcp/train_0.json": (_keys("content"), None),
    "fewclue/eprstmt/unlabeled.json": (_keys("sentence"), None),
    "fewclue/iflytek/train_0.json": (_keys("sentence"), None),
    "finre/train.txt": (_columns(3), None),
    "lccc_sample/toy_train.txt": (_spaced, None),
    "ocnli/train.3k.json": (_keys("sentence1", "sentence2"), None),
    "resume_ner/train.char.bmes": (_letters, None),
    "sanwen/train.txt": (_columns(3), None),
    "sentiment_bert4keras/sentiment.train.data": (_columns(0), None),
    "simbert_sample/data_similarity.jsonl": (_keys("text", "synonyms"), None),
    "stsb_zh/STS-B.train.data": (_columns(0, 1), None),
    "tnews/train.tsv": (_columns(0), 8000),
    "webqa_sample/SogouQA.json": (_passages, None),
    "webqa_sample/WebQA.json": (_passages, None),
    "weibo_ner/weiboNER_2nd_conll.train": (_letters, None),
}

_REVIEWS = ("chnsenticorp/train.tsv", "sentiment_bert4keras/sentiment.train.data", "fewclue/eprstmt/unlabeled.json")


def write_texts(path: Path, data: Path | None, seed: int = 0) -> int:
    """Write `texts_of_all` as JSON lines, and return the number of characters.

    Args:
        path: the file to write.
        data: folder of the shared data sets; None: generated sentences stand in for them.
        seed: of the order.
    """
    texts = texts_of_all(data, seed)
    write_json_lines(path, ({"text": text} for text in texts))
    return sum(map(len, texts))


def texts_of_all(data: Path | None, seed: int = 0) -> list[str]:
    """Each text of at least eight characters once, in an order that the seed draws. Arguments as of `write_texts`."""
    found = _generated() if data is None else _read(data)
    texts = list(dict.fromkeys(text for text in map(str.strip, found) if len(text) >= 8))
    random.Random(seed).shuffle(texts)
    return texts


def judgements(data: Path | None) -> list[str]:
    """Judgements of CAIL 2019, each whole and once; without ``data`` chains of generated sentences."""
    if data is None:
        sentences = list(_generated())
        return ["".join(sentences[first::20]) * 4 for first in range(20)]
    found: list[str] = []
    for kind in ("divorce", "labor", "loan"):
        with (data / "cail2019_elements" / f"{kind}.train.json").open(encoding="utf-8") as file:
            found += _judgements(file)
    return list(dict.fromkeys(found))


def reviews(data: Path | None) -> list[str]:
    """Training texts that judge what somebody bought or where somebody stayed, each once, without their labels."""
    return list(dict.fromkeys(map(str.strip, _generated() if data is None else _read(data, _REVIEWS))))


def _read(data: Path, names: Iterable[str] = tuple(_FILES)) -> Iterator[str]:
    for name in names:
        texts, most = _FILES[name]
        with (data / name).open(encoding="utf-8-sig") as file:
            yield from texts(islice(file, most))


def _generated() -> Iterator[str]:
    return (sample["text"] for sample in generate_samples(200, seed=0))
