"""CoSENT and SimCSE as losses of sentence-transformers, which need not be installed to import them."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.losses import cosent_pair_loss, simcse_loss
from hf_ext.losses.rows import check_positive

Features = Mapping[str, Tensor]


class _SentenceLoss(nn.Module):
    """A loss of the cosines of embeddings."""

    def __init__(self, model: nn.Module, scale: float = 20.0) -> None:
        super().__init__()
        check_positive("scale", scale)
        self.model = model
        self.scale = scale

    def get_config_dict(self) -> dict[str, Any]:
        """Settings, for the model card that sentence-transformers writes."""
        return {"scale": self.scale}


class SentenceCoSENTLoss(_SentenceLoss):
    """`hf_ext.losses.cosent_pair_loss` for ``SentenceTransformerTrainer(loss=SentenceCoSENTLoss(model))``.

    Args:
        model: a SentenceTransformer.
        scale: what cosines are multiplied by.
    """

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """Loss of two columns of N texts and ``labels`` ``[N]``."""
        vectors = _embedded(self.model, sentence_features)
        if len(vectors) != 2:
            raise ValueError(f"sentence_features must have two columns of texts, got {len(vectors)}")
        return cosent_pair_loss(_interleaved(*vectors), labels, self.scale)


class SentenceSimCSELoss(_SentenceLoss):
    """`hf_ext.losses.simcse_loss` for ``SentenceTransformerTrainer(loss=SentenceSimCSELoss(model))``.

    One column of texts is embedded twice, under two dropout masks; two columns are texts that mean the same.

    Args:
        model: a SentenceTransformer.
        scale: what cosines are multiplied by.
    """

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """Loss of one or two columns of N texts; labels are ignored."""
        columns = list(sentence_features)
        if len(columns) not in (1, 2):
            raise ValueError(f"sentence_features must have one or two columns of texts, got {len(columns)}")
        return simcse_loss(_interleaved(*_embedded(self.model, columns * (3 - len(columns)))), self.scale)


def _embedded(model: nn.Module, columns: Iterable[Features]) -> list[Tensor]:
    # The model writes into what it is given.
    return [model(dict(column))["sentence_embedding"] for column in columns]


def _interleaved(first: Tensor, second: Tensor) -> Tensor:
    return torch.stack((first, second), dim=1).flatten(0, 1)
