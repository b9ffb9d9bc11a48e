"""``python -m studies.encoders``: pre-train the four small encoders of the study, each with the same operations.

A RoFormer and a GAU-alpha of characters, a RoFormer of words, as WoBERT, and a T-TA. Each has its folder; one that has
ended is left as it is, one that was broken off goes on from its last checkpoint, so the command may be given again. At
the end the curves of all are in ``curves.csv`` and ``curves.png``.

    python -m studies.encoders --output encoders --operations 3.5e14
"""

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from hf_ext.atomic_file import atomic_write
from hf_ext.tasks.pretraining import AllTokensJob, WholeWordMaskingJob
from studies.drawing import save_figure
from studies.pretraining_texts import write_texts

ROOT = Path(__file__).resolve().parents[1]
ENCODERS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "roformer": (WholeWordMaskingJob, {"family": "roformer"}),
    "gau_alpha": (WholeWordMaskingJob, {"family": "gau_alpha"}),
    "words": (WholeWordMaskingJob, {"family": "roformer", "words": 8000}),
    "t_ta": (AllTokensJob, {}),
}
_MEASURES = ("loss", "eval_held_out_loss", "eval_accuracy", "tokens_per_second", "share_of_peak")


def main(words: list[str] | None = None) -> None:
    """Run the command line ``words``, that of the process by default."""
    parser = argparse.ArgumentParser(prog="python -m studies.encoders", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the encoders, texts and curves")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the data sets")
    parser.add_argument("--only", choices=ENCODERS, action="append", help="this encoder; may be given again")
    parser.add_argument("--config", default="small", help="size of the encoders (small)")
    parser.add_argument(
        "--operations", type=float, default=3.5e14, help="that each may take, of matrix products (3.5e14)"
    )
    parser.add_argument("--max-length", type=int, default=128, help="tokens of a row (128)")
    parser.add_argument("--batch-size", type=int, default=32, help="rows of a step (32)")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the highest (1e-3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (2)")
    parser.add_argument("--float32", action="store_true", help="train in float32 in place of bfloat16")
    parser.add_argument("--quick", action="store_true", help="two steps on generated sentences")
    given = parser.parse_args(words)
    if not (given.quick or given.data.is_dir()):
        parser.error(f"--data must be a folder, got {given.data}")
    torch.set_num_threads(given.threads)
    given.output.mkdir(parents=True, exist_ok=True)
    texts = given.output / "texts.jsonl"
    if not texts.is_file():
        characters = write_texts(texts, None if given.quick else given.data, given.seed)
        print(f"{characters:,} characters in {texts}", flush=True)
    names = given.only or list(ENCODERS)
    for name in names:
        train(name, texts, given)
    write_curves(given.output, names)


def train(name: str, texts: Path, given: Any) -> None:
    """Train an encoder to its end, unless it is there; from its last checkpoint, if it has one."""
    folder = given.output / name
    if (folder / "scores.json").is_file():
        print(f"{name}: has ended, see {folder}", flush=True)
        return
    per_token = 0 if given.quick else operations_per_token(name, texts, given)
    tokens = given.max_length * given.batch_size
    steps = 2 if given.quick else max(1, round(given.operations / per_token / tokens))
    start = time.perf_counter()
    begun = any(folder.glob("checkpoint-*/trainer_state.json"))
    print(f"{name}: {steps:,} steps of {tokens:,} tokens{', going on' if begun else ''}", flush=True)
    scores = run(name, texts, given, folder, steps, resume_from_checkpoint="True" if begun else None)
    minutes = (time.perf_counter() - start) / 60
    print(f"{name}: held-out loss {scores['held_out_loss']:.4f} after {minutes:.1f} minutes", flush=True)


def operations_per_token(name: str, texts: Path, given: Any) -> float:
    """What a token takes of an encoder, counted in a step, and kept in ``operations.json``."""
    path = given.output / "operations.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if name not in known:
        folder = given.output / "trials" / name
        run(name, texts, given, folder, 2, held_out=20, overwrite=True, logging_steps=1)
        known[name] = next(one["operations_per_token"] for one in log_of(folder) if "operations_per_token" in one)
        with atomic_write(path) as file:
            json.dump(known, file, indent=2)
    return float(known[name])


def run(
    name: str,
    texts: Path,
    given: Any,
    folder: Path,
    steps: int,
    held_out: int = 500,
    overwrite: bool = False,
    **more: Any,
) -> dict[str, float]:
    """A run of the job of an encoder, and its scores."""
    kind, options = ENCODERS[name]
    options = {"max_length": given.max_length, "min_count": 2, "held_out": 20 if given.quick else held_out, **options}
    job = kind(texts, config=given.config, overwrite=overwrite, **options)
    settings = {
        "max_steps": steps,
        "per_device_train_batch_size": given.batch_size,
        "learning_rate": given.learning_rate,
        "seed": given.seed,
        "bf16": not given.float32,
        "use_cpu": not torch.accelerator.is_available(),
        "logging_steps": max(1, steps // 100),
        "disable_tqdm": given.quick,
        **more,
    }
    scores: dict[str, float] = job.run(job.training_arguments(folder, **settings))
    return scores


def log_of(folder: Path) -> list[dict[str, Any]]:
    """What a run has logged."""
    log: list[dict[str, Any]] = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return log


def curves(output: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """A row for each entry of each encoder's log."""
    for name in names:
        for entry in log_of(output / name):
            measured = {measure: entry[measure] for measure in _MEASURES if measure in entry}
            if measured:
                yield {"encoder": name, "step": entry["step"], **measured}


def write_curves(output: Path, names: list[str]) -> None:
    """Write the curves of all encoders as a table and as a plot."""
    rows = list(curves(output, names))
    with atomic_write(output / "curves.csv") as file:
        writer = csv.DictWriter(file, ["encoder", "step", *_MEASURES])
        writer.writeheader()
        writer.writerows(rows)

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, 2)
        for one, measure, label in zip(axes, ("loss", "eval_accuracy"), ("loss in training", "held-out accuracy")):
            for name in names:
                of_it = [(row["step"], row[measure]) for row in rows if row["encoder"] == name and measure in row]
                one.plot([step for step, _ in of_it], [value for _, value in of_it], label=name)
            one.set(xlabel="step", ylabel=label)
            one.legend()

    save_figure(draw, output / "curves.png", "Small encoders of the same operations")


if __name__ == "__main__":
    main()
