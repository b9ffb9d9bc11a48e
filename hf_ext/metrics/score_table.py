"""Span scores as a table for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def score_table(scores: Mapping[str, Any], title: str | None = None) -> "Table":
    """Precision, recall, F1 and support of each type, then the micro and macro averages.

    Args:
        scores: what :func:`hf_ext.metrics.span_scores` returns.
        title: heading.
    """
    from rich.table import Table

    table = Table("type", title=title)
    for name in ("precision", "recall", "F1", "support"):
        table.add_column(name, justify="right")
    rows = {
        **scores["per_type"],
        "micro": scores,
        "macro": {k: scores[f"macro_{k}"] for k in ("precision", "recall", "f1")},
    }
    for name, row in rows.items():
        if name == "micro":
            table.add_section()
        ratios = (f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        table.add_row(str(name), *ratios, str(row.get("support", "")))
    return table
