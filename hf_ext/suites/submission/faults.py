"""What is wrong with a submission, each with its file and line."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something wrong with a submission.

    Attributes:
        file: in which, as the zip calls it.
        line: on which line; None if it is the file.
        severity: ``"error"``, or ``"warning"`` for what has been scored all the same, or is a row surely wrong.
        kind: what it is, in a word.
        message: what is wanted and what is there.
    """

    file: str
    line: int | None
    severity: str
    kind: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.severity}: {self.message}"


class Faults:
    """The faults of a file, of each kind no more than a limit, and how many there are beyond it.

    Args:
        file: its name.
        limit: how many of a kind are listed.
    """

    def __init__(self, file: str, limit: int):
        self.file = file
        self.limit = limit
        self._listed: list[Fault] = []
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, line: int | None, kind: str, message: str, severity: str = "error") -> None:
        """Add a fault."""
        self._counts[kind, severity] += 1
        if self._counts[kind, severity] <= self.limit:
            self._listed.append(Fault(self.file, line, severity, kind, message))

    def warn(self, line: int | None, kind: str, message: str) -> None:
        """Add a fault that is a warning."""
        self.add(line, kind, message, "warning")

    def all(self) -> list[Fault]:
        """The faults by their lines, and behind them how many more there are of a kind."""
        rest = [
            Fault(self.file, None, severity, kind, f"{count - self.limit} more of the kind {kind!r}")
            for (kind, severity), count in self._counts.items()
            if count > self.limit
        ]
        return [*sorted(self._listed, key=lambda one: one.line or 0), *rest]
