"""Scores of labels from what a masked language model says at the masks.

Shapes: B rows, k masks, V vocabulary, C labels, W words of a label, N candidates, M models or patterns.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_ext.ops.precision import at_least_float32
from hf_ext.tasks.cloze.encoding import NOT_THERE
from hf_ext.tasks.cloze.labels import Decoding


def label_scores(mask_logits: Tensor, words: Tensor | NDArray[np.int64], normalised: bool = True) -> Tensor:
    """Scores of labels whose tokens are predicted each at its own mask, all of them masked.

    The score of a word is the logarithm of the product of its tokens' probabilities over the whole vocabulary
    (kexue.fm/archives/7764), that of a label the mean of its words' (arXiv 2001.07676). A softmax over labels is the
    same for logits that are not normalised.

    Args:
        mask_logits: ``[B, k, V]``.
        words: ``[C, W, k]``, or ``[B, C, W, k]`` of rows with labels of their own; -1 fills up, also words of rows
            that have fewer masks.
        normalised: whether logits become log-probabilities first.

    Returns:
        ``[B, C]`` in float32 or better; -inf of a label that a row does not have.

    Raises:
        ValueError: if the words have another number of tokens than there are masks.
    """
    words = torch.as_tensor(words, device=mask_logits.device)
    if mask_logits.dim() != 3 or words.dim() not in (3, 4) or words.shape[-1] != mask_logits.shape[1]:
        raise ValueError(
            f"words must be of as many tokens as there are masks, [C, W, {mask_logits.shape[1:2]}], got "
            f"{list(words.shape)} with logits {list(mask_logits.shape)}"
        )
    scores = at_least_float32(mask_logits)
    if normalised:
        scores = scores.log_softmax(-1)
    words = words if words.dim() == 4 else words[None].expand(len(mask_logits), -1, -1, -1)
    there = (words != NOT_THERE).any(-1)
    ids = words.permute(0, 3, 1, 2)
    picked = scores.gather(-1, ids.clamp(min=0).flatten(2)).view(ids.shape)
    picked = picked.masked_fill(ids == NOT_THERE, 0).sum(1)
    mean = picked.masked_fill(~there, 0).sum(-1) / there.sum(-1).clamp(min=1)
    return mean.masked_fill(~there.any(-1), -torch.inf)


def decoded_scores(
    log_probs_at: Callable[[Tensor, Tensor], Tensor],
    input_ids: Tensor,
    places: Tensor,
    words: Tensor,
    decoding: Decoding = "most_certain",
) -> Tensor:
    """Log-probabilities of words of several tokens that are put in one after the other, each seen by the next.

    Args:
        log_probs_at: of ids ``[N, L]`` and places ``[k]`` log-probabilities ``[N, k, V]``.
        input_ids: ``[L]``, a mask at each place.
        places: ``[k]``, ascending.
        words: ``[N, k]``, the tokens of each.
        decoding: which mask is filled next: the one whose token is ``"most_certain"`` (arXiv 2009.07118), or the
            first.

    Returns:
        ``[N]``.
    """
    number, masks = words.shape
    lines = torch.arange(number, device=words.device)
    ids = input_ids.repeat(number, 1)
    is_open = torch.ones_like(words, dtype=torch.bool)
    total: Tensor | None = None
    for step in range(masks):
        # Before one is filled, all are alike.
        log_probs = log_probs_at(ids[:1], places).expand(number, -1, -1) if step == 0 else log_probs_at(ids, places)
        own = log_probs.gather(-1, words[..., None]).squeeze(-1)
        certain = own.masked_fill(~is_open, -torch.inf)
        chosen = certain.argmax(-1) if decoding == "most_certain" else is_open.int().argmax(-1)
        gain = own[lines, chosen]
        total = gain if total is None else total + gain
        ids[lines, places[chosen]] = words[lines, chosen]
        is_open[lines, chosen] = False
    assert total is not None
    return total


def ensemble_scores(scores: Tensor | Sequence[Tensor], weights: Sequence[float] | Tensor | None = None) -> Tensor:
    """The mean of what several models, or one by several patterns, say, by their weights.

    PET weights a model by its accuracy on the texts that it was trained on, before it was (arXiv 2001.07676).

    Args:
        scores: ``[M, B, C]``, scores of labels before a softmax.
        weights: M of them, 0 or more; None: all alike.

    Returns:
        ``[B, C]``.

    Raises:
        ValueError: if there are not as many weights, one is below 0, or all are 0.
    """
    stacked = torch.stack(list(scores)) if not isinstance(scores, Tensor) else scores
    given = torch.as_tensor([1.0] * len(stacked) if weights is None else weights, dtype=stacked.dtype)
    if given.shape != stacked.shape[:1] or not bool((given >= 0).all()) or not float(given.sum()) > 0:
        raise ValueError(f"weights must be {len(stacked)} numbers of 0 or more, and not all 0, got {given.tolist()}")
    # Labels that a row does not have are -inf in all of them, and 0 times that is no number.
    parts = [one * weight for one, weight in zip(stacked, (given / given.sum()).to(stacked.device)) if weight > 0]
    return torch.stack(parts).sum(0)
