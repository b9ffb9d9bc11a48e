"""How the labels of a cloze are asked for, and told."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

from hf_ext.tasks.base.call_options import check_top_k

Decoding = Literal["parallel", "most_certain", "left_to_right"]
"""How a word of several tokens is scored; see `label_scores` and `decoded_scores`."""

DECODINGS: tuple[Decoding, ...] = get_args(Decoding)


def check_options(top_k: int | None, decoding: str | None) -> None:
    """Raise ValueError if a number of labels, or a way of scoring words, is none."""
    check_top_k(top_k)
    if decoding is not None and decoding not in DECODINGS:
        raise ValueError(f"decoding must be one of {', '.join(DECODINGS)}, got {decoding!r}")


def ranked_labels(labels: Iterable[str], probabilities: Iterable[float], top_k: int) -> list[dict[str, Any]]:
    """The most probable labels, the best first.

    Raises:
        ValueError: if a probability is NaN.
    """
    pairs = list(zip(labels, probabilities))
    if any(score != score for _, score in pairs):
        raise ValueError("scores of labels must be numbers, got NaN; with dtype float16, try another")
    # A stable sort: of labels that share a word the first stays the first.
    ranked = sorted(pairs, key=lambda one: -one[1])
    return [{"label": label, "score": score} for label, score in ranked[:top_k]]
