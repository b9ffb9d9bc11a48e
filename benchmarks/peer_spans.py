"""Entities by bert4torch, as its examples of GlobalPointer find them: its tokenizer, loss, trainer and dense labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import peers
import torch
from torch import Tensor, nn

Example = dict[str, Any]
Encoded = tuple[list[int], list[tuple[int, int]], list[tuple[str, int, int]]]


class PeerSpans:
    """bert4torch's way from texts with entities to those that are found.

    Args:
        vocabulary: ids of tokens.
        labels: types of entities.
        max_length: most tokens of a text.
    """

    def __init__(self, vocabulary: Mapping[str, int], labels: Sequence[str], max_length: int = 512) -> None:
        peers.import_bert4torch()
        from bert4torch.tokenizers import Tokenizer

        self.tokenizer = Tokenizer(dict(vocabulary), do_lower_case=True)
        self.labels = list(labels)
        self.max_length = max_length

    def encode(self, example: Example) -> Encoded:
        """Ids, for each token the characters that it covers, and the entities by their tokens."""
        tokens = self.tokenizer.tokenize(example["text"], maxlen=self.max_length)
        # None for [CLS] and [SEP].
        offsets = [
            (places[0], places[-1] + 1) if places else (0, 0)
            for places in self.tokenizer.rematch(example["text"], tokens)
        ]
        starts = {start: token for token, (start, end) in enumerate(offsets) if start < end}
        ends = {end: token for token, (start, end) in enumerate(offsets) if start < end}
        spans = [
            (entity["label"], starts[entity["start"]], ends[entity["end"]])
            for entity in example["entities"]
            if entity["start"] in starts and entity["end"] in ends
        ]
        return self.tokenizer.tokens_to_ids(tokens), offsets, spans

    def collate(self, rows: Sequence[Encoded]) -> tuple[list[Tensor], Tensor]:
        """Ids and token types ``[B, L]``, and dense labels ``[B, C, L, L]``."""
        from bert4torch.snippets import sequence_padding

        ids = torch.tensor(sequence_padding([row[0] for row in rows]), dtype=torch.long)
        dense = torch.zeros(len(rows), len(self.labels), ids.shape[1], ids.shape[1])
        for number, (_, _, spans) in enumerate(rows):
            for label, start, end in spans:
                dense[number, self.labels.index(label), start, end] = 1
        return [ids, torch.zeros_like(ids)], dense

    def model(self, encoder: Any, head: nn.Module, dropout: float) -> Any:
        """A head of bert4torch over an encoder of its, with the methods of its trainer."""
        from bert4torch.models import BaseModel

        class Model(BaseModel):
            def __init__(self) -> None:
                super().__init__()
                self.encoder = encoder
                self.dropout = nn.Dropout(dropout)
                self.head = head

            def forward(self, ids: Tensor, segments: Tensor) -> Tensor:
                scores: Tensor = self.head(self.dropout(self.encoder([ids, segments])), ids.gt(0).long())
                return scores

        return Model()

    def loss(self) -> nn.Module:
        """bert4torch's loss of scores and dense labels."""
        from bert4torch.losses import MultilabelCategoricalCrossentropy

        class SpanLoss(MultilabelCategoricalCrossentropy):
            def forward(self, scores: Tensor, dense: Tensor) -> Tensor:
                return super().forward(scores.flatten(0, 1).flatten(1), dense.flatten(0, 1).flatten(1))

        return SpanLoss()

    def find(self, model: Any, examples: Sequence[Example], batch_size: int = 64) -> list[list[Example]]:
        """The entities of each text that a model finds, batches of texts of like length."""
        model.eval()
        found: list[list[Example]] = [[] for _ in examples]
        encoded = [self.encode({**example, "entities": []}) for example in examples]
        order = sorted(range(len(encoded)), key=lambda number: len(encoded[number][0]))
        for first in range(0, len(order), batch_size):
            numbers = order[first : first + batch_size]
            inputs, _ = self.collate([encoded[number] for number in numbers])
            for row, label, start, end in (model.predict(*inputs) > 0).nonzero().tolist():
                offsets = encoded[numbers[row]][1]
                if offsets[start] != (0, 0) and offsets[end] != (0, 0):
                    span = {"label": self.labels[label], "start": offsets[start][0], "end": offsets[end][1]}
                    found[numbers[row]].append(span)
        return found
