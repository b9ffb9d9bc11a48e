"""Paraphrases of a text: texts that are drawn, and ranked by how similar the model finds them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from hf_ext.data.text_to_text import decode_summaries
from hf_ext.export.drawing_settings import DrawingSettings
from hf_ext.export.drawn_tokens import DrawnTexts
from hf_ext.export.graph_session import Array
from hf_ext.export.prompt_answers import PromptAnswers

# As of the pipeline.
_SAMPLES, _CANDIDATES = 100, 20


class ParaphraseAnswers(PromptAnswers):
    """What "paraphrase-generation" gives."""

    options: ClassVar[tuple[str, ...]] = (
        "num_samples",
        "num_candidates",
        "top_p",
        "temperature",
        "max_new_tokens",
        "seed",
    )

    def answers(
        self,
        inputs: Sequence[Any],
        batch_size: int,
        num_samples: int | None = None,
        num_candidates: int | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        **drawn: Any,
    ) -> Iterator[Any]:
        """Paraphrases of each text, the most similar first; with a seed those of a text depend on it and the text.

        Raises:
            TypeError: if an input is no text.
            ValueError: if an option must not have its value, or the model has no positions for so many tokens.
        """
        if num_candidates is not None and num_candidates < 1:
            raise ValueError(f"num_candidates must be at least 1, got {num_candidates}")
        if max_new_tokens is not None and max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        settings = DrawingSettings(**self.description.settings).changed(**drawn)
        settings = replace(settings, num_samples=_SAMPLES if num_samples is None else num_samples)
        if max_new_tokens is not None:
            settings = replace(settings, max_length=max_new_tokens + 1)
        for one in inputs:
            if not isinstance(one, str):
                raise TypeError(f"inputs must be texts, got {type(one).__name__}")
        for text in inputs:
            (prompt,) = self._rows([text])
            samples = DrawnTexts(settings, np.random.default_rng(seed))
            self.write([prompt], [1], [samples], settings.max_length - 1)
            written = [decode_summaries(self.tokenizer, [ids[1:]])[0] for ids in samples.finished]
            yield self.ranked(text, written, batch_size)[: num_candidates or _CANDIDATES]

    def ranked(self, text: str, written: Sequence[str], batch_size: int) -> list[dict[str, Any]]:
        """Different texts other than ``text`` as ``{"text", "similarity"}``, the most similar first."""
        candidates = [one for one in dict.fromkeys(written) if one and one != text]
        if not candidates:
            return []
        rows = self._rows([text, *candidates])
        vectors: dict[int, Array] = {}
        for chosen in self.batches([len(row["input_ids"]) for row in rows], batch_size):
            batch = self.padded([rows[number] for number in chosen], on_the_left=True)
            vectors.update(zip(chosen, self.graphs["model"](batch)["vectors"]))
        own = np.stack([vectors[number] for number in range(len(rows))]).astype(np.float64)
        unit = own / np.sqrt(np.maximum(np.square(own).sum(-1, keepdims=True), 1e-12))
        pairs = zip(candidates, (unit[1:] @ unit[0]).tolist())
        return [{"text": one, "similarity": cosine} for one, cosine in sorted(pairs, key=lambda pair: -pair[1])]

    def _rows(self, texts: Sequence[str]) -> list[dict[str, Sequence[int]]]:
        encoded = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.window_length(None),
            return_token_type_ids=True,
            return_attention_mask=True,
        )
        return [self.inputs_of(encoded, number) for number in range(len(texts))]
