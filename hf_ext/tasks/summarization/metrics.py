"""Rouge and BLEU of summaries, on characters."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hf_ext.extras import extra

if TYPE_CHECKING:
    from rich.table import Table
    from transformers import EvalPrediction

_TITLES = {"rouge1": "Rouge-1", "rouge2": "Rouge-2", "rougeL": "Rouge-L", "bleu": "BLEU"}


def import_scorers() -> tuple[Any, Any]:
    """The longest common subsequence and BLEU; what writes summaries for hours asks for them before.

    Raises:
        MissingExtraError: if rapidfuzz or sacrebleu is not installed.
    """
    with extra("summaries", "scoring summaries"):
        from rapidfuzz.distance import LCSseq
        from sacrebleu.metrics import BLEU
    return LCSseq, BLEU


def summary_scores(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """How much summaries have in common with reference summaries, between 0 and 1: means over the summaries.

    Characters are compared, lower-cased and without spaces, as in the published results for Chinese.

    Args:
        predictions: generated summaries.
        references: as many true ones.

    Returns:
        ``rouge1``, ``rouge2``: F1 of the characters, and of the pairs of neighbours, each counted as often as it
        occurs. ``rougeL``: F1 of the longest common subsequence. ``bleu``: of one to four characters, for each summary
        by itself, a precision of 0 counted as 0.1 characters (sacrebleu's "floor", "method1" of NLTK).

    Raises:
        ValueError: if the numbers of summaries differ, or there are none.
        MissingExtraError: if rapidfuzz or sacrebleu is not installed.
    """
    each = each_summary_scores(predictions, references)
    return {name: sum(scores[name] for scores in each) / len(each) for name in _TITLES}


def each_summary_scores(predictions: Sequence[str], references: Sequence[str]) -> list[dict[str, float]]:
    """Those of each summary, of which :func:`summary_scores` gives the means.

    Raises:
        ValueError: if the numbers of summaries differ, or there are none.
        MissingExtraError: if rapidfuzz or sacrebleu is not installed.
    """
    overlap, bleu_class = import_scorers()
    if len(predictions) != len(references) or not references:
        raise ValueError(
            f"predictions must be as many as references, one or more, got {len(predictions)} and {len(references)}"
        )
    bleu = bleu_class(tokenize="char", smooth_method="floor", smooth_value=0.1, effective_order=True)
    scores = []
    for prediction, reference in zip(map(_characters, predictions), map(_characters, references)):
        own = {}
        for name, size in (("rouge1", 1), ("rouge2", 2)):
            found, true = _ngrams(prediction, size), _ngrams(reference, size)
            own[name] = _f1((found & true).total(), found.total(), true.total())
        own["rougeL"] = _f1(overlap.similarity(prediction, reference), len(prediction), len(reference))
        own["bleu"] = bleu.sentence_score(prediction, [reference]).score / 100
        scores.append(own)
    return scores


def summary_compute_metrics(decode: Callable[[Any], Sequence[str]]) -> Callable[["EvalPrediction"], dict[str, float]]:
    """:func:`summary_scores` in the form that ``Seq2SeqTrainer(compute_metrics=...)`` takes.

    Args:
        decode: texts of generated ids or labels ``[B, M]``, -100 among them.
    """

    def compute(prediction: "EvalPrediction") -> dict[str, float]:
        return summary_scores(decode(prediction.predictions), decode(prediction.label_ids))

    return compute


def summary_table(scores: Mapping[str, float], title: str | None = None) -> "Table":
    """The scores as a table for the terminal, in percent as they are published.

    Args:
        scores: what :func:`summary_scores` returns.
        title: heading.
    """
    from rich.table import Table

    table = Table(title=title)
    for name in _TITLES.values():
        table.add_column(name, justify="right")
    table.add_row(*(f"{100 * scores[name]:.2f}" for name in _TITLES))
    return table


def _characters(text: str) -> str:
    return "".join(text.lower().split())


def _ngrams(text: str, size: int) -> Counter[str]:
    return Counter(text[i : i + size] for i in range(len(text) - size + 1))


def _f1(common: int, found: int, true: int) -> float:
    return 2 * common / (found + true) if found + true else 0.0
