"""From the token spans that a reading comprehension head finds in windows of a text to ranked answers."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp
from typing import TYPE_CHECKING, Any

from hf_ext.data.span_encoding import decode_spans

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy import ndarray

NO_ANSWER = {"start": 0, "end": 0, "text": "", "score": 0.0}
"""The entry of a ranking that stands for no answer."""


def check_question(question: Any) -> None:
    """Refuse what is no question about a text.

    Raises:
        TypeError: if it is no mapping.
        ValueError: if its question or its context is no string or blank.
    """
    if not isinstance(question, Mapping):
        raise TypeError(f"inputs must be mappings with question and context, got {type(question).__name__}")
    for name in ("question", "context"):
        if not isinstance(question.get(name), str) or not question[name].strip():
            raise ValueError(f"{name} must be a string that is not blank, got {question.get(name)!r}")


def decode_answers(
    spans: "Iterable[Sequence[float]] | ndarray", null_score: float, offsets: Sequence[Sequence[int]], context: str
) -> list[dict[str, Any]]:
    """The answers of one window in characters.

    Args:
        spans: ``[K, 3]`` of (first token, last token, score), counted from the row's first token; rows with a negative
            token are padding.
        null_score: score of no answer, in this window or in all, see `scores_of_none`.
        offsets: ``[L, 2]``, the row's ``offset_mapping``, empty outside of the context.
        context: the text that the offsets point into.

    Returns:
        Dicts ``{"start", "end", "text", "score"}``, ``end`` exclusive, ``score`` above that of no answer: the logarithm
        of how many times as likely the answer is. That is the same in any window, whatever else the window holds, where
        the scores themselves are shares of a window.

    Raises:
        ValueError: if a span is not within the row's tokens, or a score is NaN.
    """
    rows = [[0.0, *span[:2], float(span[2]) - float(null_score)] for span in spans if span[0] >= 0]
    if any(row[3] != row[3] for row in rows):
        raise ValueError("scores of answers must be numbers, got NaN")
    found = decode_spans(rows, offsets, {0: ""}, context)
    return [{key: one[key] for key in ("start", "end", "text", "score")} for one in found]


def scores_of_none(null_scores: Sequence[float], ranking: str = "odds") -> list[float]:
    """For each window of a text the score of no answer that its answers are ranked above.

    Args:
        null_scores: that of each window.
        ranking: of the config's ``answer_ranking``: "odds", each window has its own; "score", the least is that of all,
            so that answers are ranked by their own scores.

    Raises:
        ValueError: if the ranking is another.
    """
    if ranking not in ("odds", "score"):
        raise ValueError(f"ranking must be odds or score, got {ranking!r}")
    return list(null_scores) if ranking == "odds" else [min(null_scores)] * len(null_scores)


def rank_answers(
    windows: Iterable[Iterable[Mapping[str, Any]]], n_best: int = 20, null: bool = True
) -> list[dict[str, Any]]:
    """Rank the answers found in overlapping windows of one text.

    If windows speak for themselves, and at most one place answers, then the odds of an answer against none are those
    in its window, since all other windows then have none. The CLUE baseline ranks by the scores themselves, see
    `scores_of_none`. An answer found in several windows has its best score.

    Args:
        windows: for each window what `decode_answers` gives.
        n_best: how many answers to keep, beside `NO_ANSWER`.
        null: rank `NO_ANSWER` among them.

    Returns:
        Distinct answers as `decode_answers` gives them, best first, of equal ones the first in the text, each with a
        ``probability``: its share among all that were found, and no answer with ``null``.

    Raises:
        ValueError: if ``n_best`` is less than 1.
    """
    if n_best < 1:
        raise ValueError(f"n_best must be at least 1, got {n_best}")
    best: dict[tuple[int, int], dict[str, Any]] = {}
    for answer in (one for window in windows for one in window):
        place = answer["start"], answer["end"]
        if place not in best or answer["score"] > best[place]["score"]:
            best[place] = dict(answer)
    ranked = sorted(best.values(), key=lambda answer: (-answer["score"], answer["start"], answer["end"]))
    kept = ranked[:n_best]
    if null:
        ranked, kept = [*ranked, NO_ANSWER], sorted([*kept, dict(NO_ANSWER)], key=lambda answer: -answer["score"])
    peak = max((answer["score"] for answer in ranked), default=0.0)
    total = sum(exp(answer["score"] - peak) for answer in ranked)
    return [{**answer, "probability": exp(answer["score"] - peak) / total} for answer in kept]


def best_answer(ranked: Iterable[Mapping[str, Any]], null_threshold: float | None = None) -> str:
    """The text of the best answer, ``""`` for none.

    Args:
        ranked: what `rank_answers` gives.
        null_threshold: there is no answer where it scores more than this above the best one; None: only where nothing
            was found.
    """
    first = next((answer for answer in ranked if answer["text"]), None)
    if first is None or (null_threshold is not None and -first["score"] > null_threshold):
        return ""
    return first["text"]


def answers_of_windows(
    spans: Sequence[Sequence[Sequence[float]]],
    null_scores: Sequence[float],
    offsets: Sequence[Sequence[Sequence[int]]],
    context: str,
    config: Any,
    top_k: int = 1,
    handle_impossible_answer: bool | None = None,
    null_threshold: float | None = None,
) -> Any:
    """What the pipeline answers a question, from what a head finds in the windows of its text.

    Args:
        spans: ``[K, 3]`` of each window, as of `decode_answers`.
        null_scores: of no answer in each window.
        offsets: ``[L, 2]`` of each window.
        context: the text.
        config: the model's, with ``null_threshold`` and ``answer_ranking``.
        top_k: answers to give; one comes alone, without a list.
        handle_impossible_answer: allow no answer; None: where a ``null_threshold`` is given, here or in the config.
        null_threshold: there is no answer where it scores more than this above the best one; None: the config's, or 0.
    """
    own = config.null_threshold
    if handle_impossible_answer is None:
        handle_impossible_answer = own is not None or null_threshold is not None
    threshold = next((value for value in (null_threshold, own) if value is not None), 0.0)
    nones = scores_of_none(null_scores, config.answer_ranking)
    found = [decode_answers(row, none, places, context) for row, none, places in zip(spans, nones, offsets)]
    ranked = rank_answers(found, top_k, handle_impossible_answer)
    if handle_impossible_answer:
        # No answer stands behind all that it is not more than the threshold above.
        ranked.sort(key=lambda one: (threshold if one["text"] == "" else -one["score"], one["text"] == ""))
    ranked = ranked[:top_k] or [{**NO_ANSWER, "probability": 0.0}]
    answers = [
        {"score": one["probability"], "start": one["start"], "end": one["end"], "answer": one["text"]} for one in ranked
    ]
    return answers[0] if top_k == 1 else answers


def decode_answer_dataset(
    predictions: "Sequence[Any] | ndarray",
    encoded: "Dataset",
    contexts: Sequence[str],
    n_best: int = 20,
    null: bool = True,
    ranking: str = "odds",
) -> list[list[dict[str, Any]]]:
    """The ranked answers of each question from the predictions for all rows of an encoded dataset, windows merged.

    Args:
        predictions: a pair of spans ``[N, K, 3]`` and scores of no answer ``[N]``, one entry for each row of
            ``encoded`` in their order: ``trainer.predict(encoded).predictions``, if ``train_sampling_strategy`` is not
            "group_by_length", under which Trainer reorders predictions as well.
        encoded: what :meth:`hf_ext.tasks.reading_comprehension.ReadingEncoder.encode_dataset` returned.
        contexts: the text of each question in their order before encoding.
        n_best: how many answers to keep of each question.
        null: rank no answer among them.
        ranking: how answers of several windows are compared, as in the model's config.

    Returns:
        For each question what `rank_answers` gives.

    Raises:
        ValueError: if there is not one prediction for each row.
    """
    spans, null_scores = predictions
    if not len(spans) == len(null_scores) == len(encoded):
        raise ValueError(
            f"predictions must have one entry for each of the {len(encoded)} rows, got {len(spans)} and "
            f"{len(null_scores)}"
        )
    rows: list[list[tuple[Any, Any, float]]] = [[] for _ in contexts]
    for owner, offsets, row, none in zip(encoded["example_id"], encoded["offset_mapping"], spans, null_scores):
        rows[owner].append((row, offsets, float(none)))
    ranked = []
    for own, context in zip(rows, contexts):
        nones = scores_of_none([none for *_, none in own], ranking)
        windows = [decode_answers(row, none, offsets, context) for (row, offsets, _), none in zip(own, nones)]
        ranked.append(rank_answers(windows, n_best, null))
    return ranked
