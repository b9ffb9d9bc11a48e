"""The pipeline "reading-comprehension": a question and a text in, answers with their places in the text out."""

from collections.abc import Mapping
from typing import Any, ClassVar

from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.window_pipeline import WindowPipeline
from hf_ext.tasks.reading_comprehension.answers import answers_of_windows
from hf_ext.tasks.reading_comprehension.head import AutoModelForReadingComprehension
from hf_ext.tasks.reading_comprehension.question_encoding import QuestionEncoding, check_answer_options


class ReadingComprehensionPipeline(QuestionEncoding, WindowPipeline):
    """Answers questions about texts with a model of `AutoModelForReadingComprehension` and a fast tokenizer.

    ``pipeline("reading-comprehension", model=folder)`` takes ``question=`` and ``context=``, each a string or a list of
    them (one text may have several questions), or mappings with these keys: one, a list, a dataset or a generator. It
    gives for each question ``{"score", "start", "end", "answer"}``, a list of them with ``top_k`` above 1: ``end`` is
    exclusive, offsets point into the text as it was given, and ``score`` is the probability among all answers that were
    found. No answer is ``"answer": ""`` from 0 to 0.

    A text longer than the window is read in overlapping windows.

    Args (of the constructor or of a call; named and meant as in Transformers' former "question-answering"):
        top_k: answers to give, at most the config's ``answer_top_k``; default 1.
        handle_impossible_answer: allow no answer; default: whether the config has a ``null_threshold``.
        null_threshold: there is no answer where it scores more than this above the best one; default the config's, or
            0.
        max_answer_len: most tokens of an answer; default the config's ``max_answer_tokens``.
        max_seq_len: tokens of a question and a window of its text, special ones included; default 512, or less if the
            model or tokenizer takes less.
        doc_stride: tokens that two windows share; default 128, or less in a small window.
        max_question_len: tokens of a question, what is beyond is cut off; default 64, or less in a small window.
    """

    auto_class = AutoModelForReadingComprehension
    found = "answers"
    reads: ClassVar[tuple[tuple[str, ...], ...]] = (("question", "context"),)
    predict_options: ClassVar[Mapping[str, str]] = {"stride": "doc_stride", "top_k": "top_k"}
    command = "reading-comprehension"
    endings = ("ForReadingComprehension",)
    default_input_names: Any = None

    def __call__(self, inputs: Any = None, *args: Any, question: Any = None, context: Any = None, **kwargs: Any) -> Any:
        """The answer, or the answers with ``top_k``, to one question, or to several (a list, or an iterator).

        Raises:
            ValueError: if there is no question or no text, one is blank, or there are not as many of one as of the
                other.
        """
        if inputs is None:
            inputs = _paired(question, context)
        elif question is not None or context is not None:
            raise ValueError("give either inputs, or question and context, got both")
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(  # type: ignore[override]
        self,
        top_k: int | None = None,
        handle_impossible_answer: bool | None = None,
        null_threshold: float | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
        max_question_len: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        check_answer_options(self.model.config, top_k, max_answer_len)
        windows = {"max_seq_len": max_seq_len, "doc_stride": doc_stride, "max_question_len": max_question_len}
        lengths = {"max_answer_len": max_answer_len}
        choices = {
            "top_k": top_k,
            "handle_impossible_answer": handle_impossible_answer,
            "null_threshold": null_threshold,
        }
        preprocess, forward, postprocess = (
            {name: value for name, value in part.items() if value is not None} for part in (windows, lengths, choices)
        )
        return preprocess, forward, postprocess

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], max_answer_len: int | None = None
    ) -> dict[str, Any]:
        inputs, rest = self.split(input_tensors)
        outputs = self.model(**inputs, max_answer_tokens=max_answer_len, return_dict=True)
        return {"spans": outputs.spans, "null_scores": outputs.null_scores, **rest}

    def postprocess(  # type: ignore[override]
        self,
        model_outputs: list[dict[str, Any]],
        top_k: int = 1,
        handle_impossible_answer: bool | None = None,
        null_threshold: float | None = None,
    ) -> Any:
        """The answers of one text from those of its windows."""
        windows = [output["window"] for output in model_outputs]
        return answers_of_windows(
            [output["spans"][0].tolist() for output in model_outputs],
            [float(output["null_scores"].flatten()[0]) for output in model_outputs],
            [window.offsets for window in windows],
            windows[0].text,
            self.model.config,
            top_k,
            handle_impossible_answer,
            null_threshold,
        )


def _paired(question: Any, context: Any) -> Any:
    """Mappings of questions and their texts."""
    for name, value in (("question", question), ("context", context)):
        if value is None:
            raise ValueError(f"{name} must be a string or a list of strings, got None")
    if isinstance(question, str) and isinstance(context, str):
        return {"question": question, "context": context}
    questions = [question] if isinstance(question, str) else list(question)
    contexts = [context] * len(questions) if isinstance(context, str) else list(context)
    if len(questions) != len(contexts):
        raise ValueError(f"there must be as many contexts as questions, {len(questions)}, got {len(contexts)}")
    return [{"question": one, "context": text} for one, text in zip(questions, contexts)]


register_task("reading-comprehension", ReadingComprehensionPipeline, AutoModelForReadingComprehension)
