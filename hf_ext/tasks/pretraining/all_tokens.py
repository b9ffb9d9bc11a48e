"""Asks for every token of unmasked rows, of models whose outputs do not see the token that they are to predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from hf_ext.tasks.pretraining.packed_rows import join_rows, pad_rows

BLIND_TO_ITSELF = ("t_ta",)
"""Types of models whose output at a token is made of all others and not of it."""


@dataclass
class DataCollatorForAllTokens:
    """Pads rows, or packs them, and asks for every token: labels are the ids at real tokens, inputs stay unmasked.

    The objective of T-TA (kexue.fm/archives/7661; arXiv 2004.08097), [CLS] and [SEP] among the tokens. Any other model
    would copy its input: `check_blind` refuses those.

    Args:
        tokenizer: pads.
        packed: put all rows into one of ``[1, T]`` without padding, with ``position_ids`` that restart with each
            document, for models that keep packed documents apart.
        pad_to_multiple_of: pads the number of tokens up to a multiple of this.

    Raises:
        ValueError: if rows are to be both packed and padded.
    """

    tokenizer: PreTrainedTokenizerBase
    packed: bool = False
    pad_to_multiple_of: int | None = None

    def __post_init__(self) -> None:
        if self.packed and self.pad_to_multiple_of is not None:
            raise ValueError(f"pad_to_multiple_of must be None with packed=True, got {self.pad_to_multiple_of}")

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """A batch of ``[B, L]`` ids, labels and ``attention_mask``, or, packed, of ``[1, T]`` with ``position_ids``.

        ``labels`` are -100 at padding.

        Args:
            rows: with ``input_ids`` and, where a row has several documents, ``position_ids``.
        """
        asked = [{**row, "labels": row["input_ids"]} for row in rows]
        return join_rows(asked) if self.packed else pad_rows(self.tokenizer, asked, self.pad_to_multiple_of)


def check_blind(config: PreTrainedConfig) -> None:
    """Refuse a model whose output at a token sees this token, and so would learn to copy it.

    Raises:
        ValueError: naming the model's type, or the field by which it sees its own tokens.
    """
    if config.model_type not in BLIND_TO_ITSELF:
        raise ValueError(
            f"model must be one whose output does not see its own token ({', '.join(BLIND_TO_ITSELF)}), or all tokens "
            f"can be copied from the input, got {config.model_type}"
        )
    if not getattr(config, "self_mask", True):
        raise ValueError("self_mask must be True to learn from all tokens, as each would see itself, got False")
