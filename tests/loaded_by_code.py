"""Loads checkpoints by their code where this package cannot be imported, and says what they give.

Run as ``python loaded_by_code.py CASES.json [--with-triton]``, of dictionaries with

- ``name``: a folder, or a repository in the Hub's cache;
- ``auto``: the Auto class;
- ``batch``: a file of tensors to run the model on;
- ``text``: one to encode with the tokenizer, if there is one;
- ``save``: a folder to save what is loaded into, which is then loaded in its place, if there is one.

Prints a JSON list of what each gives, and last what was imported of this package.
"""

import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers

TRUSTED = {"trust_remote_code": True}


def run(case: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint gives, its outputs in a file."""
    name = case["name"]
    auto = getattr(transformers, case["auto"])
    if "save" in case:
        for one in (auto, transformers.AutoTokenizer) if "text" in case else (auto,):
            one.from_pretrained(name, **TRUSTED).save_pretrained(case["save"])
        name = case["save"]
    model = auto.from_pretrained(name, **TRUSTED).eval()
    with torch.no_grad():
        output = model(**torch.load(case["batch"]))
    outputs = Path(f"{case['batch']}.found")
    torch.save({key: value for key, value in output.items() if isinstance(value, torch.Tensor)}, outputs)
    found: dict[str, Any] = {"model": type(model).__name__, "module": type(model).__module__, "outputs": str(outputs)}
    if "text" in case:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **TRUSTED)
        found |= {"tokenizer": type(tokenizer).__name__, "ids": tokenizer(case["text"])["input_ids"]}
    return found


def kernels() -> dict[str, str]:
    """What importing the copies of modules for Triton gives, which nothing has asked for so far."""
    if "--with-triton" in sys.argv and find_spec("triton") is None:
        # In its place: what kernels are written with, as far as their modules ask for it.
        sys.modules["triton"] = ModuleType("triton")
        sys.modules["triton.language"] = language = ModuleType("triton.language")
        vars(sys.modules["triton"]).update(jit=lambda kernel: kernel, language=language)
        language.constexpr = int  # type: ignore[attr-defined]
    found = {}
    packages = {module.rpartition(".")[0] for module in sys.modules if module.endswith(".hf_ext_full")}
    for package in packages:
        for file in Path(str(importlib.import_module(package).__path__[0])).glob("hf_ext_*_triton.py"):
            try:
                importlib.import_module(f"{package}.{file.stem}")
                found[file.stem] = "imported"
            except ImportError as error:
                found[file.stem] = str(error)
    return found


if __name__ == "__main__":
    sys.modules["hf_ext"] = None  # type: ignore[assignment]
    if "--with-triton" not in sys.argv:
        sys.modules["triton"] = None  # type: ignore[assignment]
    results = []
    for case in json.loads(Path(sys.argv[1]).read_text()):
        try:
            results.append(run(case))
        except Exception as error:
            results.append({"error": f"{type(error).__name__}: {error}"})
    imported = sorted(module for module in sys.modules if module.startswith("hf_ext."))
    print(json.dumps([*results, {"imported": imported, "kernels": kernels()}]))
