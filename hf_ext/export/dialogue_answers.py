"""Answers to what was said, which are drawn or searched for."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from hf_ext.export.drawing_settings import DrawingSettings
from hf_ext.export.drawn_tokens import DrawnTexts
from hf_ext.export.prompt_answers import PromptAnswers
from hf_ext.export.token_search import TokenSearch, search_of
from hf_ext.export.writing_settings import WritingSettings
from hf_ext.tasks.dialogue.encoding import DialogueEncoder, reply_settings, reply_text, turns_of

_MOST_NEW_TOKENS = 64
_OF_DRAWING = ("top_p", "temperature", "num_samples")


class DialogueAnswers(PromptAnswers):
    """What "dialogue-reply" gives."""

    options: ClassVar[tuple[str, ...]] = ("top_p", "temperature", "num_beams", "max_new_tokens", "max_length", "seed")

    def answers(
        self,
        inputs: Sequence[Any],
        batch_size: int,
        num_beams: int | None = None,
        max_new_tokens: int | None = None,
        max_length: int | None = None,
        seed: int | None = None,
        **drawn: Any,
    ) -> Iterator[Any]:
        """The answer to each dialogue; with a seed that to a dialogue depends on it and the dialogue.

        Raises:
            TypeError: if an input is neither a text nor a mapping.
            ValueError: if an input has no turns, or an option must not have its value, or has no effect.
        """
        length = self.window_length(max_length)
        speakers = self.description.settings["speakers"]
        encoder = DialogueEncoder(self.tokenizer, None if speakers is None else tuple(speakers), max_length=length)
        if max_new_tokens is None:
            # A model of short texts is to have room for what was said.
            max_new_tokens = min(_MOST_NEW_TOKENS, length // 2)
        if seed is not None and num_beams is not None:
            raise ValueError(f"seed has no effect with num_beams, which searches; leave it out, got {seed}")
        told = reply_settings(encoder, num_beams=num_beams, max_new_tokens=max_new_tokens, **drawn)
        contexts = [encoder.encode_context(turns, room=max_new_tokens) for turns in map(turns_of, inputs)]
        prompts = [{name: one[name] for name in self.graphs["model"].inputs} for one in contexts]
        found: dict[int, str] = {}
        size = max(1, batch_size // (num_beams or 1))
        for chosen in self.batches([len(prompt["input_ids"]) for prompt in prompts], size):
            searches = [self._search(told, seed) for _ in chosen]
            types = [contexts[number]["generated_token_type_ids"] for number in chosen]
            self.write([prompts[number] for number in chosen], types, searches, max_new_tokens)
            found.update(
                (number, reply_text(self.tokenizer, search.best()[1:])) for number, search in zip(chosen, searches)
            )
        yield from (found[number] for number in range(len(inputs)))

    def _search(self, told: Any, seed: int | None) -> TokenSearch:
        """A reply that is to be written as ``generate`` is told."""
        own = {
            **{name: value for name, value in self.description.settings.items() if name != "speakers"},
            "ends": [told["eos_token_id"]],
            "suppressed": told["suppress_tokens"],
            # The first of the tokens that are counted stands for the prompt.
            "max_length": told["max_new_tokens"] + 1,
            "min_length": told["min_new_tokens"] + 1,
            **{name: told[name] for name in ("top_p", "temperature", "num_beams", "length_penalty") if name in told},
        }
        if told["do_sample"]:
            return DrawnTexts(DrawingSettings(**own), np.random.default_rng(seed))
        return search_of(WritingSettings(**{name: value for name, value in own.items() if name not in _OF_DRAWING}))
