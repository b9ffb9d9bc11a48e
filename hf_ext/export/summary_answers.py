"""What a model writes of a text, token by token."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hf_ext.data.text_to_text import decode_summaries
from hf_ext.export.graph_session import Array
from hf_ext.export.token_answers import TokenAnswers
from hf_ext.export.token_search import search_of
from hf_ext.export.token_writing import write_tokens
from hf_ext.export.writing_settings import WritingSettings


class SummaryAnswers(TokenAnswers):
    """What "summary-generation" gives."""

    options: ClassVar[tuple[str, ...]] = ("num_beams", "max_length", "min_length", "length_penalty", "early_stopping")

    def answers(self, inputs: Sequence[Any], batch_size: int, **options: Any) -> Iterator[Any]:
        """What is written of each text.

        Raises:
            TypeError: if an input is no text.
            ValueError: if an option must not have its value, or has no effect.
        """
        settings = WritingSettings(**self.description.settings).changed(**options)
        for one in inputs:
            if not isinstance(one, str):
                raise TypeError(f"inputs must be texts, got {type(one).__name__}")
        rows = self.rows(inputs, settings)
        found: dict[int, str] = {}
        size = max(1, batch_size // settings.num_beams)
        for chosen in self.batches([len(row["input_ids"]) for row in rows], size):
            written = self._written(self.padded([rows[number] for number in chosen]), settings)
            found.update((number, decode_summaries(self.tokenizer, [ids])[0]) for number, ids in zip(chosen, written))
        yield from (found[number] for number in range(len(inputs)))

    def rows(self, texts: Sequence[str], settings: WritingSettings) -> list[dict[str, Sequence[int]]]:
        """The inputs of the graph of each text."""
        encoded = self.tokenizer(
            list(texts), truncation=True, max_length=self.window_length(None), return_attention_mask=True
        )
        return [self.inputs_of(encoded, number) for number in range(len(texts))]

    def _written(self, batch: Mapping[str, Array], settings: WritingSettings) -> list[list[int]]:
        """The tokens that are written of each row; rows run together until they end."""
        mask = batch["attention_mask"]
        outputs = self.graphs["model"]({**batch, "token": np.full((len(mask), 1), settings.start)})
        searches = [search_of(settings) for _ in mask]
        # What is known of a text, where the graph is told it each time.
        held = {name: values for name, values in {**batch, **outputs}.items() if name in ("attention_mask", "memory")}
        write_tokens(searches, self.graphs["next"], outputs["logits"], outputs["past"], held)
        return [search.best() for search in searches]
