"""DuReader-robust: EM and F1 of the script of LIC2020, which differs from CMRC2018's in marks and words."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_ext.tasks.reading_comprehension.metrics import run_f1

PUNCTUATION = frozenset(":_`，。：？！()“”；’《》·、,「」（）－～『』|")
"""Marks that do not count. The script's list also has two dots in one entry (``……``), which no character equals."""

# BERT's blocks of Chinese characters.
_CHINESE = (
    ("\u4e00", "\u9fff"),
    ("\u3400", "\u4dbf"),
    ("\U00020000", "\U0002a6df"),
    ("\U0002a700", "\U0002b73f"),
    ("\U0002b740", "\U0002b81f"),
    ("\U0002b820", "\U0002ceaf"),
    ("\uf900", "\ufaff"),
    ("\U0002f800", "\U0002fa1f"),
)


def plain_answer(text: str) -> str:
    """An answer in lower case, without `PUNCTUATION`; white space stays."""
    return "".join(character for character in text.lower() if character not in PUNCTUATION)


def dureader_words(text: str) -> list[str]:
    """The words of a `plain_answer`: each Chinese character and each ``=``, and each run of others whole."""
    words: list[str] = []
    run = ""
    for character in plain_answer(text):
        if character != "=" and not any(first <= character <= last for first, last in _CHINESE):
            run += character
            continue
        words += [run, character] if run else [character]
        run = ""
    return [*words, run] if run else words


def dureader_robust_scores(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """EM and F1 as the official script of DuReader-robust computes them; F1 ranks.

    F1 is of the longest run of neighbouring words in common, EM of `plain_answer`; the best true answer counts.

    Args:
        predictions: the answer to each question, by its id. A question without one scores 0 and is ``skipped``, but
            stays in the denominator; ids beside those of ``references`` do not matter.
        references: all true answers to each question, by its id.

    Returns:
        ``exact_match`` and ``f1``, in [0, 1] where the script prints percent, ``total`` and ``skipped``.

    Raises:
        ValueError: if there are no questions, or one has no true answer; the script stops at both.
    """
    if not references:
        raise ValueError("references must have one question or more, got none")
    exact = f1 = skipped = 0.0
    for identifier, answers in references.items():
        if not answers:
            raise ValueError(f"references must have an answer to every question, got none to {identifier}")
        found = predictions.get(identifier)
        if found is None:
            skipped += 1
            continue
        plain, words = plain_answer(found), dureader_words(found)
        exact += any(plain == plain_answer(answer) for answer in answers)
        f1 += max(run_f1(words, dureader_words(answer)) for answer in answers)
    total = len(references)
    return {"exact_match": exact / total, "f1": f1 / total, "total": total, "skipped": int(skipped)}
