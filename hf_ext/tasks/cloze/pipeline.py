"""The pipeline "cloze": texts in, the label out whose word a masked language model would put into the pattern.

Shapes: B rows, L tokens, k masks, C labels, W words of a label, N words together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_ext.data.input_limit import input_limit
from hf_ext.tasks.base.asked_places import logits_at
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.cloze.answers import decoded_scores, ensemble_scores, label_scores
from hf_ext.tasks.cloze.collator import DataCollatorForCloze
from hf_ext.tasks.cloze.encoding import NOT_THERE, ClozeEncoder, cloze_example
from hf_ext.tasks.cloze.labels import Decoding, check_options, ranked_labels
from hf_ext.tasks.cloze.masked_model import AutoMaskedLanguageModel
from hf_ext.tasks.cloze.pattern import ClozePattern

# Rows that are run at a time where one text makes many.
_ROWS = 64


class ClozeClassificationPipeline(TextPipeline):
    """Finds the label of a text by what a masked language model says at the masks of a pattern.

    ``pipeline("cloze", model=folder)`` takes a text, a pair ``{"text", "text2"}`` or whatever texts its pattern asks
    for, a list of them, a dataset or a generator, and gives for each a list of ``{"label", "score"}``, the most
    probable first, ``score`` being a softmax over the labels. A model that was trained so has its pattern in its
    config; with ``pattern`` any masked language model will do, without training (zero-shot). Texts that are too long
    are cut, the pattern is not.

    Args (of the constructor alone):
        pattern: instead of the model's: a `ClozePattern`, what `ClozePattern.load` takes, or several of either, whose
            scores are averaged.
        verbalizer: the words of each label, of patterns that have none.
        weights: of several patterns, see :func:`ensemble_scores`; default all alike.

    Args (of the constructor or of a call):
        top_k: how many labels to give, at most; default 1.
        decoding: how words of several tokens are scored: all tokens at once (``"parallel"``, the default, by which
            models are trained and evaluated), or one after the other, the ``"most_certain"`` first or from
            ``"left_to_right"``, a pass a token of each word.
    """

    found: ClassVar[str] = "classes"
    command: ClassVar[str | None] = "cloze"
    endings: ClassVar[tuple[str, ...]] = ("ForMaskedLM", "BertForPreTraining")
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "text2"), ("text",))
    predict_options: ClassVar[Mapping[str, str]] = {"top_k": "top_k"}

    default_input_names: Any = "texts"

    def __init__(
        self,
        *args: Any,
        pattern: Any = None,
        verbalizer: Mapping[str, Any] | None = None,
        weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        patterns = _patterns(self.model.config, pattern, verbalizer)
        limit = input_limit(self.tokenizer, self.model.config)
        self.encoders = [ClozeEncoder(one, self.tokenizer, limit) for one in patterns]
        if weights is not None and len(weights) != len(patterns):
            raise ValueError(f"weights must be as many as patterns, {len(patterns)}, got {len(weights)}")
        self.weights = weights
        self.collator = DataCollatorForCloze(self.tokenizer, predicts="labels", mlm_probability=0.0)

    @classmethod
    def suits(cls, config: Any) -> bool:
        """Whether a model has a pattern."""
        return bool(getattr(config, "cloze", None))

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:  # type: ignore[override]
        """The labels of one text, or of each of several: a list, or an iterator where they come one by one."""
        if isinstance(inputs, str | Mapping):
            return next(self.stream([inputs], **options))
        found = self.stream(inputs, batch_size, **options)
        return list(found) if isinstance(inputs, Sequence) else found

    def stream(self, inputs: Iterable[Any], batch_size: int | None = None, **options: Any) -> Iterator[Any]:
        """The labels of texts that need not be held in memory, in their order.

        Raises:
            TypeError: if one is neither a text nor has some by name.
            ValueError: if one lacks a text of the pattern, or a score is no number.
        """
        _, during, after = self._sanitize_parameters(**options)
        finish = {**self._postprocess_params, **after}
        for examples, scores in self._scored(inputs, batch_size, during):
            for example, own in zip(examples, scores):
                yield self.postprocess((example, own), **finish)

    def score_labels(self, inputs: Iterable[Any], batch_size: int | None = None, **options: Any) -> Tensor:
        """Scores ``[N, C]`` of labels before a softmax, as :func:`ensemble_scores` and a student take them.

        Args:
            inputs: N texts.
            batch_size: texts run at a time.
            **options: of a call.
        """
        _, during, _ = self._sanitize_parameters(**options)
        found = [scores for _, scores in self._scored(inputs, batch_size, during)]
        return torch.cat(found) if found else torch.empty(0, len(self.encoders[0].pattern.labels))

    def _sanitize_parameters(  # type: ignore[override]
        self, top_k: int | None = None, decoding: Decoding | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        check_options(top_k, decoding)
        during = {} if decoding is None else {"decoding": decoding}
        return {}, during, {} if top_k is None else {"top_k": top_k}

    def _scored(
        self, inputs: Iterable[Any], batch_size: int | None, options: Mapping[str, Any]
    ) -> Iterator[tuple[list[Any], Tensor]]:
        """Examples in batches, and their scores ``[B, C]``."""
        iterator = iter(inputs)
        while examples := [cloze_example(one) for one in islice(iterator, batch_size or 16)]:
            scores = []
            for number, encoder in enumerate(self.encoders):
                batch = self.collator(self.preprocess(examples, number))
                if encoder.words is not None:
                    batch["words"] = torch.from_numpy(encoder.words)
                run = {**self._forward_params, **options}
                found = self.forward(batch, **run)["scores"]
                scores.append(found[:, self._order(encoder)] if encoder.words is not None else found)
            yield examples, ensemble_scores(scores, self.weights)

    def _order(self, encoder: ClozeEncoder) -> list[int]:
        """The columns of a pattern's labels as the first pattern has them."""
        return [encoder.pattern.labels.index(label) for label in self.encoders[0].pattern.labels]

    def preprocess(self, input_: Any, pattern: int = 0) -> Any:  # type: ignore[override]
        """Rows of examples in one of the patterns."""
        return self.encoders[pattern](input_)

    def _forward(self, input_tensors: Any, decoding: Decoding = "parallel") -> dict[str, Tensor]:  # type: ignore[override]
        inputs = dict(input_tensors)
        words, places, _ = (inputs.pop(name) for name in ("words", "mask_places", "labels"))
        masks = places.shape[1]
        if decoding == "parallel" or masks == 1:
            rows = torch.arange(len(places), device=places.device).repeat_interleave(masks)
            logits = logits_at(self.model, inputs, rows, places.flatten())
            return {"scores": label_scores(logits.view(len(places), masks, -1), words)}
        each = words if words.dim() == 4 else words[None].expand(len(places), -1, -1, -1)
        own = [
            self._decode(
                {name: values[row] for name, values in inputs.items()}, own, each[row, ..., : len(own)], decoding
            )
            for row, own in enumerate(there[there != NOT_THERE] for there in places)
        ]
        return {"scores": torch.stack(own)}

    def _decode(self, inputs: Mapping[str, Tensor], places: Tensor, words: Tensor, decoding: Decoding) -> Tensor:
        """Scores ``[C]`` of the labels of one row, whose words ``[C, W, k]`` are put in token by token."""
        there = (words != NOT_THERE).all(-1)
        length = int(inputs["attention_mask"].sum())
        row = {name: values[:length] for name, values in inputs.items()}

        def log_probs_at(ids: Tensor, places: Tensor) -> Tensor:
            parts = []
            for part in ids.split(_ROWS):
                batch = {name: values.expand(len(part), -1) for name, values in row.items()} | {"input_ids": part}
                rows = torch.arange(len(part), device=part.device).repeat_interleave(len(places))
                logits = logits_at(self.model, batch, rows, places.repeat(len(part)))
                parts.append(logits.view(len(part), len(places), -1).log_softmax(-1))
            return torch.cat(parts)

        found = decoded_scores(log_probs_at, row["input_ids"], places, words[there], decoding)
        scores = found.new_zeros(there.shape).masked_scatter(there, found)
        mean = scores.sum(-1) / there.sum(-1).clamp(min=1)
        return mean.masked_fill(~there.any(-1), -torch.inf)

    def postprocess(self, model_outputs: Any, top_k: int = 1) -> list[dict[str, Any]]:  # type: ignore[override]
        """The labels of an example with scores ``[C]``."""
        example, scores = model_outputs
        labels = self.encoders[0].pattern.labels_of(example)
        return ranked_labels(labels, scores[: len(labels)].softmax(-1).tolist(), top_k)


def _patterns(config: Any, given: Any, verbalizer: Mapping[str, Any] | None) -> list[ClozePattern]:
    if given is None:
        saved = getattr(config, "cloze", None)
        if not saved:
            raise ValueError("pattern must be given, as the model has none in its config, got None")
        if verbalizer is not None:
            raise ValueError("verbalizer goes with a pattern that is given, got one without")
        return [ClozePattern.from_json(saved, "the config's cloze")]
    several = [given] if isinstance(given, str | ClozePattern) else list(given)
    if not several:
        raise ValueError("pattern must be one or several, got none")
    patterns = [one if isinstance(one, ClozePattern) else ClozePattern.load(one) for one in several]
    if verbalizer is not None:
        patterns = [one.with_verbalizer(verbalizer) for one in patterns]
    candidates = {one.candidates for one in patterns}
    if len(candidates) > 1 or (candidates == {None} and len({frozenset(one.labels) for one in patterns}) > 1):
        raise ValueError(f"patterns must have the same labels, got others of {several[1:]} than of {several[0]}")
    return patterns


register_task("cloze", ClozeClassificationPipeline, AutoMaskedLanguageModel)
