"""Tasks of CLUE, fine-tuned from one small encoder: what ``hf-ext clue train`` does beside bert4torch.

    python benchmarks/suite_samples.py samples
    python benchmarks/clue.py --model encoder --samples samples/CLUE --task tnews afqmc --seed 0 1 2

Same files, rows, vocabulary, weights, sizes, optimiser, rate, batches and number of epochs; each side does the rest its
own way. Ours is the suite's: its preset of the articles, with AdamW in the place of their optimiser, which bert4torch
does not have. Theirs follows bert4torch's own examples of classes, pairs, IFLYTEK and entities: its tokenizer, encoder
and trainer, with a linear layer over the first token, or its GlobalPointer with dense labels. No model is chosen on the
validation file: the last one is scored. The sides take turns; their inputs and encoders are compared before anything is
timed.
"""

import argparse
import contextlib
import functools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, Trainer
from transformers.utils import logging

sys.path.insert(0, str(Path(__file__).parent))

import harness
import peers
from peer_spans import PeerSpans

from hf_ext.metrics import span_scores
from hf_ext.models.roformer.configuration_roformer import RoFormerConfig
from hf_ext.models.roformer.modeling_roformer import RoFormerModel
from hf_ext.suites import Training
from hf_ext.suites.clue.suite import SUITE
from hf_ext.suites.files import read_part, usable
from hf_ext.suites.suite import SuiteTask

PRESET = "article"
TRAINING: dict[str, Any] = {
    # By the Trainer's own AdamW.
    "optimizer": None,
    "learning_rate": 5e-4,
    "num_train_epochs": 3,
}
# No epoch is chosen, and nothing saved on the way.
UNCHOSEN: dict[str, Any] = {
    "eval_strategy": "no",
    "save_strategy": "no",
    "load_best_model_at_end": False,
    "disable_tqdm": True,
}
TOLERANCE = 1e-4
# What our jobs and pointers have unless told otherwise.
EVALUATED = 64
HEAD_SIZE = 64

Example = dict[str, Any]


def main() -> None:
    tasks = [task.name for task in SUITE.tasks if task.job in ("classification", "ner")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", nargs="+", choices=("ours", "bert4torch"), default=["ours", "bert4torch"])
    parser.add_argument("--task", nargs="+", choices=tasks, required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of a RoFormer with its tokenizer")
    parser.add_argument("--samples", type=Path, required=True, help="folder of CLUE's files")
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=TRAINING["num_train_epochs"])
    parser.add_argument("--learning-rate", type=float, default=TRAINING["learning_rate"])
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "clue.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    peers.import_bert4torch()
    logging.set_verbosity_error()
    training = TRAINING | {"num_train_epochs": arguments.epochs, "learning_rate": arguments.learning_rate}
    cases = [Case(task, arguments.samples, arguments.model, training) for task in SUITE.chosen(arguments.task)]
    differing = [case.check() for case in cases]
    for turn, seed in enumerate(arguments.seed):
        for case, rows_of_other_ids in zip(cases, differing, strict=True):
            # Each side is first in turn.
            for side in arguments.side[:: (-1) ** turn]:
                row = {"task": case.task.name, "side": side, "seed": seed, **case.measure(side, seed)}
                row |= {"rows_of_other_ids": rows_of_other_ids, **harness.machine()}
                print({key: value for key, value in row.items() if key != "config"}, flush=True)
                harness.append_rows(arguments.output, [row])


@dataclass(frozen=True)
class Case:
    """A task to be trained by either side.

    Attributes:
        task: of the suite.
        data: the folder of its files.
        model: the folder of the encoder.
        training: options over those of the preset.
    """

    task: SuiteTask
    data: Path
    model: Path
    training: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """All options, the same for both sides."""
        return {**self.task.settings(PRESET), **self.training}

    def examples(self, part: str) -> list[Example]:
        """The rows of a part that have a label."""
        return [row.example for row in usable(self.task, read_part(self.data, self.task, part))]

    def check(self) -> int:
        """Stop unless both encoders compute the same of the same ids.

        Returns:
            How many rows of both files have other ids on the one side than on the other.
        """
        ours = RoFormerModel.from_pretrained(self.model, add_pooling_layer=False).eval()
        theirs = peer_encoder(self.model).eval()
        length = self.settings["max_length"]
        tokenizer, encode = AutoTokenizer.from_pretrained(self.model), peer_inputs(self.model, length)
        examples = [*self.examples("train"), *self.examples("validation")]
        texts = [[example[name] for name in ("text", "text2") if name in example] for example in examples]
        rows = [tokenizer(*each, truncation="longest_first", max_length=length)["input_ids"] for each in texts]
        ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows[:32]], batch_first=True)
        with torch.no_grad():
            mine = ours(ids, attention_mask=ids.gt(0).long()).last_hidden_state
            error = (mine - theirs([ids, torch.zeros_like(ids)]))[ids > 0].abs().max().item()
        if error > TOLERANCE:
            raise SystemExit(f"the encoders differ by {error:.2e}, more than {TOLERANCE:.0e}: not the same work")
        return sum(row != encode(example) for row, example in zip(rows, examples, strict=True))

    def measure(self, side: str, seed: int) -> dict[str, Any]:
        """Train and score one side: its columns of the table."""
        wall, cpu = time.perf_counter(), time.process_time()
        score, trained = self.run_ours(seed) if side == "ours" else self.run_bert4torch(seed)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {
            "metric": self.task.metric,
            "score": f"{score:.4f}",
            "training_cpu_s": f"{trained:.1f}",
            "all_cpu_s": f"{cpu:.1f}",
            "all_wall_s": f"{wall:.1f}",
            "rows": len(self.examples("train")),
            "scored_rows": len(self.examples("validation")),
            "config": json.dumps(self.settings),
        }

    def run_ours(self, seed: int) -> tuple[float, float]:
        """Score, and CPU seconds of training, of what ``hf-ext clue train`` runs."""
        options = {"model": str(self.model), **self.training, **UNCHOSEN}
        with tempfile.TemporaryDirectory() as folder, cpu_seconds(Trainer, "train") as seconds:
            suite = Training(SUITE, self.data, Path(folder), [self.task.name], [seed], preset=PRESET, options=options)
            (run,) = suite.run()
        score = run.score(self.task)
        if score is None:
            raise SystemExit(f"the run failed: {run.error}")
        return score, sum(seconds)

    def run_bert4torch(self, seed: int) -> tuple[float, float]:
        """The same of bert4torch's tokenizer, encoder and trainer."""
        from bert4torch.snippets import ListDataset
        from torch.utils.data import DataLoader

        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        settings = self.settings
        peer = self.peer_of_entities() if self.task.job == "ner" else self.peer_of_classes()
        batch_size = settings["per_device_train_batch_size"]
        loader = DataLoader(ListDataset(data=peer.rows), batch_size=batch_size, shuffle=True, collate_fn=peer.collate)
        optimizer = torch.optim.AdamW(
            peer.model.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"], fused=True
        )
        peer.model.compile(loss=peer.loss, optimizer=optimizer)
        with cpu_seconds(peer.model, "fit") as seconds:
            peer.model.fit(loader, epochs=settings["num_train_epochs"], verbose=0)
        return peer.score(), sum(seconds)

    def peer_of_classes(self) -> "Peer":
        """A linear layer over the first token of bert4torch's encoder."""
        from bert4torch.models import BaseModel
        from bert4torch.snippets import sequence_padding

        labels = {label: number for number, label in enumerate(self.task.labels)}
        encode = peer_inputs(self.model, self.settings["max_length"])
        train, validation = (
            [(encode(example), labels[example["label"]]) for example in self.examples(part)]
            for part in ("train", "validation")
        )
        encoder = peer_encoder(self.model)

        def collate(rows: Sequence[tuple[list[int], int]]) -> tuple[list[Tensor], Tensor]:
            ids = torch.tensor(sequence_padding([row for row, _ in rows]), dtype=torch.long)
            return [ids, torch.zeros_like(ids)], torch.tensor([label for _, label in rows])

        class Classifier(BaseModel):
            def __init__(self) -> None:
                super().__init__()
                self.encoder = encoder
                self.dense = nn.Linear(encoder.hidden_size, len(labels))
                nn.init.trunc_normal_(self.dense.weight, std=0.02, a=-0.04, b=0.04)
                nn.init.zeros_(self.dense.bias)

            def forward(self, ids: Tensor, segments: Tensor) -> Tensor:
                scores: Tensor = self.dense(self.encoder([ids, segments])[:, 0])
                return scores

        classifier: Any = Classifier()

        def score() -> float:
            classifier.eval()
            right = 0
            for first in range(0, len(validation), EVALUATED):
                inputs, true = collate(validation[first : first + EVALUATED])
                right += int((classifier.predict(*inputs).argmax(-1) == true).sum())
            return right / len(validation)

        return Peer(classifier, nn.CrossEntropyLoss(), train, collate, score)

    def peer_of_entities(self) -> "Peer":
        """bert4torch's GlobalPointer over its encoder."""
        from bert4torch.layers import GlobalPointer

        train, validation = self.examples("train"), self.examples("validation")
        labels = sorted({entity["label"] for example in train for entity in example["entities"]})
        tokenizer = AutoTokenizer.from_pretrained(self.model)
        spans = PeerSpans(tokenizer.get_vocab(), labels, self.settings["max_length"])
        config = RoFormerConfig.from_pretrained(self.model)
        head = GlobalPointer(config.hidden_size, heads=len(labels), head_size=HEAD_SIZE)
        nn.init.trunc_normal_(head.dense.weight, std=config.hidden_size**-0.5)
        nn.init.zeros_(head.dense.bias)
        model = spans.model(peer_encoder(self.model), head, config.hidden_dropout_prob)

        def score() -> float:
            found = spans.find(model, validation, EVALUATED)
            scores = span_scores(found, [example["entities"] for example in validation], labels)
            return float(scores[self.task.score])

        return Peer(model, spans.loss(), [spans.encode(example) for example in train], spans.collate, score)


@dataclass(frozen=True)
class Peer:
    """What bert4torch trains.

    Attributes:
        model: with its trainer's methods.
        loss: of the model's scores and the labels of a batch.
        rows: of the training file.
        collate: a batch of rows.
        score: of the model on the validation file.
    """

    model: Any
    loss: nn.Module
    rows: Sequence[Any]
    collate: Callable[[Sequence[Any]], tuple[list[Tensor], Tensor]]
    score: Callable[[], float]


def peer_inputs(model: Path, max_length: int) -> Callable[[Example], list[int]]:
    """bert4torch's ids of a text or a pair, with the vocabulary of the model."""
    from bert4torch.tokenizers import Tokenizer

    tokenizer = Tokenizer(AutoTokenizer.from_pretrained(model).get_vocab(), do_lower_case=True)

    def encode(example: Example) -> list[int]:
        ids: list[int] = tokenizer.encode(example["text"], example.get("text2"), maxlen=max_length)[0]
        return ids

    return encode


def peer_encoder(model: Path) -> Any:
    """bert4torch's RoFormer with the weights of a folder."""
    source = RoFormerModel.from_pretrained(model, add_pooling_layer=False)
    encoder = peers.build_bert4torch("roformer", peers.bert4torch_config(source.config) | {"pos_emb_type": "rotary"})
    peers.copy_to_bert4torch(source, encoder)
    return encoder


@contextlib.contextmanager
def cpu_seconds(owner: Any, name: str) -> Iterator[list[float]]:
    """The CPU seconds of each call of a method meanwhile."""
    seconds: list[float] = []
    method = getattr(owner, name)

    @functools.wraps(method)
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return method(*args, **kwargs)
        finally:
            seconds.append(time.process_time() - began)

    setattr(owner, name, timed)
    try:
        yield seconds
    finally:
        setattr(owner, name, method)


if __name__ == "__main__":
    main()
