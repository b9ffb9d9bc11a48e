"""T-TA beside a masked model of equal size: time of a score, what is learnt, and T-TA that sees what it is to predict.

kexue.fm/archives/7661; arXiv 2004.08097. Shapes: R rows, L tokens of a row, P places, V vocabulary.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM

from hf_ext import TTAConfig, TTAForMaskedLM, build_char_tokenizer
from hf_ext.data.char_vocabulary import SPECIAL_TOKENS
from hf_ext.tasks.base.asked_places import logits_at
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below
from studies.pretraining_texts import write_texts
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T_TA, MASKED, SEEN = "T-TA", "masked", "T-TA that sees itself"
_SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    # 0.02 is for models of 768: with it ones so narrow are half as far after 500 steps.
    "initializer_range": 0.08,
}
_MASK = SPECIAL_TOKENS.index("[MASK]")
# Ids below are of no character.
FIRST = len(SPECIAL_TOKENS)
_MIN_COUNT = 20
_LENGTH, _ROWS, _SCORED = 32, 32, 256
_LENGTHS, _TEXTS, _VOCABULARY = (16, 32, 64, 128), 16, 4000
_STEPS = (400, 800, 1600)
# Of runs that choose none.
_RATE = 3e-3
# Rows of a pass where nothing is trained.
_PASS = 128
_LABELS = {
    "accuracy_in_training": "accuracy in training",
    "accuracy": "held-out accuracy",
    "auc": "AUC of one replaced character",
}


def new_model(side: str, vocab_size: int, length: int) -> Any:
    """A model of random weights; the masked one has one vector more, of its only token type."""
    sizes = {**_SIZES, "vocab_size": vocab_size, "max_position_embeddings": length}
    if side == MASKED:
        return BertForMaskedLM(BertConfig(**sizes, type_vocab_size=1))
    return TTAForMaskedLM(TTAConfig(**sizes, mask_token_id=_MASK, self_mask=side == T_TA, pooler_activation=None))


def time_scores(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """How long the pseudo-log-likelihood of a text takes."""
    length, masked = setting["length"], setting["model"] == MASKED
    model = new_model(setting["model"], _VOCABULARY, max(_LENGTHS)).eval()
    ids = _framed(torch.randint(FIRST, _VOCABULARY, (2 if sources.quick else _TEXTS, length - 2)))
    score(model, ids[:1], masked)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        score(model, ids, masked)
        seconds.append(time.process_time() - start)
    # The least: what it takes when nothing disturbs it.
    return {"ms": 1000 * min(seconds) / len(ids), "texts": len(ids), "parameters": model.num_parameters()}


def learn(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a model; predict each character of held-out rows from all others, and find one that was replaced."""
    side = setting["model"]
    parts, vocab_size = read_rows(sources)
    model = new_model(side, vocab_size, _LENGTH)
    steps = 2 if sources.quick else setting["steps"]
    in_training, seconds = fit(model, side == MASKED, parts["train"], steps, setting.get("learning_rate", _RATE), seed)
    held_out = parts[setting["part"]]
    found, right = score(model, held_out, side == MASKED)
    spoiled, is_spoiled = spoil(held_out)
    of_spoiled, _ = score(model, spoiled, side == MASKED)
    return {
        "accuracy": float(right.double().mean()),
        "pll": float(found.double().mean()),
        "auc": area(of_spoiled[is_spoiled], of_spoiled[~is_spoiled]),
        "accuracy_in_training": in_training,
        "train_s": seconds,
        "scored_characters": len(found),
        "vocabulary": vocab_size,
        "parameters": model.num_parameters(),
    }


@cache
def read_rows(sources: Sources) -> tuple[dict[str, Tensor], int]:
    """The rows ``[R, L]`` of "train", "dev" and "test", and the size of their vocabulary.

    Texts follow each other, with [SEP] between them, and are cut into rows without padding.
    """
    path = sources.folder / "texts.jsonl"
    if not path.is_file():
        write_texts(path, sources.data)
    texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    tokenizer = build_char_tokenizer(texts, 1 if sources.quick else _MIN_COUNT)
    stream = [
        id
        for text in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        for id in (*text, tokenizer.sep_token_id)
    ]
    inner = _LENGTH - 2
    rows = _framed(torch.tensor(stream[: len(stream) // inner * inner]).view(-1, inner))
    held_out = min(_SCORED, len(rows) // 10)
    dev, test, train = rows.tensor_split((held_out, 2 * held_out))
    return {"train": train, "dev": dev, "test": test}, len(tokenizer)


def _framed(ids: Tensor) -> Tensor:
    """Rows ``[R, L - 2]`` between [CLS] and [SEP]."""
    first, last = (ids.new_full((len(ids), 1), SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]"))
    return torch.cat((first, ids, last), 1)


def fit(model: Any, masked: bool, rows: Tensor, steps: int, rate: float, seed: int) -> tuple[float, float]:
    """Train with AdamW on rows that the seed draws, the same for any model.

    Args:
        model: that learns.
        masked: ask for masked characters; else for all tokens.
        rows: ``[R, L]``.
        steps: of 32 rows each.
        rate: the highest.
        seed: of the rows.

    Returns:
        The accuracy of characters asked for in the last tenth of the steps, and the CPU seconds of all, by the median
        step.
    """
    drawn = torch.Generator().manual_seed(seed)
    accuracies, starts = [], []

    def loss() -> Tensor:
        starts.append(time.process_time())
        ids = rows[torch.randint(len(rows), (_ROWS,), generator=drawn)]
        inputs, asked = mask(ids, model.config.vocab_size) if masked else (ids, torch.ones_like(ids, dtype=torch.bool))
        wanted = ids[asked]
        logits = logits_at(model, {"input_ids": inputs}, *asked.nonzero(as_tuple=True))
        # In so few steps that the median one does not have to wait for it.
        if len(starts) > steps - max(1, steps // 10):
            right = logits.detach().argmax(-1) == wanted
            accuracies.append(float(right[wanted >= FIRST].double().mean()))
        return F.cross_entropy(logits, wanted)

    descend(model, loss, steps, rate)
    seconds = [end - start for start, end in pairwise((*starts, time.process_time()))]
    return mean(accuracies), steps * median(seconds)


def mask(ids: Tensor, vocab_size: int) -> tuple[Tensor, Tensor]:
    """BERT's masks: of 15 % of the characters 80 % become [MASK], 10 % any character, 10 % stay.

    Returns:
        The inputs, and where characters are asked for, ``[R, L]`` both.
    """
    chosen = (torch.rand(ids.shape) < 0.15) & (ids >= FIRST)
    fate = torch.rand(ids.shape)
    inputs = ids.masked_fill(chosen & (fate < 0.8), _MASK)
    return torch.where(chosen & (fate >= 0.9), torch.randint_like(ids, FIRST, vocab_size), inputs), chosen


@torch.no_grad()
def score(model: Any, ids: Tensor, masked: bool) -> tuple[Tensor, Tensor]:
    """What a model says of each character of ``ids`` ``[R, L]``, given all other tokens of its row.

    Returns:
        The logarithm of its probability, and whether it is the likeliest token, ``[P]`` both, in the order of ``ids``.
    """
    found, right = [], []
    for inputs, lines, columns, own in _passes(ids, masked):
        logits = logits_at(model, {"input_ids": inputs}, lines, columns)
        found.append(logits.gather(-1, own[:, None]).squeeze(-1) - logits.logsumexp(-1))
        right.append(logits.argmax(-1) == own)
    return torch.cat(found), torch.cat(right)


def _passes(ids: Tensor, masked: bool) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Inputs of a pass, the places in them and the characters that stand there; a masked model has a row a place."""
    if not masked:
        for inputs in ids.split(_PASS):
            lines, columns = (inputs >= FIRST).nonzero(as_tuple=True)
            yield inputs, lines, columns, inputs[lines, columns]
        return
    for places in (ids >= FIRST).nonzero().split(_PASS):
        inputs, lines, columns = ids[places[:, 0]], torch.arange(len(places)), places[:, 1]
        own = inputs[lines, columns]
        inputs[lines, columns] = _MASK
        yield inputs, lines, columns, own


def spoil(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows with one character replaced by another of the rows, always the same ones.

    Returns:
        The rows ``[R, L]``, and which of their characters are replaced ones, ``[P]`` in the order of the rows.
    """
    drawn = torch.Generator().manual_seed(0)
    pool = ids[ids >= FIRST]
    places = torch.multinomial((ids >= FIRST).float(), 1, generator=drawn)
    spoiled = ids.clone()
    for row, (place,) in zip(spoiled, places.tolist()):
        others = pool[pool != row[place]]
        row[place] = others[torch.randint(len(others), (), generator=drawn)]
    return spoiled, (spoiled != ids)[ids >= FIRST]


def area(wrong: Tensor, right: Tensor) -> float:
    """How often a wrong character scores lower than a right one, a tie by half: the area under the ROC curve."""
    ordered = right.sort().values
    lower, not_above = (torch.searchsorted(ordered, wrong, right=side) for side in (False, True))
    return float(1 - (lower + not_above).double().mean() / (2 * len(ordered)))


def draw_time(figure: "Figure", results: Results) -> None:
    """Time of a text against its length, on logarithmic axes."""
    axes = figure.subplots()
    for side in TIME.sides:
        _line(axes, side, [(length, results.values("ms", length=length, model=side)) for length in _LENGTHS])
    axes.set(xscale="log", yscale="log", xlabel="tokens of a text", ylabel="CPU milliseconds of a text")
    axes.minorticks_off()
    axes.set_xticks(_LENGTHS, list(map(str, _LENGTHS)))
    legend_below(figure, axes)


def draw_learning(figure: "Figure", results: Results) -> None:
    """Accuracy by step and by second, and how well a replaced character is found."""
    plots = (("accuracy", None), ("accuracy", "train_s"), ("auc", "train_s"))
    for axes, (measure, beside) in zip(figure.subplots(1, 3), plots):
        for side in LEARNING.sides:
            points = []
            for steps in _STEPS:
                found = {name: results.values(name, steps=steps, model=side) for name in (measure, "train_s")}
                if found[measure]:
                    points.append((mean(found[beside]) if beside else steps, found[measure]))
            _line(axes, side, points)
        axes.set(xlabel="CPU seconds of training" if beside else "steps", ylabel=_LABELS[measure])
    legend_below(figure, figure.axes[0])


def draw_leak(figure: "Figure", results: Results) -> None:
    """T-TA that sees what it is to predict, beside T-TA, by three measures."""
    axes = figure.subplots()
    sides = {side: [results.values(measure, model=side) for measure in _LABELS] for side in LEAK.sides}
    grouped_bars(axes, list(_LABELS.values()), sides)
    legend_below(figure, axes)


def _line(axes: "Axes", side: str, points: Sequence[tuple[float, Sequence[float]]]) -> None:
    """A line through the means of what there is at each place, and a dot for each seed."""
    points = [(place, found) for place, found in points if found]
    (line,) = axes.plot([place for place, _ in points], [mean(found) for _, found in points], label=side)
    dots = [(place, value) for place, found in points for value in found]
    axes.scatter([place for place, _ in dots], [value for _, value in dots], color=line.get_color(), s=10)
    axes.grid(alpha=0.3)


TIME = Experiment(
    name="t_ta_time",
    cases=[{"length": length} for length in _LENGTHS],
    side="model",
    sides=(T_TA, MASKED),
    score="ms",
    run=time_scores,
    draw=draw_time,
    measures=("ms",),
)
LEARNING = Experiment(
    name="t_ta_learning",
    cases=[{"steps": steps} for steps in _STEPS],
    side="model",
    sides=(T_TA, MASKED),
    rates=(1e-3, 3e-3),
    score="pll",
    run=learn,
    draw=draw_learning,
    measures=("accuracy", "pll", "auc", "train_s"),
)
LEAK = Experiment(
    name="t_ta_leak",
    cases=[{"steps": _STEPS[0]}],
    side="model",
    sides=(T_TA, SEEN),
    score="auc",
    run=learn,
    draw=draw_leak,
    measures=tuple(_LABELS),
)
