"""Masked characters with positions by rotation, of two bases and of learnt frequencies (kexue.fm/archives/8231)."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

import hf_ext
from studies.descent import at_the_end, descend
from studies.drawing import grouped_bars, legend_below
from studies.pretraining_texts import write_texts
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES: dict[str, dict[str, Any]] = {
    "1000": {"rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}},
    "10000": {},
    "learnt": {"trainable_frequencies": True},
    "no positions": {},
}
_SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_LENGTH, _ROWS, _STEPS = 128, 16, 2000
_MASKED = 19
_SCORED_ROWS = 400
# Of the texts, which come in a drawn order: the first twentieth to choose a rate, the next to report.
_HELD_OUT = 20
_RARE = 5
_UNKNOWN, _MASK, _END = range(3)


@dataclass(frozen=True)
class Characters:
    """Each part of the texts as one row of ids, and the number of ids."""

    parts: Mapping[str, Tensor]
    vocab_size: int


@cache
def characters(sources: Sources) -> Characters:
    """The pre-training texts by characters, of which rare ones are one; an id of its own ends each text."""
    path = sources.folder / "texts.jsonl"
    write_texts(path, sources.data)
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    held_out = math.ceil(len(texts) / _HELD_OUT)
    parts = {"dev": texts[:held_out], "test": texts[held_out : 2 * held_out], "train": texts[2 * held_out :]}
    counts = Counter(chain.from_iterable(parts["train"]))
    known = {character: _END + 1 + place for place, character in enumerate(frequent(counts))}

    def ids(texts: Iterable[str]) -> Tensor:
        return torch.tensor([id for text in texts for id in [*(known.get(one, _UNKNOWN) for one in text), _END]])

    return Characters({name: ids(part) for name, part in parts.items()}, _END + 1 + len(known))


def frequent(counts: Counter[str]) -> list[str]:
    """Those that are not rare, the most frequent first."""
    return [character for character, count in counts.most_common() if count >= _RARE]


def masked(ids: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Rows ``[B, L]`` with the mask at as many drawn places of each, and these places ``[B, L]``."""
    drawn = torch.rand(ids.shape, generator=generator)
    places = torch.zeros_like(ids, dtype=torch.bool).scatter_(1, drawn.topk(_MASKED, dim=1).indices, True)
    return ids.masked_fill(places, _MASK), places


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a RoFormer of two blocks to fill masks, and ask it on held-out texts."""
    side = setting["positions"]
    texts = characters(sources)
    config = hf_ext.RoFormerConfig(**_SIZES, **SIDES[side], vocab_size=texts.vocab_size)
    model = hf_ext.RoFormerForMaskedLM(config)
    begin = frequencies(model)
    train = texts.parts["train"]
    generator = torch.Generator().manual_seed(seed)

    def logits_and_wanted(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        given, places = masked(rows, generator)
        with torch.autocast("cpu", torch.bfloat16):
            return model.cls(states(model, given, side)[places]).float(), rows[places]

    def loss() -> Tensor:
        first = torch.randint(len(train) - _LENGTH, (_ROWS, 1), generator=generator)
        return F.cross_entropy(*logits_and_wanted(train[first + torch.arange(_LENGTH)], generator))

    steps = 2 if sources.quick else _STEPS
    losses = descend(model, loss, steps, setting["learning_rate"])
    scored = texts.parts[setting["part"]]
    rows = scored[: len(scored) // _LENGTH * _LENGTH].view(-1, _LENGTH)[:_SCORED_ROWS]
    with torch.no_grad():
        logits, wanted = logits_and_wanted(rows, torch.Generator().manual_seed(0))
    return {
        "accuracy": (logits.argmax(-1) == wanted).double().mean().item(),
        "loss": F.cross_entropy(logits, wanted).item(),
        # As a factor, of the frequency that has changed most.
        "moved": "" if begin is None else (frequencies(model) - begin).abs().max().exp().item(),
        "loss_in_training": at_the_end(losses),
        "steps": steps,
        "parameters": model.num_parameters(),
    }


def states(model: Any, rows: Tensor, side: str) -> Tensor:
    """The last hidden states ``[B, L, H]`` of a side's model."""
    # Equal positions are turned alike, so that no distance is left.
    positions = torch.arange(rows.shape[1])[None] * (side != "no positions")
    # With a mask, as positions that do not grow would start documents.
    found: Tensor = model.base_model(rows, torch.ones_like(rows), position_ids=positions).last_hidden_state
    return found


def frequencies(model: Any) -> Any:
    """The logarithms of the frequencies that a model learns, if it does."""
    rotary = getattr(model.base_model, "rotary", None)
    return None if rotary is None else rotary.log_frequencies.detach().clone()


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy and loss of each side."""
    for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss")):
        sides = {side: [results.values(measure, positions=side)] for side in SIDES}
        grouped_bars(axes, [""], sides)
        axes.set_ylabel(f"{measure} at masked characters")
        found = [value for values in sides.values() for value in values[0]]
        # Differences between seeds are small beside the numbers themselves.
        axes.set_ylim(0.9 * min(found), 1.05 * max(found))
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="rotary_bases",
    cases=[{"data": "pre-training texts"}],
    side="positions",
    sides=tuple(SIDES),
    rates=(1e-3, 3e-3),
    score="accuracy",
    run=run,
    draw=draw,
    measures=("accuracy", "loss", "moved"),
)
