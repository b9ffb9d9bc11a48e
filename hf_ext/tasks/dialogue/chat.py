"""A conversation with a dialogue model."""

import os
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.data.input_limit import input_limit
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.tasks.dialogue.collator import DataCollatorForDialogue
from hf_ext.tasks.dialogue.encoding import DialogueEncoder, reply_settings, reply_text, speakers_of


class Chat:
    """A conversation with NEZHA-GPT or CDial-GPT, which keeps what was said.

    ``Chat.from_pretrained(folder).reply("你好")`` gives the answer to it and to all before it. Replies are sampled from
    the likeliest tokens that together have the probability ``top_p``, or searched for with ``num_beams``;
    ``transformers.set_seed`` makes samples the same again. A reply ends at [SEP], has at least one token, and no
    special ones.

    Args:
        model: a dialogue model, on the device to run on.
        tokenizer: its tokenizer.
        top_p: probability of the tokens to sample from, in (0, 1]; None: 0.9.
        temperature: of sampling; below 1, likely tokens become likelier; None: 0.7.
        num_beams: search with this many hypotheses instead of sampling, by the sum of their log-probabilities as in the
            originals; 1 takes the likeliest token each time.
        max_new_tokens: longest reply.
        max_length: tokens of what was said and the reply, the earliest turns dropped to fit; None: as many as model and
            tokenizer are made for.

    Attributes:
        turns: what was said, yours and the model's by turns.

    Raises:
        ValueError: if the model is not a dialogue model, or an option is out of range or has no effect.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        top_p: float | None = None,
        temperature: float | None = None,
        num_beams: int | None = None,
        max_new_tokens: int = 64,
        max_length: int | None = None,
    ):
        self.model: Any = model
        self.tokenizer = tokenizer
        if max_length is None:
            max_length = input_limit(tokenizer, model.config, most=None)
        self.encoder = DialogueEncoder.for_config(model.config, tokenizer, max_length=max_length)
        self.collate = DataCollatorForDialogue(tokenizer)
        self.turns: list[str] = []
        self.settings = reply_settings(self.encoder, top_p, temperature, num_beams, max_new_tokens)

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], device: str | torch.device | None = None, **options: Any
    ) -> "Chat":
        """The model of a folder or a repository on the Hub; ``options`` are those of the constructor.

        Raises:
            ValueError: if it holds no trained dialogue model.
            OSError: if there is none.
        """
        config = AutoConfig.from_pretrained(name)
        speakers_of(config)
        if not any(architecture.endswith("ForCausalLM") for architecture in config.architectures or ()):
            raise ValueError(f"model must have a trained head that generates, got {config.architectures} in {name}")
        model: Any = AutoModelForCausalLM.from_pretrained(name)
        device = device or (torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu")
        return cls(model.to(device), AutoTokenizer.from_pretrained(name), **options)

    def reply(self, text: str) -> str:
        """Say something, and get the answer.

        Raises:
            ValueError: if the text is empty; it is not said then.
        """
        turns = [*self.turns, text]
        context = self.encoder.encode_context(turns, room=self.settings["max_new_tokens"])
        inputs = {name: value.to(self.model.device) for name, value in self.collate([context]).items()}
        with evaluation_mode(self.model):
            generated = self.model.generate(**inputs, **self.settings)[0, inputs["input_ids"].shape[1] :]
        answer = reply_text(self.tokenizer, generated)
        self.turns = [*turns, answer]
        return answer

    def reset(self) -> None:
        """Forget what was said."""
        self.turns = []
