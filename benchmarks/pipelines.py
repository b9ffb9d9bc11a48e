"""Texts a second of whole pipelines, from strings to entities, classes or vectors: ours beside Transformers'.

    python benchmarks/pipelines.py [--size base] [--texts 320] [--tasks entities classes vectors] [--dtype float32]

Titles (TNEWS) and passages (CMRC 2018) take turns. Ours runs a RoFormer without padding, as ``hf-ext train`` makes it,
theirs a BERT of the same size; "ours, BERT" is our pipeline over that BERT, so that what differs is the pipeline.
Weights are random, and the biases of the heads such that about one token in thirty is found, as in annotated news.
Theirs reads texts of any length by its option ``stride``. Batches are of 32 and of one.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForTokenClassification,
    pipeline,
)
from transformers.utils import logging

sys.path.insert(0, str(Path(__file__).parent))

import harness

import hf_ext
from hf_ext.models.roformer.sizes_roformer import SIZES, config_of_size
from hf_ext.ops.precision import inference_dtype

TYPES = 10
FOUND = 1 / 30
LENGTH, STRIDE = 512, 64


def mixed_texts(data: Path, count: int) -> list[str]:
    """Titles and passages in turn, as many of each."""
    lines = (data / "tnews" / "train.tsv").read_text(encoding="utf-8").split("\n")
    titles = [line.split("\t")[0] for line in lines if line]
    articles = json.loads((data / "cmrc2018" / "cmrc2018_dev_first250.json").read_text(encoding="utf-8"))["data"]
    passages = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    half = -(-count // 2)
    # The titles differ; there are fewer passages than may be asked for.
    pairs = zip(titles[:half], (passages * (half // len(passages) + 1))[:half])
    return [text for pair in pairs for text in pair][:count]


class Sides:
    """The pipelines of each task over models of one size."""

    def __init__(self, size: str, texts: Sequence[str], dtype: torch.dtype) -> None:
        self.texts, self.dtype = list(texts), dtype
        self.tokenizer = hf_ext.build_char_tokenizer(texts, model_max_length=LENGTH)
        self.settings = {**SIZES[size], "vocab_size": len(self.tokenizer), "num_labels": TYPES}
        self.roformer = config_of_size(size, vocab_size=len(self.tokenizer), num_labels=TYPES)

    def bert(self, **options: Any) -> BertConfig:
        return BertConfig(**{**self.settings, "max_position_embeddings": LENGTH, **options})

    def entities(self) -> dict[str, Callable[..., Any]]:
        tags = ["O", *(f"{part}-{number}" for number in range(TYPES) for part in "BI")]
        names = {"id2label": dict(enumerate(tags)), "label2id": {tag: number for number, tag in enumerate(tags)}}
        theirs = self._finding(BertForTokenClassification(self.bert(num_labels=len(tags), **names)))
        make: Any = pipeline
        options = {"aggregation_strategy": "simple", "stride": STRIDE}
        return {
            "ours": self._pipeline("span-extraction", self._head(self.roformer)),
            "ours, BERT": self._pipeline("span-extraction", self._head(self.bert())),
            "transformers": make("token-classification", model=theirs, tokenizer=self.tokenizer, **options),
        }

    def classes(self) -> dict[str, Callable[..., Any]]:
        ours, theirs = (AutoModelForSequenceClassification.from_config(one) for one in (self.roformer, self.bert()))
        their_pipeline = self._pipeline("text-classification", theirs)
        return {
            "ours": self._pipeline("classification", ours),
            "ours, BERT": self._pipeline("classification", theirs),
            "transformers": partial(their_pipeline, truncation=True),
        }

    def vectors(self) -> dict[str, Callable[..., Any]]:
        ours, theirs = (AutoModel.from_config(one) for one in (self.roformer, self.bert()))
        their_pipeline = self._pipeline("feature-extraction", theirs)
        options = {"tokenize_kwargs": {"truncation": True}, "return_tensors": True}
        return {
            "ours": partial(self._embed, self._pipeline("text-embedding", ours)),
            "ours, BERT": partial(self._embed, self._pipeline("text-embedding", theirs)),
            "transformers": lambda texts, batch_size: [
                # Of a batch, too, the pipeline gives each text with its padding: its mean is not that of the text.
                vectors[0].float().mean(0)
                for vectors in their_pipeline(texts, batch_size=batch_size, **options)
            ],
        }

    def _embed(self, embed: Any, texts: list[str], batch_size: int) -> Any:
        # Ours counts tokens, not texts.
        return embed(texts) if batch_size > 1 else [embed(text) for text in texts]

    def _pipeline(self, task: str, model: Any) -> Any:
        make: Any = pipeline
        return make(task, model=model.eval().to(self.dtype), tokenizer=self.tokenizer, device="cpu")

    def _head(self, config: Any) -> Any:
        return self._finding(hf_ext.AutoModelForSpanExtraction.from_config(config))

    @torch.no_grad()
    def _finding(self, model: Any) -> Any:
        """The model with a bias under which it finds something at one token in thirty."""
        model.eval()
        margins, tokens = [], 0
        for text in self.texts[:8]:
            inputs = self.tokenizer(text, truncation=True, max_length=LENGTH, return_tensors="pt")
            tokens += inputs["input_ids"].shape[1]
            if isinstance(model, BertForTokenClassification):
                logits = model(**inputs).logits
                margins.append((logits[..., 1:].amax(-1) - logits[..., 0]).flatten())
            else:
                margins.append(model(**inputs, output_logits=True).logits.flatten())
        margin = torch.cat(margins).topk(max(1, round(FOUND * tokens))).values[-1]
        if isinstance(model, BertForTokenClassification):
            model.classifier.bias[0] += margin
        else:
            # Half of it for the start and half for the end, each of them half of what the layer gives.
            model.classifier.q_dense.bias -= margin
        return model.to(self.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="base")
    parser.add_argument("--texts", type=int, default=320)
    parser.add_argument("--tasks", nargs="+", choices=("entities", "classes", "vectors"), default=["entities"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[32, 1])
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "pipelines.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.set_verbosity_error()
    texts = mixed_texts(arguments.data, arguments.texts)
    torch.manual_seed(0)
    sides = Sides(arguments.size, texts, inference_dtype(arguments.dtype, "cpu"))
    for task in arguments.tasks:
        calls = getattr(sides, task)()
        for batch_size in arguments.batch_sizes:
            case = {"task": task, "size": arguments.size, "dtype": arguments.dtype, "batch": batch_size}
            runs = {side: partial(call, texts, batch_size=batch_size) for side, call in calls.items()}
            measured = harness.compare(runs, arguments.rounds, warm_up=False)
            harness.report("pipelines", {**case, "texts": len(texts)}, measured, "ours", arguments.output)
            for side, each in measured.items():
                print(f"    {side:14} {len(texts) / each.least:8.1f} texts/s", flush=True)


if __name__ == "__main__":
    main()
