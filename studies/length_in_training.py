"""Windows, and one layer that sees everything, in a model that is to read longer texts (kexue.fm/archives/9603)."""

from collections.abc import Mapping
from typing import Any

from studies.character_lm import LAYERS, LENGTH, MEASURES, draw, read_characters, score, train
from studies.sources import Sources
from studies.study import Experiment, Setting

_STEPS = 1500
# Set beforehand for all sides.
_RATE = 3e-3
# The most for which what windows reach, (window - 1) * (layers - 1) + 1, is 3/4 of the length of training.
WINDOW = (LENGTH * 3 // 4 - 1) // (LAYERS - 1) + 1
SIDES: dict[str, dict[str, Any]] = {
    "all full": {},
    "all full, log n": {"log_n": "always"},
    "HWFA": {"attention_window": WINDOW, "full_attention_layers": [-1], "log_n": "always"},
    "all windows": {"attention_window": WINDOW},
}


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a model by the fields of a side, and score it by the same."""
    characters, steps = read_characters(sources), 2 if sources.quick else _STEPS
    model = train(SIDES[setting["layers"]], characters.train, _RATE, steps)
    return {**score(model, characters.test), "steps": steps, "rate": _RATE, "parameters": model.num_parameters()}


EXPERIMENT = Experiment(
    name="length_in_training",
    cases=[{"length": LENGTH}],
    side="layers",
    sides=tuple(SIDES),
    score="plain_1x",
    run=run,
    draw=draw,
    measures=MEASURES,
)
