"""Labels of texts by what a masked language model says at the masks of its pattern.

Shapes: B rows, k masks, V vocabulary, C labels, W words of a label, N candidates.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hf_ext.export.graph_session import Array
from hf_ext.export.token_answers import TokenAnswers
from hf_ext.metrics.class_scores import class_probabilities
from hf_ext.tasks.cloze.encoding import NOT_THERE, ClozeEncoder, cloze_example
from hf_ext.tasks.cloze.labels import Decoding, check_options, ranked_labels
from hf_ext.tasks.cloze.pattern import ClozePattern


class ClozeAnswers(TokenAnswers):
    """What "cloze" gives, by the pattern in the model's config."""

    options: ClassVar[tuple[str, ...]] = ("top_k", "decoding")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        pattern = ClozePattern.from_json(self.config.cloze, "the config's cloze")
        self.encoder = ClozeEncoder(pattern, self.tokenizer, self.window_length(None))

    def answers(
        self,
        inputs: Sequence[Any],
        batch_size: int,
        top_k: int | None = None,
        decoding: Decoding | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """The likeliest labels of each text."""
        check_options(top_k, decoding)
        examples = [cloze_example(one) for one in inputs]
        rows = self.encoder(examples)
        found: dict[int, Array] = {}
        for chosen in self.batches([len(row["input_ids"]) for row in rows], batch_size):
            own = [rows[number] for number in chosen]
            found.update(zip(chosen, self._scores(own, batch_size, decoding or "parallel")))
        for number, example in enumerate(examples):
            labels = self.encoder.pattern.labels_of(example)
            chances = class_probabilities(found[number][: len(labels)], multi_label=False)
            yield ranked_labels(labels, chances.tolist(), top_k or 1)

    def _scores(self, rows: Sequence[Mapping[str, Any]], batch_size: int, decoding: Decoding) -> list[Array]:
        """Scores ``[C]`` of the labels of each row."""
        words = [np.asarray(row["words"]) if self.encoder.words is None else self.encoder.words for row in rows]
        if decoding != "parallel":
            return [self._decoded(row, own, batch_size, decoding) for row, own in zip(rows, words)]
        chances = self._chances(rows)
        return [label_scores(chances[number, : own.shape[-1]], own) for number, own in enumerate(words)]

    def _chances(self, rows: Sequence[Mapping[str, Any]]) -> Array:
        """Log-probabilities ``[B, k, V]`` at the masks of rows; of rows with fewer masks the last are anything."""
        places = np.zeros((len(rows), max(len(row["mask_places"]) for row in rows)), np.int64)
        for number, row in enumerate(rows):
            places[number, : len(row["mask_places"])] = row["mask_places"]
        batch = self.padded([self.inputs_of({name: [value] for name, value in row.items()}, 0) for row in rows])
        return self.graphs["model"]({**batch, "places": places})["log_probs"]

    def _decoded(self, row: Mapping[str, Any], words: Array, batch_size: int, decoding: Decoding) -> Array:
        """Scores ``[C]`` of the labels of one row, whose words ``[C, W, k]`` are put in token by token."""
        there = (words != NOT_THERE).any(-1)
        waiting = words[there]

        def chances_of(texts: Array) -> Array:
            parts = [
                self._chances([{**row, "input_ids": ids.tolist()} for ids in texts[start : start + batch_size]])
                for start in range(0, len(texts), batch_size)
            ]
            return np.concatenate(parts)

        ids, places = np.asarray(row["input_ids"]), np.asarray(row["mask_places"])
        scores = np.zeros(there.shape)
        scores[there] = decoded_scores(chances_of, ids, places, waiting, decoding)
        return scores.sum(-1) / there.sum(-1)


def label_scores(chances: Array, words: Array) -> Array:
    """Scores ``[C]`` of labels, of each the mean of its words', whose tokens are predicted each at its own mask.

    Args:
        chances: log-probabilities ``[k, V]``.
        words: ``[C, W, k]``; -1 fills up.
    """
    there = (words != NOT_THERE).any(-1)
    picked = chances.astype(np.float64)[np.arange(len(chances)), words].sum(-1)
    mean: Array = np.where(there, picked, 0).sum(-1) / there.sum(-1)
    return mean


def decoded_scores(chances_of: Any, ids: Array, places: Array, words: Array, decoding: Decoding) -> Array:
    """Log-probabilities ``[N]`` of words that are put in token by token, each seen by the next.

    Args:
        chances_of: of rows ``[N, L]`` of tokens log-probabilities ``[N, k, V]`` at the masks.
        ids: ``[L]``, a mask at each place.
        places: ``[k]``, ascending.
        words: ``[N, k]``.
        decoding: whether the mask whose token is ``"most_certain"`` is filled next, or the first.
    """
    lines = np.arange(len(words))
    texts = np.repeat(ids[None], len(words), 0)
    is_open = np.ones(words.shape, bool)
    total = np.zeros(len(words))
    for step in range(words.shape[1]):
        # Before one is filled, all are alike.
        chances = np.repeat(chances_of(texts[:1]), len(words), 0) if step == 0 else chances_of(texts)
        own = np.take_along_axis(chances, words[..., None], -1)[..., 0]
        certain = np.where(is_open, own, -np.inf)
        chosen = certain.argmax(-1) if decoding == "most_certain" else is_open.argmax(-1)
        total += own[lines, chosen]
        texts[lines, places[chosen]] = words[lines, chosen]
        is_open[lines, chosen] = False
    return total
