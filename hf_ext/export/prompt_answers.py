"""What a decoder writes behind a prompt."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_ext.export.token_answers import TokenAnswers
from hf_ext.export.token_search import TokenSearch
from hf_ext.export.token_writing import write_tokens


class PromptAnswers(TokenAnswers):
    """The answers of one task of a decoder; a subclass makes them."""

    def write(
        self,
        prompts: Sequence[Mapping[str, Sequence[int]]],
        types: Sequence[int],
        searches: Sequence[TokenSearch],
        most: int,
    ) -> None:
        """Go on with searches until each has ended.

        Args:
            prompts: inputs of the graph.
            types: token type of what is written behind each.
            searches: of each.
            most: tokens that may be written.

        Raises:
            ValueError: if the model has no positions for so many.
        """
        tokens = max(len(prompt["input_ids"]) for prompt in prompts)
        longest = self.description.longest
        if longest is not None and tokens + most > longest:
            raise ValueError(
                f"max_new_tokens must be at most {longest - tokens} behind a text of {tokens} tokens, as the model has "
                f"{longest} positions, got {most}"
            )
        batch = self.padded(prompts, on_the_left=True)
        outputs = self.graphs["model"](batch)
        memory = outputs["memory"]
        held: dict[str, Any] = {
            "attention_mask": batch["attention_mask"],
            "token_type_ids": np.array(types)[:, None],
            "memory": memory,
        }
        write_tokens(searches, self.graphs["next"], outputs["logits"], memory[..., :0, :], held)
