"""What a linear RoFormer keeps between the steps of a generation."""

from hf_ext.modules.state_cache import StateCache
from hf_ext.ops.linear_attention import LinearAttentionState


class LinearRoFormerCache(StateCache):
    """The sums of all layers, in a size that does not depend on the text's length."""

    states: dict[int, LinearAttentionState]
