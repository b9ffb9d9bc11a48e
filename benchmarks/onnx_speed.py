"""What graphs of ONNX are worth on a CPU: pipelines of one model by PyTorch and by onnxruntime, in several numbers.

    python benchmarks/onnx_speed.py --layers 4

A RoFormer of base width and random weights finds entities, or says classes, in texts; all sides are given the texts and
give the answers, so tokenizing and decoding count. int8 is dynamic on both sides: matrices are int8, and what they are
multiplied by becomes so as it comes.
"""

import argparse
import copy
import random
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import pipeline

sys.path.insert(0, str(Path(__file__).parent))

import harness

import hf_ext
from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.export import OnnxPipeline, export_onnx

CHARACTERS = [chr(0x4E00 + number) for number in range(2000)]
SHAPES = ((8, 128), (1, 64))
HEADS = {
    "entities": (hf_ext.AutoModelForSpanExtraction, "span-extraction", {"threshold": 0.99}),
    "classes": (hf_ext.AutoModelForLinearClassification, "classification", {}),
}


def save(folder: Path, head: str, layers: int) -> None:
    tokenizer = build_char_tokenizer(CHARACTERS)
    torch.manual_seed(0)
    config = hf_ext.RoFormerConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=3072,
        num_labels=10,
    )
    HEADS[head][0].from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def sides(folder: Path, head: str, threads: int) -> dict[str, Any]:
    make: Any = pipeline
    own = {name: make(HEADS[head][1], model=str(folder), device="cpu") for name in ("float32", "bfloat16", "int8")}
    for name in ("float32", "bfloat16"):
        own[name].run_in(name)
    own["int8"].run_in("float32")
    with warnings.catch_warnings():
        # It has a successor outside of PyTorch, which is not installed with it.
        warnings.simplefilter("ignore")
        model = own["int8"].model
        linear = {torch.nn.Linear}
        quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model.base_model), linear, torch.qint8)
        setattr(model, model.base_model_prefix, quantized)
    found = {f"PyTorch {name}": one for name, one in own.items()}
    for name in ("float32", "int8"):
        export_onnx(str(folder), folder / name, "ner" if head == "entities" else None, int8=name == "int8")
        found[f"onnxruntime {name}"] = OnnxPipeline(folder / name, threads=threads)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "onnx.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for head in HEADS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save(folder, head, arguments.layers)
            made = sides(folder, head, arguments.threads)
            for batch, length in SHAPES:
                draw = random.Random(0)
                # Two tokens are special ones.
                texts = ["".join(draw.choices(CHARACTERS, k=length - 2)) for _ in range(batch)]
                calls = {
                    side: partial(answer, one, texts, batch_size=batch, **HEADS[head][2]) for side, one in made.items()
                }
                case = {"head": head, "layers": arguments.layers, "batch": batch, "length": length}
                measured = harness.compare(calls, arguments.rounds)
                harness.report("onnx", case, measured, "PyTorch float32", arguments.output)


def answer(answering: Any, texts: list[str], **options: Any) -> None:
    list(answering(texts, **options))


if __name__ == "__main__":
    main()
