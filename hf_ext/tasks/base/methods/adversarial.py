"""The options of adversarial training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from transformers import Trainer

from hf_ext.losses.rows import check_at_least, check_positive
from hf_ext.tasks.base.option import METHODS, option
from hf_ext.training.adversarial import EPSILONS, PENALTY_NORMS, AdversarialTrainer
from hf_ext.training.divergences import Divergence, clean_divergence
from hf_ext.training.input_embeddings import NORMS
from hf_ext.training.virtual_adversarial import VirtualAdversarialTrainer

VAT = "vat"
"""The choice of ``adversarial`` that asks for no labels."""
_OF_VAT = ("vat_xi", "vat_iterations", "vat_weight", "unlabelled_file")
_OF_ANY = ("adversarial_epsilon", "adversarial_norm", "adversarial_add_clean")


@dataclass(kw_only=True)
class AdversarialOptions:
    """Embeddings that are moved to where the loss is worse."""

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
        "With vat: texts to learn from without their labels, a text a line or JSON lines like those of training; else "
        "the texts of training.",
        None,
        group=METHODS,
    )

    learns_unlabelled: ClassVar[bool] = False
    """Whether the task itself learns from texts without labels, those of its own ``unlabelled_file``."""
    clean_divergence: ClassVar[Divergence] = staticmethod(clean_divergence)
    """How far one is from a pass that is taken as given; see
    `hf_ext.training.virtual_adversarial.VirtualAdversarialTrainer`."""

    def check_adversarial(self) -> None:
        """Raise ValueError for options that have no effect, or do not fit."""
        for name in (*_OF_ANY, *_OF_VAT):
            value = getattr(self, name)
            if value in (None, False) or (name == "unlabelled_file" and self.learns_unlabelled):
                continue
            if name in _OF_ANY and self.adversarial is None:
                raise ValueError(f"{name} goes with adversarial, got {value} without it")
            if name in _OF_VAT and self.adversarial != VAT:
                raise ValueError(f"{name} goes with adversarial={VAT}, got {value} with {self.adversarial}")
        if self.adversarial not in (None, *EPSILONS, VAT):
            raise ValueError(f"adversarial must be one of {', '.join((*EPSILONS, VAT))}, got {self.adversarial!r}")
        for name in ("adversarial_epsilon", "vat_xi", "vat_weight"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if self.vat_iterations is not None:
            check_at_least("vat_iterations", self.vat_iterations, 0)
        if self.adversarial_add_clean and self.adversarial != "fgm":
            raise ValueError(f"adversarial_add_clean goes with adversarial=fgm, got {self.adversarial}")
        norms = PENALTY_NORMS if self.adversarial == "penalty" else NORMS
        if self.adversarial_norm not in (None, *norms):
            wanted = f"one of {', '.join(norms)} with adversarial={self.adversarial}"
            raise ValueError(f"adversarial_norm must be {wanted}, got {self.adversarial_norm!r}")

    def vat_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainer of the choice "vat", with its arguments."""
        if self.adversarial != VAT:
            return
        given = {
            "epsilon": self.adversarial_epsilon,
            "norm": self.adversarial_norm,
            "xi": self.vat_xi,
            "iterations": self.vat_iterations,
            "weight": self.vat_weight,
        }
        given = {name: value for name, value in given.items() if value is not None}
        yield VirtualAdversarialTrainer, {**given, "divergence": type(self).clean_divergence}

    def adversarial_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        """The Trainer of the other choices, with its arguments."""
        if self.adversarial in EPSILONS:
            yield (
                AdversarialTrainer,
                {
                    "method": self.adversarial,
                    "epsilon": self.adversarial_epsilon,
                    "norm": self.adversarial_norm,
                    "add_clean": self.adversarial_add_clean,
                },
            )
