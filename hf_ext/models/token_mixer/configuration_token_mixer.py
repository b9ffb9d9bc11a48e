"""Configuration of the encoders whose tokens are mixed by other means than attention."""

from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict

from hf_ext.modules.encoder_config import EncoderConfig, check_fixed_fields

GATED = ("gmlp", "amlp")
SYNTHESIZERS = ("synthesizer_random", "synthesizer_dense")
MIXERS = (*GATED, "fnet", "mlp", *SYNTHESIZERS, "external")
# Blocks with their norm in front, and one more behind the last of them; the others are BERT's with other attention.
PRE_NORM = (*GATED, "mlp")
# A matrix of tokens is learnt, so that no text may be longer than it.
LEARNT = (*PRE_NORM, *SYNTHESIZERS)

# Fields that say something under some mixers alone.
_FIELDS_OF = {
    "attention_key_size": ("amlp",),
    "toeplitz": GATED,
    "gate_initializer_range": GATED,
    "token_intermediate_size": ("mlp",),
    "synthesizer_fixed": ("synthesizer_random",),
    "synthesizer_rank": ("synthesizer_random",),
    "synthesizer_tile": ("synthesizer_dense",),
    "synthesizer_mixture": SYNTHESIZERS,
    "memory_size": ("external",),
    "padding": ("fnet",),
}


@strict
class TokenMixerConfig(EncoderConfig):
    """Settings of an encoder without attention as it is known (kexue.fm/archives/8431; 7430).

    The other fields are those of :class:`EncoderConfig`. Matrices of tokens are of ``max_position_embeddings`` T, and a
    text of L tokens uses their first L rows and columns.

    Attributes:
        mixer: what mixes the tokens. ``"gmlp"``: gates that a learnt matrix of tokens makes (arXiv 2105.08050);
            ``"amlp"``: the same, and an attention of one small head; ``"fnet"``: the Fourier transform (2105.03824);
            ``"mlp"``: a feed-forward layer across the tokens (2105.01601, 2105.02723, 2105.03404);
            ``"synthesizer_random"``, ``"synthesizer_dense"``: attention by learnt scores, or by scores that each token
            makes alone (2005.00743); ``"external"``: attention to learnt keys and values (2105.02358).
        num_attention_heads: number of heads of a Synthesizer; without meaning elsewhere.
        hidden_act: None: ``"gelu_pytorch_tanh"`` in FNet, else ``"gelu"``.
        layer_norm_eps: None: 1e-5 where norms stand in front, as in gMLP and Mixer, else 1e-12.
        intermediate_size: width I of the feed-forward layer; of gMLP, both halves together.
        attention_probs_dropout_prob: of aMLP's, the Synthesizers' and external attention's weights.
        attention_mode: ``"bidirectional"``, or ``"causal"``, which gMLP and aMLP alone can be.
        position_embeddings: whether positions have embeddings; None: where blocks are BERT's, as gMLP, aMLP and
            Mixer know places by their matrices.
        attention_key_size: width of queries, keys and values of aMLP's head.
        toeplitz: whether the matrix of gMLP or aMLP depends on the distance of two tokens alone.
        gate_initializer_range: the matrix of gMLP or aMLP begins uniformly within this over T, its bias with 1, so that
            a new block lets pass what comes.
        token_intermediate_size: inner width of Mixer's layer across the tokens; None: 2T.
        synthesizer_fixed: whether random scores stay as they were drawn, with a standard deviation of 1.
        synthesizer_rank: rank k of random scores that are a product of ``[T, k]`` and ``[k, T]``; None: no product.
        synthesizer_tile: size a of dense scores that are products of one of a numbers and one of T / a; None: none.
        synthesizer_mixture: further kinds of scores, which are mixed with those of ``mixer`` by learnt weights:
            ``"random"``, ``"dense"``, ``"dot_product"``.
        memory_size: number S of the learnt keys and values of external attention.
        padding: ``"exact"``: FNet transforms each text over its own tokens, so that padding tells in nothing; or
            ``"as_padded"``: rows as they come, padding included, as the original does.
    """

    model_type = "token_mixer"
    # The halves of a gated block's first layer are split by meaning, which no plan of equal shares respects.
    base_model_tp_plan: ClassVar[dict[str, str] | None] = None
    fixed_fields: ClassVar[dict[str, Any]] = {
        **EncoderConfig.fixed_fields,
        "position_embedding_type": "absolute",
        "norm_type": "layer_norm",
        "residual_scale": 1.0,
        "use_bias": True,
        "add_cross_attention": False,
    }

    mixer: str = "gmlp"
    hidden_act: str | None = None  # type: ignore[assignment]
    layer_norm_eps: float | None = None  # type: ignore[assignment]
    position_embeddings: bool | None = None
    attention_key_size: int = 64
    toeplitz: bool = False
    gate_initializer_range: float = 1e-3
    token_intermediate_size: int | None = None
    synthesizer_fixed: bool = False
    synthesizer_rank: int | None = None
    synthesizer_tile: int | None = None
    synthesizer_mixture: list[str] | None = None
    memory_size: int = 64
    padding: str = "exact"

    def __post_init__(self, **kwargs: Any) -> None:
        if self.hidden_act is None:
            self.hidden_act = "gelu_pytorch_tanh" if self.mixer == "fnet" else "gelu"
        if self.layer_norm_eps is None:
            self.layer_norm_eps = 1e-5 if self.mixer in PRE_NORM else 1e-12
        super().__post_init__(**kwargs)

    @property
    def has_position_embeddings(self) -> bool:
        """``position_embeddings``, or what ``mixer`` says where it is None."""
        return self.mixer not in PRE_NORM if self.position_embeddings is None else self.position_embeddings

    @property
    def longest_input(self) -> int | None:
        """The most tokens that a text may have; None: any number."""
        return self.max_position_embeddings if self.mixer in LEARNT or self.has_position_embeddings else None

    def validate_choices(self) -> None:
        """Refuse names that mean nothing.

        Raises:
            ValueError: naming the field, its value and the values that work.
        """
        choices: dict[str, tuple[Any, ...]] = {
            "mixer": MIXERS,
            "padding": ("exact", "as_padded"),
            "pooler_activation": (None, "tanh", "linear"),
            "attention_mode": (None, "bidirectional", "causal"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {allowed}, got {getattr(self, field)!r}")
        for kind in self.synthesizer_mixture or ():
            if kind not in ("random", "dense", "dot_product"):
                raise ValueError(
                    "synthesizer_mixture must be of 'random', 'dense' and 'dot_product', got "
                    f"{self.synthesizer_mixture}"
                )

    def validate_mixer(self) -> None:
        """Refuse settings that have no meaning under the mixer.

        Raises:
            ValueError: naming the field, its value and the mixers that have it.
        """
        if self.mixer not in MIXERS:
            return
        for field, mixers in _FIELDS_OF.items():
            default = type(self).__dataclass_fields__[field].default
            if self.mixer not in mixers and getattr(self, field) != default:
                raise ValueError(
                    f"{field} must be {default!r} under mixer={self.mixer!r}, got {getattr(self, field)!r}: it is a "
                    f"setting of {' and '.join(mixers)}"
                )
        if self.unpad and self.padding == "as_padded":
            raise ValueError('unpad must be False under padding="as_padded", whose rows are mixed padding and all')
        if self.mixer not in GATED and self.resolved_attention_mode == "causal":
            raise ValueError(
                f'attention_mode must be "bidirectional" under mixer={self.mixer!r}, which has no causal form, got '
                '"causal"; gmlp and amlp have one'
            )

    def validate_sizes(self) -> None:
        """Refuse sizes that cannot be built.

        Raises:
            ValueError: naming the fields and their values.
        """
        for field in ("max_position_embeddings", "attention_key_size", "memory_size", "token_intermediate_size"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"{field} must be at least 1, got {value}")
        if self.mixer in GATED and self.intermediate_size % 2:
            raise ValueError(
                f"intermediate_size must be even under mixer={self.mixer!r}, whose two halves are a gate and what it "
                f"gates, got {self.intermediate_size}"
            )
        if self.mixer in SYNTHESIZERS:
            super().validate_sizes()
        length, rank, tile = self.max_position_embeddings, self.synthesizer_rank, self.synthesizer_tile
        if rank is not None and not 1 <= rank <= length:
            raise ValueError(f"synthesizer_rank must be in [1, max_position_embeddings={length}], got {rank}")
        if tile is not None and (tile < 1 or length % tile):
            raise ValueError(f"synthesizer_tile must divide max_position_embeddings={length}, got {tile}")
        kinds = [self.mixer.removeprefix("synthesizer_"), *(self.synthesizer_mixture or ())]
        if len(set(kinds)) < len(kinds):
            raise ValueError(
                f"synthesizer_mixture must name each kind once, and not that of mixer={self.mixer!r}, got "
                f"{self.synthesizer_mixture}"
            )

    def validate_fixed_fields(self) -> None:
        """Refuse fields of other architectures.

        Raises:
            ValueError: naming the field, its value and the value that works.
        """
        place = "pre" if self.mixer in PRE_NORM else "post"
        check_fixed_fields(self, self.fixed_fields | {"norm_position": place})
