"""T-TA: an encoder that predicts every token from all others in one pass (arXiv 2004.08097; kexue.fm/archives/7661).

Keys and values of every block are made of the same embedded text. What runs through the blocks are the queries, which
begin without any token; as a query does not see its own token, no depth brings it in.

Shapes: B batch, L tokens, N heads, D head size, H hidden, V vocabulary. Parameter names are BERT's.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.models.t_ta.configuration_t_ta import TTAConfig
from hf_ext.modules.attention_mask import queries_with_keys
from hf_ext.modules.embeddings import PositionTable, TokenEmbeddings
from hf_ext.modules.encoder_model import EncoderModel, EncoderPreTrainedModel
from hf_ext.modules.family_heads import (
    MaskedLMHead,
    MultipleChoiceHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
)
from hf_ext.modules.transformer_block import LayerStack, SelfAttention, TransformerLayer
from hf_ext.ops.precision import at_least_float32
from hf_ext.transformers_private import OutputRecorder


class TTAEmbeddings(TokenEmbeddings):
    """The embedded text, and the queries with which the blocks begin."""

    def __init__(self, config: TTAConfig):
        super().__init__(config)
        self.position_embeddings = PositionTable(config.max_position_embeddings, config.hidden_size)
        self.mask_token_id = config.mask_token_id if config.query_input == "mask_token" else None

    def forward(self, inputs_embeds: Tensor, token_type_ids: Tensor | None, positions: tuple[Tensor, ...]) -> Tensor:
        """Add positions to ``inputs_embeds`` ``[B, L, H]`` and normalise."""
        embedded = self.add_types(inputs_embeds, token_type_ids) + self.position_embeddings(positions[0])
        return self.dropout(self.LayerNorm(embedded))

    def queries(self, position_ids: Tensor) -> Tensor:
        """The first queries ``[B or 1, L, H]`` at ``position_ids`` ``[B or 1, L]``, before dropout.

        Those at padding, which nothing reads, have the mask token too, where the released code has the padding token.
        """
        embedded = self.position_embeddings(position_ids)
        if self.mask_token_id is not None:
            embedded = embedded + self.word_embeddings(position_ids.new_full((1, 1), self.mask_token_id))
        return self.LayerNorm(embedded)


class TTAAttention(SelfAttention):
    """Multi-head attention of queries to the embedded text."""

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        text: Tensor,
        attention_mask: Any = None,
        sees: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from ``hidden_states`` to ``text``, ``[B, L, H]`` both; returns the joined heads and the weights.

        ``sees`` ``[B, L]`` is False where a query has no key: there the output is zero, as in a text of one token.
        """
        query = self.heads(self.query(hidden_states)).transpose(1, 2)
        key, value = (self.heads(layer(text)).transpose(1, 2) for layer in (self.key, self.value))
        out, weights = self.attend(query, key, value, attention_mask, **kwargs)
        if sees is not None and weights is not None:
            # What is shown is part of the graph.
            weights = weights.masked_fill(~sees[:, None, :, None], 0)
            out = (weights @ value).transpose(1, 2)
        elif sees is not None:
            out = out.masked_fill(~sees[:, :, None, None], 0)
        return out.reshape(*out.shape[:2], -1), weights


class TTALayer(TransformerLayer):
    """A block, whose residuals are those of the queries."""

    def __init__(self, config: TTAConfig, layer_idx: int):
        super().__init__(config, layer_idx, TTAAttention)

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        text: Tensor,
        attention_mask: Any = None,
        sees: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Transform the queries ``hidden_states`` ``[B, L, H]``; the rest as in :class:`TTAAttention`."""
        hidden_states = self.attention(hidden_states, text, attention_mask, sees, **kwargs)
        return self.output(self.intermediate(hidden_states), hidden_states)


class TTAEncoder(LayerStack):
    """All blocks, over one text."""

    def __init__(self, config: TTAConfig):
        super().__init__([TTALayer(config, i) for i in range(config.num_hidden_layers)])
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Any = None,
        positions: tuple[Tensor, ...] = (),
        encoder_hidden_states: None = None,
        encoder_attention_mask: None = None,
        cache: None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Run the first queries, the last of ``positions``, over the embedded text ``hidden_states`` ``[B, L, H]``."""
        queries = self.dropout(positions[1].expand_as(hidden_states))
        sees = queries_with_keys(attention_mask)
        for layer in self.layer:
            queries = layer(queries, hidden_states, attention_mask, sees, **kwargs)
        return queries


class TTAPreTrainedModel(EncoderPreTrainedModel):
    """What the library may do with the family."""

    config: TTAConfig
    base_model_prefix = "t_ta"
    _no_split_modules = ["TTALayer"]  # noqa: RUF012
    # It has no mask that would hide a token from its own query.
    _supports_flash_attn = False
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": TTALayer,
        "attentions": OutputRecorder(TTAAttention, index=1, layer_name="attention"),
    }


class TTAModel(EncoderModel, TTAPreTrainedModel):
    """T-TA without a head: for each token a vector of all the others, and of itself too without ``self_mask``."""

    config: TTAConfig
    takes_cache = False

    def build(self, config: Any) -> None:
        """Make embeddings and blocks."""
        self.embeddings = TTAEmbeddings(config)
        self.encoder = TTAEncoder(config)

    def position_tensors(self, position_ids: Tensor) -> tuple[Tensor, ...]:
        """Positions and the first queries, which are made of them, ``[B or 1, L]`` and ``[B or 1, L, H]``."""
        return position_ids, self.embeddings.queries(position_ids)


TTAPreTrainedModel.base_model_class = TTAModel


class TTAForMaskedLM(MaskedLMHead, TTAPreTrainedModel):
    """T-TA that predicts every token from all the others; its labels are the ids of all real tokens."""

    @torch.no_grad()
    def token_log_probs(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """The logarithm of the probability of each token given all the others, in one pass.

        Args:
            input_ids: ``[B, L]``.
            attention_mask: ``[B, L]``, 1 at real tokens; None: all are.
            **kwargs: of :meth:`forward`.

        Returns:
            ``[B, L]`` in float32 or better, 0 at padding.

        Raises:
            ValueError: without ``config.self_mask``, under which alone a token does not see itself, or with a mask of
                another shape, which would stand in place of it.
        """
        if not self.config.self_mask:
            raise ValueError("self_mask must be True to score tokens, as each would be read off itself, got False")
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError(f"attention_mask must have shape [B, L], got {list(attention_mask.shape)}")
        logits = at_least_float32(self(input_ids, attention_mask, return_dict=True, **kwargs).logits)
        found = logits.gather(-1, input_ids[..., None]).squeeze(-1) - logits.logsumexp(-1)
        return found if attention_mask is None else found.masked_fill(attention_mask == 0, 0)

    def score(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """The pseudo-log-likelihood ``[B]`` of texts, the sum of :meth:`token_log_probs` over their real tokens."""
        return self.token_log_probs(input_ids, attention_mask, **kwargs).sum(-1)


class TTAForSequenceClassification(SequenceClassificationHead, TTAPreTrainedModel):
    """T-TA that classifies or scores a text or a pair."""


class TTAForMultipleChoice(MultipleChoiceHead, TTAPreTrainedModel):
    """T-TA that picks one of several texts, each scored by its first token."""


class TTAForTokenClassification(TokenClassificationHead, TTAPreTrainedModel):
    """T-TA that labels each token on its own."""


class TTAForQuestionAnswering(QuestionAnsweringHead, TTAPreTrainedModel):
    """T-TA that scores each token as the start and the end of the answer."""
