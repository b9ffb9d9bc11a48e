"""A callback that has any Trainer write a model card beside the model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_ext.training.curves import save_curves
from hf_ext.training.model_card.facts import CardFacts
from hf_ext.training.model_card.readme import write_readme
from hf_ext.training.model_card.render import model_name, render_card

# Arguments of Trainer.create_model_card, and what they are among the facts.
_FIELDS = {
    "language": "language",
    "license": "license",
    "tags": "tags",
    "finetuned_from": "base_model",
    "dataset": "datasets",
}


class ModelCardCallback(TrainerCallback):
    """Writes README.md at the end of training and before each upload, instead of the card of ``Trainer.push_to_hub``.

    ``trainer.add_callback(ModelCardCallback(trainer, CardFacts(license="apache-2.0")))``. The card says what was
    trained from what, how, and with which results; of a head of ours it says how to use it. README.md keeps what a
    person adds outside of the marks in it, and stays as it is if that person changed what is inside.

    Args:
        trainer: that it is added to.
        facts: what the Trainer does not know.
        curves: whether to draw ``curves.png`` at the end of training; a job draws its own.
    """

    def __init__(self, trainer: Trainer, facts: CardFacts | None = None, curves: bool = True) -> None:
        self.trainer = trainer
        self.facts = facts or CardFacts()
        self.curves = curves
        # Trainer.push_to_hub writes a card of its own over any that is there, after the last event that it tells of.
        replaced: Any = trainer
        replaced.create_model_card = self.create_model_card

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw the curves and write the card."""
        if state.is_world_process_zero:
            Path(str(args.output_dir)).mkdir(parents=True, exist_ok=True)
            if self.curves:
                metric = str(args.metric_for_best_model or "loss").removeprefix("eval_")
                save_curves(state.log_history, Path(str(args.output_dir)) / "curves.png", metric)
            write_card(self.trainer, self.facts)

    def on_push_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the card of what is pushed."""
        if state.is_world_process_zero:
            Path(str(args.output_dir)).mkdir(parents=True, exist_ok=True)
            write_card(self.trainer, self.facts)

    def create_model_card(self, model_name: str | None = None, **given: Any) -> None:
        """Write the card, as ``Trainer.create_model_card``.

        Args:
            model_name: what ``Trainer.push_to_hub`` calls the model; the card has the name by which it is loaded.
            **given: ``language``, ``license``, ``tags``, ``finetuned_from`` and ``dataset`` of Trainer's, which go
                before the facts.

        Raises:
            ValueError: if there is another argument, as files and task are those of the facts.
        """
        others = sorted(given.keys() - _FIELDS.keys())
        if others:
            raise ValueError(f"arguments of a card must be among {', '.join(_FIELDS)}, got {', '.join(others)}")
        if not self.trainer.is_world_process_zero():
            return
        changes: dict[str, Any] = {_FIELDS[name]: value for name, value in given.items() if value is not None}
        if isinstance(changes.get("language"), list):
            changes["language"] = ",".join(changes["language"])
        for name in changes.keys() & {"datasets", "tags"}:
            changes[name] = [changes[name]] if isinstance(changes[name], str) else changes[name]
        write_card(self.trainer, replace(self.facts, **changes))


def write_card(trainer: Trainer, facts: CardFacts) -> bool:
    """Write README.md into the folder of a run.

    Args:
        trainer: of the run.
        facts: what it does not know.

    Returns:
        Whether it was written: one that a person changed is not, unless the facts say so.
    """
    folder = Path(str(trainer.args.output_dir))
    card = render_card(trainer, facts, curves=(folder / "curves.png").is_file())
    return write_readme(folder, card, model_name(trainer), facts.overwrite)
