"""What scores the models of a task in place of its job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Measure:
    """Scores a model of a task in place of the scores of its job; fields of a subclass are options, made by `option`.

    With it a task needs no training: where ``num_train_epochs`` is 0 and ``max_steps`` is not given, the model that is
    named is scored as it is, and none is written.
    """

    def scores(
        self, model: str, examples: Mapping[str, Sequence[Mapping[str, Any]]], settings: Mapping[str, Any], device: Any
    ) -> dict[str, Any]:
        """Scores as those of the job: of the validation file, and under ``"test"`` of a part that chooses nothing.

        Args:
            model: a folder or a name on the Hub.
            examples: what the job reads of the labelled parts, by part.
            settings: options of the job and training arguments that were given or stand in the table of the suite.
            device: to run on.
        """
        raise NotImplementedError
