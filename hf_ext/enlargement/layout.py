"""What the layers of a model read and write, and how its config grows: a row for each kind of layer.

A row is the pattern of a layer's name, and what the axes of its weight are: the space that the layer writes, or with a
slash the one that it reads, or ``.`` for an axis that stays, as do those not named. So ``hidden /value`` is a weight
``[out, in]`` from the values of attention to hidden states, and a bias has the axes that are written. Parts of an axis
stand side by side with a bar between. The factor of a weight follows: what is written is scaled, and what is read was
scaled and counts as often as it has copies. The first row that fits counts.

A family overrides what it has of its own; this is BERT's layout.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, ClassVar

from hf_ext.enlargement.growth import Growth, Space

Rows = tuple[tuple[str, str], ...]

# A classifier with a layer as wide as hidden states in front.
_WIDE_CLASSIFIER: Rows = (("classifier.dense", "unscaled /hidden"), ("classifier.out_proj", ". /unscaled"))
# A norm that depends on the hidden states of a subject's first and last token.
_HALF_POINTERS: Rows = (
    ("classifier.subject", ". /hidden"),
    ("classifier.norm.*_dense", "unscaled /ends"),
    ("classifier.norm", "unscaled"),
    ("classifier.object", ". /unscaled"),
)


class Layout:
    """The layout of a model of BERT's kin.

    Args:
        config: of the small model.
        growth: what is to grow.
        names: of the parameters.
        tied: whether the output matrix is the token embedding.
        pooled_classifier: whether the classifier reads the pooler's output.

    Raises:
        ValueError: if the model has nothing that grows so.
    """

    model_types: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Rows] = (
        ("*embeddings", ". embedded"),
        ("*embeddings.LayerNorm", "embedded"),
        ("*embeddings_project", "hidden /embedded"),
        ("*attention.self.query", "query /hidden"),
        ("*attention.self.key", "key /hidden"),
        ("*attention.self.value", "value /hidden"),
        ("*attention.output.dense", "hidden /value"),
        ("*output.LayerNorm", "hidden"),
        ("*intermediate.dense", "inner /hidden"),
        ("*output.dense", "hidden /inner"),
        ("*pooler.dense", "unscaled /hidden"),
        ("cls.predictions.transform.dense", "transformed /hidden"),
        ("cls.predictions.transform.LayerNorm", "predicted"),
        ("cls.predictions.decoder", ". /predicted"),
        ("cls.predictions", "."),
        ("cls.seq_relationship", ". /unscaled"),
        ("qa_outputs", ". /hidden"),
        ("classifier", ". /classified"),
        # Pointers, tags, answers: what their layers have behind the first does not grow.
        ("classifier*.q_dense", "."),
        ("classifier*dense", ". /hidden"),
        ("classifier*", "."),
    )
    hidden_field: ClassVar[str] = "hidden_size"
    inner_field: ClassVar[str] = "intermediate_size"
    heads_field: ClassVar[str] = "num_attention_heads"
    eps_field: ClassVar[str] = "layer_norm_eps"
    pooled_space: ClassVar[str] = "unscaled"
    """The space of ``pooler_output``."""
    takes_types: ClassVar[bool] = True
    """Whether token types other than 0 may be given."""
    has_heads = True
    """Whether there are heads, of which there can be more or larger ones."""
    divides_scores = True
    """Whether scores are divided by the root of a head's size."""

    def __init__(
        self,
        config: Any,
        growth: Growth,
        names: Collection[str] = (),
        tied: bool = False,
        pooled_classifier: bool = False,
    ):
        self.config, self.growth, self.names = config, growth, names
        self.tied, self.pooled_classifier = tied, pooled_classifier
        if growth.grow == "head_size" and not self.has_heads:
            raise ValueError(
                f'grow must be "heads" or "feed_forward" in a {type(config).__name__}, which has no heads that could '
                f'be larger, got "head_size"'
            )
        if growth.convention == "orthogonal" and getattr(config, "norm_type", None) == "rms_norm":
            raise ValueError(
                'convention must be "repeat" with norm_type="rms_norm", whose outputs have a length of their own, '
                'got "orthogonal"'
            )
        if growth.scale != 1 and self.has_half_pointers:
            raise ValueError(
                'convention must be "repeat" with half pointers, whose norm has an epsilon that is in no config, got '
                f'"{growth.convention}"'
            )

    @property
    def hidden_size(self) -> int:
        """Width H."""
        return int(getattr(self.config, self.hidden_field))

    @property
    def embedding_size(self) -> int:
        """Width of the embeddings."""
        return int(getattr(self.config, "embedding_size", None) or self.hidden_size)

    @property
    def heads(self) -> int:
        """Number N of heads."""
        return int(getattr(self.config, self.heads_field))

    @property
    def head_size(self) -> int:
        """Size D of a head."""
        return self.hidden_size // self.heads

    @property
    def larger_heads(self) -> bool:
        """Whether it is the size of the heads that grows."""
        return self.growth.grow == "head_size"

    @property
    def has_half_pointers(self) -> bool:
        """Whether the classifier is one of half pointers."""
        return "classifier.norm.weight_dense.weight" in self.names

    @property
    def bare_head(self) -> bool:
        """Whether the head over the vocabulary is the output matrix alone."""
        return bool(getattr(self.config, "bare_lm_head", False))

    def all_rows(self) -> Rows:
        """The rows in the order in which they are tried."""
        wide = "classifier.out_proj.weight" in self.names
        classifier = _WIDE_CLASSIFIER if wide else _HALF_POINTERS if self.has_half_pointers else ()
        return (*self.own_rows(), *classifier, *self.rows)

    def own_rows(self) -> Rows:
        """The rows of the family, which stand before BERT's."""
        return ()

    def reasons(self) -> list[str]:
        """Why the outputs of the large model must be others."""
        return []

    def settings(self) -> dict[str, Any]:
        """The fields of the config that change."""
        growth = self.growth
        grown = [self.inner_field]
        if growth.widens:
            grown.append(self.hidden_field)
            if getattr(self.config, "embedding_size", None) == self.hidden_size:
                grown.append("embedding_size")
            if self.has_heads and not self.larger_heads:
                grown.append(self.heads_field)
        settings: dict[str, Any] = {name: getattr(self.config, name) * growth.factor for name in grown}
        if growth.scale != 1:
            settings[self.eps_field] = getattr(self.config, self.eps_field) / growth.factor
        return settings

    def spaces(self) -> dict[str, Space]:
        """The spaces that rows name."""
        growth, copies, scale = self.growth, self.growth.copies, self.growth.scale
        hidden = Space(self.hidden_size, copies, scale)
        # Narrower ones stay as wide, but have to be as long as what the same epsilon serves.
        factorized = self.embedding_size != self.hidden_size
        embedded = Space(self.embedding_size, scale=scale) if factorized else hidden
        predicted = hidden if self.bare_head else embedded
        if self.tied and not self.bare_head:
            # The matrix is that of the embeddings, so that the norm in front has to make up for it.
            predicted = replace(predicted, scale=1 / (predicted.copies * embedded.scale))
        return {
            "hidden": hidden,
            "embedded": embedded,
            # Behind an activation a scale would be lost.
            "unscaled": replace(hidden, scale=1.0),
            "transformed": replace(embedded, scale=1.0),
            "predicted": predicted,
            "classified": replace(hidden, scale=1.0) if self.pooled_classifier else hidden,
            "ends": Space(2 * self.hidden_size, copies, scale),
            "inner": Space(int(getattr(self.config, self.inner_field)), growth.factor),
            "heads": Space(self.heads, copies if growth.grow == "heads" else 1),
            "query": self.in_heads(self.score_scale()),
            "key": self.in_heads(self.score_scale()),
            "value": self.in_heads(scale),
        }

    def in_heads(self, scale: float, block: int = 1) -> Space:
        """The joined heads of attention.

        Args:
            scale: of the numbers.
            block: how many neighbours of a larger head are repeated together.
        """
        block = block if self.larger_heads else self.head_size
        return Space(self.heads * self.head_size, self.growth.copies, scale, block)

    def score_scale(self) -> float:
        """What queries and keys are multiplied by each, so that their products stay."""
        if not self.larger_heads:
            return 1.0
        return float(self.growth.factor) ** (-0.25 if self.divides_scores else -0.5)
