"""Answers to questions about texts of any length."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from hf_ext.data.windows import TextWindow
from hf_ext.export.best_spans import best_answers
from hf_ext.export.graph_session import Array
from hf_ext.export.window_answers import WindowAnswers
from hf_ext.tasks.reading_comprehension.answers import answers_of_windows
from hf_ext.tasks.reading_comprehension.question_encoding import QuestionEncoding, check_answer_options

_MERGING = ("top_k", "handle_impossible_answer", "null_threshold")


class ReadingAnswers(QuestionEncoding, WindowAnswers):
    """What "reading-comprehension" gives for mappings with question and context."""

    options: ClassVar[tuple[str, ...]] = (*_MERGING, "max_answer_len", "max_seq_len", "doc_stride", "max_question_len")

    def settled(  # type: ignore[override]
        self, max_answer_len: int | None = None, **options: Any
    ) -> tuple[dict[str, Any], ...]:
        """The options of a call, checked."""
        check_answer_options(self.config, options.get("top_k"), max_answer_len)
        merging = {name: options.pop(name) for name in _MERGING if name in options}
        given = {name: value for name, value in merging.items() if value is not None}
        return options, {"longest": max_answer_len or self.config.max_answer_tokens}, given

    def read(  # type: ignore[override]
        self, batch: Mapping[str, Array], outputs: Mapping[str, Array], longest: int
    ) -> Iterator[Any]:
        """The best answers of each row, and the score of there being none."""
        is_share = self.description.settings["has_pointer"] and self.config.answer_ranking == "odds"
        for table, context in zip(outputs["scores"], batch["context_mask"] != 0):
            yield best_answers(table, context, self.config.answer_top_k, longest, is_share)

    def decode(self, found: Any, window: TextWindow) -> Any:
        """The same: what an answer is in the text is seen by all windows."""
        return found

    def merge(self, found: list[Any], windows: list[TextWindow], **options: Any) -> Any:
        """The answer, or the answers with ``top_k`` above 1."""
        spans, nones = zip(*found)
        offsets = [window.offsets for window in windows]
        return answers_of_windows(
            [own.tolist() for own in spans], nones, offsets, windows[0].text, self.config, **options
        )
