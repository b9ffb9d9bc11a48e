"""A classifier that learns in seconds, to compare losses on: a linear map of the mean vector of a text's n-grams."""

import zlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

_BUCKETS = 2**14
_WIDTH = 64
_BATCH = 64

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""Of logits, labels, and the share of the training that is done."""


class NgramClassifier(nn.Module):
    """Logits ``[N, C]`` of texts; characters and pairs of them are told apart by a hash."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(_BUCKETS, _WIDTH, mode="mean")
        self.output = nn.Linear(_WIDTH, classes)
        nn.init.normal_(self.vectors.weight, std=0.1)

    def forward(self, texts: Sequence[Tensor]) -> Tensor:
        """Logits of N texts, each the buckets `ngrams` gives."""
        lengths = torch.tensor([0, *map(len, texts[:-1])])
        return self.output(self.vectors(torch.cat(list(texts)), lengths.cumsum(0)))


def ngrams(text: str) -> Tensor:
    """The bucket of each character, and of each pair of neighbours."""
    grams = [*text, *(text[place : place + 2] for place in range(len(text) - 1))]
    return torch.tensor([zlib.crc32(gram.encode()) % _BUCKETS for gram in grams])


def fit(
    texts: Sequence[str], labels: Tensor, classes: int, loss: Loss, epochs: int, learning_rate: float
) -> NgramClassifier:
    """Train with AdamW, at a rate that falls to 0 in a line.

    Args:
        texts: N of them.
        labels: ``[N]`` or ``[N, C]``, as the loss wants them.
        classes: their number C.
        loss: to be minimised.
        epochs: passes over the texts.
        learning_rate: at the start.
    """
    model = NgramClassifier(classes)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.01, fused=True)
    rows = [ngrams(text) for text in texts]
    batches = [batch for _ in range(epochs) for batch in torch.randperm(len(rows)).split(_BATCH)]
    for step, batch in enumerate(batches):
        done = step / len(batches)
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - done)
        loss(model([rows[number] for number in batch.tolist()]), labels[batch], done).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


@torch.no_grad()
def predict(model: NgramClassifier, texts: Sequence[str]) -> Tensor:
    """Logits ``[N, C]``."""
    return model([ngrams(text) for text in texts])
