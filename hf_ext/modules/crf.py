"""Models of a sequence of tags over emissions: CRF, MEMM, and independent tags (kexue.fm/archives/5542, 7196, 7213)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from hf_ext.ops.crf import CrfMarginals, crf_decode, crf_loss, crf_marginals, crf_nbest
from hf_ext.ops.crf.partition import check_tags, labelled
from hf_ext.ops.memm import memm_loss, memm_potentials
from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.tag_rules import TagRules


class Potentials(NamedTuple):
    """Scores that a sequence of tags adds up.

    Attributes:
        emissions: ``[B, L, K]``.
        transitions: ``[K, K]``.
        start: ``[K]``, or None for zeros.
        end: ``[K]``, or None for zeros.
    """

    emissions: Tensor
    transitions: Tensor
    start: Tensor | None
    end: Tensor | None


class TagChain(nn.Module):
    """What the models share: rules, decoding and marginals, all from their potentials.

    Args:
        num_tags: number of tags K.
        rules: what must not be, from :func:`hf_ext.ops.tag_rules.tag_rules`; None: nothing. A sequence against them has
            the probability 0 and is never decoded.
    """

    rule_transitions: Tensor | None
    rule_start: Tensor | None
    rule_end: Tensor | None

    def __init__(self, num_tags: int, rules: TagRules | None = None) -> None:
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"num_tags must be at least 1, got {num_tags}")
        if rules is not None and rules.transitions.shape != (num_tags, num_tags):
            raise ValueError(f"rules must be for {num_tags} tags, got {len(rules.transitions)}")
        self.num_tags = num_tags
        self.rules = rules
        for name, rule in zip(TagRules._fields, rules or (None, None, None)):
            buffer = None if rule is None else torch.empty_like(rule)
            self.register_buffer(f"rule_{name}", buffer, persistent=False)

    def init_weights(self) -> None:
        """Fill what no checkpoint holds. Tensors loaded from a checkpoint are spared."""
        for name, rule in zip(TagRules._fields, self.rules or ()):
            init.copy_(getattr(self, f"rule_{name}"), rule)

    def potentials(self, emissions: Tensor, mask: Tensor | None = None) -> Potentials:
        """The scores whose best sequence is decoded, of ``[B, L, K]`` and a mask ``[B, L]``."""
        raise NotImplementedError

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss.

        Args:
            emissions: ``[B, L, K]``.
            tags: integers ``[B, L]`` in [0, K), or -100 to be left out.
            mask: ``[B, L]``, nonzero where a token counts, anywhere in a row; None: where tags are not -100.

        Returns:
            scalar in float32 or better.

        Raises:
            ValueError: if a shape does not fit, or (on a CPU) an emission is NaN, a tag is out of range or forbidden.
        """
        raise NotImplementedError

    def decode(self, emissions: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The best tags ``[B, L]``, -100 where left out, and their scores ``[B]``, of ``[B, L, K]`` and ``[B, L]``."""
        emissions, transitions, start, end = self.potentials(emissions, mask)
        return crf_decode(emissions, transitions, mask, start, end)

    def nbest(self, emissions: Tensor, n: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The ``n`` best tags ``[B, n, L]`` and their log-probabilities ``[B, n]``; see `crf_nbest`."""
        emissions, transitions, start, end = self.potentials(emissions, mask)
        paths, scores = crf_nbest(emissions, transitions, n, mask, start, end)
        return paths, scores - crf_marginals(emissions, transitions, mask, start, end).log_partition.unsqueeze(1)

    def marginals(self, emissions: Tensor, mask: Tensor | None = None) -> CrfMarginals:
        """Probabilities of tags and expected numbers of transitions; see :func:`hf_ext.ops.crf.crf_marginals`."""
        emissions, transitions, start, end = self.potentials(emissions, mask)
        return crf_marginals(emissions, transitions, mask, start, end)

    def _ruled(self, transitions: Tensor) -> Tensor:
        return transitions if self.rule_transitions is None else transitions + self.rule_transitions

    def extra_repr(self) -> str:
        """The settings that the parameters do not show."""
        return f"num_tags={self.num_tags}, constrained={self.rules is not None}"


class ConditionalRandomField(TagChain):
    """Linear-chain CRF; the loss is the mean over rows of the negative log-likelihood (kexue.fm/archives/5542).

    Args:
        num_tags: number of tags K.
        rules: what must not be.
        lr_multiplier: the parameter holds the transitions divided by this, so that an optimiser whose steps do not
            depend on the gradient's size learns them this much faster, as in the original (kexue.fm/archives/7196). It
            multiplies their gradient too, and with it what a clipping of gradients sees.
    """

    def __init__(self, num_tags: int, rules: TagRules | None = None, lr_multiplier: float = 1.0) -> None:
        super().__init__(num_tags, rules)
        self.lr_multiplier = _positive(lr_multiplier)
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        self.init_weights()

    def init_weights(self) -> None:
        """Begin as the original: Glorot's uniform transitions. Tensors loaded from a checkpoint are spared."""
        super().init_weights()
        _glorot(self.transitions, self.lr_multiplier)

    def potentials(self, emissions: Tensor, mask: Tensor | None = None) -> Potentials:
        """Emissions and transitions as they are."""
        transitions = self._ruled(self.lr_multiplier * self.transitions)
        return Potentials(emissions, transitions, self.rule_start, self.rule_end)

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean over all rows; a row without tokens counts as 0. See `TagChain.forward`."""
        emissions, transitions, start, end = self.potentials(emissions)
        return crf_loss(emissions, transitions, tags, mask, start, end).sum() / max(len(tags), 1)


class MaximumEntropyMarkovModel(TagChain):
    """MEMM: a softmax at each token given its neighbour's tag (kexue.fm/archives/7213).

    The loss is the mean over tokens, and as fast as that of independent tags. Decoding maximises the mean of the
    log-probabilities in both directions; the original's decoder leaves their normalisation out, as
    ``crf_decode(emissions, model.scores())`` does.

    Args:
        num_tags: number of tags K.
        rules: what must not be decoded; the loss does not know them.
        lr_multiplier: as in `ConditionalRandomField`; of a low rank each factor is divided by it.
        rank: transitions are a product ``l @ r^T`` of two matrices ``[K, rank]``, for many tags; None: a full matrix.
        bidirectional: mean over both directions; else a tag is given by the one before it only.
    """

    def __init__(
        self,
        num_tags: int,
        rules: TagRules | None = None,
        lr_multiplier: float = 1.0,
        rank: int | None = None,
        bidirectional: bool = True,
    ) -> None:
        super().__init__(num_tags, rules)
        if rank is not None and rank < 1:
            raise ValueError(f"rank must be at least 1, or None for full transitions, got {rank}")
        self.lr_multiplier = _positive(lr_multiplier)
        self.rank = rank
        self.bidirectional = bidirectional
        if rank is None:
            self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        else:
            self.left_transitions = nn.Parameter(torch.empty(num_tags, rank))
            self.right_transitions = nn.Parameter(torch.empty(num_tags, rank))
        self.init_weights()

    def init_weights(self) -> None:
        """Begin as the original: Glorot's uniform transitions. Tensors loaded from a checkpoint are spared."""
        super().init_weights()
        for parameter in self.parameters():
            _glorot(parameter, self.lr_multiplier)

    def scores(self) -> Tensor:
        """Transitions ``[K, K]``, rules aside."""
        if self.rank is None:
            return self.lr_multiplier * self.transitions
        return (self.lr_multiplier * self.left_transitions) @ (self.lr_multiplier * self.right_transitions).T

    def potentials(self, emissions: Tensor, mask: Tensor | None = None) -> Potentials:
        """Those whose sum is the log-probability of a sequence, in both directions their mean."""
        potentials, transitions = memm_potentials(emissions, self.scores(), mask, self.bidirectional)
        return Potentials(potentials, self._ruled(transitions), self.rule_start, self.rule_end)

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean over all kept tokens, and over both directions. See `TagChain.forward`."""
        transitions = self.scores()
        loss = memm_loss(emissions, transitions, tags, mask)
        if self.bidirectional:
            loss = (loss + memm_loss(emissions, transitions, tags, mask, backward=True)) / 2
        kept = labelled(tags, mask, emissions).bool()
        return loss.sum() / kept.sum().clamp_min(1)


class IndependentTags(TagChain):
    """A softmax at each token; the loss is the mean over tokens.

    Args:
        num_tags: number of tags K.
        rules: what must not be decoded; the loss does not know them.
    """

    def __init__(self, num_tags: int, rules: TagRules | None = None) -> None:
        super().__init__(num_tags, rules)
        self.init_weights()

    def potentials(self, emissions: Tensor, mask: Tensor | None = None) -> Potentials:
        """Log-probabilities, and transitions of 0 or -inf."""
        transitions = emissions.new_zeros(self.num_tags, self.num_tags, dtype=torch.float32)
        return Potentials(
            at_least_float32(emissions).log_softmax(-1), self._ruled(transitions), self.rule_start, self.rule_end
        )

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean over all kept tokens. See `TagChain.forward`."""
        kept = labelled(tags, mask, emissions).bool()
        check_tags(tags, kept, self.num_tags)
        loss = F.cross_entropy(
            at_least_float32(emissions).flatten(0, 1), tags.masked_fill(~kept, -100).flatten(), reduction="sum"
        )
        return loss / kept.sum().clamp_min(1)


def _positive(lr_multiplier: float) -> float:
    if not lr_multiplier > 0:
        raise ValueError(f"lr_multiplier must be positive, got {lr_multiplier}")
    return lr_multiplier


def _glorot(parameter: Tensor, lr_multiplier: float) -> None:
    limit = (6 / sum(parameter.shape)) ** 0.5 / lr_multiplier
    init.uniform_(parameter, -limit, limit)
