"""Sentences with their synonyms: files, pairs drawn from them, and the batches that SimBERT learns from."""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from hf_ext.data.formats.registry import read_as
from hf_ext.data.formats.source import Source
from hf_ext.data.text_lines import FileLine, fail, json_objects, text_value
from hf_ext.losses.sequence_to_sequence import target_labels
from hf_ext.tasks.base.task_files import TaskFiles


def read_paraphrases(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read JSON lines, or a JSON array, of ``{"text": str, "synonyms": [str]}``, SimBERT's own format.

    Exports of doccano (sequence to sequence) and label-studio (``textarea``) are read as well, each text written for a
    text being a synonym of it.

    Files are UTF-8, with or without a byte order mark, with LF or CRLF line ends; blank lines are left out,
    and other keys ignored.

    Returns:
        Dicts ``{"text", "synonyms"}`` without spaces at the ends of sentences, at least one synonym in each.

    Raises:
        ValueError: naming the file and the line, if a line cannot be read, a sentence is not a string or blank, or
            there is no synonym.
    """
    source = Source(path)
    shared = read_as("targets", source)
    if shared is not None:
        named = ((where, {"text": one["text"], "synonyms": one.get("targets")}) for where, one in shared)
        return [paraphrase_of(record, where) for where, record in named]
    return [paraphrase_of(record, where) for where, record in json_objects(source.filled)]


class ParaphraseDataset(Dataset[tuple[str, str]]):
    """A pair of sentences for each example, drawn anew in each epoch.

    Args:
        examples: ``{"text", "synonyms"}``, as :func:`read_paraphrases` gives them.
        draw: whether a pair is two sentences of the example drawn anew in each epoch, as in SimBERT's training; else
            the text and its first synonym, as an evaluation needs it.
        seed: of the drawing. What is drawn depends on it, the epoch and the example alone.
    """

    def __init__(self, examples: Sequence[Mapping[str, Any]], draw: bool = True, seed: int = 0):
        self.sentences = [[example["text"], *example["synonyms"]] for example in examples]
        self.draw = draw
        self.seed = seed
        # Shared with workers, which may live longer than an epoch.
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draw for this epoch from now on; Trainer says so by itself once ``hf_ext`` is imported."""
        self.epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, index: int) -> tuple[str, str]:
        sentences = self.sentences[index]
        if not self.draw:
            return sentences[0], sentences[1]
        return draw_pair(sentences, f"{self.seed} {int(self.epoch)} {index}")


def draw_pair(sentences: Sequence[str], seed: int | str) -> tuple[str, str]:
    """Two of the sentences of an example, drawn by a seed."""
    first, second = random.Random(seed).sample(sentences, 2)
    return first, second


@dataclass
class DataCollatorForParaphrase:
    """Makes SimBERT's batch of pairs: rows 2i and 2i+1 are a pair both ways.

    A row is ``[CLS] source [SEP] target [SEP]`` with token types 0 and 1; labels ask for the target and its [SEP].

    Args:
        tokenizer: one that tells a pair's texts by token types 0 and 1.
        max_length: most tokens of a row; the longer of source and target is cut.
        pad_to_multiple_of: pads the number of tokens up to a multiple of this, of which ``max_length`` is one too.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int = 128
    pad_to_multiple_of: int | None = None

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
        """A batch of model inputs and ``labels``, each ``[2N, L]``, of N pairs of sentences.

        Raises:
            ValueError: if the tokenizer gives the target no type of its own.
        """
        batch = self.tokenizer(
            [text for pair in pairs for text in pair],
            [text for pair in pairs for text in reversed(pair)],
            truncation="longest_first",
            max_length=self.max_length,
            padding=True,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors="pt",
            return_token_type_ids=True,
            return_attention_mask=True,
        )
        types: Any = batch["token_type_ids"]
        if not bool(types.any(-1).all()):
            name = type(self.tokenizer).__name__
            raise ValueError(f"tokenizer must give the second text of a pair token type 1, got 0 from {name}")
        ids: Any = batch["input_ids"]
        return {**batch, "labels": target_labels(ids, types)}


def paraphrase_of(record: Mapping[str, Any], where: FileLine | str) -> dict[str, Any]:
    """A record of SimBERT's format as `read_paraphrases` gives it.

    Raises:
        ValueError: naming the place, if a sentence is not a string or blank, or there is no synonym.
    """
    synonyms = record.get("synonyms")
    if not isinstance(synonyms, list) or not synonyms:
        fail(where, "synonyms must be a list of at least one string", synonyms)
    return {
        "text": text_value(record.get("text"), "text", where),
        "synonyms": [text_value(one, "a synonym", where) for one in synonyms],
    }


def _shared(example: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": example["text"], "targets": example["synonyms"]}


FILES = TaskFiles("paraphrase", read_paraphrases, "targets", _shared)
