"""What is found in texts of any length, read in overlapping windows that each run through a graph."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

from hf_ext.data.windows import TextWindow
from hf_ext.export.graph_session import Array
from hf_ext.export.token_answers import TokenAnswers
from hf_ext.ops.logit import logit
from hf_ext.tasks.base.call_options import check_threshold
from hf_ext.tasks.base.window_encoding import WindowEncoding


class WindowAnswers(TokenAnswers, WindowEncoding):
    """Texts of any length; a subclass says what is in a window, and what comes of the windows of a text."""

    options: ClassVar[tuple[str, ...]] = ("threshold", "max_length", "stride")

    def answers(self, inputs: Sequence[Any], batch_size: int, **options: Any) -> Iterator[Any]:
        """What is in each text."""
        lengths, reading, merging = self.settled(**options)
        texts, columns = self.encode(inputs, **lengths)
        rows = [self.inputs_of(columns, number) for number in range(len(columns["example_id"]))]
        windows = [
            TextWindow(texts[owner], [tuple(pair) for pair in offsets] or [(0, 0)])
            for owner, offsets in zip(columns["example_id"], columns["offset_mapping"])
        ]
        found: dict[int, Any] = {}
        for chosen in self.batches([len(row["input_ids"]) for row in rows], batch_size):
            batch = self.padded([rows[number] for number in chosen])
            outputs = self.graphs["model"](batch)
            for number, own in zip(chosen, self.read(batch, outputs, **reading)):
                found[number] = self.decode(own, windows[number])
        numbers = iter(range(len(rows)))
        counts = Counter(columns["example_id"])
        for owner in range(len(texts)):
            own = list(islice(numbers, counts[owner]))
            yield self.merge([found[number] for number in own], [windows[number] for number in own], **merging)

    def settled(self, threshold: float | None = None, **lengths: Any) -> tuple[dict[str, Any], ...]:
        """The options of a call, checked: those of `encode`, of `read` and of `merge`."""
        check_threshold(threshold)
        return lengths, {"threshold": threshold}, {}

    def least(self, threshold: float | None) -> float:
        """The score that what is found is to be above."""
        return logit(self.config.score_threshold if threshold is None else threshold)

    def read(self, batch: Mapping[str, Array], outputs: Mapping[str, Array], **options: Any) -> Iterator[Any]:
        """What the outputs say of each row."""
        raise NotImplementedError

    def decode(self, found: Any, window: TextWindow) -> Any:
        """What that is in the text."""
        raise NotImplementedError

    def merge(self, found: list[Any], windows: list[TextWindow], **options: Any) -> Any:
        """What is in a text, from what is in each of its windows."""
        raise NotImplementedError
