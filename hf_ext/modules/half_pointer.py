"""Half pointers: where subjects begin and end, and for each of them where the objects of each relation do."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from hf_ext.modules.conditional_norm import ConditionalLayerNorm
from hf_ext.ops.power_sigmoid import power_logit

SUBJECT_POWER, OBJECT_POWER = 2, 4


class HalfPointers(nn.Module):
    """The layers of the article on relations by half pointers (kexue.fm/archives/7161, 7321).

    Each token has the probability ``sigmoid(s) ** 2`` of being the first, and of being the last, of a subject. Given a
    subject, hidden states go through a layer norm that depends on those of its first and last token, and each token has
    ``sigmoid(s) ** 4`` for each relation as the first and as the last of an object. Most labels are 0, which the powers
    are nearer to. Scores are the logits of these probabilities.

    The original puts that norm in the place of the encoder's last one. Here it stands on top of the encoder's output,
    as what is before the last norm cannot be had of any encoder: some have none there, or one that is shared or fused,
    and rows may be packed or recomputed. Both begin as a norm whose gain is 1.

    Args:
        hidden_size: H.
        num_labels: number of relations P.
    """

    def __init__(self, hidden_size: int, num_labels: int) -> None:
        super().__init__()
        if num_labels < 1:
            raise ValueError(f"num_labels must be at least 1, got {num_labels}")
        self.num_labels = num_labels
        self.subject = nn.Linear(hidden_size, 2)
        self.norm = ConditionalLayerNorm(hidden_size, 2 * hidden_size)
        self.object = nn.Linear(hidden_size, 2 * num_labels)

    def init_weights(self) -> None:
        """Begin as BERT: small normal weights, zero biases. Tensors loaded from a checkpoint are spared."""
        for layer in (self.subject, self.object):
            init.trunc_normal_(layer.weight, std=0.02, a=-0.04, b=0.04)
            init.zeros_(layer.bias)

    def subjects(self, hidden: Tensor) -> Tensor:
        """Scores ``[B, L, 2]`` of first and last tokens, float32 or better, of ``[B, L, H]``."""
        return power_logit(self.subject(hidden), SUBJECT_POWER)

    def objects(self, hidden: Tensor, subject: Tensor) -> Tensor:
        """Scores of first and last tokens of the objects of one subject a row.

        Args:
            hidden: ``[B, L, H]``.
            subject: first and last token ``[B, 2]``.

        Returns:
            ``[B, L, P, 2]``, float32 or better.
        """
        ends = hidden.gather(1, subject.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        scores = self.object(self.norm(hidden, ends.flatten(1)))
        return power_logit(scores.unflatten(-1, (self.num_labels, 2)), OBJECT_POWER)

    def losses(self, subjects: Tensor, objects: Tensor, labels: Tensor, subject: Tensor, real: Tensor) -> Tensor:
        """The loss of each row: binary cross-entropies, means over tokens and over both ends, summed over relations.

        Args:
            subjects: scores ``[B, L, 2]``.
            objects: scores ``[B, L, P, 2]`` given ``subject``.
            labels: integers ``[B, M, 5]`` of (relation, subject's first token, its last, object's first, its last),
                padded with -100.
            subject: first and last token ``[B, 2]`` of the subject whose objects are learnt.
            real: bool ``[B, L]``, which tokens are real.

        Returns:
            ``[B]``; a row without labels has the part of subjects alone.
        """
        kept = labels[..., 0] >= 0
        length = real.shape[1]
        wanted = torch.stack([_marked(labels[..., place], kept, length) for place in (1, 2)], -1)
        own = kept & (labels[..., 1:3] == subject.unsqueeze(1)).all(-1)
        cells = [labels[..., place] * self.num_labels + labels[..., 0] for place in (3, 4)]
        chosen = torch.stack([_marked(place, own, length * self.num_labels) for place in cells], -1)
        chosen = chosen.unflatten(1, (length, self.num_labels))
        of_subjects = F.binary_cross_entropy_with_logits(subjects, wanted.to(subjects), reduction="none").mean(-1)
        of_objects = F.binary_cross_entropy_with_logits(objects, chosen.to(objects), reduction="none").mean(-1).sum(-1)
        of_objects = of_objects * kept.any(1, keepdim=True)
        count = real.sum(1).clamp_min(1)
        return ((of_subjects + of_objects) * real).sum(1) / count


def _marked(places: Tensor, kept: Tensor, size: int) -> Tensor:
    """``[B, size]``, 1 at the places ``[B, M]`` that are kept."""
    table = torch.zeros(len(places), size + 1, device=places.device)
    return table.scatter(1, places.long().masked_fill(~kept, size), 1.0)[:, :size]
