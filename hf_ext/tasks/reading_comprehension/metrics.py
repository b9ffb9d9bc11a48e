"""Scores of answers to questions about a text, as CMRC2018's official script computes them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_ext.tasks.reading_comprehension.english_words import english_words

if TYPE_CHECKING:
    from rich.table import Table
    from transformers import EvalPrediction

PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
"""Marks that do not count. The script's list also has two dots in one entry (``……``), which no character equals."""


def answer_words(text: str) -> list[str]:
    """Lower-case words of an answer without `PUNCTUATION`: each Chinese character, and English words of the rest.

    A mark that is taken out does not part what stands beside it.
    """
    words: list[str] = []
    run: list[str] = []
    for character in text.lower().strip():
        if character in PUNCTUATION:
            continue
        if "\u4e00" <= character <= "\u9fa5":
            words += english_words("".join(run))
            words.append(character)
            run = []
        else:
            run.append(character)
    return words + english_words("".join(run))


def answer_f1(prediction: str, answers: Iterable[str]) -> float:
    """The best F1, in [0, 1], against any of the answers, of the longest run of `answer_words` in common.

    Without answers: 1 if the prediction is empty, else 0.
    """
    found = answer_words(prediction)
    scores = [run_f1(found, answer_words(answer)) for answer in answers]
    return max(scores) if scores else float(not prediction)


def answer_exact_match(prediction: str, answers: Iterable[str]) -> float:
    """1 if the prediction is one of the answers but for case, `PUNCTUATION` and white space at the ends, else 0.

    Without answers: 1 if the prediction is empty, else 0.
    """
    plain = [_plain(answer) for answer in answers]
    return float(_plain(prediction) in plain) if plain else float(not prediction)


def reading_scores(predictions: Sequence[str | None], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Score predicted answers; a question scores what the best of its reference answers gives.

    ``exact_match``, ``f1``, ``total`` and ``skipped`` are the EM, F1, TOTAL and SKIP of CMRC2018's script, the first
    two in [0, 1] rather than in percent.

    Args:
        predictions: for each question the answer, ``""`` for none, or None if the question was not answered, which
            scores 0 and is counted in ``skipped``.
        references: for each question all true answers; none if the text does not answer it, which the script does not
            know: such a question scores 1 if the prediction is ``""``, else 0, as in SQuAD 2.0.

    Returns:
        ``exact_match``, ``f1`` and ``average`` of the two, ``total`` and ``skipped``. Where there are questions without
        an answer also ``answerable_exact_match``, ``answerable_f1``, ``answerable_total``, and ``no_answer_accuracy``
        and ``no_answer_total``.

    Raises:
        ValueError: if the numbers of questions differ or are 0.
    """
    if len(predictions) != len(references) or not references:
        raise ValueError(
            f"predictions must be for as many questions as references, one or more, got {len(predictions)} and "
            f"{len(references)}"
        )
    rows = [
        (0.0, 0.0) if prediction is None else (answer_exact_match(prediction, true), answer_f1(prediction, true))
        for prediction, true in zip(predictions, references)
    ]
    exact, f1 = _means(rows)
    scores: dict[str, Any] = {"exact_match": exact, "f1": f1, "average": (exact + f1) / 2, "total": len(rows)}
    scores["skipped"] = sum(prediction is None for prediction in predictions)
    if not all(references):
        answerable = [row for row, true in zip(rows, references) if true]
        exact, f1 = _means(answerable)
        parts = {"answerable_exact_match": exact, "answerable_f1": f1, "answerable_total": len(answerable)}
        rest = [row for row, true in zip(rows, references) if not true]
        scores |= parts | {"no_answer_accuracy": _means(rest)[0], "no_answer_total": len(rest)}
    return scores


def span_accuracy(
    ranked: Sequence[Iterable[Mapping[str, Any]]], answers: Sequence[Sequence[Mapping[str, Any]]]
) -> float:
    """The share of answered questions whose best span is, by its place, the first of the true answers.

    It is the accuracy of CMRC2018 that the CLUE baseline tells while it trains (56 to 58 percent in article 9052),
    much below the EM, which takes any of the answers wherever it stands.

    Args:
        ranked: for each question what `rank_answers` gives.
        answers: for each question all true answers, ``{"text", "start"}``; without any it does not count.
    """
    right = []
    for own, true in zip(ranked, answers, strict=True):
        if true:
            first = next((answer for answer in own if answer["text"]), None)
            place = true[0]["start"], true[0]["start"] + len(true[0]["text"])
            right.append(first is not None and (first["start"], first["end"]) == place)
    return _mean(right)


def best_null_threshold(ranked: Sequence[Iterable[Mapping[str, Any]]], references: Sequence[Sequence[str]]) -> float:
    """The ``null_threshold`` of `best_answer` with the best F1; of several as good, the nearest to 0.

    Args:
        ranked: for each question what `rank_answers` gives.
        references: for each question all true answers; none if the text does not answer it.
    """
    # How far no answer is above the best one, and what the best one scores more than no answer.
    gains = []
    for own, true in zip(ranked, references, strict=True):
        first = next((answer for answer in own if answer["text"]), None)
        if first is not None:
            gains.append((-float(first["score"]), answer_f1(first["text"], true) - answer_f1("", true)))
    gains.sort()
    margins = [margin for margin, _ in gains]
    # Nothing is answered below the first threshold; each next one lets the questions up to a margin be answered.
    thresholds = [0.0 if not margins or margins[0] > 0 else margins[0] - 1.0]
    totals = [0.0]
    for place, (margin, gain) in enumerate(gains):
        total = totals[-1] + gain
        if place and margin == margins[place - 1]:
            totals[-1] = total
            continue
        following = next((other for other in margins[place:] if other > margin), margin + 2.0)
        thresholds.append((margin + following) / 2 if not margin <= 0.0 < following else 0.0)
        totals.append(total)
    best = max(range(len(totals)), key=lambda place: (round(totals[place], 9), -abs(thresholds[place])))
    return thresholds[best]


def reading_compute_metrics(null_threshold: float | None = None) -> partial[dict[str, float]]:
    """What ``Trainer(compute_metrics=...)`` takes for a reading comprehension head; rows are scored as separate texts.

    It takes ``predictions``, a pair of the best spans ``[N, K, 3]`` (start, end, score) and the scores of no answer
    ``[N]``, and ``label_ids`` ``[N, 2]`` of (start, end), token positions, (0, 0) for no answer; rows of -100 are left
    out. It gives ``exact_match`` and ``f1`` of tokens over the rows that have an answer, by their best span whatever no
    answer scores; and where rows have none, ``no_answer_accuracy``, over all rows, of telling which have. It raises
    ValueError if a shape is another.

    Args:
        null_threshold: no answer is predicted where it scores more than this above the best span; None: never.
    """
    return partial(_reading_metrics, null_threshold=null_threshold)


def _reading_metrics(eval_prediction: "EvalPrediction", null_threshold: float | None) -> dict[str, float]:
    label_ids = np.asarray(eval_prediction.label_ids)
    predictions = eval_prediction.predictions
    if not isinstance(predictions, tuple | list) or len(predictions) != 2:
        raise ValueError(f"predictions must be a pair of spans and scores, got {type(predictions).__name__}")
    spans, null_scores = (np.asarray(part) for part in predictions)
    shapes = spans.shape, null_scores.shape, label_ids.shape
    rows = len(label_ids)
    if spans.ndim != 3 or (spans.shape[0], spans.shape[2]) != (rows, 3) or shapes[1:] != ((rows,), (rows, 2)):
        raise ValueError(f"predictions must be [N, K, 3] and [N] beside label_ids [N, 2], got {shapes}")
    kept = label_ids[:, 0] >= 0
    first, true, margin = spans[kept, 0], label_ids[kept], null_scores[kept] - spans[kept, 0, 2]
    # A position of its own for no answer, so an answer is any other label.
    answered = true.any(-1)
    common = np.minimum(first[:, 1], true[:, 1]) - np.maximum(first[:, 0], true[:, 0]) + 1
    sizes = first[:, 1] - first[:, 0] + true[:, 1] - true[:, 0] + 2
    found = first[:, 0] >= 0
    f1 = np.where(found, 2 * common.clip(0) / sizes, 0.0)[answered]
    exact = (first[:, :2] == true).all(-1)[answered]
    scores = {"exact_match": _mean(exact), "f1": _mean(f1)}
    if not answered.all():
        says = found if null_threshold is None else found & (margin <= null_threshold)
        scores["no_answer_accuracy"] = _mean(says == answered)
    return scores


def reading_table(scores: Mapping[str, Any], title: str | None = None) -> "Table":
    """The scores as a table for the terminal, in percent as they are published.

    Args:
        scores: what :func:`reading_scores` returns.
        title: heading.
    """
    from rich.table import Table

    table = Table("questions", title=title)
    for name in ("EM", "F1", "number"):
        table.add_column(name, justify="right")

    def percent(value: float) -> str:
        return f"{100 * value:.3f}"

    table.add_row("all", percent(scores["exact_match"]), percent(scores["f1"]), str(scores["total"]))
    if "no_answer_total" in scores:
        parts = (percent(scores[f"answerable_{name}"]) for name in ("exact_match", "f1"))
        table.add_row("with an answer", *parts, str(scores["answerable_total"]))
        accuracy = percent(scores["no_answer_accuracy"])
        table.add_row("without", accuracy, accuracy, str(scores["no_answer_total"]))
    return table


def _plain(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in PUNCTUATION)


def run_f1(found: Sequence[str], true: Sequence[str]) -> float:
    """F1, in [0, 1], of the longest run of neighbours that two sequences of words have in common; 0 without one."""
    common = _longest_run(found, true)
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(true)
    return 2 * precision * recall / (precision + recall)


def _longest_run(found: Sequence[str], true: Sequence[str]) -> int:
    """Length of the longest sequence of neighbours that both have, by a suffix automaton: in time linear in both."""
    steps: list[dict[str, int]] = [{}]
    lengths, links = [0], [-1]
    last = 0
    for word in true:
        state = last
        last = len(steps)
        steps.append({})
        lengths.append(lengths[state] + 1)
        links.append(0)
        while state >= 0 and word not in steps[state]:
            steps[state][word] = last
            state = links[state]
        if state < 0:
            continue
        target = steps[state][word]
        if lengths[target] > lengths[state] + 1:
            # The target also stands for longer runs, which go on otherwise from now on.
            copy = len(steps)
            steps.append(dict(steps[target]))
            lengths.append(lengths[state] + 1)
            links.append(links[target])
            links[target] = copy
            while state >= 0 and steps[state].get(word) == target:
                steps[state][word] = copy
                state = links[state]
            target = copy
        links[last] = target
    longest = length = state = 0
    for word in found:
        while state and word not in steps[state]:
            state = links[state]
            length = lengths[state]
        if word in steps[state]:
            state = steps[state][word]
            length += 1
        longest = max(longest, length)
    return longest


def _means(rows: Sequence[tuple[float, float]]) -> tuple[float, float]:
    exact, f1 = (sum(column) / len(rows) for column in zip(*rows)) if rows else (0.0, 0.0)
    return exact, f1


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0
