"""What each family has of its own in its layout: names, what cannot be larger, what has to stay as long as it is."""

from dataclasses import replace
from typing import Any

from hf_ext.enlargement.growth import Space
from hf_ext.enlargement.layout import Layout, Rows

_ROTATION = (
    "the frequencies of the rotation follow from the size of a head; have more heads, or a model whose frequencies are "
    "parameters"
)


class BertLayout(Layout):
    """BERT, which WoBERT is; SimBERT, GPTs of post-norm blocks, T-TA."""

    model_types = ("bert", "unilm_bert", "gpt_cdial", "t_ta")


class RobertaLayout(Layout):
    """RoBERTa, whose head over the vocabulary has names of its own."""

    model_types = ("roberta", "xlm-roberta")

    def own_rows(self) -> Rows:
        """The head."""
        return (
            ("lm_head.dense", "transformed /hidden"),
            ("lm_head.layer_norm", "predicted"),
            ("lm_head.decoder", ". /predicted"),
            ("lm_head", "."),
        )


class NezhaLayout(Layout):
    """NEZHA, which adds a table as wide as a head to keys and values."""

    model_types = ("nezha",)

    def reasons(self) -> list[str]:
        """A larger head has another table."""
        return ["keys and values get a table of sines that is as wide as a head"] if self.larger_heads else []

    def spaces(self) -> dict[str, Space]:
        """Values as they are, as the table is."""
        return super().spaces() | {"value": self.in_heads(1.0)}


class URPELayout(Layout):
    """URPE, whose tables have a column for each head."""

    model_types = ("urpe",)

    def own_rows(self) -> Rows:
        """The tables."""
        return (("*tables.bias", ". heads"), ("*tables.gain", ". heads"))


class RotaryLayout(Layout):
    """RoFormer, UniVAE: what is rotated grows by pairs, and is the same where frequencies are parameters."""

    model_types = ("roformer",)

    def own_rows(self) -> Rows:
        """Learnt frequencies, and biases of the distance."""
        return (("*rotary.log_frequencies", "frequencies"), ("*distance_bias.*", "heads"))

    def reasons(self) -> list[str]:
        """Rotations and biases that follow from the sizes."""
        bias = getattr(self.config, "position_bias", None)
        if self.larger_heads and bias is None and not self.config.trainable_frequencies:
            return [_ROTATION]
        if self.larger_heads and bias == "sandwich":
            return ['position_bias="sandwich" follows from the size of a head']
        if self.growth.grow == "heads" and bias == "alibi":
            return ['the slopes of position_bias="alibi" follow from the number of heads']
        return []

    def spaces(self) -> dict[str, Space]:
        """Pairs are repeated as a whole."""
        spaces = super().spaces()
        if not self.larger_heads:
            return spaces | {"frequencies": Space(self.head_size // 2)}
        factor, scale = self.growth.factor, self.score_scale()
        query, key = scale, scale
        if getattr(self.config, "key_norm", False):
            # Keys have length one, whatever they are multiplied by, and scores are not divided.
            query, key = float(factor) ** -0.5, 1.0
        return spaces | {
            "frequencies": Space(self.head_size // 2, factor),
            "query": self.in_heads(query, 2),
            "key": self.in_heads(key, 2),
            "value": self.in_heads(self.growth.scale, 2),
        }


class UniVAELayout(RotaryLayout):
    """UniVAE, whose codes stay as large as they are."""

    model_types = ("univae",)
    # A text is of type 0.
    takes_types = False

    def own_rows(self) -> Rows:
        """The latents."""
        return (
            ("*latents.*.norm.*", "."),
            ("*latents.*.mean", ". /hidden"),
            ("*latents.*.log_variance", ". /hidden"),
            ("*latents.*.state", "hidden"),
        )

    def reasons(self) -> list[str]:
        """The rotation."""
        return [_ROTATION] if self.larger_heads else []


class LinearRoFormerLayout(Layout):
    """RoFormer with linear attention, whose features are as many as before where heads grow: their values do."""

    model_types = ("linear_roformer",)

    @property
    def random(self) -> bool:
        """Whether features are random ones of queries and keys as wide as values."""
        return bool(self.config.attention_kernel == "favor")

    def own_rows(self) -> Rows:
        """Random features."""
        return (("*random_features.omega", ". omega"), ("*random_features.*", "."))

    def settings(self) -> dict[str, Any]:
        """The number of features is said where it would follow from the size of a head."""
        features = {"feature_size": self.config.resolved_feature_size} if self.larger_heads else {}
        return super().settings() | features

    def spaces(self) -> dict[str, Space]:
        """Features of a head stay together."""
        spaces = super().spaces()
        factor = self.growth.factor
        omega = Space(self.head_size, factor, float(factor) ** -0.5) if self.larger_heads else Space(self.head_size)
        if self.random:
            return spaces | {"omega": omega}
        size = self.config.resolved_feature_size
        features = Space(self.heads * size, 1 if self.larger_heads else self.growth.copies, block=size)
        return spaces | {"query": features, "key": features}


class GatedUnitLayout(Layout):
    """GAU-alpha, of gated attention units whose one head stays as it is."""

    model_types = ("gau_alpha",)
    has_heads = False

    def own_rows(self) -> Rows:
        """The units."""
        return (
            ("*gau.i_dense", "inner|inner|head /hidden"),
            ("*gau.o_dense", "hidden /inner"),
            ("*gau.*scale*", "."),
        )

    def spaces(self) -> dict[str, Space]:
        """The one head."""
        return super().spaces() | {"head": Space(self.config.attention_key_size)}


class FLASHLayout(GatedUnitLayout):
    """FLASH, whose norms have one gain or as many as numbers."""

    model_types = ("flash",)

    def own_rows(self) -> Rows:
        """The biases of the units, and the norms."""
        gain = "gain" if self.config.norm_type == "scale_norm" else "hidden"
        return (*super().own_rows(), ("*gau.relative_bias.*", "."), ("*norm", gain))

    def spaces(self) -> dict[str, Space]:
        """The one gain."""
        return super().spaces() | {"gain": Space(1, scale=self.growth.scale)}


class TokenMixerLayout(Layout):
    """Encoders without attention as it is known, and the Synthesizers, whose scores are not products of tokens."""

    model_types = ("token_mixer",)

    @property
    def has_heads(self) -> bool:  # type: ignore[override]
        """Whether it is a Synthesizer."""
        return self.config.mixer.startswith("synthesizer")

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.config.num_attention_heads) if self.has_heads else 1

    def own_rows(self) -> Rows:
        """The mixers."""
        return (
            # gMLP, aMLP.
            ("*block.LayerNorm", "hidden"),
            ("*block.i_dense", "inner /hidden"),
            ("*block.o_dense", "hidden /inner"),
            ("*gate.LayerNorm", "inner"),
            ("*block.gate*", "."),
            ("*block.attention.qkv", ". /hidden"),
            ("*block.attention.out", "inner"),
            # Mixer, whose activation across the tokens is of numbers that are not scaled.
            ("*token_norm", "unscaled"),
            ("*tokens.i_*", "."),
            ("*tokens.o_*", "token"),
            ("*feature_norm", "hidden"),
            # FNet.
            ("*mixing.LayerNorm", "hidden"),
            # Synthesizers.
            ("*scores.random*", "heads"),
            ("*scores.dense.hidden", "scored /hidden"),
            ("*scores.dense*bias", "heads"),
            ("*scores.dense*", "heads . /scored_of_head"),
            ("*scores.dot_product.query", "query /hidden"),
            ("*scores.dot_product.key", "key /hidden"),
            ("*mixture", "."),
            # External attention.
            ("*memory_key", ". /unscaled"),
            ("*memory_value", ". value"),
            ("*mixing.self.query", "unscaled /hidden"),
            ("*mixing.self.value", "value /hidden"),
            ("*mixing.output.dense", "hidden /value"),
            # The last norm.
            ("token_mixer.norm", "hidden"),
            ("norm", "hidden"),
        )

    def reasons(self) -> list[str]:
        """FNet's transform along hidden states."""
        if self.config.mixer == "fnet" and self.growth.widens:
            return ["the Fourier transform of numbers repeated is not that of the numbers repeated"]
        return []

    def spaces(self) -> dict[str, Space]:
        """What tokens add to a Mixer, and the hidden layer of a Synthesizer."""
        within = Space(self.head_size, self.growth.factor if self.larger_heads else 1)
        scored = self.in_heads(1.0)
        return super().spaces() | {
            "token": Space(self.config.max_position_embeddings, scale=self.growth.scale),
            "scored": scored,
            "scored_of_head": within,
            # A memory has no heads.
            "value": self.in_heads(self.growth.scale),
        }


class RoPEViTLayout(Layout):
    """The vision transformer, which rotates by frequencies that may be learnt."""

    model_types = ("rope_vit",)
    pooled_space = "hidden"

    def own_rows(self) -> Rows:
        """All, as no name is BERT's."""
        return (
            ("*patch_embed.proj", "hidden"),
            ("*cls_token", ". . hidden"),
            ("*pos_embed", ". . hidden"),
            ("*freqs", ". . frequencies"),
            ("*norm?", "hidden"),
            ("*attn.qkv", "query|key|value /hidden"),
            ("*attn.proj", "hidden /value"),
            ("*mlp.fc1", "inner /hidden"),
            ("*mlp.fc2", "hidden /inner"),
            # Factors of what comes out scaled.
            ("*gamma_?", "unscaled"),
            ("*norm", "hidden"),
        )

    def reasons(self) -> list[str]:
        """The rotation."""
        return [_ROTATION] if self.larger_heads and self.config.rope_kind in ("axial", "flat") else []

    def spaces(self) -> dict[str, Space]:
        """Pairs are repeated as a whole."""
        spaces = super().spaces()
        pairs = self.head_size // 2
        block = 1 if self.larger_heads else pairs
        spaces["frequencies"] = Space(self.heads * pairs, self.growth.copies, block=block)
        if self.larger_heads:
            spaces |= {name: replace(spaces[name], block=2) for name in ("query", "key")}
        return spaces


class T5PegasusLayout(Layout):
    """T5-PEGASUS, whose scores are not divided, and whose last hidden states are, by the root of their width."""

    model_types = ("t5_pegasus",)
    hidden_field, inner_field, heads_field, eps_field = "d_model", "d_ff", "num_heads", "layer_norm_epsilon"
    divides_scores = False
    bare_head = True

    @property
    def head_size(self) -> int:
        """Size D of a head, which the width does not tell."""
        return int(self.config.d_kv)

    def own_rows(self) -> Rows:
        """All, as no name is BERT's."""
        return (
            ("*shared", ". embedded"),
            ("*embed_tokens", ". embedded"),
            ("*Attention.q", "query /hidden"),
            ("*Attention.k", "key /hidden"),
            ("*Attention.v", "value /hidden"),
            ("*Attention.o", "hidden /value"),
            ("*relative_attention_bias", ". heads"),
            ("*layer_norm", "hidden"),
            ("*DenseReluDense.wo", "hidden /inner"),
            ("*DenseReluDense.wi*", "inner /hidden"),
            ("lm_head", ". /predicted"),
        )

    def settings(self) -> dict[str, Any]:
        """The size of the heads is a field."""
        larger = {"d_kv": self.head_size * self.growth.factor} if self.larger_heads else {}
        return super().settings() | larger

    def spaces(self) -> dict[str, Space]:
        """What the output matrix reads has been divided."""
        spaces = super().spaces()
        hidden = spaces["hidden"]
        return spaces | {"predicted": replace(hidden, scale=hidden.scale * float(hidden.copies) ** -0.5)}


def layout_class(model_type: str) -> type[Layout]:
    """The layout of a family.

    Raises:
        ValueError: if there is none.
    """
    found = {name: kind for kind in _subclasses(Layout) for name in kind.model_types}
    if model_type not in found:
        raise ValueError(f"model must be of one of {', '.join(sorted(found))} to be enlarged, got {model_type!r}")
    return found[model_type]


def _subclasses(kind: type[Layout]) -> list[type[Layout]]:
    return [one for direct in kind.__subclasses__() for one in (direct, *_subclasses(direct))]
