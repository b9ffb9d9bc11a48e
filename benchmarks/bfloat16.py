"""What bfloat16 is worth on a processor that has it, and what it costs: speed of encoders, and answers of a model.

    python benchmarks/bfloat16.py --sizes small base
    python benchmarks/bfloat16.py --model ner-model --file valid.json

The first runs a RoFormer with GlobalPointer of random weights: forward in each type of number as `run_in` sets it, the
head in float32, and training steps with autocast, as ``--bf16`` trains. The second runs a trained model of entities on
a file: F1 in each type of number, and how many texts and entities come out as in float32.
"""

import argparse
import copy
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, pipeline

sys.path.insert(0, str(Path(__file__).parent))

import harness

import hf_ext
from hf_ext.metrics import span_scores
from hf_ext.models.roformer.sizes_roformer import SIZES, config_of_size
from hf_ext.tasks.entities import read_entities

DTYPES = ("float32", "bfloat16", "float16")
# As titles one by one and in a batch, and as passages.
SHAPES = ((1, 24), (16, 24), (1, 400), (8, 400))


def speed(size: str, rounds: int, output: Path) -> None:
    torch.manual_seed(0)
    config = config_of_size(size, vocab_size=6000, num_labels=10)
    models = {"float32": hf_ext.AutoModelForSpanExtraction.from_config(config).eval()}
    for dtype in DTYPES[1:]:
        models[dtype] = copy.deepcopy(models["float32"])
        models[dtype].base_model.to(getattr(torch, dtype))
    trained = copy.deepcopy(models["float32"]).train()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-5)
    for batch, length in SHAPES:
        ids = torch.randint(10, 6000, (batch, length))
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        case = {"size": size, "batch": batch, "length": length}
        runs: dict[str, Any] = {dtype: partial(forward, model, inputs) for dtype, model in models.items()}
        report(case, "forward", runs, rounds, output)
        inputs = {**inputs, "labels": torch.tensor([[[0, 1, 3], [4, 5, 9]]]).expand(batch, -1, -1)}
        runs = {
            "float32": partial(step, trained, optimizer, inputs, False),
            "bfloat16": partial(step, trained, optimizer, inputs, True),
        }
        report(case, "train", runs, rounds, output)


def report(case: dict[str, Any], what: str, runs: dict[str, Any], rounds: int, output: Path) -> None:
    # What float32 takes over each: above 1, the other is faster.
    measured = harness.compare(runs, rounds)
    harness.report("bfloat16", {**case, "what": what}, measured, "float32", output)


def forward(model: Any, inputs: dict[str, Any]) -> None:
    with torch.inference_mode():
        model(**inputs)


def step(model: Any, optimizer: Any, inputs: dict[str, Any], autocast: bool) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = model(**inputs).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def answers(model: str, file: Path, texts: int | None, output: Path) -> None:
    name = (AutoConfig.from_pretrained(model).architectures or [""])[0]
    task = "span-extraction" if name.endswith("ForSpanExtraction") else "sequence-labeling"
    examples = read_entities(file)[:texts]
    wanted = [example["entities"] for example in examples]
    make: Any = pipeline
    first: list[set[Any]] = []
    rows = []
    for dtype in DTYPES:
        found = make(task, model=model, device="cpu").run_in(dtype)(
            [example["text"] for example in examples], batch_size=16
        )
        sets = [{(one["start"], one["end"], one["label"]) for one in own} for own in found]
        first = first or sets
        scores = span_scores(found, wanted)
        rows.append(
            {
                "model": name,
                "file": file.name,
                "texts": len(examples),
                "dtype": dtype,
                "f1": f"{scores['f1']:.4f}",
                "texts_as_in_float32": sum(own == other for own, other in zip(sets, first)),
                "entities": sum(map(len, sets)),
                "entities_unlike_float32": sum(len(own ^ other) for own, other in zip(sets, first)),
                **harness.machine(),
            }
        )
        print({name: value for name, value in rows[-1].items() if name not in harness.machine()}, flush=True)
    harness.append_rows(output, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=["small", "base"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", help="a trained model of entities: its answers instead of speed")
    parser.add_argument("--file", type=Path, help="texts with their entities")
    parser.add_argument("--texts", type=int, help="only this many of the file")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.model:
        if arguments.file is None:
            parser.error("--model needs --file")
        output = arguments.output or harness.RESULTS / "bfloat16_answers.csv"
        answers(arguments.model, arguments.file, arguments.texts, output)
        return
    for size in arguments.sizes:
        speed(size, arguments.rounds, arguments.output or harness.RESULTS / "bfloat16.csv")


if __name__ == "__main__":
    main()
