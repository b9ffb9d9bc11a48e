"""CLUENER from scratch: RoFormer with Efficient GlobalPointer, ours beside bert4torch's, in the same configuration.

    python benchmarks/ner_cluener.py --side ours --seed 0
    python benchmarks/ner_cluener.py --side bert4torch --seed 0

Same files, vocabulary, sizes, optimiser, schedule, batches of like length and number of epochs; each side does the
rest its own way. Ours is what ``hf-ext train ner`` runs. Theirs follows bert4torch's own example of Efficient
GlobalPointer: its tokenizer, encoder, head, loss and trainer, with dense labels. No model is chosen on the
validation file: the last one is scored, on exact spans of characters.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.trainer_pt_utils import LengthGroupedSampler

sys.path.insert(0, str(Path(__file__).parent))

import harness
import peers
from peer_spans import PeerSpans

from hf_ext.data.char_vocabulary import build_char_vocabulary
from hf_ext.metrics import span_scores
from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.tasks.entities import read_entities

ENCODER: dict[str, Any] = {
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.0,
}
HEAD_SIZE = 64
TRAINING: dict[str, Any] = {
    "num_train_epochs": 10,
    "per_device_train_batch_size": 16,
    "learning_rate": 1e-3,
    "warmup_steps": 0.1,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
}

Example = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", choices=("ours", "bert4torch"), required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=TRAINING["num_train_epochs"])
    parser.add_argument("--limit", type=int, help="use only this many texts of each file, for a quick look")
    data = Path(__file__).resolve().parents[2] / "shared" / "data" / "cluener2020"
    parser.add_argument("--train-file", type=Path, default=data / "train.json")
    parser.add_argument("--validation-file", type=Path, default=data / "valid.json")
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "ner_cluener.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    training = TRAINING | {"num_train_epochs": arguments.epochs, "seed": arguments.seed}
    train, validation = (
        read_entities(path)[: arguments.limit] for path in (arguments.train_file, arguments.validation_file)
    )

    run = run_ours if arguments.side == "ours" else run_bert4torch
    wall, cpu = time.perf_counter(), time.process_time()
    scores = run(train, validation, training)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    row = {
        "side": arguments.side,
        "seed": arguments.seed,
        "f1": f"{scores['f1']:.4f}",
        "precision": f"{scores['precision']:.4f}",
        "recall": f"{scores['recall']:.4f}",
        "wall_s": f"{wall:.0f}",
        "cpu_s": f"{cpu:.0f}",
        "config": json.dumps({**ENCODER, "head_size": HEAD_SIZE, **training, "texts": len(train)}),
        **harness.machine(),
    }
    print({key: value for key, value in row.items() if key != "config"})
    for label, each in scores["per_type"].items():
        print(f"  {label:14} {each['f1']:.4f}")
    harness.append_rows(arguments.output, [row])


def encoder_config(vocab_size: int) -> RoFormerConfig:
    """The encoder of both sides. Batches of like length hold hardly any padding, so ours need not unpad them."""
    return RoFormerConfig(vocab_size=vocab_size, unpad=False, **ENCODER)


def run_ours(train: list[Example], validation: list[Example], training: dict[str, Any]) -> dict[str, Any]:
    """Scores on the validation texts of what the command ``hf-ext train ner`` trains."""
    from transformers import TrainingArguments

    from hf_ext.tasks.entities import write_entities
    from hf_ext.tasks.entities.span_job import SpanExtractionJob

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_entities(root / "train.jsonl", train)
        write_entities(root / "validation.jsonl", validation)
        encoder_config(vocab_size=1).save_pretrained(root / "config")
        job = SpanExtractionJob(
            train_file=root / "train.jsonl",
            validation_file=root / "validation.jsonl",
            config=str(root / "config"),
            span_head_size=HEAD_SIZE,
        )
        arguments = TrainingArguments(
            output_dir=str(root / "model"),
            train_sampling_strategy="group_by_length",
            per_device_eval_batch_size=64,
            eval_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.accelerator.is_available(),
            **training,
        )
        return job.run(arguments)


def run_bert4torch(train: list[Example], validation: list[Example], training: dict[str, Any]) -> dict[str, Any]:
    """Scores on the validation texts of bert4torch's encoder, head, loss and trainer."""
    peers.import_bert4torch()
    from bert4torch.layers import EfficientGlobalPointer
    from bert4torch.optimizers import get_linear_schedule_with_warmup
    from bert4torch.snippets import ListDataset
    from torch.utils.data import DataLoader

    seed = training["seed"]
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    labels = sorted({entity["label"] for example in train for entity in example["entities"]})
    vocabulary = build_char_vocabulary(example["text"] for example in train)
    spans = PeerSpans({token: index for index, token in enumerate(vocabulary)}, labels)
    rows = [spans.encode(example) for example in train]
    batch_size, epochs = training["per_device_train_batch_size"], training["num_train_epochs"]
    sampler = LengthGroupedSampler(batch_size, lengths=[len(row[0]) for row in rows])
    loader = DataLoader(ListDataset(data=rows), batch_size=batch_size, sampler=sampler, collate_fn=spans.collate)

    config = encoder_config(len(vocabulary))
    encoder = peers.build_bert4torch("roformer", peers.bert4torch_config(config) | {"pos_emb_type": "rotary"})
    head = EfficientGlobalPointer(config.hidden_size, heads=len(labels), head_size=HEAD_SIZE)
    for layer in (head.p_dense, head.q_dense):
        nn.init.normal_(layer.weight, std=config.initializer_range)
        nn.init.zeros_(layer.bias)
    model = spans.model(encoder, head, config.hidden_dropout_prob)
    # Trainer decays neither biases nor norms.
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": training["weight_decay"]},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=training["learning_rate"], fused=True)
    steps = len(loader) * epochs
    schedule = get_linear_schedule_with_warmup(optimizer, int(training["warmup_steps"] * steps), steps)
    clip = training["max_grad_norm"]
    model.compile(loss=spans.loss(), optimizer=optimizer, scheduler=schedule, clip_grad_norm=clip)
    model.fit(loader, epochs=epochs, verbose=0)
    return span_scores(spans.find(model, validation), [example["entities"] for example in validation], labels)


if __name__ == "__main__":
    main()
