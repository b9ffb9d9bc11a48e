"""What FLASH keeps between the steps of a generation: a state of constant size in each layer."""

from hf_ext.modules.state_cache import StateCache
from hf_ext.ops.mixed_chunk_attention import MixedChunkState


class FLASHCache(StateCache):
    """The states of all layers under ``attention="mixed_chunk"``, in a size that does not depend on the length."""

    states: dict[int, MixedChunkState]
