"""The latents of UniVAE, and the blocks that they stand between.

Shapes: S texts, M tokens of the decoder, H hidden, K latents of a text, Z size of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from hf_ext.models.univae.configuration_univae import UniVAEConfig
from hf_ext.modules.rotary_attention import RotarySelfAttention
from hf_ext.modules.transformer_block import LayerStack, TransformerLayer
from hf_ext.ops.packing import Packing
from hf_ext.ops.precision import at_least_float32
from hf_ext.ops.von_mises_fisher import draw_von_mises_fisher


@dataclass
class LatentPass:
    """What a pass over texts is told of their latents, and what it finds.

    Attributes:
        first: ``[S]``, the place of each text's first token in the flattened batch.
        sample: whether latents are drawn; else they are the means.
        noise: what they are drawn with, of `Latent.draw` with an axis K behind S; None: drawn.
        ends_early: whether the last block, whose output no latent reads, is left out.
        means: ``[S, Z]`` of each latent.
        log_variances: the same, of Gaussians.
        codes: the latents ``[S, Z]`` themselves.
    """

    first: Tensor
    sample: bool
    noise: tuple[Tensor, ...] | None = None
    ends_early: bool = False
    means: list[Tensor] = field(default_factory=list)
    log_variances: list[Tensor] = field(default_factory=list)
    codes: list[Tensor] = field(default_factory=list)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of numbers in float32 or better, whatever type the model is in."""

    def forward(self, input: Tensor) -> Tensor:
        """``[S, Z]`` normalised over the texts in training, by running statistics else."""
        kept: Any = (self.running_mean, self.running_var)
        mean, variance = statistics = [each.to(input.dtype) for each in kept]
        options: dict[str, Any] = {"training": self.training, "momentum": self.momentum, "eps": self.eps}
        normed = F.batch_norm(input, mean, variance, **options)
        if self.training:
            for each, new in zip(kept, statistics):
                # Where they are of one type they have been changed in place.
                if each is not new:
                    each.copy_(new)
        return normed


class BatchPosterior(nn.Module):
    """Means and deviations normalised over the texts of a batch (kexue.fm/archives/7381).

    Each unit's means then have a second moment of ``tau + (1 - tau) s`` and its deviations one of ``(1 - tau) (1 - s)``
    with a learnt s in (0, 1): the divergence to the prior cannot fall below ``Z tau / 2`` a text.
    """

    def __init__(self, config: UniVAEConfig):
        super().__init__()
        self.tau = config.batch_norm_tau
        # Of Keras: eps as in the article, and the default of 0.99 for what is kept of the statistics so far.
        self.mean, self.deviation = (
            BatchNorm(config.latent_size, eps=1e-8, momentum=0.01, affine=False) for _ in range(2)
        )
        self.theta = nn.Parameter(torch.zeros(config.latent_size))

    def init_weights(self) -> None:
        """Initialise the parameter that no layer of this module owns."""
        init.zeros_(self.theta)

    def forward(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances ``[S, Z]`` of ``[S, Z]`` each.

        Raises:
            ValueError: if there is one text alone to train on.
        """
        if self.training and len(mean) < 2:
            raise ValueError(f'latent_norm="batch" needs at least two texts a batch in training, got {len(mean)}')
        theta = self.theta.to(mean.dtype)
        mean = self.mean(mean) * (self.tau + (1 - self.tau) * theta.sigmoid()).sqrt()
        deviation = self.deviation(deviation) * ((1 - self.tau) * (-theta).sigmoid()).sqrt()
        return mean, deviation.square().clamp(min=1e-12).log()


class Latent(nn.Module):
    """One latent: from the first token's state to its distribution, and from a value of it back to a state."""

    def __init__(self, config: UniVAEConfig):
        super().__init__()
        self.config = config
        self.mean = nn.Linear(config.hidden_size, config.latent_size)
        if config.latent == "gaussian":
            # The deviation itself where it is normalised.
            self.log_variance = nn.Linear(config.hidden_size, config.latent_size)
        if config.latent_norm == "batch":
            self.norm = BatchPosterior(config)
        self.state = nn.Linear(config.latent_size, config.hidden_size)

    def posterior(self, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Means, and log-variances of a Gaussian, ``[S, Z]`` in float32 or better, of ``[S, H]``."""
        mean = at_least_float32(self.mean(states))
        if self.config.latent == "vmf":
            return F.normalize(mean, dim=-1), None
        if self.config.latent == "none":
            return mean, None
        log_variance = at_least_float32(self.log_variance(states))
        return self.norm(mean, log_variance) if hasattr(self, "norm") else (mean, log_variance)

    def draw(self, mean: Tensor, log_variance: Tensor | None, noise: Sequence[Tensor] | None = None) -> Tensor:
        """A value ``[S, Z]`` from the distribution.

        Args:
            mean: ``[S, Z]``.
            log_variance: the same, of a Gaussian.
            noise: of a von Mises-Fisher distribution cosines ``[S]`` and normal numbers ``[S, Z]``, of a Gaussian the
                latter alone; None: drawn.
        """
        if self.config.latent == "vmf":
            given = None if noise is None else (noise[0], noise[1])
            return draw_von_mises_fisher(mean, self.config.kappa, given)
        if log_variance is None:
            return mean
        normal = torch.randn_like(mean) if noise is None else noise[-1].to(mean.dtype)
        return mean + (log_variance / 2).exp() * normal

    def forward(self, code: Tensor) -> Tensor:
        """The state ``[S, H]`` that stands for a value ``[S, Z]``."""
        return self.state(code.to(self.state.weight.dtype))


@dataclass(frozen=True)
class Room:
    """Room for a latent before the tokens of each text that is written: of each row of a batch, or in a packed row.

    Attributes:
        latents: ``[S]``, where the latents are in a packed row with room; None: first in each row of a batch.
        tokens: where the tokens of a packed row are then.
        packing: of that row.
    """

    latents: Tensor | None = None
    tokens: Tensor | None = None
    packing: Packing | None = None

    @classmethod
    def in_row(cls, packing: Packing) -> "Room":
        """In a row of texts."""
        offsets = packing.cu_seq_lens.long()
        number = torch.arange(len(packing.lengths), device=offsets.device)
        text = number.repeat_interleave(offsets.diff())
        wider = Packing.from_lengths([length + 1 for length in packing.lengths], offsets.device)
        return cls(offsets[:-1] + number, torch.arange(len(text), device=offsets.device) + text + 1, wider)

    def join(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """``x`` ``[B or 1, M, ...]`` with ``before`` ``[S, ...]`` in front of each text's tokens; None: with zeros."""
        if self.latents is None or self.tokens is None:
            first = torch.zeros_like(x[:, 0]) if before is None else before.to(x.dtype)
            return torch.cat((first[:, None], x), 1)
        row = x.new_zeros(1, x.shape[1] + len(self.latents), *x.shape[2:]).index_copy(1, self.tokens, x)
        return row if before is None else row.index_copy(1, self.latents, before.to(x.dtype)[None])

    def tokens_of(self, x: Tensor) -> Tensor:
        """``x`` without what stands in front of the texts."""
        return x[:, 1:] if self.tokens is None else x[:, self.tokens]


class UniVAELayer(TransformerLayer):
    """A block that may be given latents for the tokens to see; what becomes of those is of no use to anything."""

    def __init__(self, config: UniVAEConfig, layer_idx: int):
        super().__init__(config, layer_idx, RotarySelfAttention)

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, latents: Tensor | None = None, room: Room | None = None, **kwargs: Any
    ) -> Tensor:
        """Transform tokens ``[B, M, H]``.

        Args:
            hidden_states: those of all texts in one row where the keywords say how long each is.
            latents: states ``[S, H]`` that stand before the texts; None: there are none.
            room: for them.
            **kwargs: of all blocks; mask, positions and lengths are of rows with that room.
        """
        if latents is None or room is None:
            return super().forward(hidden_states, **kwargs)
        return room.tokens_of(super().forward(room.join(hidden_states, latents), **kwargs))


class UniVAEStack(LayerStack):
    """The blocks, of which the last ones are given a latent each in place of the first token."""

    def __init__(self, config: UniVAEConfig):
        super().__init__([UniVAELayer(config, i) for i in range(config.num_hidden_layers)])
        self.latents = nn.ModuleList(Latent(config) for _ in range(config.latents))

    def forward(
        self, hidden_states: Tensor, attention_mask: Any = None, *, latents: LatentPass, **kwargs: Any
    ) -> Tensor:
        """Run texts ``[B, L, H]`` through the blocks, in front of whose last ones their first tokens are replaced.

        Args:
            hidden_states: embedded tokens; those of all texts in one row where the keywords say how long each is.
            attention_mask: of the blocks.
            latents: what to do with latents; what they are is put there.
            **kwargs: of the blocks.
        """
        first = latents.first
        offsets = kwargs.get("cu_seq_lens_q")
        if (lengths := kwargs.get("sequence_lengths")) is not None:
            offsets = F.pad(torch.tensor(lengths, device=first.device).cumsum(0), (1, 0))
        if offsets is not None:
            first = offsets[:-1].long()
        begin = len(self.layer) - len(self.latents)
        for number, layer in enumerate(self.layer):
            if number >= begin:
                flat = hidden_states.flatten(0, 1)
                state = self._pass_latent(number - begin, flat[first], latents)
                hidden_states = flat.index_copy(0, first, state.to(flat.dtype)).view_as(hidden_states)
            if latents.ends_early and number == len(self.layer) - 1:
                break
            hidden_states = layer(hidden_states, attention_mask=attention_mask, **kwargs)
        return hidden_states

    def _pass_latent(self, number: int, states: Tensor, latents: LatentPass) -> Tensor:
        """The states ``[S, H]`` of the texts' first tokens after a latent, of those before."""
        latent: Any = self.latents[number]
        mean, log_variance = latent.posterior(states)
        noise = None if latents.noise is None else [part[:, number] for part in latents.noise]
        code = latent.draw(mean, log_variance, noise) if latents.sample else mean
        latents.means.append(mean)
        latents.codes.append(code)
        if log_variance is not None:
            latents.log_variances.append(log_variance)
        return latent(code)
