"""UniVAE that learns to write texts again from their codes, and writes from codes (kexue.fm/archives/8475).

Shapes: B batch, L tokens of a text, M tokens of the decoder, V vocabulary, K latents of a text, Z size of one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import Cache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import can_return_tuple

from hf_ext.losses.sequence_to_sequence import sequence_to_sequence_losses
from hf_ext.models.univae.modeling_univae import UniVAEModel, UniVAEPreTrainedModel
from hf_ext.modules.family_heads import VocabularyHead
from hf_ext.modules.renamed_cache import takes_past_key_values
from hf_ext.ops.von_mises_fisher import draw_von_mises_fisher, kl_to_uniform


@dataclass
class TextAutoencodingOutput(ModelOutput):
    """What an autoencoder returns.

    Attributes:
        loss: scalar, where there are labels: cross-entropy of all tokens asked for, and ``kl_weight`` times the
            divergence of all texts unless it is constant, by the number of tokens.
        logits: ``[B, M, V]``, at each token of the decoder those of the next.
        losses: ``[B]``, sum of each text's cross-entropies, where there are labels.
        kl: ``[B]``, divergence of each text's latents to the prior in nats, as ``config.kl`` measures it; a constant
            for a von Mises-Fisher distribution. None for a code that is given, and for latents without a distribution.
        z: ``[B, K * Z]``, the latents that the decoder was given; float32 or better.
        mean: ``[B, K * Z]``, what they were drawn around.
        log_variance: ``[B, K * Z]``, of Gaussians.
        cache: keys and values of the decoder.
        hidden_states: of the text, of all layers, where they are asked for.
        attentions: the same.
        decoder_hidden_states: of the decoder's tokens.
        decoder_attentions: the same; in the layers that have a latent it stands before the tokens.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    losses: Tensor | None = None
    kl: Tensor | None = None
    z: Tensor | None = None
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    cache: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None
    decoder_attentions: tuple[Tensor, ...] | None = None


class UniVAEForTextAutoencoding(VocabularyHead, UniVAEPreTrainedModel, GenerationMixin):
    """UniVAE that codes texts and writes them: reconstructions, samples of the prior, what lies between two texts.

    ``kl_factor`` is a further factor of the divergence while training, which a warm-up moves from 0 to 1.
    """

    base_model: UniVAEModel
    kl_factor = 1.0
    smooths_labels = False
    # A step back would have to take one key from some layers and none from others: no assisted generation.
    _is_stateful = True

    @can_return_tuple
    @takes_past_key_values
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        z: Tensor | None = None,
        sample: bool | None = None,
        noise: tuple[Tensor, ...] | None = None,
        cache: Cache | None = None,
        use_cache: bool = False,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> TextAutoencodingOutput:
        """Code texts and predict their tokens again from the codes.

        Args:
            input_ids: ``[B, L]`` texts; or ``inputs_embeds`` or ``z``.
            attention_mask: ``[B, L]``, 1 at real tokens; None: no padding.
            token_type_ids: ``[B, L]``, all 0.
            inputs_embeds: ``[B, L, E]`` in place of ``input_ids``.
            decoder_input_ids: ``[B, M]`` tokens of the decoder, the same text as a rule, from its first token on; None:
                the text, with its mask.
            decoder_attention_mask: ``[B, M]``, with a cache also of the tokens before; None: no padding.
            z: ``[B, K * Z]`` in place of a text.
            sample: whether latents are drawn, else they are the means; None: drawn in training.
            noise: to draw with, as in `UniVAEModel.forward`.
            cache: keys and values of the decoder's tokens before.
            use_cache: whether to return those.
            labels: ``[B, M]`` ids, not shifted, -100 where nothing is asked.
            num_items_in_batch: number of labels that the loss is divided by, where a batch is run in parts; None: their
                number in this call.
            logits_to_keep: logits of this many last tokens only, or of these; 0: of all.
            **kwargs: ``output_hidden_states``, ``output_attentions`` and others that all models take.

        Returns:
            `TextAutoencodingOutput`.

        Raises:
            TypeError: for an argument that no model takes.
            ValueError: if a text is longer than ``half_length``, or an argument does not fit.
        """
        encoded = None
        decoder_embeds = None
        if z is None:
            asked = any(kwargs.get(name, getattr(self.config, name, False)) for name in _INNER_STATES)
            encoded = self.base_model(
                input_ids,
                attention_mask,
                token_type_ids,
                inputs_embeds,
                sample=sample,
                noise=noise,
                codes_only=not asked,
                return_dict=True,
                **kwargs,
            )
            z = encoded.z
            if decoder_input_ids is None:
                decoder_input_ids, decoder_embeds = input_ids, inputs_embeds
                decoder_attention_mask = attention_mask if decoder_attention_mask is None else decoder_attention_mask
        elif input_ids is not None or inputs_embeds is not None:
            raise ValueError("give either a text (input_ids) or its z, got both")
        assert z is not None
        outputs = self.base_model.decode(
            z,
            decoder_input_ids,
            decoder_attention_mask,
            decoder_embeds,
            cache=cache,
            use_cache=use_cache,
            **kwargs,
        )
        keep = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        states: Any = outputs.last_hidden_state
        logits = self.cls(states[:, keep])
        kl = None if encoded is None else self.divergence(encoded.mean, encoded.log_variance)
        loss = losses = None
        if labels is not None:
            losses = sequence_to_sequence_losses(logits, labels)
            loss = losses.sum()
            if kl is not None and self.config.latent == "gaussian":
                loss = loss + self.config.kl_weight * (self.kl_factor if self.training else 1.0) * kl.sum()
            if num_items_in_batch is None:
                num_items_in_batch = (labels[:, 1:] != -100).sum().clamp(min=1)
            loss = loss / num_items_in_batch
        return TextAutoencodingOutput(
            loss=loss,
            logits=logits,
            losses=losses,
            kl=kl,
            z=z,
            mean=None if encoded is None else encoded.mean,
            log_variance=None if encoded is None else encoded.log_variance,
            cache=outputs.cache,
            hidden_states=None if encoded is None else encoded.hidden_states,
            attentions=None if encoded is None else encoded.attentions,
            decoder_hidden_states=outputs.hidden_states,
            decoder_attentions=outputs.attentions,
        )

    def divergence(self, mean: Tensor, log_variance: Tensor | None = None) -> Tensor | None:
        """The divergence of each text's latents to the prior, ``[B]`` in nats; None where they have no distribution.

        Args:
            mean: ``[B, K * Z]``.
            log_variance: ``[B, K * Z]``, of Gaussians.
        """
        config = self.config
        if config.latent == "none":
            return None
        if log_variance is None:
            constant = config.latents * kl_to_uniform(config.latent_size, float(config.kappa))
            return mean.new_full(mean.shape[:1], constant)
        if config.kl == "geometric":
            return (mean.square() + ((log_variance / 2).exp() - 1).square()).sum(-1)
        return (mean.square() + log_variance.exp() - log_variance - 1).sum(-1) / 2

    @torch.no_grad()
    def encode(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, sample: bool = False, **kwargs: Any
    ) -> Tensor:
        """Codes ``[B, K * Z]`` of texts, float32 or better: their means, or drawn around those.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, 1 at real tokens; None: no padding.
            sample: whether to draw.
            **kwargs: of `UniVAEModel.forward`.

        Raises:
            ValueError: if a text is longer than ``half_length``.
        """
        z: Tensor = self.base_model(input_ids, attention_mask, sample=sample, codes_only=True, **kwargs).z
        return z

    def decode(self, z: Tensor, decoder_input_ids: Tensor, decoder_attention_mask: Tensor | None = None) -> Tensor:
        """Logits ``[B, M, V]`` of the next token of each.

        Args:
            z: ``[B, K * Z]``.
            decoder_input_ids: ``[B, M]``.
            decoder_attention_mask: ``[B, M]``, 1 at real tokens; None: no padding.

        Raises:
            ValueError: if there are more than ``half_length`` tokens, or a shape does not fit.
        """
        outputs = self.base_model.decode(z, decoder_input_ids, decoder_attention_mask)
        logits: Tensor = self.cls(outputs.last_hidden_state)
        return logits

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: Any = None,
        *args: Any,
        z: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write texts: from codes, or those that are given again.

        Args:
            inputs: ``[B, L]`` texts, whose means are read; or ``input_ids``, or ``z``.
            generation_config: as of `transformers.GenerationMixin.generate`.
            *args: the same.
            z: ``[B, K * Z]``.
            attention_mask: ``[B, L]`` of the texts.
            decoder_input_ids: ``[B, M]``, how they begin; None: with ``bos_token_id``.
            **kwargs: as of ``generate``. Without a length, texts are of at most ``half_length`` tokens.

        Returns:
            ``[B, M]`` ids from the beginning on, or what ``generate`` is asked for.

        Raises:
            ValueError: if there is not just one of text and code, no token to begin with, or a text would grow beyond
                ``half_length``.
        """
        texts = kwargs.pop("input_ids", None) if inputs is None else inputs
        if (texts is None) == (z is None):
            raise ValueError(f"give either texts (input_ids) or z, got {'neither' if z is None else 'both'}")
        if z is None:
            assert texts is not None
            z = self.encode(texts, attention_mask)
        elif attention_mask is not None:
            raise ValueError("attention_mask goes with texts, got it with z")
        z = self.base_model.latents_of(z).flatten(1)
        settings: Any = generation_config or self.generation_config
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            # A folder of RoFormer has no settings of generation, and what the config was given counts.
            if kwargs.get(name, getattr(settings, name)) is None and getattr(self.config, name) is not None:
                kwargs[name] = getattr(self.config, name)
        if decoder_input_ids is None:
            begin = kwargs.get("bos_token_id", settings.bos_token_id)
            if begin is None:
                raise ValueError(
                    "bos_token_id must be the token that texts begin with, [CLS] in the original, got None: set it in "
                    "the model's generation_config, or give decoder_input_ids"
                )
            decoder_input_ids = torch.full((len(z), 1), int(begin), device=z.device)
        longest = self.config.half_length
        begun = decoder_input_ids.shape[1]
        new, whole = (kwargs.get(name, getattr(settings, name)) for name in ("max_new_tokens", "max_length"))
        if new is None and (generation_config is None or whole is None) and "max_length" not in kwargs:
            kwargs["max_length"] = whole = longest
        if max(begun, whole or 0 if new is None else begun + new) > longest:
            given = f"max_length={whole}" if new is None else f"max_new_tokens={new} behind {begun}"
            raise ValueError(f"a text must have at most half_length={longest} tokens, got {given}")
        return GenerationMixin.generate(self, decoder_input_ids, generation_config, *args, z=z, **kwargs)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        cache: Cache | None = None,
        z: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The inputs of a step: the decoder's tokens ``[B, M]`` that the cache lacks, and the code."""
        if next_sequence_length is not None:
            input_ids = input_ids[:, -next_sequence_length:]
        asked = {name: kwargs[name] for name in (*_INNER_STATES, "logits_to_keep", "return_dict") if name in kwargs}
        return {
            "decoder_input_ids": input_ids.contiguous(),
            "z": z,
            "cache": cache,
            "use_cache": bool(use_cache),
            **asked,
        }

    def draw(
        self, mean: Tensor, log_variance: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Codes ``[B, K * Z]`` around means; without a distribution, the means.

        Args:
            mean: ``[B, K * Z]``, as a forward returns it.
            log_variance: the same, of Gaussians.
            generator: to draw with, on the device of ``mean``.

        Raises:
            ValueError: if there are Gaussians without their log-variances.
        """
        if self.config.latent == "vmf":
            latents = self.base_model.latents_of(mean)
            return draw_von_mises_fisher(latents, float(self.config.kappa), generator=generator).flatten(1)
        if self.config.latent == "none":
            return mean
        if log_variance is None:
            raise ValueError('log_variance must be given with latent="gaussian", got None')
        normal = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + (log_variance / 2).exp() * normal

    def sample_prior(self, texts: int, generator: torch.Generator | None = None) -> Tensor:
        """Codes ``[texts, K * Z]`` drawn from the prior: normal numbers, on the sphere normalised latent by latent.

        A plain autoencoder (``latent="none"``) has no prior; normal numbers are then what to compare with.

        Args:
            texts: how many.
            generator: to draw with.

        Raises:
            ValueError: if ``texts`` is below 1.
        """
        if texts < 1:
            raise ValueError(f"texts must be at least 1, got {texts}")
        dtype = torch.promote_types(self.dtype, torch.float32)
        # Of a generator on the CPU, whatever the model is on.
        device = self.device if generator is None else generator.device
        z = torch.randn(texts, self.config.code_size, generator=generator, device=device, dtype=dtype)
        return self.base_model.latents_of(z.to(self.device)).flatten(1)

    def interpolate(self, first: Tensor, second: Tensor, steps: int = 5) -> Tensor:
        """Codes on the way from one to another, ``[steps, B, K * Z]``, both ends among them.

        On a sphere each latent goes along its great circle, elsewhere straight on.

        Args:
            first: ``[B, K * Z]``.
            second: ``[B, K * Z]``.
            steps: how many, at least 2.

        Raises:
            ValueError: if a shape or ``steps`` does not fit, or two latents on a sphere are opposite to each other.
        """
        if steps < 2:
            raise ValueError(f"steps must be at least 2, the two ends, got {steps}")
        start, end = self.base_model.latents_of(first), self.base_model.latents_of(second, len(first))
        part = torch.linspace(0, 1, steps, device=start.device, dtype=start.dtype).view(-1, 1, 1, 1)
        if self.config.latent != "vmf":
            return torch.lerp(start, end, part).flatten(2)
        cosine = (start * end).sum(-1, keepdim=True)
        if bool((cosine < -1 + 1e-6).any()):
            raise ValueError("first and second must not have opposite latents, between which there is no shortest way")
        angle = torch.atan2((end - cosine * start).norm(dim=-1, keepdim=True), cosine)
        across = F.normalize(end - cosine * start, dim=-1)
        return ((part * angle).cos() * start + (part * angle).sin() * across).flatten(2)

    def swap(self, first: Tensor, second: Tensor, layers: int | Iterable[int]) -> Tensor:
        """The codes ``first`` with some latents of ``second``, ``[B, K * Z]``.

        Args:
            first: ``[B, K * Z]``.
            second: ``[B, K * Z]``.
            layers: numbers of the latents to take from ``second``, 0 in the lowest layer that has one, -1 in the last.

        Raises:
            ValueError: if a shape does not fit, or there is no such latent.
        """
        chosen = [layers] if isinstance(layers, int) else list(layers)
        count = self.config.latents
        if not chosen or any(not -count <= number < count for number in chosen):
            raise ValueError(f"layers must be numbers in [{-count}, {count}), got {chosen}")
        swapped = self.base_model.latents_of(first).clone()
        swapped[:, chosen] = self.base_model.latents_of(second, len(first))[:, chosen]
        return swapped.flatten(1)


_INNER_STATES = ("output_hidden_states", "output_attentions")
