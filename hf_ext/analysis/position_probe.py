"""Whether a model can tell equal tokens apart by their places (kexue.fm/archives/9105; arXiv 2205.13401)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_ext.transformers_private import attention_implementation


@dataclass(frozen=True)
class PositionProbe:
    """What a model makes of equal tokens.

    Attributes:
        spread: the largest difference between the hidden states of two of the tokens, as a part of the largest number
            in any of them.
        tolerance: spread up to which the states count as equal.
    """

    spread: float
    tolerance: float

    @property
    def tells_positions(self) -> bool:
        """Whether the tokens are told apart, so that what comes after the model can answer where each stands."""
        return self.spread > self.tolerance


def probe_positions(
    model: PreTrainedModel,
    length: int = 16,
    token_id: int | None = None,
    before: Sequence[int] = (),
    after: Sequence[int] = (),
    tolerance: float = 1e-6,
) -> PositionProbe:
    """Give a model equal tokens, and see whether its last hidden states differ.

    Where rows of attention weights add up to 1 and values carry no position, the weighted mean of equal values is that
    value, whatever the weights: then all states are equal, after any number of layers. So it is with rotary positions
    and with biases before softmax, causal or not, until a special token stands among the others. Absolute positions,
    positions in the values, and weights that do not add up to 1 tell the tokens apart.

    It is the weights at hand that are looked at: URPE begins as plain attention, and fails until it has learnt.

    Args:
        model: any that gives ``last_hidden_state``, or a head over one; of an encoder and a decoder the encoder. A copy
            is run in float64, as in evaluation.
        length: number of equal tokens, 2 at least.
        token_id: the token; None: the last one of the vocabulary.
        before: ids of other tokens in front of them, such as that of [CLS].
        after: ids of other tokens behind them, such as that of [SEP].
        tolerance: spread up to which the states count as equal. In float64 rounding makes 1e-14 or so, and 1e-6 in
            models that compute their angles in float32 whatever the type.

    Returns:
        The spread, which ``tells_positions`` compares with the tolerance.

    Raises:
        ValueError: if ``length`` is less than 2, or the token has no vector.
    """
    if length < 2:
        raise ValueError(f"length must be at least 2, as one token has no other to be told from, got {length}")
    body: Any = copy.deepcopy(model.base_model).double().eval()
    if getattr(body.config, "is_encoder_decoder", False):
        body = body.get_encoder()
    if attention_implementation(body.config).startswith(("flash", "flex")):
        # Flash attention takes half precision alone, and flex attention would be compiled for this one row.
        body.set_attn_implementation("eager")
    size = body.get_input_embeddings().weight.shape[0]
    token_id = size - 1 if token_id is None else token_id
    if not 0 <= token_id < size:
        raise ValueError(f"token_id must be in [0, {size}), got {token_id}")
    ids = torch.tensor([[*before, *[token_id] * length, *after]], device=model.device)
    with torch.no_grad():
        states: Tensor = body(input_ids=ids).last_hidden_state[0]
    states = states[len(before) : len(before) + length]
    # As a part of nothing, a difference is what it is.
    size_of_states = float(states.abs().max()) or 1.0
    return PositionProbe(float((states.amax(0) - states.amin(0)).max()) / size_of_states, tolerance)
