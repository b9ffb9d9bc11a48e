"""Answers to questions about texts of any length."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from hf_ext.export.best_spans import best_answers
from hf_ext.export.graph_session import Array
from hf_ext.export.window_answers import TokenWindow, WindowAnswers
from hf_ext.tasks.reading_comprehension.answers import answers_of_windows, check_question
from hf_ext.tasks.reading_comprehension.encoding import ReadingEncoder

_MERGING = ("top_k", "handle_impossible_answer", "null_threshold")


class ReadingAnswers(WindowAnswers):
    """What "reading-comprehension" gives for mappings with question and context."""

    options: ClassVar[tuple[str, ...]] = (*_MERGING, "max_answer_len", "max_seq_len", "doc_stride", "max_question_len")

    def settled(  # type: ignore[override]
        self, max_answer_len: int | None = None, **options: Any
    ) -> tuple[dict[str, Any], ...]:
        """The options of a call, checked."""
        most, top_k = self.config.answer_top_k, options.get("top_k")
        if top_k is not None and not 1 <= top_k <= most:
            raise ValueError(f"top_k must be in [1, {most}], the config's answer_top_k, got {top_k}")
        if max_answer_len is not None and max_answer_len < 1:
            raise ValueError(f"max_answer_len must be at least 1, got {max_answer_len}")
        merging = {name: options.pop(name) for name in _MERGING if name in options}
        given = {name: value for name, value in merging.items() if value is not None}
        return options, {"longest": max_answer_len or self.config.max_answer_tokens}, given

    def encode(
        self,
        inputs: Sequence[Any],
        max_seq_len: int | None = None,
        doc_stride: int | None = None,
        max_question_len: int | None = None,
    ) -> tuple[list[str], Mapping[str, Any]]:
        """The questions' texts, and columns of the rows of their windows."""
        for one in inputs:
            check_question(one)
        length = self.check_length(max_seq_len, "max_seq_len")
        encoder = ReadingEncoder(self.tokenizer, length, doc_stride, max_question_len)
        batch = {name: [one[name] for one in inputs] for name in ("question", "context")}
        return batch["context"], encoder(batch, range(len(inputs)))

    def read(  # type: ignore[override]
        self, batch: Mapping[str, Array], outputs: Mapping[str, Array], longest: int
    ) -> Iterator[Any]:
        """The best answers of each row, and the score of there being none."""
        is_share = self.description.settings["has_pointer"] and self.config.answer_ranking == "odds"
        for table, context in zip(outputs["scores"], batch["context_mask"] != 0):
            yield best_answers(table, context, self.config.answer_top_k, longest, is_share)

    def decode(self, found: Any, window: TokenWindow) -> Any:
        """The same: what an answer is in the text is seen by all windows."""
        return found

    def merge(self, found: list[Any], windows: list[TokenWindow], **options: Any) -> Any:
        """The answer, or the answers with ``top_k`` above 1."""
        spans, nones = zip(*found)
        offsets = [window.offsets for window in windows]
        return answers_of_windows(
            [own.tolist() for own in spans], nones, offsets, windows[0].text, self.config, **options
        )
