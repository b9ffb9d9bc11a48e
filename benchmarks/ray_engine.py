"""Classes of the texts of a file: `hf-ext predict` in one process beside `--engine ray`, from file to file.

    python benchmarks/ray_engine.py [--size small] [--texts 2048] [--workers 2] [--rounds 2]

Each side reads the same file and writes all answers, which must be the same. One process runs on one thread, and on as
many as there are workers, each of which has one. Of Ray the cluster is there before; that its workers import what they
need and load the model is part of its time, and shown apart, as a file with one text. Time is on the wall.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import harness
import torch
from pipelines import mixed_texts
from transformers import AutoModelForSequenceClassification

import hf_ext
from hf_ext.engines import Prediction, run_on_ray
from hf_ext.models.roformer.sizes_roformer import SIZES, config_of_size

BATCH = 16


def write_model(folder: Path, size: str, texts: list[str]) -> None:
    tokenizer = hf_ext.build_char_tokenizer(texts, model_max_length=512)
    torch.manual_seed(0)
    config = config_of_size(size, vocab_size=len(tokenizer), num_labels=10)
    for part in (AutoModelForSequenceClassification.from_config(config), tokenizer):
        part.save_pretrained(folder)


def one_process(folder: Path, threads: int) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    words = ["predict", folder / "model", "--file", folder / "texts.jsonl", "--batch-size", BATCH, "--dtype", "float32"]
    words += ["--device", "cpu", "--output", folder / f"{threads}.jsonl"]
    command = [sys.executable, "-m", "hf_ext.cli", *map(str, words)]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def on_ray(folder: Path, workers: int, file: str = "texts.jsonl") -> None:
    work = Prediction(str(folder / "model"), folder / file, device="cpu", dtype="float32", batch_size=BATCH)
    run_on_ray(work, folder / "ray.jsonl", workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--texts", type=int, default=2048)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HF_EXT_SHARED", shared)) / "data")
    options = parser.parse_args()
    texts = mixed_texts(options.data, options.texts)

    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=options.workers, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model", options.size, texts)
        for file, some in (("texts.jsonl", texts), ("few.jsonl", texts[:1])):
            lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in some)
            (folder / file).write_text(lines, encoding="utf-8")
        calls = {
            "one process, 1 thread": lambda: one_process(folder, 1),
            f"one process, {options.workers} threads": lambda: one_process(folder, options.workers),
            f"ray, {options.workers} workers": lambda: on_ray(folder, options.workers),
            "ray, one text": lambda: on_ray(folder, options.workers, "few.jsonl"),
        }
        seconds: dict[str, list[float]] = {side: [] for side in calls}
        for _ in range(options.rounds):
            for side, call in calls.items():
                started = time.perf_counter()
                call()
                seconds[side].append(time.perf_counter() - started)
                if side == f"ray, {options.workers} workers":
                    assert (folder / "ray.jsonl").read_bytes() == (folder / "1.jsonl").read_bytes()
                print(f"{side:24} {seconds[side][-1]:8.1f} s", flush=True)
    ours = min(seconds[f"ray, {options.workers} workers"])
    rows = [
        {
            "size": options.size,
            "texts": 1 if side == "ray, one text" else options.texts,
            "side": side,
            "least_s": f"{min(own):.2f}",
            "time_ratio": f"{min(own) / ours:.3f}",
            "rounds": len(own),
            **harness.machine(),
        }
        for side, own in seconds.items()
    ]
    harness.append_rows(harness.RESULTS / "ray_engine.csv", rows)


if __name__ == "__main__":
    main()
