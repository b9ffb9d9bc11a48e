"""Do encoders without attention that pre-train well transfer as well (kexue.fm/archives/8431)?"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoModel,
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    set_seed,
)

from hf_ext import TokenMixerConfig, UniLMBertConfig, build_char_tokenizer
from hf_ext.tasks.classification import label_names
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below
from studies.pretraining_texts import write_texts
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
"""What a tokenizer makes of a text or of a pair."""

_LENGTH, _WIDTH = 64, 96
_BATCH = 32
_CHARACTERS, _SHORTEST = 350_000, 8
# Pieces of texts that are not trained on: to choose a rate by, and to score.
_HELD_OUT = {"dev": 500, "test": 1000}
_PRETRAINING_EPOCHS, _PRETRAINING_RATES = 3, (1e-3, 3e-3)
_TUNING_SEED = 0
_EPOCHS, _MOST_TEXTS = 3, 3000
_FROM_SCRATCH = ", from scratch"

# Blocks of one number of parameters in all, as near as widths that are multiples of 8 come. Gated blocks are twice as
# many, as in their paper: each is a sublayer in place of two. A bag has none.
ENCODERS: dict[str, Mapping[str, Any]] = {
    "attention": {"num_hidden_layers": 2, "intermediate_size": 384},
    "gMLP": {"mixer": "gmlp", "num_hidden_layers": 4, "intermediate_size": 352},
    "aMLP": {"mixer": "amlp", "num_hidden_layers": 4, "intermediate_size": 184},
    "FNet": {"mixer": "fnet", "num_hidden_layers": 3, "intermediate_size": 384},
    "MLP-Mixer": {"mixer": "mlp", "num_hidden_layers": 3, "intermediate_size": 296},
    "Synthesizer": {"mixer": "synthesizer_random", "num_hidden_layers": 2, "intermediate_size": 392},
    "external": {"mixer": "external", "position_embeddings": False, "num_hidden_layers": 2, "intermediate_size": 416},
    "bag": {"mixer": "external", "position_embeddings": False, "num_hidden_layers": 0},
}


class Reader(nn.Module):
    """An encoder, what tells a masked character of its state, and what tells a class of the mean of all states.

    The mean is that of BERT's first token here, so that a model that mixes nothing is a bag and not a constant. A bag
    has the mean of its embeddings for the state of every token.
    """

    def __init__(self, name: str, vocabulary: int) -> None:
        super().__init__()
        self.is_bag = name == "bag"
        self.encoder: Any = AutoModel.from_config(encoder_config(name, vocabulary))
        self.transform = nn.Sequential(nn.Linear(_WIDTH, _WIDTH), nn.GELU(), nn.LayerNorm(_WIDTH))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        # Pre-training needs none.
        self.classifier: nn.Module = nn.Identity()

    def characters(self, batch: Mapping[str, Tensor], places: Tensor) -> Tensor:
        """Scores ``[M, V]`` of characters at the M true ones of ``places`` ``[B, L]``."""
        found = self.transform(self._states(batch)[places])
        return F.linear(found, self.encoder.get_input_embeddings().weight, self.bias)

    def classes(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores ``[B, C]`` of classes."""
        scores: Tensor = self.classifier(_mean(self._states(batch), batch["attention_mask"]))
        return scores

    def _states(self, batch: Mapping[str, Tensor]) -> Tensor:
        states: Tensor = self.encoder(**batch).last_hidden_state
        return _mean(states, batch["attention_mask"])[:, None].expand_as(states) if self.is_bag else states


def encoder_config(name: str, vocabulary: int) -> PreTrainedConfig:
    """The config of an encoder of `ENCODERS`."""
    size: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": _WIDTH,
        "num_attention_heads": 4,
        "max_position_embeddings": _LENGTH,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        # 0.02 is for models of 768: attention told 9 % of masked characters with it, 13 % with this (one seed).
        "initializer_range": 0.08,
    }
    if name == "attention":
        return UniLMBertConfig(**size, **ENCODERS[name], attention_mode="bidirectional", pooler_activation=None)
    return TokenMixerConfig(**size, **ENCODERS[name])


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    """The mean ``[B, H]`` of ``states`` ``[B, L, H]`` where ``mask`` ``[B, L]`` is 1."""
    weights = mask[..., None] / mask.sum(-1)[:, None, None]
    return (states * weights).sum(1)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a classifier of texts or of pairs on an encoder, pre-trained or not."""
    name, scratch = setting["encoder"].removesuffix(_FROM_SCRATCH), setting["encoder"].endswith(_FROM_SCRATCH)
    tokenizer = pretraining_rows(sources)[0]
    parts = {part: sources.labelled(setting["task"], part)[:_MOST_TEXTS] for part in ("train", setting["part"])}
    names = label_names(parts["train"])
    rows = {part: encode(tokenizer, examples) for part, examples in parts.items()}
    labels = {part: torch.tensor([names.index(one["label"]) for one in found]) for part, found in parts.items()}

    pretraining: Mapping[str, Any] = dict.fromkeys(("masked_accuracy", "masked_loss", "pretraining_rate"), "")
    reader = Reader(name, len(tokenizer))
    if not scratch:
        rate = pretraining_rate(name, sources)
        weights, found = pretrained(name, seed, rate, sources)
        pretraining = {**found["test"], "pretraining_rate": rate}
        reader.load_state_dict(weights)
    # Again, as pre-training draws numbers, and in one run alone.
    set_seed(seed)
    reader.classifier = nn.Linear(_WIDTH, len(names))

    def loss(batch: list[int]) -> Tensor:
        logits = reader.classes(padded(tokenizer, [rows["train"][number] for number in batch]))
        return F.cross_entropy(logits, labels["train"][batch])

    fit(reader, loss, rows["train"], _EPOCHS, setting["learning_rate"], sources.quick)
    scored = labels[setting["part"]]
    logits = scores(reader, tokenizer, rows[setting["part"]])
    most_frequent = Counter(labels["train"].tolist()).most_common(1)[0][0]
    return {
        "accuracy": (logits.argmax(-1) == scored).double().mean().item(),
        "most_frequent_class": (scored == most_frequent).double().mean().item(),
        **pretraining,
        "parameters": sum(weight.numel() for weight in reader.encoder.encoder.parameters()),
        "epochs": _EPOCHS,
        "train_texts": len(rows["train"]),
        "scored_texts": len(scored),
    }


def pretraining_rate(name: str, sources: Sources) -> float:
    """The rate at which an encoder knows most of the masked characters that are held out for this choice."""
    rates = _PRETRAINING_RATES[:1] if sources.quick else _PRETRAINING_RATES
    return max(rates, key=lambda rate: pretrained(name, _TUNING_SEED, rate, sources)[1]["dev"]["masked_accuracy"])


@cache
def pretrained(
    name: str, seed: int, rate: float, sources: Sources
) -> tuple[dict[str, Tensor], Mapping[str, Mapping[str, float]]]:
    """The weights of an encoder that has learnt to tell masked characters, and how well it does on held-out texts."""
    tokenizer, rows = pretraining_rows(sources)
    set_seed(seed)
    mask = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=seed)
    reader = Reader(name, len(tokenizer))

    def loss(batch: list[int]) -> Tensor:
        logits, wanted = masked(reader, mask, [rows["train"][number] for number in batch])
        return F.cross_entropy(logits, wanted)

    fit(reader, loss, rows["train"], _PRETRAINING_EPOCHS, rate, sources.quick)
    measures = {part: score_masked(reader, tokenizer, rows[part]) for part in _HELD_OUT}
    return reader.state_dict(), measures


@cache
def pretraining_rows(sources: Sources) -> tuple[PreTrainedTokenizerBase, Mapping[str, list[Row]]]:
    """A tokenizer of characters, and rows to pre-train on and to hold out, each a text or a piece of one."""
    path = sources.folder / "texts.jsonl"
    write_texts(path, sources.data)
    pieces: list[str] = []
    left = _CHARACTERS
    with path.open(encoding="utf-8") as file:
        for line in file:
            text = json.loads(line)["text"][:left]
            left -= len(text)
            # Two tokens stand around each.
            cut = [text[start : start + _LENGTH - 2] for start in range(0, len(text), _LENGTH - 2)]
            pieces += [piece for piece in cut if len(piece) >= _SHORTEST]
    texts: dict[str, list[str]] = {}
    for part, count in _HELD_OUT.items():
        count = min(count, len(pieces) // 4)
        texts[part], pieces = pieces[:count], pieces[count:]
    texts["train"] = pieces
    tokenizer = build_char_tokenizer(pieces, min_count=2)
    return tokenizer, {part: encode(tokenizer, [{"text": text} for text in found]) for part, found in texts.items()}


def encode(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Mapping[str, str]]) -> list[Row]:
    """A row for each text or pair, cut to the length of the matrices of tokens."""
    texts = [[example[key] for example in examples] for key in ("text", "text2") if key in examples[0]]
    columns = tokenizer(*texts, truncation=True, max_length=_LENGTH)
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def padded(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]) -> Mapping[str, Tensor]:
    """Rows as a batch."""
    batch: Mapping[str, Tensor] = DataCollatorWithPadding(tokenizer)([dict(row) for row in rows])
    return batch


def masked(reader: Reader, mask: DataCollatorForLanguageModeling, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Scores ``[M, V]`` and characters ``[M]`` where ``mask`` has hidden some."""
    batch = mask(list(rows))
    labels = batch.pop("labels")
    places = labels != -100
    return reader.characters(batch, places), labels[places]


def batches(rows: Sequence[Row]) -> Iterator[list[int]]:
    """Numbers of rows of like length, in an order that is drawn."""
    order = torch.randperm(len(rows)).tolist()
    found: list[list[int]] = []
    for start in range(0, len(order), 16 * _BATCH):
        near = sorted(order[start : start + 16 * _BATCH], key=lambda number: len(rows[number]["input_ids"]))
        found += [near[at : at + _BATCH] for at in range(0, len(near), _BATCH)]
    yield from (found[number] for number in torch.randperm(len(found)).tolist())


def fit(
    reader: Reader,
    loss: Callable[[list[int]], Tensor],
    rows: Sequence[Row],
    epochs: int,
    rate: float,
    quick: bool,
) -> None:
    """Train on all rows, in batches of like length.

    Args:
        reader: to be trained.
        loss: of the numbers of the rows of a batch.
        rows: that there are.
        epochs: passes over them.
        rate: the highest.
        quick: whether two steps are enough.
    """
    drawn = [batch for _ in range(epochs) for batch in batches(rows)][: 2 if quick else None]
    coming = iter(drawn)
    descend(reader, lambda: loss(next(coming)), len(drawn), rate)


@torch.no_grad()
def scores(reader: Reader, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]) -> Tensor:
    """Scores ``[N, C]`` of all rows, in their order."""
    reader.eval()
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]["input_ids"]))
    found = [
        reader.classes(padded(tokenizer, [rows[number] for number in order[start : start + 4 * _BATCH]]))
        for start in range(0, len(order), 4 * _BATCH)
    ]
    return torch.cat(found)[torch.tensor(order).argsort()]


@torch.no_grad()
def score_masked(reader: Reader, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]) -> Mapping[str, float]:
    """The share of masked characters that are told right, and the mean loss, under masks that are always the same."""
    reader.eval()
    mask = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=0)
    found = [masked(reader, mask, rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
    logits, wanted = (torch.cat(each) for each in zip(*found))
    right = (logits.argmax(-1) == wanted).double().mean().item()
    return {"masked_accuracy": right, "masked_loss": F.cross_entropy(logits, wanted).item()}


def draw(figure: "Figure", results: Results) -> None:
    """Masked characters of the pre-trained encoders, and classes with and without pre-training."""
    names = list(ENCODERS)
    masked_characters, *tasks = figure.subplots(1, 1 + len(EXPERIMENT.cases))
    known = [results.values("masked_accuracy", task=EXPERIMENT.cases[0]["task"], encoder=name) for name in names]
    grouped_bars(masked_characters, names, {"pre-trained": known})
    masked_characters.set_title("masked characters told right")
    for axes, case in zip(tasks, EXPERIMENT.cases):
        sides = {
            start: [results.values("accuracy", **case, encoder=name + suffix) for name in names]
            for start, suffix in (("pre-trained", ""), ("from scratch", _FROM_SCRATCH))
        }
        grouped_bars(axes, names, sides)
        # The same in all runs.
        for share in set(results.values("most_frequent_class", **case)):
            axes.axhline(share, color="black", linestyle=":", linewidth=1)
        axes.set_title(f"accuracy, {case['task']}; dotted: the\nmost frequent class of training")
    for axes in figure.axes:
        axes.tick_params(axis="x", rotation=60)
    legend_below(figure, tasks[0])


EXPERIMENT = Experiment(
    name="token_mixers",
    cases=[{"task": "news"}, {"task": "inference"}],
    side="encoder",
    sides=(*ENCODERS, *(name + _FROM_SCRATCH for name in ENCODERS)),
    rates=(1e-3, 3e-3),
    score="accuracy",
    run=run,
    draw=draw,
    measures=("accuracy", "masked_accuracy", "masked_loss"),
)
