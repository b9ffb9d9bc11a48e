"""How many numbers the vectors of words need, beside the rule (kexue.fm/archives/7695).

The model is the rule's own: ``p(i, j) = exp(u_i . v_j) / Z`` over all pairs of words, here characters that stand near
each other, fitted exactly. Shapes: W words, n numbers of a vector.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_ext.analysis import embedding_dimension, skip_gram_entropy
from studies.character_lm import COMMONEST, read_characters
from studies.descent import descend
from studies.drawing import legend_below, lines
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The rate is chosen for the first, which is the hardest to fit.
_WORDS = (1000, 200)
_SIZES = (256, 128, 96, 64, 48, 32, 16, 8, 4)
_WINDOW = 5
_STEPS = 200
_QUICK_WORDS = 20
_FREE, _SPHERE, _SHUFFLED = SIDES = ("free", "on the sphere", "free, shuffled text")


class SkipGram(nn.Module):
    """A model of pairs of words.

    Args:
        counts: of the pairs ``[W, W]``; vectors begin as the best ones for their logarithms.
        size: n.
        sphere: whether vectors have the length of the root of n, as the rule takes them to have.
    """

    def __init__(self, counts: Tensor, size: int, sphere: bool = False) -> None:
        super().__init__()
        logarithms = (counts + 0.5).log()
        left, strengths, right = torch.linalg.svd(logarithms - logarithms.mean())
        roots = strengths[:size].sqrt()
        # A matrix of few words has no more directions than words.
        more = (0, size - len(roots))
        self.first = nn.Parameter(F.pad(left[:, :size] * roots, more).float())
        self.second = nn.Parameter(F.pad(right[:size].mT * roots, more).float())
        self.sphere = sphere

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Those of words as the first and as the second of a pair, ``[W, n]`` each."""
        if not self.sphere:
            return self.first, self.second
        length = math.sqrt(self.first.shape[1])
        return F.normalize(self.first) * length, F.normalize(self.second) * length

    def forward(self) -> Tensor:
        """The logarithms of the probabilities of all pairs ``[W, W]``."""
        first, second = self.vectors()
        scores = first @ second.mT
        return scores.flatten().log_softmax(0).view_as(scores)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Fit the model to pairs of a half of the text, and ask it for those of another text."""
    words = _QUICK_WORDS if sources.quick else setting["words"]
    texts = read_characters(sources)
    text = texts.train.roll(-(seed * len(texts.train) // 3))[: len(texts.train) // 2]
    scored = texts.dev if setting["part"] == "dev" else texts.test
    if setting["side"] == _SHUFFLED:
        text, scored = (one.flatten()[torch.randperm(one.numel())].view_as(one) for one in (text, scored))
    counts, wanted = (pair_counts(one, words) for one in (text, scored))
    shares, wanted_shares = (one / one.sum() for one in (counts, wanted))
    size = setting["size"]
    model = SkipGram(counts, size, sphere=setting["side"] == _SPHERE)

    def loss() -> Tensor:
        return -(shares.float() * model()).sum()

    # The change of a product is that of n numbers, and these are of the size n^(-1/4).
    rate = setting["learning_rate"] * size**-0.75
    descend(model, loss, 2 if sources.quick else _STEPS, rate, weight_decay=0.0)
    with torch.no_grad():
        found = model().double()
        scale = (model.vectors()[0].norm(dim=1).mean() * model.vectors()[1].norm(dim=1).mean()).item() / size
    corpus = entropy(shares)
    return {
        "log_likelihood": (wanted_shares * found).sum().item(),
        "in_training": (shares * found).sum().item(),
        # Of the same pairs, if the words of a pair had nothing to do with each other.
        "independent": (wanted_shares * independent(counts).log()).sum().item(),
        "entropy": entropy(found.exp()),
        "scale": scale,
        "entropy_by_rule": skip_gram_entropy(size, words, scale),
        "corpus_entropy": corpus,
        "pairs": int(counts.sum()),
    }


def pair_counts(text: Tensor, words: int) -> Tensor:
    """How often each of the commonest ``words`` characters stands up to five places before each, float64 ``[W, W]``.

    Args:
        text: ids ``[..., L]`` in the order of frequency.
        words: number of characters.
    """
    ids = text - COMMONEST
    found = torch.zeros(words * words, dtype=torch.float64)
    for distance in range(1, _WINDOW + 1):
        first, second = ids[..., :-distance], ids[..., distance:]
        known = (first >= 0) & (first < words) & (second >= 0) & (second < words)
        found += torch.bincount(first[known] * words + second[known], minlength=words * words)
    return found.view(words, words)


def independent(counts: Tensor) -> Tensor:
    """Probabilities ``[W, W]`` of pairs of words that are drawn one without the other."""
    smooth = counts + 0.5
    shares = smooth / smooth.sum()
    return shares.sum(1, keepdim=True) * shares.sum(0, keepdim=True)


def entropy(shares: Tensor) -> float:
    """In nats."""
    return -torch.special.xlogy(shares, shares).sum().item()


def enough_for(entropy: float, words: int) -> float:
    """The size at which the rule's model, its vectors pointing anywhere, has no more than this entropy."""
    low, high = 3.0, 1000.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if skip_gram_entropy(middle, words) > entropy else (low, middle)
    return high


def gains(results: Results, **chosen: Any) -> list[float]:
    """What each run has over words that have nothing to do with each other, in nats."""
    apart = results.values("independent", **chosen)
    return [found - lone for found, lone in zip(results.values("log_likelihood", **chosen), apart)]


def draw(figure: "Figure", results: Results) -> None:
    """What is won over independent words, over the size of vectors, with the rule's size."""
    for axes, words in zip(figure.subplots(1, len(_WORDS)), _WORDS):
        sides = {side: [gains(results, words=words, size=size, side=side) for size in _SIZES] for side in SIDES}
        lines(axes, _SIZES, sides)
        axes.axvline(embedding_dimension(words), color="black", linestyle=":", label="8.33 ln W")
        known = results.values("corpus_entropy", words=words, side=_FREE)
        if known:
            places = enough_for(sum(known) / len(known), words)
            axes.axvline(places, color="grey", linestyle="--", label="entropy of the texts")
        axes.set(title=f"{words} characters", xlabel="numbers of a vector", ylabel="nats won", xscale="log")
    legend_below(figure, figure.axes[0])


EXPERIMENT = Experiment(
    name="embedding_size",
    cases=[{"words": words, "size": size} for words in _WORDS for size in _SIZES],
    side="side",
    sides=SIDES,
    rates=(0.1, 0.3, 1.0),
    score="log_likelihood",
    run=run,
    draw=draw,
    measures=(
        "log_likelihood",
        "independent",
        "in_training",
        "entropy",
        "entropy_by_rule",
        "corpus_entropy",
        "scale",
    ),
)
