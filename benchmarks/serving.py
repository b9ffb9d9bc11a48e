"""A server that batches beside one that runs requests one by one: latency, requests a second, memory over the run.

Both are processes of ``hf-ext serve`` on loopback with one model, an encoder of random weights with a classifier, and
take turns: only one is asked at a time. Clients ask again as soon as they are answered, a text of 20 to 60 characters
each time. The asking process runs on the same cores.

    python benchmarks/serving.py --clients 1 8 32 --requests 40 --rounds 8
    python benchmarks/serving.py --sides batched "batched, 1024 kept" --clients 32 --requests 250 --rounds 8 --layers 1

A second CSV has the resident memory of each server after each of its turns.
"""

import argparse
import asyncio
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import harness
import httpx
import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from hf_ext import RoFormerConfig, build_char_tokenizer

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
BATCHED = ("--batch-size", "16", "--wait-ms", "4")
# Of each side its options and what its environment has beside ours.
SIDES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "batched": (BATCHED, {}),
    "one by one": (("--batch-size", "1", "--wait-ms", "0"), {}),
    # As many compiled products as libraries keep by themselves.
    "batched, 1024 kept": (BATCHED, dict.fromkeys(KEPT, "1024")),
}
# Requests of each side before any is measured.
WARM_UP = 200
CHARACTERS = [chr(0x4E00 + number) for number in range(2000)]


@dataclass
class Measured:
    """What came of the rounds of a case.

    Attributes:
        seconds: of each request.
        elapsed: seconds of each round.
    """

    seconds: list[float] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)


def save_model(folder: Path, width: int, layers: int) -> None:
    tokenizer = build_char_tokenizer(CHARACTERS, model_max_length=128)
    torch.manual_seed(0)
    config = RoFormerConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        num_labels=5,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(CHARACTERS, k=draw.randint(20, 60))) for _ in range(count)]


@contextmanager
def serving(folder: Path, log: Path, words: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """The number of a server's process, and its address."""
    command = [sys.executable, "-m", "hf_ext_cli", "serve", f"model={folder}", "--port", "0", *words]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT, env={**os.environ, **environment})
    try:
        while not (found := re.search(r"serving on (http://127\.0\.0\.1:\d+)", log.read_text(encoding="utf-8"))):
            if process.poll() is not None:
                raise RuntimeError(log.read_text(encoding="utf-8"))
            time.sleep(0.1)
        yield process.pid, found[1]
    finally:
        process.terminate()
        process.wait(60)


def resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


async def ask(address: str, waiting: list[str], clients: int) -> list[float]:
    """Seconds of each request; every answer must be one."""
    seconds: list[float] = []

    async def client(session: httpx.AsyncClient) -> None:
        while waiting:
            text = waiting.pop()
            started = time.perf_counter()
            answer = await session.post("/models/model/predict", json={"inputs": text})
            seconds.append(time.perf_counter() - started)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["results"][0]["classes"]) == 1

    async with httpx.AsyncClient(base_url=address, timeout=60) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", default=["batched", "one by one"], choices=SIDES)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=40, help="of each round of each side")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of a model")
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "serving.csv")
    parser.add_argument("--memory-output", type=Path, default=harness.RESULTS / "serving_memory.csv")
    arguments = parser.parse_args()
    sides: list[str] = arguments.sides
    torch.set_num_threads(arguments.threads)
    model = f"RoFormer {arguments.width} wide, {arguments.layers} layers"
    measured = {side: {clients: Measured() for clients in arguments.clients} for side in sides}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        save_model(folder / "model", arguments.width, arguments.layers)
        shared = ("--dtype", arguments.dtype, "--threads", str(arguments.threads))
        servers = {
            side: stack.enter_context(
                serving(folder / "model", folder / f"{side}.log", (*SIDES[side][0], *shared), SIDES[side][1])
            )
            for side in sides
        }
        answered = dict.fromkeys(sides, 0)

        def turn(side: str, seed: int, count: int, clients: int) -> list[float]:
            """Ask a side, and write what its process holds then."""
            process, address = servers[side]
            seconds = asyncio.run(ask(address, texts(count, seed), clients))
            answered[side] += count
            held = f"{resident_mb(process):.0f}"
            told = {"model": model, "dtype": arguments.dtype, "side": side, "requests": answered[side]}
            harness.append_rows(arguments.memory_output, [{**told, "resident_mb": held, **harness.machine()}])
            print(
                f"{side:18} {clients:3} clients {count / sum(seconds) * clients:8.1f} a second, {held} MB", flush=True
            )
            return seconds

        for side in sides:
            turn(side, 0, WARM_UP, max(arguments.clients))
        for round_ in range(arguments.rounds):
            for clients in arguments.clients:
                # Each side is first in turn.
                for side in sides[:: 1 if round_ % 2 else -1]:
                    own = measured[side][clients]
                    started = time.perf_counter()
                    own.seconds += turn(side, 1 + round_, arguments.requests, clients)
                    own.elapsed.append(time.perf_counter() - started)
    rows = []
    for clients in arguments.clients:
        for side, cases in measured.items():
            own = cases[clients]
            # Of rounds that ran one after the other, as what else runs on the machine comes and goes.
            first = measured[sides[-1]][clients].elapsed
            ratios = [slow / fast for slow, fast in zip(first, own.elapsed)]
            p50, p95, p99 = (1000 * value for value in np.percentile(own.seconds, [50, 95, 99]))
            rows.append(
                {
                    "model": model,
                    "dtype": arguments.dtype,
                    "clients": clients,
                    "side": side,
                    "requests": len(own.seconds),
                    "a_second": f"{len(own.seconds) / sum(own.elapsed):.2f}",
                    "median_ratio": f"{statistics.median(ratios):.2f}",
                    "p50_ms": f"{p50:.1f}",
                    "p95_ms": f"{p95:.1f}",
                    "p99_ms": f"{p99:.1f}",
                    "load": f"{os.getloadavg()[1]:.1f}",
                    **harness.machine(),
                }
            )
            print({key: rows[-1][key] for key in list(rows[-1])[2:11]}, flush=True)
    harness.append_rows(arguments.output, rows)


if __name__ == "__main__":
    main()
