"""Sentences a second of the word tokenizer and of Transformers' RoFormerTokenizer and BertTokenizer, on one thread.

All sides run in turn in one process; a number comes from the least process-CPU time of several rounds. The ratio is to
RoFormerTokenizer.

    python benchmarks/tokenizer.py [--rounds 5] [--data ../shared]
"""

import argparse
import csv
import datetime
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import BertTokenizer
from transformers.models.roformer.tokenization_roformer import RoFormerTokenizer

from hf_ext.tokenization import JiebaWordPieceTokenizer
from hf_ext.tokenization.vocabulary import read_vocabulary

HERE = Path(__file__).resolve().parent
COLUMNS = ["case", "side", "sentences_per_s", "ratio", "machine", "date"]
REFERENCE = "RoFormerTokenizer"


def texts(data: Path) -> dict[str, list[str]]:
    titles = (data / "tnews" / "train.tsv").read_text(encoding="utf-8").split("\n")
    contexts = json.loads((data / "cmrc2018" / "cmrc2018_dev_first250.json").read_text(encoding="utf-8"))["data"]
    abstracts = (data / "csl_benchmark" / "ts.dev.tsv").read_text(encoding="utf-8").split("\n")
    return {
        "tnews titles": [title.split("\t")[0] for title in titles if title][:4000],
        "cmrc2018 contexts": [paragraph["context"] for article in contexts for paragraph in article["paragraphs"]][
            :250
        ],
        "csl abstracts": [max(abstract.split("\t"), key=len) for abstract in abstracts if abstract][:500],
    }


def interleaved(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least CPU seconds of each side; the first round, which fills caches, counts like any other."""
    least = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.process_time()
            run()
            least[name] = min(least[name], time.process_time() - start)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared")
    arguments = parser.parse_args()
    words = arguments.data / "vocab" / "roformer-word_wobert-plus_t5-pegasus.vocab.txt"
    tokenizers = {
        "JiebaWordPieceTokenizer": JiebaWordPieceTokenizer(words),
        REFERENCE: RoFormerTokenizer(vocab=read_vocabulary(words)),
        "BertTokenizer": BertTokenizer(vocab=str(arguments.data / "vocab" / "bert-base-chinese.vocab.txt")),
    }
    kinds = {
        "ids": lambda tokenizer, batch: tokenizer(batch),
        "ids one by one": lambda tokenizer, batch: [tokenizer(text) for text in batch],
        "ids and offsets": lambda tokenizer, batch: tokenizer(batch, return_offsets_mapping=True),
        "ids and word_ids": lambda tokenizer, batch: tokenizer(batch).word_ids(0),
    }
    machine = f"{platform.machine()} {os.cpu_count()} CPUs, Python {platform.python_version()}"
    rows = []
    for source, batch in texts(arguments.data / "data").items():
        for kind, call in kinds.items():
            sides = {name: partial(call, tokenizer, batch) for name, tokenizer in tokenizers.items()}
            least = interleaved(sides, arguments.rounds)
            for name, seconds in least.items():
                ratio = least[REFERENCE] / seconds
                rows.append([f"{source}, {kind}", name, f"{len(batch) / seconds:.0f}", f"{ratio:.2f}", machine])
                print(f"{rows[-1][0]:36} {name:24} {rows[-1][2]:>8}/s {ratio:6.2f}x", flush=True)
    target = HERE / "results" / "tokenizer.csv"
    target.parent.mkdir(exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([*row, datetime.date.today().isoformat()] for row in rows)


if __name__ == "__main__":
    main()
