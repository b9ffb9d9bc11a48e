"""How a trained model is made to read longer texts: ReRoPE, NTK, windows (kexue.fm/archives/9431, 9706, 9708)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import set_seed

from hf_ext import RoFormerForCausalLM
from studies.character_lm import LENGTH, MEASURES, Characters, draw, read_characters, score, train
from studies.sources import Sources
from studies.study import Experiment, Setting

_STEPS = 2000
# Set beforehand: all sides are one model.
_RATE = 3e-3


def _rope(kind: str, **settings: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **settings}}


_LOG_N = {"log_n": "after_training"}
# Each is set once for all lengths, as of a model that does not know what texts it will get.
SIDES: dict[str, dict[str, Any]] = {
    "none": {},
    "PI": _rope("linear", factor=8.0),
    "NTK-old": _rope("ntk_old", factor=8.0),
    "NTK-mixed": _rope("ntk_mixed", factor=8.0),
    "NTK-mixed, log n": _rope("ntk_mixed", factor=8.0) | _LOG_N,
    "ReRoPE, N/4": _rope("rerope", window=LENGTH // 4),
    "ReRoPE, N/2": _rope("rerope", window=LENGTH // 2),
    "ReRoPE, N/2, log n": _rope("rerope", window=LENGTH // 2) | _LOG_N,
    "ReRoPE, N": _rope("rerope", window=LENGTH),
    "window, N": {"attention_window": LENGTH},
}


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Let the model of a seed read by the fields of a side."""
    characters, steps = read_characters(sources), 2 if sources.quick else _STEPS
    folder = trained_model(characters, seed, steps, sources)
    model = RoFormerForCausalLM.from_pretrained(folder, **SIDES[setting["reading"]]).eval()
    return {**score(model, characters.test), "steps": steps, "rate": _RATE}


def trained_model(characters: Characters, seed: int, steps: int, sources: Sources) -> Path:
    """The folder of the model of a seed, made once."""
    folder = sources.folder / f"character model {seed}"
    if not folder.exists():
        # Again, as whichever side comes first may have drawn numbers.
        set_seed(seed)
        train({}, characters.train, _RATE, steps).save_pretrained(folder)
    return folder


EXPERIMENT = Experiment(
    name="length_at_test",
    cases=[{"length": LENGTH}],
    side="reading",
    sides=tuple(SIDES),
    score="plain_8x",
    run=run,
    draw=draw,
    measures=MEASURES,
)
