"""The pipeline "multiple-choice": questions with choices in, the right choice out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_ext.data.input_limit import input_limit
from hf_ext.tasks.base.call_options import check_top_k
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.multiple_choice.decoding import OPTIONAL_KEYS, checked_question, decoding_of, picked_choices, together
from hf_ext.tasks.multiple_choice.either_model import EitherModelForMultipleChoice
from hf_ext.tasks.multiple_choice.encoding import ChoiceEncoder, DataCollatorForChoices
from hf_ext.tasks.multiple_choice.head import AutoModelForLinearChoice
from hf_ext.tasks.multiple_choice.metrics import logits_of_choices


class MultipleChoicePipeline(TextPipeline):
    """Picks one of the choices of a question, with a model of `AutoModelForMultipleChoice` or of our linear head.

    ``pipeline("multiple-choice", model=folder)`` takes a question ``{"text", "choices"}``, with ``"question"``,
    ``"blank"`` or ``"group"`` as in :func:`hf_ext.tasks.multiple_choice.read_choices`, a list of them, a dataset or a
    generator, and gives for each a list of ``{"choice", "index", "score"}``: the one that is taken, ``score`` being a
    softmax over the choices. Questions of a group stand together, and take different choices.

    Args (of the constructor or of a call):
        decoding: "argmax", "greedy" or "assignment", how the questions of a group take their choices; default what the
            model was trained with, else "assignment" of questions with a group.
        top_k: how many choices to give, at most: the one that is taken, then the others from the best; default 1.
    """

    found: ClassVar[str] = "answers"
    command: ClassVar[str | None] = "multiple-choice"
    endings: ClassVar[tuple[str, ...]] = EitherModelForMultipleChoice.suffixes
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "choices"),)
    optional: ClassVar[tuple[str, ...]] = OPTIONAL_KEYS
    predict_options: ClassVar[Mapping[str, str]] = {"top_k": "top_k"}

    default_input_names: Any = "texts"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = self.model.config
        limit = input_limit(self.tokenizer, config)
        options = (getattr(config, name, None) for name in ("num_choices", "padding_choice"))
        self.collator = DataCollatorForChoices(ChoiceEncoder(self.tokenizer, limit, *options))

    @classmethod
    def labels(cls, config: Any) -> list[str]:
        """None: choices are those of each question."""
        return []

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:  # type: ignore[override]
        """The choice of one question, or of each of several: a list, or an iterator where they come one by one."""
        if isinstance(inputs, Mapping):
            return next(self.stream([inputs], batch_size, **options))
        found = self.stream(inputs, batch_size, **options)
        return list(found) if isinstance(inputs, Sequence) else found

    def stream(self, inputs: Iterable[Any], batch_size: int | None = None, **options: Any) -> Iterator[Any]:
        """The choices of questions that need not be held in memory, in their order.

        Raises:
            TypeError: if a question is no mapping, or a text no string.
            ValueError: if a question lacks a text or choices, or a score is no number; or a group comes twice, with
                others in between, or its questions have different choices.
        """
        _, _, after = self._sanitize_parameters(**options)
        finish = {**self._postprocess_params, **after}
        for pairs in together(self._scored(inputs, batch_size)):
            yield from self.postprocess(pairs, **finish)

    def score_choices(self, inputs: Iterable[Any], batch_size: int | None = None) -> list[Any]:
        """Logits of the choices of each question, float64 ``[K]``, as :data:`DECODINGS` and ensembles take them."""
        return [logits for _, logits in self._scored(inputs, batch_size)]

    def _sanitize_parameters(  # type: ignore[override]
        self, decoding: str | None = None, top_k: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        decoding_of(decoding, ())
        check_top_k(top_k)
        given = {"decoding": decoding, "top_k": top_k}
        return {}, {}, {name: value for name, value in given.items() if value is not None}

    def _scored(self, inputs: Iterable[Any], batch_size: int | None) -> Iterator[tuple[dict[str, Any], Any]]:
        """Questions, each with the logits of its choices."""
        iterator = iter(inputs)
        while questions := [checked_question(one) for one in islice(iterator, batch_size or 16)]:
            logits = self.forward(self.preprocess(questions), **self._forward_params)["logits"]
            counts = [len(self.collator.encoder.choices_of(one)) for one in questions]
            rows = logits_of_choices(logits.float().cpu().numpy(), counts)
            for question, row, count in zip(questions, rows, counts):
                yield question, row[:count]

    def preprocess(self, input_: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """A batch of questions."""
        return self.collator(input_)

    def _forward(self, input_tensors: Any) -> dict[str, Tensor]:  # type: ignore[override]
        inputs = {name: value for name, value in input_tensors.items() if name != "labels"}
        with torch.no_grad():
            return {"logits": self.model(**inputs, return_dict=True)["logits"]}

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, decoding: str | None = None, top_k: int = 1
    ) -> list[list[dict[str, Any]]]:
        """The choices of questions that belong together."""
        way = decoding or getattr(self.model.config, "choice_decoding", None)
        return picked_choices(model_outputs, self.collator.encoder.choices_of, way, top_k)


register_task("multiple-choice", MultipleChoicePipeline, EitherModelForMultipleChoice, AutoModelForLinearChoice)
