"""How much a server takes of a request, and of all of them together."""

import sys
from dataclasses import dataclass, fields

# Of times, a day: clocks take no number as large as may be.
_MOST = {"seconds": 86_400, "wait_ms": 86_400_000}


@dataclass(frozen=True)
class Limits:
    """What a server refuses more than; each is at least 1, but for the wait for a batch.

    Attributes:
        body_bytes: of the body of a request.
        texts: of a request: documents, prompts, texts to embed.
        characters: of a text.
        new_tokens: of a completion.
        waiting: texts that wait for a model, those of a new request among them.
        seconds: from a request to its answer.
        batch: texts that a model runs at a time.
        wait_ms: milliseconds that a batch waits for more texts.

    Raises:
        ValueError: if one is below that, or not finite, a time is above a day, or a request could have more texts than
            may wait.
    """

    body_bytes: int = 4 * 1024 * 1024
    texts: int = 64
    characters: int = 20_000
    new_tokens: int = 256
    waiting: int = 256
    seconds: float = 30.0
    batch: int = 16
    wait_ms: float = 4.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name in ("wait_ms", "seconds") else 1
            if not value >= least:
                raise ValueError(f"{field.name} must be at least {least}, got {value}")
            if not value <= (most := _MOST.get(field.name, sys.maxsize)):
                raise ValueError(f"{field.name} must be at most {most}, got {value}")
        if not self.seconds > 0:
            raise ValueError(f"seconds must be above 0, got {self.seconds}")
        if self.texts > self.waiting:
            raise ValueError(f"waiting must be at least the {self.texts} texts of a request, got {self.waiting}")
