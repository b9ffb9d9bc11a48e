"""The pipeline "text-scoring": texts in, how likely a language model finds them out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import exp
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from hf_ext.data.input_limit import input_limit
from hf_ext.data.windows import check_gives_offsets
from hf_ext.tasks.base.asked_places import logits_at
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.scoring.likelihood import OPENERS, AutoLanguageModel, check_plain_texts, prediction_of

# Texts that are sorted by length together.
_SORTED = 1024


@dataclass(frozen=True)
class ScoredText:
    """A text as a model reads it.

    Attributes:
        text: the text.
        inputs: of the model, numbers of a token each.
        places: the tokens to be scored.
        offsets: where the tokens are in the text; none where nobody asks.
    """

    text: str
    inputs: dict[str, list[int]]
    places: list[int]
    offsets: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


class LanguageModelPipeline(TextPipeline):
    """What a language model says of the tokens of texts; a subclass says what is kept of it.

    T-TA gives all of a text in one pass. A masked model is run once for each token, on the text with that token masked.
    A causal one is run once, and knows of a token what stands before it.

    Args (of the constructor or of a call):
        special_tokens: whether the tokens that the tokenizer adds are asked for too, but for the first one of a causal
            model; default no.
        tokens_per_batch: most tokens run at a time, padding included, a text at least; default 2048. Each that is asked
            for takes as many numbers as the vocabulary has entries.
    """

    endings: ClassVar[tuple[str, ...]] = tuple(OPENERS)
    default_input_names: Any = "texts"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prediction = prediction_of(self.model)
        if self.prediction == "masked" and self.tokenizer.mask_token_id is None:
            raise ValueError(f"tokenizer must have a mask token, got {type(self.tokenizer).__name__} without one")

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:  # type: ignore[override]
        """What there is of one text, or a list of it for several."""
        if isinstance(inputs, str):
            return next(self.stream([inputs], **options))
        return list(self.stream(inputs, **options))

    def stream(self, texts: Iterable[str], **options: Any) -> Iterator[Any]:
        """What there is of texts that need not be held in memory, in their order.

        Raises:
            TypeError: if one is no text.
            ValueError: if one has more tokens than the model takes; a score of a part would not be one of the text.
        """
        before, during, after = self._sanitize_parameters(**options)
        read = {**self._preprocess_params, **before}
        run = {**self._forward_params, **during}
        finish = {**self._postprocess_params, **after}
        budget = run.pop("tokens_per_batch", 2048)
        iterator, number = iter(texts), 0
        while window := list(islice(iterator, _SORTED)):
            rows = self._read(window, number, **read)
            number += len(window)
            found: list[dict[int, Any]] = [{} for _ in rows]
            for asked, measured in self._run(rows, budget, run):
                for (row, place), one in zip(asked, zip(*measured)):
                    found[row][place] = one
            for pair in zip(rows, found):
                yield self.postprocess(pair, **finish)

    def _sanitize_parameters(  # type: ignore[override]
        self, special_tokens: bool | None = None, tokens_per_batch: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if tokens_per_batch is not None and tokens_per_batch < 1:
            raise ValueError(f"tokens_per_batch must be at least 1, got {tokens_per_batch}")
        before = {} if special_tokens is None else {"special_tokens": special_tokens}
        return before, {} if tokens_per_batch is None else {"tokens_per_batch": tokens_per_batch}, {}

    def _read(
        self, texts: Sequence[str], first: int = 0, special_tokens: bool = False, offsets: bool = False
    ) -> list[ScoredText]:
        """Texts as the model reads them; ``first`` is the number of the first, for errors."""
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"inputs must be texts, got {type(text).__name__}")
        tokenizer = self.tokenizer
        if offsets:
            check_gives_offsets(tokenizer)
        encoded = tokenizer(
            list(texts),
            truncation=False,
            verbose=False,
            return_special_tokens_mask=True,
            return_offsets_mapping=offsets,
        )
        limit = input_limit(tokenizer, self.model.config, most=None)
        rows = []
        for number, text in enumerate(texts):
            inputs = {name: list(encoded[name][number]) for name in tokenizer.model_input_names if name in encoded}
            special = list(encoded["special_tokens_mask"][number])
            spans = [tuple(pair) for pair in encoded["offset_mapping"][number]] if offsets else []
            if self.prediction == "causal" and special[:1] != [1] and tokenizer.bos_token_id is not None:
                # By which the first token of the text is predicted as well.
                inputs = {
                    name: [tokenizer.bos_token_id if name == "input_ids" else 0, *values]
                    for name, values in inputs.items()
                }
                special, spans = [1, *special], [(0, 0), *spans]
            if len(special) > limit:
                raise ValueError(
                    f"text {first + number + 1} must have at most {limit} tokens, as many as the model takes, "
                    f"got {len(special)}; cut it into sentences"
                )
            places = [place for place, added in enumerate(special) if special_tokens or not added]
            if self.prediction == "causal":
                places = [place for place in places if place]
            rows.append(ScoredText(text, inputs, places, spans))
        return rows

    def _run(
        self, rows: Sequence[ScoredText], budget: int, options: Mapping[str, Any]
    ) -> Iterator[tuple[list[tuple[int, int]], list[list[Any]]]]:
        """Row and place of tokens, and what `measure` gives of each, in batches of texts of like length."""
        masked = self.prediction == "masked"
        runs = [
            (number, places)
            for number, row in enumerate(rows)
            for places in ([[place] for place in row.places] if masked else [row.places])
            if places
        ]
        runs.sort(key=lambda run: len(rows[run[0]]), reverse=True)
        while runs:
            # The first is the longest; all that are run with it are padded to its length.
            size = max(1, budget // len(rows[runs[0][0]]))
            chosen, runs = runs[:size], runs[size:]
            asked = [(number, place) for number, places in chosen for place in places]
            lines = torch.tensor([line for line, (_, places) in enumerate(chosen) for _ in places])
            columns = torch.tensor([place for _, place in asked])
            batch = self._batch([rows[number] for number, _ in chosen])
            batch["own"] = batch["input_ids"][lines, columns]
            if masked:
                batch["input_ids"][lines, columns] = self.tokenizer.mask_token_id
            batch["lines"], batch["columns"] = lines, columns - int(self.prediction == "causal")
            measured = self.forward(batch, **options)
            yield asked, [values.tolist() for values in measured.values()]

    def _batch(self, rows: Sequence[ScoredText]) -> dict[str, Tensor]:
        """Model inputs ``[B, L]``, padded on the right, also by a tokenizer that has no padding token."""
        padding = {"input_ids": self.tokenizer.pad_token_id or 0}
        batch = {
            name: pad_sequence(
                [torch.tensor(row.inputs[name]) for row in rows], batch_first=True, padding_value=padding.get(name, 0)
            )
            for name in rows[0].inputs
        }
        lengths = torch.tensor([len(row) for row in rows])
        batch["attention_mask"] = (torch.arange(batch["input_ids"].shape[1]) < lengths[:, None]).long()
        return batch

    def preprocess(self, input_: str, **options: Any) -> ScoredText:  # type: ignore[override]
        """A text as the model reads it."""
        return self._read([input_], **options)[0]

    def _forward(self, model_inputs: Any, **options: Any) -> dict[str, Tensor]:  # type: ignore[override]
        inputs = dict(model_inputs)
        own, lines, columns = (inputs.pop(name) for name in ("own", "lines", "columns"))
        if self.prediction == "causal":
            inputs["use_cache"] = False
        return self.measure(logits_at(self.model, inputs, lines, columns), own, **options)

    def measure(self, logits: Tensor, own: Tensor, **options: Any) -> dict[str, Tensor]:
        """What is kept of the logits ``[P, V]`` of places whose tokens are ``own`` ``[P]``: tensors ``[P, ...]``."""
        raise NotImplementedError

    def postprocess(self, model_outputs: tuple[ScoredText, dict[int, Any]], **options: Any) -> Any:  # type: ignore[override]
        """What is given of a text, from what was measured at each of its places."""
        raise NotImplementedError


class ScoringPipeline(LanguageModelPipeline):
    """Scores texts by any language model: T-TA, masked or causal.

    ``pipeline("text-scoring", model=folder)`` gives for a text, or for each of a list, ``{"score", "tokens",
    "perplexity"}``: the sum of the logarithms of the probabilities of its tokens, their number, and e to the power of
    minus their mean, which is None of a text without tokens. Of a causal model the score is the log-likelihood; of the
    others, which predict a token from both sides, the pseudo-log-likelihood (arXiv 1910.14659, 2004.08097), which is
    comparable between texts of one model, and not with the likelihood of another.

    Args (of the constructor or of a call):
        token_scores: whether to give ``"token_scores"`` too, ``{"start", "end", "text", "score"}`` for each token.
        special_tokens: and the next: as of :class:`LanguageModelPipeline`.
        tokens_per_batch: most tokens run at a time.
    """

    found = "score"
    used_by = "hf-ext score {name} says how likely it finds texts"

    @classmethod
    def suits(cls, config: Any) -> bool:
        """Whether it reads a text by itself."""
        try:
            check_plain_texts(config, config.model_type)
        except ValueError:
            return False
        return True

    def _sanitize_parameters(  # type: ignore[override]
        self, token_scores: bool | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before, during, after = super()._sanitize_parameters(**options)
        if token_scores is not None:
            before["offsets"] = after["token_scores"] = token_scores
        return before, during, after

    def measure(self, logits: Tensor, own: Tensor, **options: Any) -> dict[str, Tensor]:
        """The logarithm of the probability of each token."""
        return {"score": logits.gather(-1, own[:, None]).squeeze(-1) - logits.logsumexp(-1)}

    def postprocess(  # type: ignore[override]
        self, model_outputs: tuple[ScoredText, dict[int, Any]], token_scores: bool = False
    ) -> dict[str, Any]:
        """Sum, number and perplexity of a text, and its tokens if asked for."""
        row, measured = model_outputs
        scores = {place: measured[place][0] for place in row.places}
        total = sum(scores.values())
        found = {"score": total, "tokens": len(scores), "perplexity": perplexity(total, len(scores))}
        if token_scores:
            names = self.tokenizer.convert_ids_to_tokens(row.inputs["input_ids"])
            found["token_scores"] = [
                {
                    "start": row.offsets[place][0],
                    "end": row.offsets[place][1],
                    "text": row.text[slice(*row.offsets[place])] or names[place],
                    "score": score,
                }
                for place, score in scores.items()
            ]
        return found


def perplexity(total: float, tokens: int) -> float | None:
    """e to the power of minus the mean of scores whose sum is ``total``; None without tokens."""
    if not tokens:
        return None
    try:
        return exp(-total / tokens)
    except OverflowError:
        return float("inf")


register_task("text-scoring", ScoringPipeline, AutoLanguageModel)
