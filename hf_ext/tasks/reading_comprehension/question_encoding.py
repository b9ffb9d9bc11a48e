"""Windows of questions and their texts, as they are read with PyTorch and without."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_ext.tasks.base.window_encoding import WindowEncoding
from hf_ext.tasks.reading_comprehension.answers import check_question
from hf_ext.tasks.reading_comprehension.encoding import ReadingEncoder


class QuestionEncoding(WindowEncoding):
    """Makes rows of tokens of questions, each beside a window of its text."""

    def encode(
        self,
        inputs: Sequence[Any],
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
        max_question_len: int | None = None,
    ) -> tuple[list[str], Mapping[str, Any]]:
        """The questions' texts, and columns of the rows of their windows.

        Raises:
            TypeError: if an input is no mapping.
            ValueError: if a question or a text is no string or blank, or a length does not fit.
        """
        for one in inputs:
            check_question(one)
        length = self.window_length(max_seq_len, "max_seq_len")
        encoder = ReadingEncoder(self.tokenizer, length, doc_stride, max_question_len)
        batch = {name: [one[name] for one in inputs] for name in ("question", "context")}
        return batch["context"], encoder(batch, range(len(inputs)))


def check_answer_options(config: Any, top_k: int | None, max_answer_len: int | None) -> None:
    """Raise ValueError if a model gives no such number of answers, or answers of no such length."""
    # The config of another model has no such field, which is told elsewhere.
    most = getattr(config, "answer_top_k", 1)
    if top_k is not None and not 1 <= top_k <= most:
        raise ValueError(f"top_k must be in [1, {most}], the config's answer_top_k, got {top_k}")
    if max_answer_len is not None and max_answer_len < 1:
        raise ValueError(f"max_answer_len must be at least 1, got {max_answer_len}")
