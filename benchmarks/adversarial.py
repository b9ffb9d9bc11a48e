"""Training steps on moved embeddings beside plain ones: classification and GlobalPointer over a small RoFormer.

    python benchmarks/adversarial.py --tasks classification,spans --lengths 64,128

A side is a step of Trainer without the optimizer's. Beside its name stands how many passes, forward and backward, it
cannot do without: FGM two, of which the first needs no gradients of weights; VAT that of the labels and two, and a
third of one forward; the penalty differentiates its gradient once more. A ratio above that number is overhead.
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
from hf_ext.training import pointer_tables_divergence

PLAIN = "plain (1)"
SIDES: dict[str, tuple[Any, dict[str, Any]]] = {
    PLAIN: (Trainer, {}),
    "fgm (2)": (hf_ext.AdversarialTrainer, {}),
    "fgm, rows (2)": (hf_ext.AdversarialTrainer, {"norm": "row"}),
    "penalty (2+)": (hf_ext.AdversarialTrainer, {"method": "penalty"}),
    "vat (3.3)": (hf_ext.VirtualAdversarialTrainer, {}),
}
"""Side to its Trainer and arguments."""


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
    parser.add_argument("--lengths", default="64,128", help="tokens of a text")
    parser.add_argument("--texts", type=int, default=16, help="texts of a batch")
    parser.add_argument("--vocab-size", type=int, default=21128)
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3, help="timings of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "adversarial.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        for task in arguments.tasks.split(","):
            for length in map(int, arguments.lengths.split(",")):
                batch = batch_of(task, arguments.texts, length, arguments.vocab_size)
                batch = {name: value.to(arguments.device) for name, value in batch.items()}
                calls = {side: partial(step, trainer_of(side, task, folder, arguments), batch) for side in SIDES}
                measured = harness.compare(calls, arguments.rounds, device=arguments.device)
                case = {"task": task, "tokens": length, "texts": arguments.texts, "blocks": arguments.blocks}
                harness.report("adversarial", case, measured, PLAIN, arguments.output, arguments.device)


def trainer_of(side: str, task: str, folder: str, arguments: argparse.Namespace) -> Trainer:
    """The Trainer of a side, with a model of its own."""
    trainer_class, options = SIDES[side]
    if task == "spans" and trainer_class is hf_ext.VirtualAdversarialTrainer:
        options = options | {"divergence": pointer_tables_divergence}
    settings = TrainingArguments(folder, use_cpu=arguments.device == "cpu", report_to="none", disable_tqdm=True)
    trainer: Trainer = trainer_class(model_of(task, arguments), settings, **options)
    # As Trainer's loop says it.
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def step(trainer: Any, batch: dict[str, Tensor]) -> None:
    """Forward and backward, with gradients made anew."""
    trainer.model.zero_grad(set_to_none=True)
    trainer.training_step(trainer.model, dict(batch))


if __name__ == "__main__":
    main()
