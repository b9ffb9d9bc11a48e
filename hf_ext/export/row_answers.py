"""What is said of a text as a whole: its classes, its vector, which of some choices is right."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from hf_ext.export.graph_session import Array
from hf_ext.export.token_answers import TokenAnswers
from hf_ext.metrics.class_scores import class_probabilities
from hf_ext.tasks.base.call_options import check_threshold, check_top_k
from hf_ext.tasks.multiple_choice.decoding import checked_question, decoding_of, picked_choices, together
from hf_ext.tasks.multiple_choice.encoding import ChoiceEncoder
from hf_ext.tasks.multiple_choice.metrics import logits_of_choices


class TextAnswers(TokenAnswers):
    """Texts, or pairs of them, that are cut to one row each."""

    def outputs(self, rows: Sequence[Mapping[str, Sequence[int]]], batch_size: int) -> Array:
        """What the graph gives for each row."""
        found: dict[int, Array] = {}
        for chosen in self.batches([len(row["input_ids"]) for row in rows], batch_size):
            (values,) = self.graphs["model"](self.padded([rows[number] for number in chosen])).values()
            found.update(zip(chosen, values))
        made = np.stack([found[number] for number in range(len(rows))])
        if np.isnan(made).any():
            raise ValueError("a model must give numbers, got NaN")
        return made


class ClassAnswers(TextAnswers):
    """What "classification" gives."""

    options: ClassVar[tuple[str, ...]] = ("threshold",)

    def answers(
        self, inputs: Sequence[Any], batch_size: int, threshold: float | None = None, **options: Any
    ) -> Iterator[Any]:
        """The classes of each text or pair."""
        check_threshold(threshold)
        rows = [self.inputs_of({name: [values] for name, values in self._encoded(one).items()}, 0) for one in inputs]
        for classes in class_scores(self.outputs(rows, batch_size), self.config):
            if threshold is None and self.config.problem_type != "multi_label_classification":
                yield classes[:1]
                continue
            least = getattr(self.config, "score_threshold", 0.5) if threshold is None else threshold
            yield [one for one in classes if one["score"] > least]

    def _encoded(self, text: Any) -> Mapping[str, Any]:
        pair = [text] if isinstance(text, str) else None
        if isinstance(text, Mapping) and "text" in text and text.keys() <= {"text", "text2"}:
            pair = list(filter(None, (text["text"], text.get("text2"))))
        if pair is None or not all(isinstance(one, str) for one in pair):
            raise TypeError(f"inputs must be texts, or mappings with text and text2, got {text!r}")
        encoded: Mapping[str, Any] = self.tokenizer(*pair, truncation=True)
        return encoded


def class_scores(logits: Array, config: Any) -> Iterator[list[dict[str, Any]]]:
    """All classes of each row of logits ``[N, C]``, the likeliest first."""
    kind = config.problem_type
    alone = kind == "multi_label_classification" or logits.shape[1] == 1
    for row in (logits if kind == "regression" else class_probabilities(logits, alone)).tolist():
        order = sorted(range(len(row)), key=lambda number: -row[number])
        yield [{"label": config.id2label[number], "score": row[number]} for number in order]


class VectorAnswers(TextAnswers):
    """What "text-embedding" gives, by the pooling that the graph was made with."""

    options: ClassVar[tuple[str, ...]] = ("normalize", "max_length")

    def answers(
        self,
        inputs: Sequence[Any],
        batch_size: int,
        normalize: bool | None = None,
        max_length: int | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """The vector ``[H]`` of each text."""
        for one in inputs:
            if not isinstance(one, str):
                raise TypeError(f"inputs must be texts, got {type(one).__name__}")
        length = self.window_length(max_length)
        encoded = self.tokenizer(list(inputs), truncation=True, max_length=length)
        vectors = self.outputs([self.inputs_of(encoded, number) for number in range(len(inputs))], batch_size)
        if normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        yield from vectors.astype(np.float32)

    def joined(self, answers: list[Any]) -> Any:
        """Vectors ``[N, H]``."""
        return np.stack(answers) if answers else np.zeros((0, self.config.hidden_size), np.float32)


class SimilarityAnswers(VectorAnswers):
    """What "text-similarity" gives."""

    options: ClassVar[tuple[str, ...]] = ("max_length",)

    def answers(  # type: ignore[override]
        self, inputs: Sequence[Any], batch_size: int, **options: Any
    ) -> Iterator[Any]:
        """The cosine of each pair."""
        for pair in inputs:
            if not isinstance(pair, Mapping):
                raise TypeError(f"inputs must be mappings with text1 and text2, got {type(pair).__name__}")
            if not {"text1", "text2"} <= pair.keys():
                raise ValueError(f"inputs must have text1 and text2, got {', '.join(map(str, pair)) or 'none'}")
        texts = [pair[name] for name in ("text1", "text2") for pair in inputs]
        vectors = np.stack(list(super().answers(texts, batch_size, normalize=True, **options)))
        first, second = np.split(vectors.astype(np.float64), 2)
        # Lengths are rounded, so that a text beside itself may come out above 1.
        yield from (first * second).sum(-1).clip(-1, 1).tolist()

    def joined(self, answers: list[Any]) -> Any:
        """A list of cosines."""
        return answers


class ChoiceAnswers(TokenAnswers):
    """What "multiple-choice" gives."""

    options: ClassVar[tuple[str, ...]] = ("decoding", "top_k")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        own = (getattr(self.config, name, None) for name in ("num_choices", "padding_choice"))
        self.encoder = ChoiceEncoder(self.tokenizer, self.window_length(None), *own)

    def stream(
        self,
        inputs: Iterator[Any],
        batch_size: int,
        decoding: str | None = None,
        top_k: int | None = None,
        **options: Any,
    ) -> Iterator[Any]:
        """The choices of questions, those of a group together."""
        way = decoding_of(decoding, ()) if decoding else getattr(self.config, "choice_decoding", None)
        check_top_k(top_k)
        for pairs in together(self._scored(inputs, batch_size)):
            yield from picked_choices(pairs, self.encoder.choices_of, way, top_k or 1)

    def _scored(self, inputs: Iterator[Any], batch_size: int) -> Iterator[tuple[dict[str, Any], Any]]:
        """Questions, each with the logits of its choices."""
        while questions := [checked_question(one) for one in islice(inputs, batch_size)]:
            rows = self.encoder(questions)
            counts = [len(own) for own in rows]
            (values,) = self.graphs["model"](self._batch(rows)).values()
            for question, logits, count in zip(questions, logits_of_choices(values, counts), counts):
                yield question, logits[:count]

    def _batch(self, rows: Sequence[Sequence[Sequence[int]]]) -> dict[str, Array]:
        """Rows ``[B, N, L]``; of questions with fewer choices some are a first token alone."""
        length = max(len(row) for own in rows for row in own)
        ids = np.full((len(rows), max(map(len, rows)), length), self.tokenizer.pad_token_id or 0)
        mask = np.zeros_like(ids)
        ids[:, :, 0], mask[:, :, 0] = self.encoder.first, 1
        for number, own in enumerate(rows):
            for choice, row in enumerate(own):
                ids[number, choice, : len(row)], mask[number, choice, : len(row)] = row, 1
        return {"input_ids": ids, "attention_mask": mask}
