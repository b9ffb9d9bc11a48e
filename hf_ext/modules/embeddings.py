"""The inputs of the first block: tokens, token types, and positions where the model has a table of them.

Shapes: B batch, L tokens, E embedding size. Parameter names are BERT's.
"""

from typing import Any

from torch import Tensor, nn

from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.norm import make_norm
from hf_ext.ops.graphs import in_graph


class CheckedTable(nn.Embedding):
    """A table of vectors that names the argument that asks for one it has not."""

    argument: str
    field: str
    advice = ""

    def forward(self, ids: Tensor, argument: str | None = None) -> Tensor:
        """Look up ``ids`` ``[B or 1, L]``, which the error calls by the name ``argument``.

        Raises:
            ValueError: for an id outside the table, or one that is no whole number.
        """
        if ids.is_floating_point():
            raise ValueError(f"{argument or self.argument} must be whole numbers to be looked up, got {ids.dtype}")
        # Under compilation, and on a GPU where looking would wait for it, the kernel's own check has to do.
        if ids.device.type == "cpu" and not in_graph() and ids.numel():
            # A table that is divided among processes is asked by ids that all of them have.
            given: Any = ids.to_local() if hasattr(ids, "to_local") else ids
            outside = given[(given < 0) | (given >= self.num_embeddings)]
            if len(outside):
                raise ValueError(
                    f"{argument or self.argument} must be in [0, {self.field}={self.num_embeddings}), "
                    f"got {int(outside[0])}{self.advice}"
                )
        return super().forward(ids)


class TokenTable(CheckedTable):
    """A vector for each token."""

    argument, field = "input_ids", "vocab_size"


class TypeTable(CheckedTable):
    """A vector for each token type."""

    argument, field = "token_type_ids", "type_vocab_size"


class PositionTable(CheckedTable):
    """A vector for each position, of which there are as many as the model was made with."""

    argument, field = "position_ids", "max_position_embeddings"
    advice = ": shorten the text, or take a model without a table of positions"


class TokenEmbeddings(nn.Module):
    """Token and token-type embeddings and their norm, without position embeddings."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        size = config.resolved_embedding_size
        self.word_embeddings = TokenTable(config.vocab_size, size, padding_idx=config.pad_token_id)
        if config.type_vocab_size:
            self.token_type_embeddings = TypeTable(config.type_vocab_size, size)
        self.LayerNorm = make_norm(config.norm_type, size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def add_types(self, inputs_embeds: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """Add types ``[B, L]`` to ``[B, L, E]``; without them all are of type 0.

        Raises:
            ValueError: for types where the model has none.
        """
        if not hasattr(self, "token_type_embeddings"):
            if token_type_ids is not None:
                raise ValueError("token_type_ids must be None in a model made with type_vocab_size=0")
            return inputs_embeds
        if token_type_ids is None:
            return inputs_embeds + self.token_type_embeddings.weight[0]
        return inputs_embeds + self.token_type_embeddings(token_type_ids)

    def forward(self, inputs_embeds: Tensor, token_type_ids: Tensor | None, positions: tuple[Tensor, ...]) -> Tensor:
        """Add types to ``inputs_embeds`` ``[B, L, E]`` and normalise."""
        return self.dropout(self.LayerNorm(self.add_types(inputs_embeds, token_type_ids)))
