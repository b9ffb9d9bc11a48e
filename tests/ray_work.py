"""Work in parts that goes wrong as a test wants it, in a module that the workers find too."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ext.engines import Prediction
from hf_ext.engines.file_work import PartFunction


@dataclass
class FaultyPrediction(Prediction):
    """Notes each part that it computes in ``log``; dies or fails at part 2 as long as the file ``fault`` says so."""

    log: Path = Path()
    fault: Path = Path()

    def open(self) -> PartFunction:
        compute = super().open()

        def noted(number: int, documents: list[Any]) -> bytes:
            if number == 2 and self.fault.is_file():
                kind = self.fault.read_text()
                if kind == "die":
                    self.fault.unlink()
                    os.kill(os.getpid(), signal.SIGKILL)
                raise ValueError(f"part 2 is {kind}")
            with self.log.open("a") as log:
                log.write(f"{number} {os.getpid()}\n")
            return compute(number, documents)

        return noted

    def computed(self) -> list[int]:
        """The numbers of the parts that were computed, in their order."""
        return sorted(int(line.split()[0]) for line in self.log.read_text().splitlines())

    def workers(self) -> set[str]:
        """The processes that computed them."""
        return {line.split()[1] for line in self.log.read_text().splitlines()}
