"""One of two processes of `training/test_adversarial_parallel.py`, with a folder to write into as its argument."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trainer_runs import descent
from transformers import AutoConfig, AutoModelForSequenceClassification

import hf_ext
from hf_ext.losses import for_trainer
from hf_ext.training.divergences import pointer_tables_divergence

METHODS: dict[str, dict[str, Any]] = {
    "fgm of the matrix": {},
    "fgm of a batch": {"norm": "batch"},
    "fgm of rows": {"norm": "row"},
    "fgm with the clean loss": {"norm": "batch", "add_clean": True},
    "penalty": {"method": "penalty"},
    "penalty of the matrix": {"method": "penalty", "norm": "matrix"},
    "vat of the matrix": {"vat": True},
    "vat of a batch": {"vat": True, "norm": "batch"},
    "vat of rows": {"vat": True, "norm": "row", "iterations": 2},
    "vat of the labelled": {"vat": True, "norm": "batch", "own": True},
}
SOME = ("fgm of the matrix", "penalty of the matrix", "vat of a batch")
CASES = [
    *(("text", method) for method in METHODS),
    *((head, method) for head in ("text, parts of a step", "spans") for method in SOME),
    # The divergence of tags is a mean over tokens, of which processes have unlike numbers.
    ("tags", "fgm of the matrix"),
    ("tags", "penalty of the matrix"),
]


def rows(head: str, labelled: bool = True) -> list[dict[str, Any]]:
    """Four rows, whose lengths are not those of two processes alike; for unlabelled ones others."""
    made = []
    for number in range(4 if labelled else 7):
        length = (3, 6, 2, 4)[number % 4]
        ids = [(3 * number + 5 * place) % 17 + (1 if labelled else 2) for place in range(length)]
        labels: Any = number % 3
        if head == "spans":
            labels = [[number % 3, 0, 1]]
        elif head == "tags":
            labels = [number % 3] * length
        made.append({"input_ids": ids} | ({"labels": labels} if labelled else {}))
    return made


def collate(batch: list[dict[str, Any]]) -> dict[str, Tensor]:
    """A batch as long as its longest row."""
    width = max(len(row["input_ids"]) for row in batch)
    made = {"input_ids": [], "attention_mask": []}  # type: dict[str, Any]
    for row in batch:
        padding = width - len(row["input_ids"])
        made["input_ids"].append(row["input_ids"] + [0] * padding)
        made["attention_mask"].append([1] * len(row["input_ids"]) + [0] * padding)
        if "labels" in row:
            labels = row["labels"]
            many = isinstance(labels, list) and isinstance(labels[0], int)
            made.setdefault("labels", []).append(labels + [-100] * padding if many else labels)
    return {name: torch.tensor(value) for name, value in made.items()}


def model_of(head: str) -> Any:
    """A model in float64 without dropout."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.5}
    config: Any = AutoConfig.for_model("bert", vocab_size=20, num_labels=3, **sizes, **rates)
    if head == "spans":
        return hf_ext.AutoModelForSpanExtraction.from_config(config, span_head_size=4).double()
    if head == "tags":
        config.id2label = {0: "O", 1: "B-a", 2: "I-a"}
        return hf_ext.AutoModelForSequenceLabeling.from_config(config).double()
    model = AutoModelForSequenceClassification.from_config(config).double()
    # It takes the number of labels of a step, and gives a mean of its own all the same.
    model.accepts_loss_kwargs = False
    return model


def train(head: str, method: str, folder: Path, processes: int) -> dict[str, Tensor]:
    """Two steps of four rows."""
    options = dict(METHODS[method])
    trainer_class: Any = hf_ext.AdversarialTrainer
    if options.pop("vat", False):
        trainer_class = hf_ext.VirtualAdversarialTrainer
        if not options.pop("own", False):
            options["unlabelled_dataset"] = rows(head, labelled=False)
        if head == "spans":
            options["divergence"] = pointer_tables_divergence
    if head == "text, parts of a step":
        options["compute_loss_func"] = for_trainer("cross_entropy")
    arguments = descent(folder, per_device_train_batch_size=4 // processes, max_steps=2, num_train_epochs=2)
    trainer = trainer_class(model_of(head), arguments, train_dataset=rows(head), data_collator=collate, **options)
    trainer.train()
    return {name: parameter.detach() for name, parameter in trainer.model.named_parameters()}


def main(folder: Path) -> None:
    """Train every head by every method."""
    torch.set_num_threads(1)
    found = {(head, method): train(head, method, folder, 2) for head, method in CASES}
    if torch.distributed.get_rank() == 0:
        torch.save(found, folder / "found.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
