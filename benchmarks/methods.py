"""Training steps by each method beside plain ones: classification and GlobalPointer over a small RoFormer.

    python benchmarks/methods.py --tasks classification,spans --lengths 64,128
    python benchmarks/methods.py --sides fgm,vat --device cuda

A side is a step of Trainer with AdamW, or the optimiser that it names, and callbacks. Beside its name stands how many
passes, forward and backward, it takes: FGM two; VAT that of the labels and two, and a third of one forward; R-Drop two;
the penalty of the gradient differentiates it once more. Penalties of weights and of outputs, averages and ramps have
none of their own. A successor of half the layers runs three quarters of them on average, of which only its own learn.
A ratio above that number is overhead.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainingArguments

sys.path.insert(0, str(Path(__file__).parent))

import harness

import hf_ext
from hf_ext import RoFormerConfig, RoFormerForSequenceClassification
from hf_ext.training import (
    ArticleOptimizerTrainer,
    EMACallback,
    PenaltyTrainer,
    ResidualRamp,
    attach_successor,
    pointer_tables_divergence,
)
from hf_ext.training.penalty import penalty_of_name

PLAIN = "plain (1)"
# As in the documents.
ANGLES, SCALES, OUTPUTS = r".*\.(query|key|value)\.weight", r".*\.(value|output\.dense)\.weight", r".*\.value"
SIDES: dict[str, tuple[Any, dict[str, Any]]] = {
    PLAIN: (Trainer, {}),
    "fgm (2)": (hf_ext.AdversarialTrainer, {}),
    "fgm, rows (2)": (hf_ext.AdversarialTrainer, {"norm": "row"}),
    "penalty (2+)": (hf_ext.AdversarialTrainer, {"method": "penalty"}),
    "vat (3.3)": (hf_ext.VirtualAdversarialTrainer, {}),
    "r-drop (2)": (hf_ext.RDropTrainer, {}),
    "cosine (1)": (PenaltyTrainer, {"penalties": {ANGLES: penalty_of_name("cosine")}}),
    "weissi (1)": (PenaltyTrainer, {"penalties": {SCALES: penalty_of_name("weissi")}}),
    "self-orthogonality (1)": (PenaltyTrainer, {"penalties": {OUTPUTS: penalty_of_name("self_orthogonality")}}),
    "theseus (0.75)": (Trainer, {}),
    "ema (1)": (Trainer, {"callbacks": lambda: [EMACallback()]}),
    "unfactored adafactor (1)": (ArticleOptimizerTrainer, {}),
    "factored adafactor (1)": (Trainer, {"optimizer_cls_and_kwargs": (torch.optim.Adafactor, {})}),
    "ramp (1)": (Trainer, {"callbacks": lambda: [ResidualRamp(1000)]}),
}
"""Side to its Trainer and arguments; callbacks are of one Trainer alone, and made for it."""


def model_of(task: str, arguments: argparse.Namespace) -> Any:
    """The model of a task, in training."""
    torch.manual_seed(0)
    config = RoFormerConfig(
        vocab_size=arguments.vocab_size,
        hidden_size=arguments.hidden_size,
        num_hidden_layers=arguments.blocks,
        num_attention_heads=arguments.hidden_size // 64,
        intermediate_size=4 * arguments.hidden_size,
        num_labels=10,
    )
    if task == "spans":
        return hf_ext.AutoModelForSpanExtraction.from_config(config).train()
    return RoFormerForSequenceClassification(config).train()


def batch_of(task: str, texts: int, length: int, vocab_size: int) -> dict[str, Tensor]:
    """A batch without padding; of spans with four in each text."""
    ids = torch.randint(vocab_size, (texts, length))
    labels = torch.randint(10, (texts,))
    if task == "spans":
        start = torch.randint(length - 4, (texts, 4))
        labels = torch.stack((torch.randint(10, (texts, 4)), start, start + 2), -1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="classification,spans")
    parser.add_argument("--sides", help="some of them, by the beginnings of their names; the plain one is added")
    parser.add_argument("--lengths", default="64,128", help="tokens of a text")
    parser.add_argument("--texts", type=int, default=16, help="texts of a batch")
    parser.add_argument("--vocab-size", type=int, default=21128)
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "methods.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    wanted = ("",) if arguments.sides is None else tuple(arguments.sides.split(","))
    sides = [side for side in SIDES if side == PLAIN or side.startswith(wanted)]
    with tempfile.TemporaryDirectory() as folder:
        for task in arguments.tasks.split(","):
            for length in map(int, arguments.lengths.split(",")):
                batch = batch_of(task, arguments.texts, length, arguments.vocab_size)
                batch = {name: value.to(arguments.device) for name, value in batch.items()}
                calls = {side: partial(step, trainer_of(side, task, folder, arguments), batch) for side in sides}
                measured = harness.compare(calls, arguments.rounds, device=arguments.device)
                case = {"task": task, "tokens": length, "texts": arguments.texts, "blocks": arguments.blocks}
                harness.report("methods", case, measured, PLAIN, arguments.output, arguments.device)


def trainer_of(side: str, task: str, folder: str, arguments: argparse.Namespace) -> Any:
    """The Trainer of a side, with a model of its own."""
    trainer_class, options = SIDES[side]
    if task == "spans" and trainer_class in (hf_ext.VirtualAdversarialTrainer, hf_ext.RDropTrainer):
        options = options | {"divergence": pointer_tables_divergence}
    model = model_of(task, arguments)
    if side.startswith("theseus"):
        attach_successor(model, arguments.blocks // 2)
    if "callbacks" in options:
        options = options | {"callbacks": options["callbacks"]()}
    settings = TrainingArguments(folder, use_cpu=arguments.device == "cpu", report_to="none", disable_tqdm=True)
    trainer: Any = trainer_class(model, settings, **options)
    # As Trainer's loop says it.
    trainer.current_gradient_accumulation_steps = 1
    trainer.state.max_steps = 10**6
    trainer.callback_handler.optimizer = trainer.create_optimizer()
    trainer.callback_handler.on_train_begin(settings, trainer.state, trainer.control)
    return trainer


def step(trainer: Any, batch: dict[str, Tensor]) -> None:
    """Forward, backward and the optimiser, with gradients made anew."""
    told = trainer.args, trainer.state, trainer.control
    trainer.callback_handler.on_step_begin(*told)
    trainer.model.zero_grad(set_to_none=True)
    trainer.training_step(trainer.model, dict(batch))
    trainer.optimizer.step()
    trainer.callback_handler.on_step_end(*told)


if __name__ == "__main__":
    main()
