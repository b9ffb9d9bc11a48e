"""What the latents of a trained autoencoder are worth, over a data set (kexue.fm/archives/7725).

A decoder that writes as well from the latents of another text ignores them: the posterior has collapsed. One that
writes worse from drawn latents than from their means has not learnt that all of a text's ellipse is that text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hf_ext.metrics.latent_space import gaussian_latents, point_latents, sphere_latents
from hf_ext.metrics.perplexity import next_token_sums
from hf_ext.modules.evaluation_mode import evaluation_mode


def diagnose(
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    collate: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Tensor]],
    batch_size: int = 64,
    seed: int = 0,
) -> dict[str, Any]:
    """Diagnostics of a model over a data set.

    Args:
        model: a `UniVAEForTextAutoencoding`.
        rows: of the data set, as ``collate`` takes them; all are compared with all.
        collate: `DataCollatorForTextAutoencoding`.
        batch_size: texts run at a time.
        seed: of what is drawn.

    Returns:
        - ``reconstruction``: the loss of a token in nats where the latents are ``mean``s, are ``sampled``, and are the
          means of another text (``permuted``);
        - ``latents``: what `gaussian_latents`, `point_latents` or `sphere_latents` says of them, each given the means
          of those in lower layers;
        - ``texts``, ``latent``, ``num_latents`` and ``latent_size``.

    Raises:
        ValueError: if there are no rows.
    """
    if not len(rows):
        raise ValueError("rows must be at least one text, got none")
    config, device = model.config, model.device
    starts = range(0, len(rows), batch_size)
    batches = [[rows[at] for at in range(start, min(start + batch_size, len(rows)))] for start in starts]

    def batch_of(texts: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        return {name: value.to(device) for name, value in collate(texts).items()}

    sums: dict[str, list[Tensor]] = {"mean": [], "sampled": [], "permuted": []}
    means, log_variances = [], []
    with evaluation_mode(model), torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        # A round in which no text keeps its own, unless it is alone.
        order = torch.randperm(len(rows)).to(device)
        for texts in batches:
            batch = batch_of(texts)
            labels = batch.pop("labels")
            output = model(**batch, sample=False)
            means.append(output.mean)
            log_variances.append(output.log_variance)
            sums["mean"].append(next_token_sums(output.logits, labels))
            sums["sampled"].append(next_token_sums(model(**batch, sample=True).logits, labels))
        mean = torch.cat(means)
        log_variance = None if log_variances[0] is None else torch.cat(log_variances)
        others = torch.empty_like(mean).index_copy(0, order, mean[order.roll(1)])
        for texts, given in zip(batches, others.split(batch_size)):
            batch = batch_of(texts)
            logits = model.decode(given, batch["input_ids"], batch["attention_mask"])
            sums["permuted"].append(next_token_sums(logits, batch["labels"]))
        mean = mean.cpu()
        if config.latent == "gaussian":
            assert log_variance is not None
            log_variance = log_variance.cpu()
            drawn = mean + (log_variance / 2).exp() * torch.randn_like(mean)
            latents = gaussian_latents(mean, log_variance, drawn)
        elif config.latent == "none":
            latents = point_latents(mean)
        else:
            apart = mean.unflatten(-1, (config.num_latent_layers, config.latent_size))
            latents = sphere_latents(apart, float(config.kappa), model.draw(mean).view_as(apart))
    losses = {name: torch.cat(own).sum(0) for name, own in sums.items()}
    return {
        "texts": len(mean),
        "latent": config.latent,
        "num_latents": config.num_latent_layers,
        "latent_size": config.latent_size,
        "reconstruction": {name: float(loss / count) for name, (loss, _, count) in losses.items()},
        "latents": latents,
    }
