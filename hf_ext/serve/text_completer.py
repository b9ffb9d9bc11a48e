"""Completions: what a causal language model writes after a text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from threading import Event
from typing import Any, ClassVar

import torch
from tokenizers.decoders import WordPiece
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from hf_ext.data.input_limit import input_limit
from hf_ext.data.text_to_text import decode_summaries
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.serve.seeded import seeded
from hf_ext.training.quiet import quiet_libraries


@dataclass(frozen=True)
class Sampling:
    """How completions are written; requests with equal ones are written together.

    Attributes:
        max_tokens: most new tokens.
        temperature: of sampling; 0 takes the likeliest token each time.
        top_p: probability of the tokens to sample from, in (0, 1].
        n: completions of each prompt.
        stop: texts before which a completion ends.
        seed: of sampling, for the same texts again.
        listener: of a request for one completion: is called with each piece, in the thread that writes it.
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    listener: Callable[[str], None] | None = None

    @property
    def draws(self) -> bool:
        """Whether tokens are drawn."""
        return self.temperature > 0


@dataclass(frozen=True)
class Completion:
    """What was written after a prompt.

    Attributes:
        text: without the prompt.
        finish_reason: "stop" at the end of the text or a text to stop at, "length" where tokens ran out.
        tokens: that were written.
        prompt_tokens: that were read.
    """

    text: str
    finish_reason: str
    tokens: int
    prompt_tokens: int


class TextCompleter:
    """Writes on after texts with a causal language model of plain texts.

    Args:
        scorer: the model and its tokenizer, as the pipeline "text-scoring".

    Raises:
        ValueError: if the model is not causal, or reads something else than a text by itself.
    """

    found: ClassVar[str] = "completions"
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("text",),)
    optional: ClassVar[tuple[str, ...]] = ()
    predict_options: ClassVar[Mapping[str, str]] = {}

    def __init__(self, scorer: Any) -> None:
        if scorer.prediction != "causal":
            raise ValueError(f"model must be causal to complete texts, got {type(scorer.model).__name__}")
        self.model, self.tokenizer = scorer.model, scorer.tokenizer
        tokenizer = self.tokenizer
        self._end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
        self._limit = input_limit(tokenizer, self.model.config, most=None)
        decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
        # Decoded with spaces between all tokens, most of which say nothing.
        self._spaced = decoder is None or isinstance(decoder, WordPiece)

    @classmethod
    def open(cls, name: str, device: str | None = None, dtype: str = "auto") -> "TextCompleter":
        """The model of a folder or a repository on the Hub."""
        from transformers import pipeline

        # The library's types list its own tasks only.
        make_pipeline: Any = pipeline
        with quiet_libraries():
            return cls(make_pipeline("text-scoring", model=name, device=device).run_in(dtype))

    def encode(self, prompts: Sequence[str], new_tokens: int) -> list[list[int]]:
        """The tokens of each prompt, as a text begins: without what the tokenizer ends it with.

        Raises:
            ValueError: if one has no token, or leaves no room for the new ones.
        """
        tokenizer, rows = self.tokenizer, []
        encoded = tokenizer(list(prompts), truncation=False, verbose=False, return_special_tokens_mask=True)
        for number, (ids, special) in enumerate(zip(encoded["input_ids"], encoded["special_tokens_mask"])):
            length = max((place + 1 for place, added in enumerate(special) if not added), default=special[:1].count(1))
            row = list(ids[:length])
            if not row and tokenizer.bos_token_id is not None:
                row = [tokenizer.bos_token_id]
            if not row:
                raise ValueError(f"prompt {number + 1} must have at least one token, got none")
            if len(row) + new_tokens > self._limit:
                raise ValueError(
                    f"prompt {number + 1} and max_tokens must be at most the model's {self._limit} tokens together, "
                    f"got {len(row)} and {new_tokens}"
                )
            rows.append(row)
        return rows

    def __call__(
        self, prompts: Sequence[str], sampling: Sampling, left: Sequence[Event] = ()
    ) -> list[list[Completion]]:
        """As many completions of each prompt as are asked for; raises as `encode`.

        Args:
            prompts: texts to write on after.
            sampling: how.
            left: of each prompt, set once nobody waits for it any more; its completions end then, whole or not.
        """
        rows = self.encode(prompts, sampling.max_tokens)
        width, padding = max(map(len, rows)), self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[padding] * (width - len(row)) + list(row) for row in rows], device=self.model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.model.device)
        watch = _Watch(self, width, sampling, left)
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if sampling.draws else {}
        with evaluation_mode(self.model), torch.no_grad(), seeded(sampling.seed):
            made = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=sampling.max_tokens,
                do_sample=sampling.draws,
                num_beams=1,
                num_return_sequences=sampling.n,
                eos_token_id=self._end,
                pad_token_id=padding,
                suppress_tokens=sorted({*self.tokenizer.all_special_ids} - {self._end}) or None,
                stopping_criteria=StoppingCriteriaList([watch]),
                **drawn,
            )
        written = made[:, width:].tolist()
        found = [self._completion(ids, len(rows[row // sampling.n]), sampling) for row, ids in enumerate(written)]
        if sampling.listener is not None:
            watch.tell(found[0].text)
        return [found[start : start + sampling.n] for start in range(0, len(found), sampling.n)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of new tokens, without special ones."""
        if self._spaced:
            return decode_summaries(self.tokenizer, [list(ids)])[0]
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def _completion(self, ids: list[int], prompt: int, sampling: Sampling) -> Completion:
        ended = self._end in ids
        # Behind the end of one row stands what the others needed.
        own = ids[: ids.index(self._end)] if ended else ids
        text = self.decode(own)
        if (stop := first_stop(text, sampling.stop)) is not None:
            # As many tokens as there were when the text to stop at stood there.
            counts = range(1, len(own))
            stopped = (n for n in counts if first_stop(self.decode(own[:n]), sampling.stop) is not None)
            return Completion(text[:stop], "stop", next(stopped, len(own)), prompt)
        return Completion(text, "stop" if ended else "length", len(own) + ended, prompt)


class _Watch(StoppingCriteria):
    """Ends rows where a text to stop at stands or nobody waits, and tells a listener what is written."""

    def __init__(self, completer: TextCompleter, width: int, sampling: Sampling, left: Sequence[Event]) -> None:
        self.completer, self.width, self.sampling, self.left = completer, width, sampling, left
        self.before = self.told = ""
        # A text to stop at may have begun.
        self.held = max(map(len, sampling.stop), default=1) - 1

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Tensor:
        ended = [bool(self.left) and self.left[row // self.sampling.n].is_set() for row in range(len(input_ids))]
        if self.sampling.stop or self.sampling.listener:
            texts = [self.completer.decode(row) for row in input_ids[:, self.width :].tolist()]
            stopped = [first_stop(text, self.sampling.stop) is not None for text in texts]
            if self.sampling.listener and not stopped[0]:
                text = texts[0][: max(0, len(texts[0]) - self.held)]
                # The next token may change the end, as of a character of several tokens, or of a space before a sign.
                self.tell(_shared(self.before, text).rstrip("\ufffd"))
                self.before = text
            ended = [one or other for one, other in zip(ended, stopped)]
        return torch.tensor(ended, device=input_ids.device)

    def tell(self, text: str) -> None:
        """Tell the listener what is new of the text so far, from where it is another than was told."""
        assert self.sampling.listener is not None
        same = len(_shared(self.told, text))
        if len(text) > same:
            self.sampling.listener(text[same:])
            self.told = text


def _shared(one: str, other: str) -> str:
    """What two texts begin with alike."""
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other))
    return one[: sum(1 for _ in alike)]


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first of some texts stands in a text; None where none does."""
    return min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)
