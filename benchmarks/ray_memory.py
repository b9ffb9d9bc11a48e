"""Memory of `hf-ext predict` over the length of a file: in one process, and on two workers by `--engine ray`.

    python benchmarks/ray_memory.py [--files 5000x200,20000x200,80000x200,25000x3000] [--workers 2]

A file is so many texts of so many characters at most, and a tenth of them at least. The model is tiny and reads 64
tokens of each, so that memory is that of the commands themselves. Each run is a command of its own, with a cluster of
its own; ten times a second the resident memory of all its processes is added up, and the most is kept: of the command,
of Ray's workers, of Ray's own services, and of all at once. Pages that processes share, Ray's store among them, count
once in each; the share that each has of them (PSS) is added up beside, which counts them once.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import harness
import psutil
import torch
from transformers import AutoModelForSequenceClassification, BertConfig

import hf_ext

CHARACTERS = "今天张三李四王五在北京上海城到了的人去说年月日"
SIZE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
KINDS = ("command", "workers", "services")
MB = 2**20


def write_model(folder: Path) -> None:
    tokenizer = hf_ext.build_char_tokenizer([CHARACTERS], model_max_length=64)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, num_labels=10, **SIZE)
    for part in (AutoModelForSequenceClassification.from_config(config), tokenizer):
        part.save_pretrained(folder)


def write_texts(path: Path, count: int, longest: int) -> None:
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            text = "".join(draw.choices(CHARACTERS, k=draw.randint(longest // 10, longest)))
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")


def kind_of(process: psutil.Process, command: int) -> str:
    if process.pid == command:
        return "command"
    # Ray calls its workers after what they do.
    return "workers" if " ".join(process.cmdline()[:1]).startswith("ray::") else "services"


def memory_now(command: int) -> dict[str, float]:
    """MB that the processes of a command have, by their kind, and the shares of all (PSS)."""
    seen = dict.fromkeys((*KINDS, "shares"), 0.0)
    root = psutil.Process(command)
    for process in (root, *root.children(recursive=True)):
        try:
            memory = process.memory_full_info()
            seen[kind_of(process, command)] += memory.rss / MB
            seen["shares"] += memory.pss / MB
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return {**seen, "all": sum(seen[kind] for kind in KINDS)}


def most_memory(words: list[str]) -> tuple[dict[str, float], float]:
    """The most of each of a command's figures, and its seconds."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    most: dict[str, float] = {}
    with subprocess.Popen([sys.executable, "-m", "hf_ext.cli", *words], env=environment, stderr=subprocess.PIPE) as run:
        while run.poll() is None:
            try:
                now = memory_now(run.pid)
            except psutil.NoSuchProcess:
                break
            most = {name: max(value, most.get(name, 0)) for name, value in now.items()}
            time.sleep(0.1)
        told = run.stderr.read() if run.stderr else b""
    if run.returncode:
        raise RuntimeError(told.decode())
    return most, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", default="5000x200,20000x200,80000x200,25000x3000")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    sides = {"one process": [], f"ray, {options.workers} workers": ["--engine", "ray", "--workers", options.workers]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model")
        for file in options.files.split(","):
            count, longest = map(int, file.split("x"))
            write_texts(folder / "texts.jsonl", count, longest)
            rows = []
            for side, more in sides.items():
                words = ["predict", folder / "model", "--file", folder / "texts.jsonl", "--dtype", "float32", *more]
                output = folder / ("ray.jsonl" if more else "one.jsonl")
                most, seconds = most_memory([*map(str, words), "--device", "cpu", "--output", str(output)])
                figures = {f"{kind}_mb": round(value) for kind, value in most.items()}
                size = (folder / "texts.jsonl").stat().st_size / MB
                case = {"texts": count, "longest": longest, "file_mb": f"{size:.1f}", "side": side}
                row = {**case, **figures, "wall_s": f"{seconds:.0f}"}
                print(row, flush=True)
                rows.append(row | harness.machine())
            assert (folder / "ray.jsonl").read_bytes() == (folder / "one.jsonl").read_bytes()
            harness.append_rows(harness.RESULTS / "ray_memory.csv", rows)


if __name__ == "__main__":
    main()
