"""Maximum-entropy Markov models: a softmax over tags at each token, given the tag before (kexue.fm/archives/7213)."""

import torch
from torch import Tensor

from hf_ext.ops.crf.partition import check_tags, labelled
from hf_ext.ops.crf.rows import checked_inputs, kept_before


def memm_loss(
    emissions: Tensor, transitions: Tensor, tags: Tensor, mask: Tensor | None = None, backward: bool = False
) -> Tensor:
    """Negative log-probability of each token's tag, given the true tag before it.

    The logits are ``(emission + T[tag before]) / 2``, and the emission itself at a row's first token.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``, from the first tag to the second.
        tags: integers ``[B, L]`` in [0, K) where kept.
        mask: ``[B, L]``, nonzero where a token counts, anywhere in a row; None: tokens whose tag is not -100.
        backward: give each tag by the one after it, as if rows and transitions were mirrored.

    Returns:
        ``[B, L]`` in float32 or better, 0 where left out.

    Raises:
        ValueError: if a shape does not fit, or (on a CPU) a score is NaN or +inf or a tag is out of range.
    """
    logits, tags, keep = memm_logits(emissions, transitions, tags, mask, backward)
    logits = logits.masked_fill(~keep.unsqueeze(-1), 0)
    chosen = logits.gather(2, tags.unsqueeze(2)).squeeze(2)
    return torch.where(keep, logits.logsumexp(2) - chosen, 0.0)


def memm_logits(
    emissions: Tensor, transitions: Tensor, tags: Tensor, mask: Tensor | None = None, backward: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits ``[B, L, K]`` given the true tags, these tags with 0 where left out, and the mask, both ``[B, L]``.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``.
        tags: integers ``[B, L]``.
        mask: ``[B, L]``.
        backward: whether a tag is given by the one after it instead of the one before.
    """
    mask = labelled(tags, mask, emissions)
    emissions, transitions, keep, _, _ = checked_inputs(emissions, transitions, mask, None, None)
    check_tags(tags, keep, emissions.shape[2])
    tags = torch.where(keep, tags.long(), 0)
    if backward:
        parts = memm_logits(emissions.flip(1), transitions.T, tags.flip(1), keep.flip(1))
        return parts[0].flip(1), tags, keep
    before, has_before = kept_before(keep)
    given = transitions[tags.gather(1, before)]
    return torch.where(has_before.unsqueeze(-1), (emissions + given) / 2, emissions), tags, keep


def memm_potentials(
    emissions: Tensor, transitions: Tensor, mask: Tensor | None = None, bidirectional: bool = False
) -> tuple[Tensor, Tensor]:
    """Emissions and transitions of the CRF that gives each tag sequence its log-probability as score.

    The logarithm that normalises a token's tags depends on the tag before, so it belongs to that tag's emission.
    Decoding, N-best and marginals are then those of :mod:`hf_ext.ops.crf`; with one direction the log partition is 0.

    Args:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``, from the first tag to the second.
        mask: ``[B, L]``, nonzero where a token counts, anywhere in a row; None: all do.
        bidirectional: score by the mean of the log-probabilities in both directions, as the loss does.

    Returns:
        ``[B, L, K]`` and ``[K, K]`` in float32 or better; garbage where left out.

    Raises:
        ValueError: if a shape does not fit, or (on a CPU) a score is NaN or +inf.
    """
    emissions, transitions, keep, _, _ = checked_inputs(emissions, transitions, mask, None, None)
    emissions = emissions.masked_fill(~keep.unsqueeze(-1), 0)
    potentials = _forward_potentials(emissions, transitions, keep)
    if bidirectional:
        mirrored = _forward_potentials(emissions.flip(1), transitions.T, keep.flip(1)).flip(1)
        potentials = (potentials + mirrored) / 2
    return potentials, transitions / 2


def _forward_potentials(emissions: Tensor, transitions: Tensor, keep: Tensor) -> Tensor:
    before, has_before = kept_before(keep)
    norms = torch.stack([((emissions + given) / 2).logsumexp(2) for given in transitions.unbind(0)], dim=2)
    potentials = torch.where(has_before.unsqueeze(-1), emissions / 2, emissions.log_softmax(2))
    own = (keep & has_before).unsqueeze(-1)
    return potentials.scatter_add(1, before.unsqueeze(-1).expand_as(norms), torch.where(own, -norms, 0.0))
