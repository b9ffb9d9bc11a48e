"""One of two processes of `training/test_penalty.py`: trains with penalties. Called as ``... FOLDER``."""

import sys
from pathlib import Path

import torch
from torch import Tensor
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSequenceClassification

from hf_ext.losses import WEISSIPenalty, for_trainer, orthogonality_penalty
from hf_ext.training import PenaltyTrainer, ResidualRamp

ROWS = [{"input_ids": [n + 2, 3, 4, 5], "labels": n % 3} for n in range(16)]


def train(folder: Path, rows: int, steps: int = 1) -> dict[str, Tensor]:
    """The parameters after two steps of eight rows, while residual branches grow."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = AutoConfig.for_model("bert", vocab_size=20, num_labels=3, **sizes, **off)
    model = AutoModelForSequenceClassification.from_config(config)
    arguments = descent(
        folder, per_device_train_batch_size=rows, gradient_accumulation_steps=steps, max_steps=2, learning_rate=0.05
    )
    penalties = {
        r".*\.value\.weight": orthogonality_penalty,
        r".*\.output\.dense\.weight": WEISSIPenalty(1.0, 0.1),
    }
    trainer = PenaltyTrainer(
        model,
        arguments,
        train_dataset=ROWS,
        compute_loss_func=for_trainer("cross_entropy"),
        callbacks=[ResidualRamp(2)],
        penalties=penalties,
        penalty_weight=0.5,
    )
    trainer.train()
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def main(folder: Path) -> None:
    """Train, and write the parameters."""
    torch.set_num_threads(1)
    found = train(folder / "out", 4)
    torch.save(found, folder / f"{torch.distributed.get_rank()}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
