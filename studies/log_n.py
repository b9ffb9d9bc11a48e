"""Does log n help a masked language model beyond the length that it was trained at (kexue.fm/archives/8823)?

One and the same masked tokens are predicted at each length: pieces of 512 characters of judgements are cut into 8 of
64, 4 of 128, 2 of 256, or left whole, so that nothing but the context differs.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hf_ext import RoFormerConfig, RoFormerForMaskedLM
from studies.descent import at_the_end, descend
from studies.drawing import legend_below, lines
from studies.pretraining_texts import judgements
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINED = 64
LENGTHS = (64, 128, 256, 512)
_LONGEST = LENGTHS[-1]
_UNKNOWN, MASK = 1, 2
_MASKED = 0.15
_STEPS, _TOKENS = 1000, 2048
# Pieces of the longest length that are scored.
_PIECES = 96
_SIZES: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": TRAINED,
    # 0.02 is for models of 768; one so narrow is a little behind with it (0.45 beside 0.47 at 64, tried with one seed).
    "initializer_range": 0.08,
}
FIXED, VARIED = "64", "16 to 64"


class Side(NamedTuple):
    """What is different, in training and in the test.

    Attributes:
        training: fields of the config.
        test: the same of the model that is scored.
        inverse: whether scores are divided by what log n multiplies them with.
    """

    training: Mapping[str, Any] = {}
    test: Mapping[str, Any] = {}
    inverse: bool = False


SIDES: dict[str, Side] = {
    "none": Side(),
    "log n": Side({"log_n": "always"}, {"log_n": "always"}),
    "log n after training": Side(test={"log_n": "after_training"}),
    "window of 64": Side(test={"attention_window": TRAINED}),
    "divided by log n": Side(inverse=True),
}


class Corpus(NamedTuple):
    """Characters as ids.

    Attributes:
        characters: number of ids.
        train: all training documents, one after the other ``[T]``.
        starts: places in them from which 64 characters are of one document.
        dev: pieces of other documents ``[N, 512]``.
        test: the same of others again.
    """

    characters: int
    train: Tensor
    starts: Tensor
    dev: Tensor
    test: Tensor


@cache
def corpus(sources: Sources) -> Corpus:
    """Judgements, a tenth of them for development, a fifth to be scored."""
    documents = judgements(sources.data)
    random.Random(0).shuffle(documents)
    tenth = max(1, len(documents) // 10)
    dev, test, train = documents[:tenth], documents[tenth : 3 * tenth], documents[3 * tenth :]
    seen = Counter(character for document in train for character in document)
    ids = {character: MASK + 1 + rank for rank, character in enumerate(sorted(seen)) if seen[character] > 1}

    def encoded(document: str) -> Tensor:
        return torch.tensor([ids.get(character, _UNKNOWN) for character in document])

    def pieces(part: Sequence[str]) -> Tensor:
        whole = [piece for document in part for piece in encoded(document).split(_LONGEST) if len(piece) == _LONGEST]
        return torch.stack(whole[: 2 if sources.quick else _PIECES])

    ends = torch.tensor([len(document) for document in train]).cumsum(0).tolist()
    starts = [
        torch.arange(end - len(document), end - TRAINED + 1)
        for document, end in zip(train, ends)
        if len(document) >= TRAINED
    ]
    size = max(ids.values()) + 1
    return Corpus(size, encoded("".join(train)), torch.cat(starts), pieces(dev), pieces(test))


@cache
def trained(sources: Sources, lengths: str, log_n: str | None, rate: float, seed: int) -> tuple[float, dict[str, Any]]:
    """The loss and the weights of a model, trained once for all sides that differ in the test alone."""
    texts = corpus(sources)
    torch.manual_seed(seed)
    model = RoFormerForMaskedLM(config(texts.characters, {"log_n": log_n}))

    def loss() -> Tensor:
        length = TRAINED if lengths == FIXED else int(torch.randint(TRAINED // 4, TRAINED + 1, ()))
        first = texts.starts[torch.randint(len(texts.starts), (_TOKENS // length,))]
        ids = texts.train[first[:, None] + torch.arange(length)]
        asked = torch.rand(ids.shape) < _MASKED
        return F.cross_entropy(predictions(model, ids, asked).float(), ids[asked])

    losses = descend(model, loss, 2 if sources.quick else _STEPS, rate)
    return at_the_end(losses), {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def config(characters: int, fields: Mapping[str, Any]) -> RoFormerConfig:
    """The config of a model of so many characters."""
    return RoFormerConfig(vocab_size=characters, **_SIZES, **fields)


def predictions(model: RoFormerForMaskedLM, ids: Tensor, asked: Tensor) -> Tensor:
    """Scores of characters at the places ``asked`` of rows ``ids`` ``[B, L]``, hidden from the model."""
    hidden = model.base_model(ids.masked_fill(asked, MASK)).last_hidden_state
    scores: Tensor = model.cls(hidden[asked])
    return scores


@torch.no_grad()
def accuracy(model: RoFormerForMaskedLM, pieces: Tensor, length: int) -> float:
    """The share of masked characters that a model finds in pieces ``[N, 512]`` cut to a length.

    Which are masked depends on the pieces alone.
    """
    chance = torch.Generator().manual_seed(0)
    asked = torch.rand(pieces.shape, generator=chance) < _MASKED
    rows = zip(*(each.reshape(-1, length).split(8 * _LONGEST // length) for each in (pieces, asked)))
    right = [predictions(model, ids, where).argmax(-1) == ids[where] for ids, where in rows]
    return float(torch.cat(right).double().mean())


@torch.no_grad()
def scale_scores(model: RoFormerForMaskedLM, factor: float) -> None:
    """Multiply the scores of attention by a number, which rotations let through."""
    for name, weight in model.named_parameters():
        if ".self.query." in name:
            weight.mul_(factor)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Accuracy of a side at each length."""
    side, lengths = SIDES[setting["scores"]], setting["trained_on"]
    # At a single length log n is the factor 1, and the model that of training without.
    log_n = side.training.get("log_n") if lengths == VARIED else None
    loss, weights = trained(sources, lengths, log_n, setting["learning_rate"], seed)
    texts = corpus(sources)
    pieces = texts.dev if setting["part"] == "dev" else texts.test
    found = {}
    for length in LENGTHS:
        model = RoFormerForMaskedLM(config(texts.characters, side.test)).eval()
        model.load_state_dict(weights)
        if side.inverse:
            scale_scores(model, math.log(TRAINED) / math.log(length))
        found[f"at_{length}"] = accuracy(model, pieces, length)
    return {**found, "loss": loss, "characters": pieces.numel(), "parameters": model.num_parameters()}


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy over the length, after training at one length and at several."""
    for axes, lengths in zip(figure.subplots(1, 2, sharey=True), (FIXED, VARIED)):
        found = {
            side: [results.values(f"at_{length}", trained_on=lengths, scores=side) for length in LENGTHS]
            for side in SIDES
        }
        lines(axes, LENGTHS, found)
        axes.set_xscale("log", base=2)
        axes.set_xticks(LENGTHS, map(str, LENGTHS))
        axes.set(title=f"trained on {lengths} characters", xlabel="characters of a text")
    figure.axes[0].set_ylabel("accuracy of masked characters")
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="log_n",
    cases=[{"trained_on": FIXED}, {"trained_on": VARIED}],
    side="scores",
    sides=tuple(SIDES),
    rates=(1e-3, 2e-3, 4e-3),
    score=f"at_{TRAINED}",
    run=run,
    draw=draw,
    measures=tuple(f"at_{length}" for length in LENGTHS),
)
