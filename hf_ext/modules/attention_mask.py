"""The mask of all layers of a forward pass, for padded batches and for packed rows, in each back end's form."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache
from transformers.masking_utils import and_masks, create_bidirectional_mask, create_causal_mask

from hf_ext.ops.masks import MaskFunction, other_token, same_document, same_unilm_group, unilm_mask
from hf_ext.ops.packing import Packing
from hf_ext.transformers_private import attention_implementation

# Under these a query sees what comes after it.
_BOTH_WAYS = ("bidirectional", "all_but_self")


def _is_flash(config: PreTrainedConfig) -> bool:
    return attention_implementation(config).startswith("flash_attention")


def _refuse_flash(config: PreTrainedConfig, what: str) -> None:
    # Flash attention silently drops mask functions, and the numbers would be wrong.
    if _is_flash(config):
        raise ValueError(
            f"attn_implementation={attention_implementation(config)!r} cannot do {what}; "
            'use "sdpa", "flex_attention" or "eager"'
        )


def padded_mask(
    config: PreTrainedConfig,
    mode: str,
    hidden_states: Tensor,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None = None,
    documents: Tensor | None = None,
    cache: Cache | None = None,
) -> Any:
    """Build the mask of a batch of rows.

    Args:
        config: names the back end.
        mode: ``"bidirectional"``, ``"causal"``, ``"unilm"``, or ``"all_but_self"``: a query sees every key but its own.
        hidden_states: ``[B, L, H]``, for size, type and device.
        attention_mask: ``[B, L]``, non-zero at real tokens; ``[B, 1, L, L]`` passes as it is; None: all are real.
        token_type_ids: ``[B, L]``, for UniLM; None: all 0.
        documents: ``[B, L]``, number of the document each token is in; None: each row is one.
        cache: keys and values of the tokens before.

    Returns:
        The mask, or None where the back end needs none.

    Raises:
        ValueError: if the back end cannot do it.
    """
    functions: dict[str, Any] = {}
    if documents is not None:
        _refuse_flash(config, "packed rows with a cache or more than one row")
        functions["and_mask_function"] = same_document(documents)
    if mode == "all_but_self":
        _refuse_flash(config, "a mask of all but the token itself")
        visible = functions.get("and_mask_function")
        functions["and_mask_function"] = other_token if visible is None else and_masks(visible, other_token)
    # A single query with a cache sees all that is there, in UniLM too.
    if mode == "unilm" and hidden_states.shape[1] > 1:
        _refuse_flash(config, 'attention_mode="unilm"')
        if token_type_ids is None:
            token_type_ids = torch.zeros(hidden_states.shape[:2], dtype=torch.long, device=hidden_states.device)
        past_length = cache.get_seq_length() if cache is not None else 0
        functions["or_mask_function"] = same_unilm_group(token_type_ids, past_length)
    if functions and torch.jit.is_tracing() and (attention_mask is None or attention_mask.dim() == 2):
        # The library maps functions over indices one by one, of which a trace keeps nothing.
        past_length = cache.get_seq_length() if cache is not None else 0
        attention_mask = _traced_mask(config, mode, hidden_states, attention_mask, past_length, **functions)
    build = create_bidirectional_mask if mode in _BOTH_WAYS else create_causal_mask
    return build(
        config=config,
        inputs_embeds=hidden_states,
        attention_mask=attention_mask,
        cache=cache,
        **functions,
    )


def _traced_mask(
    config: PreTrainedConfig,
    mode: str,
    hidden_states: Tensor,
    attention_mask: Tensor | None,
    past_length: int,
    and_mask_function: MaskFunction | None = None,
    or_mask_function: MaskFunction | None = None,
) -> Tensor:
    """What the library makes of the functions for eager attention and sdpa: ``[B, 1, L, past_length + L]``."""
    batch_size, length = hidden_states.shape[:2]
    device = hidden_states.device
    batch = torch.arange(batch_size, device=device)[:, None, None, None]
    key = torch.arange(past_length + length, device=device)[None, None, None]
    query = torch.arange(past_length, past_length + length, device=device)[None, None, :, None]
    head = torch.zeros_like(batch)
    seen = (key <= query) | torch.tensor(mode in _BOTH_WAYS, device=device)
    if or_mask_function is not None:
        seen = seen | or_mask_function(batch, head, query, key)
    if and_mask_function is not None:
        seen = seen & and_mask_function(batch, head, query, key)
    if attention_mask is not None:
        seen = seen & (attention_mask != 0)[:, None, None]
    if attention_implementation(config) != "eager":
        return seen
    return torch.zeros_like(seen, dtype=hidden_states.dtype).masked_fill(~seen, torch.finfo(hidden_states.dtype).min)


def packed_arguments(config: PreTrainedConfig, packing: Packing) -> dict[str, Any]:
    """What :func:`hf_ext.modules.attention.attend` needs to keep the sequences of a packed row apart.

    Args:
        config: names the back end.
        packing: where the sequences lie.
    """
    if not _is_flash(config):
        return {"sequence_lengths": packing.lengths}
    longest, offsets = max(packing.lengths), packing.cu_seq_lens
    return {"cu_seq_lens_q": offsets, "cu_seq_lens_k": offsets, "max_length_q": longest, "max_length_k": longest}


def packed_masks(
    config: PreTrainedConfig, mode: str, packing: Packing, token_type_ids: Tensor | None, dtype: torch.dtype
) -> list[Tensor] | None:
    """Build the masks of the sequences of a packed row.

    Args:
        config: names the back end.
        mode: ``"bidirectional"``, ``"causal"``, ``"unilm"``, or ``"all_but_self"``: a query sees every key but its own.
        packing: where the sequences lie.
        token_type_ids: ``[1, T]``, for UniLM; None: all 0.
        dtype: of additive masks.

    Returns:
        A mask ``[1, 1, l, l]`` for each sequence, or None where the back end's own causality says it all.

    Raises:
        ValueError: if the back end cannot do it.
    """
    eager = attention_implementation(config) == "eager"
    if mode == "bidirectional" or (mode == "causal" and not eager) or (mode == "unilm" and token_type_ids is None):
        return None
    if mode == "all_but_self":
        _refuse_flash(config, "a mask of all but the token itself")
        device = packing.cu_seq_lens.device
        masks = [~torch.eye(length, dtype=torch.bool, device=device)[None, None] for length in packing.lengths]
    else:
        if mode == "unilm":
            _refuse_flash(config, 'attention_mode="unilm"')
        else:
            # Causal is UniLM with each token in a group of its own.
            token_type_ids = packing.cu_seq_lens.new_ones(1, sum(packing.lengths))
        assert token_type_ids is not None
        masks = [unilm_mask(types) for types in token_type_ids.split(packing.lengths, dim=1)]
    if eager:
        masks = [torch.zeros_like(m, dtype=dtype).masked_fill(~m, torch.finfo(dtype).min) for m in masks]
    return masks


def queries_with_keys(mask: Any) -> Tensor | None:
    """Which queries see any key; None where all do, or where the back end answers those that see none by zeros.

    Args:
        mask: of :func:`padded_mask` or :func:`packed_masks`.

    Returns:
        ``[B, L]`` bool.
    """
    if isinstance(mask, list):
        return torch.cat([found for found in map(queries_with_keys, mask) if found is not None], dim=1)
    if not isinstance(mask, Tensor):
        return None
    seen = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    # All heads see the same.
    return seen.any(-1)[:, 0]
