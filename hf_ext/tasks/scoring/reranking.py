"""Reranking of n-best lists: what a recogniser or a translator proposes, by its score and a language model's."""

import os
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from hf_ext.data.text_lines import fail, filled_lines, json_objects, utf8_lines


def read_n_best(path: str | os.PathLike[str] | None) -> Iterator[dict[str, Any]]:
    """N-best lists of a file of JSON lines, or a JSON array, of ``{"candidates": [{"text", "score"}]}``.

    A candidate without a score, or that is a text alone, has 0. Other keys, of a list and of its candidates, are kept.

    Args:
        path: the file; None: standard input.

    Yields:
        Objects whose candidates are mappings with ``text`` and ``score``, one or more.

    Raises:
        TextFileError: naming the line, if it is something else.
    """
    name = "standard input" if path is None else os.fspath(path)
    for where, record in json_objects(filled_lines(utf8_lines(path), name)):
        given = record.get("candidates")
        if not isinstance(given, list) or not given:
            fail(where, "candidates must be a list of one or more", given)
        candidates = []
        for one in given:
            candidate = {"text": one} if isinstance(one, str) else one
            if not isinstance(candidate, dict) or not isinstance(candidate.get("text"), str):
                fail(where, "a candidate must be a text, or an object with text and score", one)
            score = candidate.get("score", 0.0)
            if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score):
                fail(where, "the score of a candidate must be a finite number", score)
            candidates.append(candidate | {"score": float(score)})
        yield record | {"candidates": candidates}


def rerank(
    candidates: Sequence[Mapping[str, Any]], lm_scores: Sequence[float], weight: float = 1.0
) -> list[dict[str, Any]]:
    """Candidates by their own score and a language model's, the best first (arXiv 2004.08097, section 4).

    Args:
        candidates: mappings with ``score``, the logarithm of a probability; 0 where there is none.
        lm_scores: one each, such as "text-scoring" gives.
        weight: of the language model's; both are sums over tokens, so that it needs no regard for lengths. It is best
            chosen on a development set.

    Returns:
        The candidates with ``lm_score`` and ``total``, which is ``score + weight * lm_score``; of equal ones the first
        stays first.

    Raises:
        ValueError: if there are not as many scores as candidates, or a number is not finite.
    """
    if len(candidates) != len(lm_scores):
        raise ValueError(f"lm_scores must be one for each of {len(candidates)} candidates, got {len(lm_scores)}")
    if not isfinite(weight):
        raise ValueError(f"weight must be a finite number, got {weight}")
    scored = [
        {**one, "lm_score": own, "total": one.get("score", 0.0) + weight * own}
        for one, own in zip(candidates, lm_scores)
    ]
    for one in scored:
        if not isfinite(one["total"]):
            raise ValueError(f"scores must be finite numbers, got {one.get('score')} and {one['lm_score']}")
    return sorted(scored, key=lambda one: one["total"], reverse=True)
