"""The pipeline "dialogue-reply": what was said so far in, the answer to it out."""

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers import AutoModelForCausalLM

from hf_ext.data.input_limit import input_limit
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.dialogue.chat import Chat
from hf_ext.tasks.dialogue.encoding import speakers_of, turns_of


class DialoguePipeline(TextPipeline):
    """Answers the last of the turns of a dialogue with NEZHA-GPT or CDial-GPT.

    ``pipeline("dialogue-reply", model=folder)`` takes a text, which is the first turn, or a mapping
    ``{"turns": [...]}``, or a list of either, and gives a string for each. `hf_ext.Chat` keeps a conversation.

    Args (of the constructor or of a call):
        **options: of `hf_ext.Chat`: ``top_p``, ``temperature``, ``num_beams``, ``max_length``, and ``max_new_tokens``,
            which is at most half of the length by default.
    """

    found = "reply"
    command: ClassVar[str | None] = "dialogue"
    endings: ClassVar[tuple[str, ...]] = ("ForCausalLM",)
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("turns",), ("text",))
    predict_options: ClassVar[Mapping[str, str]] = {"seed": ""}

    @classmethod
    def suits(cls, config: Any) -> bool:
        """Whether it tells two speakers apart, from left to right."""
        try:
            speakers_of(config)
        except ValueError:
            return False
        return True

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:  # type: ignore[override]
        """The answer to one dialogue, or a list of them for each of several."""
        if isinstance(inputs, str | Mapping):
            return super().__call__(inputs, **options)
        inputs = list(inputs)
        # Before any is answered.
        for one in inputs:
            self.preprocess(one)
        return [self(one, **options) for one in inputs]

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, options, {}

    def preprocess(self, input_: Any) -> dict[str, list[str]]:  # type: ignore[override]
        """The turns.

        Raises:
            TypeError: if the input is neither a text nor a mapping.
            ValueError: if there are no turns, or they are not texts.
        """
        return {"turns": turns_of(input_)}

    def forward(self, model_inputs: Any, **options: Any) -> str:
        """The answer; a conversation places what it runs by itself."""
        return self._forward(model_inputs, **options)

    def _forward(self, model_inputs: Any, **options: Any) -> str:  # type: ignore[override]
        *before, last = model_inputs["turns"]
        # A model of short texts is to have room for what was said.
        length = options.get("max_length") or input_limit(self.tokenizer, self.model.config, most=None)
        options.setdefault("max_new_tokens", min(64, length // 2))
        chat = Chat(self.model, self.tokenizer, **options)
        chat.turns = before
        return chat.reply(last)

    def postprocess(self, model_outputs: str) -> str:  # type: ignore[override]
        """The answer."""
        return model_outputs


register_task("dialogue-reply", DialoguePipeline, AutoModelForCausalLM)
