"""SimCSE: a sentence finds itself, under another dropout mask (arXiv 2104.08821; kexue.fm/archives/8348)."""

from torch import Tensor, nn

from hf_ext.losses.rows import check_positive
from hf_ext.losses.similarity import paraphrase_similarity_loss


def simcse_loss(embeddings: Tensor, scale: float = 20.0, reduction: str = "mean") -> Tensor:
    """Softmax cross-entropy that finds each row's twin among all other rows of the batch.

    The batch has each sentence twice, and dropout makes the two different: run the model in training mode. With pairs
    that are known to mean the same it is the supervised form.

    Args:
        embeddings: ``[2N, H]``; rows 2i and 2i+1 are one sentence.
        scale: what cosines are multiplied by, the inverse of the temperature.
        reduction: "none" (``[2N]``), "sum" or "mean".

    Returns:
        The loss in float32 or better; 0 for a single pair.

    Raises:
        ValueError: if the number of rows is odd or zero, or ``scale`` not positive.
    """
    check_positive("scale", scale)
    return paraphrase_similarity_loss(embeddings, scale, reduction)


class SimCSELoss(nn.Module):
    """`simcse_loss` as a module."""

    def __init__(self, scale: float = 20.0, reduction: str = "mean") -> None:
        super().__init__()
        self.scale = scale
        self.reduction = reduction

    def forward(self, embeddings: Tensor) -> Tensor:
        """Loss of ``embeddings`` ``[2N, H]``."""
        return simcse_loss(embeddings, self.scale, self.reduction)
