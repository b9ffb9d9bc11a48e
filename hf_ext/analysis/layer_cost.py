"""What a layer costs in multiplications, over the length of the text (kexue.fm/archives/8610)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LayerCost:
    """Multiplications in the matrix products of a layer and a text.

    Attributes:
        projections: of queries, keys, values, gates and the output of attention.
        attention: all in which tokens meet.
        feed_forward: of the feed-forward layer.
    """

    projections: int
    attention: int
    feed_forward: int

    @property
    def total(self) -> int:
        """All of them; floating-point operations are twice as many."""
        return self.projections + self.attention + self.feed_forward


@dataclass(frozen=True)
class _Form:
    """How the cost of a layer grows with the tokens n.

    Attributes:
        projections: for each token.
        feed_forward: for each token.
        linear: of attention, for each token.
        quadratic: of attention, for each pair of tokens.
        chunk: to whole multiples of which n is rounded up in ``linear``.
        logarithm: of attention, for each token and each doubling of the text.
        softmax: what ``quadratic`` would be with softmax attention, or a full matrix; 0 where nothing compares.
        head: size of a head of softmax attention; 0 for other kinds.
    """

    projections: int
    feed_forward: int
    linear: float = 0
    quadratic: int = 0
    chunk: int = 1
    logarithm: int = 0
    softmax: int = 0
    head: int = 0


def layer_cost(config: Any, length: int) -> LayerCost:
    """Count the multiplications of one layer and one text: of a model of this package, or a BERT.

    Counted are the products of matrices, as they are run: of causal softmax attention the hidden half too, and the last
    chunk as a whole one. Left out are norms, rotation, biases of distances, and the denominators of linear attention.
    That is counted as its sums, whether causal or not, and FNet's transform as a real FFT. Of T5-PEGASUS it is a layer
    of the encoder.

    Args:
        config: of the model.
        length: tokens n of the text, 1 at least; of images the patches, and the [CLS] before them.

    Returns:
        The counts.

    Raises:
        ValueError: if the length is below 1, or nothing is known of the config's model, or of a window or cross
            attention that it has.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    form = _form(config)
    rounded = math.ceil(length / form.chunk) * form.chunk
    attention = form.quadratic * length**2 + form.linear * rounded + form.logarithm * length * math.log2(length)
    return LayerCost(form.projections * length, round(attention), form.feed_forward * length)


def head_cost(config: Any, length: int) -> int:
    """The multiplications of the head over the vocabulary, if it is run at each of so many tokens.

    Raises:
        ValueError: if the length is below 1, or the model has no vocabulary.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if not hasattr(config, "vocab_size"):
        raise ValueError(f"config must have a vocabulary to have a head over it, got that of {config.model_type}")
    hidden, width = config.hidden_size, getattr(config, "embedding_size", None) or config.hidden_size
    bare = getattr(config, "bare_lm_head", hasattr(config, "d_kv"))
    return length * (config.vocab_size * width + (0 if bare else hidden * width))


def crossovers(config: Any) -> dict[str, float]:
    """The lengths of text, in tokens, at which one part of a layer begins to cost more than another.

    Args:
        config: of the model, as in :func:`layer_cost`.

    Returns:
        Those of these that there are: ``attention``, from which on attention with its projections costs more than the
        feed-forward layer; ``quadratic``, where what grows with the square of the length is half of all; ``linear``,
        from which on linear attention of as many features as a head is wide would cost less than this attention;
        ``wide_linear``, the same of 16 times as many, as heads four times as wide have, and the same quality needs;
        ``softmax``, from which on this attention, which is none of softmax, costs less than one that is.

    Raises:
        ValueError: if nothing is known of the config's model.
    """
    form = _form(config)
    alone = form.projections + form.linear
    found = {}
    if form.quadratic:
        if form.feed_forward > alone:
            found["attention"] = (form.feed_forward - alone) / form.quadratic
        found["quadratic"] = (alone + form.feed_forward) / form.quadratic
        if form.head:
            found["linear"] = float(form.head)
            found["wide_linear"] = 16.0 * form.head
    elif form.softmax and form.linear:
        found["softmax"] = form.linear / form.softmax
    return found


def _form(config: Any) -> _Form:
    kind = config.model_type
    if kind not in _FORMS:
        raise ValueError(f"config must be of one of the models {', '.join(sorted(_FORMS))}, got {kind}")
    for name in ("attention_window", "add_cross_attention", "chunk_size_feed_forward"):
        if getattr(config, name, None):
            raise ValueError(f"{name} must not be set to count multiplications, got {getattr(config, name)}")
    return _FORMS[kind](config)


def _transformer(config: Any) -> _Form:
    hidden = config.hidden_size
    return _Form(
        projections=4 * hidden**2,
        feed_forward=2 * hidden * config.intermediate_size,
        quadratic=2 * hidden,
        softmax=2 * hidden,
        head=hidden // config.num_attention_heads,
    )


def _nezha(config: Any) -> _Form:
    plain = _transformer(config)
    # Each head has a product with the vectors of all distances, for scores and for values.
    distances = 2 * config.max_relative_position + 1
    return _Form(plain.projections, plain.feed_forward, 2 * config.hidden_size * distances, plain.quadratic)


def _linear(config: Any) -> _Form:
    plain, features = _transformer(config), config.resolved_feature_size
    width, inner = config.hidden_size, config.num_attention_heads * features
    if config.attention_kernel == "favor":
        # Queries and keys are as wide as values, and are multiplied by random directions.
        return _Form(plain.projections, plain.feed_forward, 4 * features * width, softmax=plain.softmax)
    projections = 2 * width**2 + 2 * width * inner
    # 1 + cos has the 1 for one more feature.
    features += config.attention_kernel == "cosine"
    return _Form(projections, plain.feed_forward, 2 * features * width, softmax=plain.softmax)


def _gated(config: Any) -> _Form:
    hidden, inner, key = config.hidden_size, config.intermediate_size, config.attention_key_size
    projections = hidden * (2 * inner + key) + inner * hidden
    if getattr(config, "attention", None) == "mixed_chunk":
        chunk = config.chunk_size
        linear = chunk * (key + inner) + 2 * key * inner
        return _Form(projections, 0, linear, chunk=chunk, softmax=key + inner)
    return _Form(projections, 0, quadratic=key + inner)


def _t5(config: Any) -> _Form:
    inner, products = config.num_heads * config.d_kv, 3 if config.is_gated_act else 2
    return _Form(
        projections=4 * config.d_model * inner,
        feed_forward=products * config.d_model * config.d_ff,
        quadratic=2 * inner,
        head=config.d_kv,
    )


def _token_mixer(config: Any) -> _Form:
    hidden, inner, mixer = config.hidden_size, config.intermediate_size, config.mixer
    feed_forward, longest = 2 * hidden * inner, config.max_position_embeddings
    if mixer in ("gmlp", "amlp"):
        # Half of the inner numbers are the gate, whose matrix is one of tokens.
        own, quadratic = hidden * inner + inner // 2 * hidden, inner // 2
        if mixer == "amlp":
            key = config.attention_key_size
            own, quadratic = own + 3 * hidden * key + key * inner // 2, quadratic + 2 * key
        return _Form(own, 0, quadratic=quadratic)
    if mixer == "mlp":
        return _Form(0, feed_forward, 2 * (config.token_intermediate_size or 2 * longest) * hidden, softmax=2 * hidden)
    if mixer == "fnet":
        return _Form(0, feed_forward, hidden * math.log2(hidden), logarithm=hidden)
    if mixer == "external":
        return _Form(2 * hidden**2, feed_forward, 2 * hidden * config.memory_size, softmax=2 * hidden)
    # Synthesizers: of values and the output, and of what makes the scores.
    own, linear, quadratic = 2 * hidden**2, 0, hidden
    for kind in (mixer.removeprefix("synthesizer_"), *(config.synthesizer_mixture or ())):
        if kind == "random":
            quadratic += config.num_attention_heads * (config.synthesizer_rank or 0)
        elif kind == "dot_product":
            own, quadratic = own + 2 * hidden**2, quadratic + hidden
        elif (tile := config.synthesizer_tile) is None:
            own, quadratic = own + hidden**2, quadratic + hidden
        else:
            own, linear = own + hidden**2, linear + hidden * (tile + longest // tile)
    return _Form(own, feed_forward, linear, quadratic)


_FORMS: dict[str, Callable[[Any], _Form]] = {
    **dict.fromkeys(("bert", "roformer", "roformer_v2", "urpe", "unilm_bert", "gpt_cdial", "rope_vit"), _transformer),
    **dict.fromkeys(("t_ta", "univae"), _transformer),
    **dict.fromkeys(("gau_alpha", "flash"), _gated),
    "nezha": _nezha,
    "linear_roformer": _linear,
    "t5_pegasus": _t5,
    "token_mixer": _token_mixer,
}
