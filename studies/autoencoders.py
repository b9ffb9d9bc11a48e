"""Small UniVAEs that learn the grammar of topics and templates, and what is asked of all of them."""

import random
from collections.abc import Mapping
from itertools import count
from typing import Any

from torch import Tensor

from hf_ext import UniVAEConfig, UniVAEForTextAutoencoding
from hf_ext.metrics import point_latents
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.tasks.autoencoding import diagnose
from studies.descent import descend
from studies.sources import Sources
from studies.topic_grammar import BEGIN, END, LONGEST, PADDING, VOCABULARY, Sentence, collate, sentences

POSTERIORS: dict[str, dict[str, Any]] = {
    "vMF": {"latent": "vmf"},
    "Gaussian": {"latent": "gaussian"},
    "Gaussian, annealed": {"latent": "gaussian"},
    "Gaussian, batch norm": {"latent": "gaussian", "latent_norm": "batch"},
    # A point on the sphere: all but none of the noise.
    "sphere, no noise": {"latent": "vmf", "kappa": 1e4},
    "AE": {"latent": "none"},
}
"""Fields of the config, by what the latents of a text are."""
ANNEALED = "Gaussian, annealed"

_BATCH = 64
_SCORED = 500


def fit(
    posterior: str, layers: int, latents: int, learning_rate: float, seed: int, sources: Sources, steps: int
) -> UniVAEForTextAutoencoding:
    """Train with AdamW on sentences that are drawn anew for each step.

    Args:
        posterior: a name in `POSTERIORS`; with `ANNEALED` the divergence counts for more from step to step of the
            first half of the training, with the others in full from the start.
        layers: of the Transformer.
        latents: how many of the last ones have one.
        learning_rate: the highest.
        seed: of the sentences.
        sources: say whether two steps are enough.
        steps: of 64 sentences each.
    """
    steps = 2 if sources.quick else steps
    model = UniVAEForTextAutoencoding(_config(posterior, layers, latents))
    chance = random.Random(seed)
    passed = count()

    def loss() -> Tensor:
        if posterior == ANNEALED:
            model.kl_factor = min(1.0, 2 * next(passed) / steps)
        found = model(**collate(rows_of(sentences("train", _BATCH, chance)))).loss
        assert found is not None
        return found

    descend(model, loss, steps, learning_rate)
    return model


def _config(posterior: str, layers: int, latents: int) -> UniVAEConfig:
    return UniVAEConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=256,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        # 0.02 is for models of 768: with it one so narrow has found no topics after 1,000 steps.
        initializer_range=0.12,
        num_latent_layers=latents,
        half_length=LONGEST,
        bos_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=PADDING,
        **POSTERIORS[posterior],
    )


def rows_of(texts: list[Sentence]) -> list[dict[str, Sentence]]:
    """Sentences as `collate` takes them."""
    return [{"input_ids": text} for text in texts]


def codes_of(model: UniVAEForTextAutoencoding, texts: list[Sentence], sample: bool = False) -> Tensor:
    """Codes ``[N, K * Z]`` of N sentences: their means, or drawn around those."""
    batch = collate(rows_of(texts))
    return model.encode(batch["input_ids"], batch["attention_mask"], sample=sample)


def write(model: UniVAEForTextAutoencoding, codes: Tensor) -> list[Sentence]:
    """What the model writes from codes ``[N, K * Z]``, up to END: the likeliest token each time."""
    with evaluation_mode(model):
        ids: list[Sentence] = model.generate(z=codes).tolist()
    return [text[: text.index(END) + 1] if END in text else text for text in ids]


def common_measures(model: UniVAEForTextAutoencoding, part: str, seed: int, texts: int = _SCORED) -> Mapping[str, Any]:
    """Share of sentences of a part that are written again to the letter, and whether the decoder reads the latents.

    Args:
        model: that is scored.
        part: of the combinations.
        seed: of the sentences and of what is drawn.
        texts: how many.

    Returns:
        ``exact`` with latents that are their means; ``permuted_gain``, what the loss of a token grows by with those of
        another text; ``mutual_information`` of texts and latents and ``kl``, where they have a distribution; and
        ``active_units``, in how many the means vary over texts.
    """
    scored = sentences(part, texts, random.Random(f"{part} {seed}"))
    codes = codes_of(model, scored)
    written = write(model, codes)
    report = diagnose(model, rows_of(scored), collate, batch_size=texts, seed=seed)
    losses, latents = report["reconstruction"], report["latents"]
    return {
        "exact": sum(one == other for one, other in zip(scored, written)) / len(scored),
        "permuted_gain": losses["permuted"] - losses["mean"],
        "loss_mean": losses["mean"],
        "loss_sampled": losses["sampled"],
        **{name: latents.get(name, "") for name in ("mutual_information", "kl")},
        "active_units": point_latents(codes)["active_units"],
    }
