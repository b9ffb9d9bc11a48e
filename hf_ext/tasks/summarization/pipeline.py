"""The pipeline "summary-generation": texts in, summaries, titles or whatever the model has learnt to write out."""

from collections.abc import Sequence
from typing import Any, ClassVar

from transformers import AutoModelForSeq2SeqLM

from hf_ext.data.input_limit import input_limit
from hf_ext.data.text_to_text import decode_summaries
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline


class SummaryPipeline(TextPipeline):
    """Writes what a model of `AutoModelForSeq2SeqLM`, such as T5-PEGASUS, was trained to write of a text.

    ``pipeline("summary-generation", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    a string for each. It writes as the job's evaluation did, as long and with as many beams. A text longer than the
    tokenizer's ``model_max_length``, which the job saves, is cut off, as in training.

    Args (of the constructor or of a call):
        **generation: arguments of ``generate``, such as ``num_beams`` or ``max_length``; default the model's own.
    """

    found = "summary"
    command: ClassVar[str | None] = "summarization"
    endings: ClassVar[tuple[str, ...]] = ("ForConditionalGeneration",)

    default_input_names: Any = "texts"

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """What the model writes of one text, or of each of several: a list, or an iterator."""
        if isinstance(inputs, Sequence) and not isinstance(inputs, str):
            inputs = list(inputs)
            if not inputs:
                return []
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(self, **generation: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, generation, {}

    def preprocess(self, input_: str) -> Any:  # type: ignore[override]
        """Model inputs ``[1, L]`` of a text."""
        if not isinstance(input_, str):
            raise TypeError(f"inputs must be texts, got {type(input_).__name__}")
        length = input_limit(self.tokenizer, self.model.config, most=None)
        return self.tokenizer(
            input_, truncation=True, max_length=length, return_tensors="pt", return_token_type_ids=False
        )

    def _forward(self, input_tensors: Any, **generation: Any) -> Any:
        return {"ids": self.model.generate(**input_tensors, **generation)}

    def postprocess(self, model_outputs: Any) -> str:  # type: ignore[override]
        """The text of the generated ids."""
        return decode_summaries(self.tokenizer, model_outputs["ids"])[0]


register_task("summary-generation", SummaryPipeline, AutoModelForSeq2SeqLM)
