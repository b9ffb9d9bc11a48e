"""What stands between an encoder's hidden states and its outputs: pooler, head over the vocabulary, classifier.

Shapes: B batch, L tokens, H hidden, E embedding size, V vocabulary, C labels. Parameter names are BERT's.
"""

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.activations import ACT2FN

from hf_ext.modules.encoder_config import EncoderConfig


class Pooler(nn.Module):
    """A vector for the whole text from its first token."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh() if config.pooler_activation == "tanh" else nn.Identity()

    def forward(self, first_token: Tensor) -> Tensor:
        """Project ``[B, H]``."""
        return self.activation(self.dense(first_token))


class PredictionTransform(nn.Module):
    """Dense, activation and norm before the output matrix."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.resolved_embedding_size)
        self.activation = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.resolved_embedding_size, eps=config.mlm_layer_norm_eps)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Transform ``[B, L, H]`` to ``[B, L, E]``."""
        return self.LayerNorm(self.activation(self.dense(hidden_states)))


class PredictionHead(nn.Module):
    """Logits over the vocabulary; a bare one has the output matrix alone."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        if config.bare_lm_head:
            self.transform: nn.Module = nn.Identity()
            self.decoder = nn.Linear(config.resolved_embedding_size, config.vocab_size, bias=False)
        else:
            self.transform = PredictionTransform(config)
            self.decoder = nn.Linear(config.resolved_embedding_size, config.vocab_size)
            self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def init_weights(self) -> None:
        """Initialise the parameter that no layer of this module owns."""
        if hasattr(self, "bias"):
            init.zeros_(self.bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Logits ``[B, L, V]`` of ``[B, L, H]``."""
        return self.decoder(self.transform(hidden_states))


class Predictions(nn.Module):
    """Holds the head under the name that checkpoints have."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.predictions = PredictionHead(config)
        # The bias of the output matrix is tied to this one, and is divided as the matrix is.
        divided = config.base_model_tp_plan and not config.bare_lm_head
        self._tp_plan = {"predictions.bias": "colwise"} if divided else {}

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Logits ``[B, L, V]`` of ``[B, L, H]``."""
        return self.predictions(hidden_states)


class ClassificationHead(nn.Module):
    """Dense, activation and output layer on the first token."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.dropout = classifier_dropout(config)
        self.out_proj = nn.Linear(config.hidden_size, num_labels(config))

    def forward(self, first_token: Tensor) -> Tensor:
        """Logits ``[B, C]`` of ``[B, H]``."""
        return self.out_proj(self.dropout(self.activation(self.dense(self.dropout(first_token)))))


def num_labels(config: EncoderConfig) -> int:
    """Number C of labels."""
    return int(config.num_labels or 0)


def classifier_dropout(config: EncoderConfig) -> nn.Dropout:
    """The dropout before a head's output layer."""
    return nn.Dropout(config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout)
