"""Ways of training that any task may be given, each by options of every ``hf-ext train`` that stand here alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partialmethod
from pathlib import Path
from typing import Any, ClassVar

from transformers import Trainer

from hf_ext.losses.rows import check_at_least, check_positive
from hf_ext.tasks.base.option import option
from hf_ext.training.adversarial import EPSILONS, PENALTY_NORMS, AdversarialTrainer
from hf_ext.training.divergences import Divergence, clean_divergence, output_divergence
from hf_ext.training.input_embeddings import NORMS
from hf_ext.training.job_trainer import JobTrainer
from hf_ext.training.r_drop import RDropTrainer
from hf_ext.training.virtual_adversarial import VirtualAdversarialTrainer

METHODS = "Methods"
"""The group of their options."""
VAT = "vat"
"""The choice of ``adversarial`` that asks for no labels."""
_OF_VAT = ("vat_xi", "vat_iterations", "vat_weight", "unlabelled_file")


@dataclass(kw_only=True)
class Methods:
    """The methods of a job; none is used unless one of its options is given."""

    r_drop: float | None = option(
        "Run each batch twice under dropout, and weight by this how far both are apart (R-Drop); 4 in the original.",
        None,
        group=METHODS,
    )

    adversarial: str | None = option(
        "Learn from embeddings moved to where the loss is worse (fgm), or with a penalty on its gradient there "
        "(penalty), or also that moving them should not change what is predicted (vat).",
        None,
        group=METHODS,
        choices=(*EPSILONS, VAT),
    )
    adversarial_epsilon: float | None = option(
        "With adversarial: how far embeddings are moved, or the factor of the penalty; else 0.5 for fgm, 1 for the "
        "others.",
        None,
        group=METHODS,
    )
    adversarial_norm: str | None = option(
        "With adversarial: what is moved so far, the matrix of embeddings, or what they give for a batch or each row; "
        "else matrix, or batch for the penalty.",
        None,
        group=METHODS,
        choices=NORMS,
    )
    adversarial_add_clean: bool = option(
        "With fgm: add the loss where nothing is moved, in one more pass.", False, group=METHODS
    )
    vat_xi: float | None = option(
        "With vat: how far embeddings are moved to find the direction; else 10.", None, group=METHODS
    )
    vat_iterations: int | None = option(
        "With vat: passes to find the direction; with 0 it is noise; else 1.", None, group=METHODS
    )
    vat_weight: float | None = option("With vat: weight of its loss; else 1.", None, group=METHODS)
    unlabelled_file: Path | None = option(
        "With vat: texts to learn from without their labels, a text a line or like the training file; else those of "
        "training.",
        None,
        group=METHODS,
    )

    divergence: ClassVar[Divergence] = staticmethod(output_divergence)
    """How far two passes of the task's model are apart; see `hf_ext.training.r_drop.RDropTrainer`."""
    clean_divergence: ClassVar[Divergence] = staticmethod(clean_divergence)
    """How far one is from a pass that is taken as given; see
    `hf_ext.training.virtual_adversarial.VirtualAdversarialTrainer`."""
    refused_methods: ClassVar[Mapping[str, str]] = {}
    """Options of methods that the task cannot be trained with, or one value, as ``"adversarial=vat"``, and why."""

    def __post_init__(self) -> None:
        for name in self.methods_given():
            value = getattr(self, name)
            for refused in (name, f"{name}={value}"):
                if refused in self.refused_methods:
                    wanted = "be left out" if refused == name else "be left out or have another value"
                    raise ValueError(f"{name} must {wanted}, got {value}: {self.refused_methods[refused]}")
        if self.r_drop is not None:
            check_at_least("r_drop", self.r_drop, 0)
        self._check_adversarial()

    def methods_given(self) -> list[str]:
        """The options of methods that have another value than by default."""
        options = [one for one in fields(self) if one.metadata.get("group") == METHODS]
        return [one.name for one in options if getattr(self, one.name) != one.default]

    def method_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainers of the methods with their arguments, the one around all others first."""
        shared = {"epsilon": self.adversarial_epsilon, "norm": self.adversarial_norm}
        if self.adversarial == VAT:
            own = {"xi": self.vat_xi, "iterations": self.vat_iterations, "weight": self.vat_weight}
            given = {name: value for name, value in (shared | own).items() if value is not None}
            yield VirtualAdversarialTrainer, {**given, "divergence": type(self).clean_divergence}
        if self.r_drop is not None:
            yield RDropTrainer, {"alpha": self.r_drop, "divergence": type(self).divergence}
        if self.adversarial in EPSILONS:
            yield AdversarialTrainer, {**shared, "method": self.adversarial, "add_clean": self.adversarial_add_clean}

    def trainer_with_methods(self, own: type[JobTrainer]) -> type[JobTrainer]:
        """A Trainer that trains by the methods too, and knows its arguments for them.

        Args:
            own: that of the task. Those of methods call it as their superclass.
        """
        # Two methods may call an argument by one name.
        found = [
            type(one.__name__, (one,), {"__init__": partialmethod(one.__init__, **arguments), "__module__": __name__})
            for one, arguments in self.method_trainers()
        ]
        if not found:
            return own
        return type(own.__name__, (*found, own), {"__doc__": own.__doc__, "__module__": own.__module__})

    def _check_adversarial(self) -> None:
        """Raise ValueError for options of adversarial training that have no effect, or do not fit."""
        given = self.methods_given()
        for name in given:
            if name.startswith("adversarial_") and self.adversarial is None:
                raise ValueError(f"{name} goes with adversarial, got {getattr(self, name)} without it")
            if name in _OF_VAT and self.adversarial != VAT:
                raise ValueError(
                    f"{name} goes with adversarial={VAT}, got {getattr(self, name)} with {self.adversarial}"
                )
        if self.adversarial not in (None, *EPSILONS, VAT):
            raise ValueError(f"adversarial must be one of {', '.join((*EPSILONS, VAT))}, got {self.adversarial!r}")
        for name in ("adversarial_epsilon", "vat_xi", "vat_weight"):
            if name in given:
                check_positive(name, getattr(self, name))
        if self.vat_iterations is not None:
            check_at_least("vat_iterations", self.vat_iterations, 0)
        if self.adversarial_add_clean and self.adversarial != "fgm":
            raise ValueError(f"adversarial_add_clean goes with adversarial=fgm, got {self.adversarial}")
        norms = PENALTY_NORMS if self.adversarial == "penalty" else NORMS
        if self.adversarial_norm not in (None, *norms):
            wanted = f"one of {', '.join(norms)} with adversarial={self.adversarial}"
            raise ValueError(f"adversarial_norm must be {wanted}, got {self.adversarial_norm!r}")
