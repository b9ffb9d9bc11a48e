"""Masks whole words of encoded rows, for masked language modelling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info
from transformers import PreTrainedTokenizerBase

from hf_ext.transformers_private import pad_inputs

IGNORED = -100


@dataclass
class DataCollatorForWholeWordMasking:
    """Pads rows, or packs them, and masks whole words: of a word all tokens are predicted or none.

    The masking of WoBERT's pre-training (kexue.fm/archives/7758).

    Each word is chosen with ``mlm_probability``, by itself, so that this is the share of tokens that is predicted,
    whatever the lengths of words. Of the chosen tokens, each by itself, 80 % become ``[MASK]``, 10 % any token that is
    not special, 10 % stay. Special tokens, padding and tokens without a word (``word_ids`` of -1) are never chosen, nor
    is a word with a special token in it. If no word of a batch is chosen, one is, so that there is a loss.

    Rows come with ``input_ids`` and ``word_ids``, as `DocumentEncoder` makes them. ``word_ids`` is no input of a
    model: ``Trainer`` keeps it only with ``remove_unused_columns=False``.

    Args:
        tokenizer: pads, and knows the special tokens.
        mlm_probability: share of the words that is chosen.
        mask_replace_prob: share of the chosen tokens that becomes ``[MASK]``.
        random_replace_prob: share of them that becomes another token.
        packed: put all rows into one of ``[1, T]`` without padding, with ``position_ids`` that restart with each, for
            models that keep packed rows apart.
        pad_to_multiple_of: pads the number of tokens up to a multiple of this.
        generator: source of chance. In a worker of a DataLoader a new one is made of its seed and the worker's, which
            the DataLoader draws anew each epoch. None: PyTorch's global one.

    Raises:
        ValueError: if a probability is not one, or the tokenizer has no mask token.
    """

    tokenizer: PreTrainedTokenizerBase
    mlm_probability: float = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    packed: bool = False
    pad_to_multiple_of: int | None = None
    generator: torch.Generator | None = None
    _of_worker: tuple[int, torch.Generator] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("mlm_probability", "mask_replace_prob", "random_replace_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.mask_replace_prob + self.random_replace_prob > 1:
            raise ValueError(
                "mask_replace_prob and random_replace_prob must not exceed 1 together, "
                f"got {self.mask_replace_prob} and {self.random_replace_prob}"
            )
        if self.tokenizer.mask_token_id is None:
            raise ValueError("tokenizer must have a mask token, got mask_token=None")
        if self.packed and self.pad_to_multiple_of is not None:
            raise ValueError(f"pad_to_multiple_of must be None with packed=True, got {self.pad_to_multiple_of}")
        self._special = torch.tensor(sorted(set(self.tokenizer.all_special_ids)))
        ids = torch.arange(len(self.tokenizer))
        self._plain = ids[~torch.isin(ids, self._special)]

    def __getstate__(self) -> dict[str, Any]:
        # As numbers: spawned workers cannot open the shared memory in which tensors would travel with a generator.
        state = self.generator and self.generator.get_state().tolist()
        return {**self.__dict__, "generator": state, "_of_worker": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state["generator"] is not None:
            self.generator = torch.Generator()
            self.generator.set_state(torch.tensor(state["generator"], dtype=torch.uint8))

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """A batch of ``[B, L]`` ids, labels and ``attention_mask``, or, packed, of ``[1, T]`` with ``position_ids``.

        ``labels`` are the original ids where a token is to be predicted, and -100 elsewhere.

        Args:
            rows: with ``input_ids`` and ``word_ids`` and, if any, other inputs of the model.

        Raises:
            ValueError: if a row has no ``word_ids``, or not one a token.
        """
        for row in rows:
            if "word_ids" not in row:
                raise ValueError(
                    f"rows must have word_ids, got {sorted(row)}; DocumentEncoder makes them, and Trainer drops them "
                    "unless remove_unused_columns=False"
                )
            if len(row["word_ids"]) != len(row["input_ids"]):
                raise ValueError(
                    f"word_ids must have a number a token, got {len(row['word_ids'])} for "
                    f"{len(row['input_ids'])} tokens"
                )
        batch = (
            self._pack(rows)
            if self.packed
            else pad_inputs(self.tokenizer, rows, pad_to_multiple_of=self.pad_to_multiple_of)
        )
        words = torch.full_like(batch["input_ids"], -1)
        first, place = 0, 0
        for index, row in enumerate(rows):
            own = torch.as_tensor(row["word_ids"], dtype=torch.long)
            if self.packed:
                target = words[0, place : place + len(own)]
            elif self.tokenizer.padding_side == "left":
                target = words[index, words.size(1) - len(own) :]
            else:
                target = words[index, : len(own)]
            # Numbers that no other row has.
            target.copy_(torch.where(own >= 0, own + first, -1))
            first, place = max(first, int(target.max()) + 1 if len(own) else 0), place + len(own)
        batch["input_ids"], batch["labels"] = self.mask_words(batch["input_ids"], words)
        return batch

    def mask_words(
        self,
        input_ids: Tensor,
        words: Tensor,
        generator: torch.Generator | None = None,
        at_least_one: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Mask ``[B, L]`` ids; tokens with the same number in ``words`` ``[B, L]`` are chosen together, -1 never.

        Args:
            input_ids: the ids.
            words: the numbers.
            generator: source of chance for these; None: that of the collator.
            at_least_one: whether one is chosen where none would be.

        Returns:
            The masked ids and the labels, both ``[B, L]``.
        """
        chance = self._chance() if generator is None else generator
        real = words >= 0
        numbers, inverse = torch.unique(words[real], return_inverse=True)
        allowed = torch.ones_like(numbers, dtype=torch.bool)
        allowed[inverse[torch.isin(input_ids, self._special)[real]]] = False
        chosen = allowed & (torch.rand(len(numbers), generator=chance) < self.mlm_probability)
        if at_least_one and self.mlm_probability > 0 and allowed.any() and not chosen.any():
            places = allowed.nonzero().squeeze(-1)
            chosen[places[torch.randint(len(places), (1,), generator=chance)]] = True
        picked = torch.zeros_like(real)
        picked[real] = chosen[inverse]

        draw = torch.rand(input_ids.shape, generator=chance)
        masked = torch.where(picked & (draw < self.mask_replace_prob), self.tokenizer.mask_token_id, input_ids)
        other = picked & (draw >= self.mask_replace_prob) & (draw < self.mask_replace_prob + self.random_replace_prob)
        masked[other] = self._plain[torch.randint(len(self._plain), (int(other.sum()),), generator=chance)]
        return masked, torch.where(picked, input_ids, IGNORED)

    def _pack(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        names = [name for name in self.tokenizer.model_input_names if name in rows[0] and name != "attention_mask"]
        batch = {name: torch.cat([torch.as_tensor(row[name]) for row in rows])[None].long() for name in names}
        batch["position_ids"] = torch.cat([torch.arange(len(row["input_ids"])) for row in rows])[None]
        return batch

    def _chance(self) -> torch.Generator | None:
        worker = get_worker_info()
        if self.generator is None or worker is None:
            return self.generator
        if self._of_worker is None or self._of_worker[0] != worker.seed:
            # All workers get the same copy of the generator, and again in each epoch.
            seed = (self.generator.initial_seed() + worker.seed) % (1 << 63)
            self._of_worker = worker.seed, torch.Generator().manual_seed(seed)
        return self._of_worker[1]
