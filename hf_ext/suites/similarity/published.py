"""Published numbers of similarity without labels, for models of base size (kexue.fm/archives/8348)."""

from collections.abc import Mapping

WAYS = ("plain", "whitening", "whitening of 256", "simcse")
"""Cosines of the vectors; whitened in all dimensions, or to so many; after SimCSE. Whitening and SimCSE have seen the
texts of all parts."""
SOURCE = "kexue.fm/archives/8348"
_ROWS = {
    ("BERT", "cls"): (
        (16.59, 20.61, 25.58, 33.14),
        (29.35, 25.76, 34.66, 50.67),
        (41.71, 48.92, 49.18, 69.99),
        (15.15, 17.03, 15.98, 12.95),
        (34.65, 61.19, 60.07, 69.04),
    ),
    ("BERT", "mean"): (
        (20.79, 18.27, 28.98, 32.89),
        (33.08, 22.58, 38.62, 49.58),
        (59.22, 60.12, 62.00, 71.83),
        (16.68, 18.37, 17.38, 14.47),
        (57.48, 63.97, 68.27, 70.08),
    ),
    ("BERT", "first_last"): (
        (24.51, 27.00, 27.91, 31.96),
        (38.81, 32.29, 37.67, 48.40),
        (64.75, 64.75, 65.65, 71.49),
        (15.12, 17.80, 15.34, 16.01),
        (61.66, 69.45, 69.37, 70.03),
    ),
    ("RoBERTa", "cls"): (
        (24.61, 29.59, 29.49, 32.23),
        (40.54, 28.95, 38.35, 50.61),
        (70.55, 70.82, 68.84, 74.22),
        (16.23, 17.99, 16.87, 12.25),
        (66.91, 69.19, 71.16, 71.13),
    ),
    ("RoFormer", "cls"): (
        (24.29, 26.04, 28.20, 32.33),
        (41.91, 28.13, 38.21, 49.13),
        (64.87, 60.92, 60.83, 71.61),
        (20.15, 23.08, 21.30, 15.25),
        (59.91, 66.96, 66.86, 69.45),
    ),
    ("SimBERT", "cls"): (
        (38.50, 23.64, 30.79, 36.98),
        (48.54, 31.78, 40.01, 51.47),
        (76.23, 75.05, 74.50, 74.87),
        (15.10, 18.49, 15.64, 12.66),
        (74.14, 73.37, 75.29, 75.12),
    ),
}
_TASKS = ("ATEC", "BQ", "LCQMC", "PAWSX", "STS-B")


def published_scores() -> dict[tuple[str, str, str], Mapping[str, float]]:
    """Spearman's rank correlation times 100 by task, for a model, a pooling and one of `WAYS`.

    Of which part, the source does not say.
    """
    return {
        (model, pooling, way): dict(zip(_TASKS, scores, strict=True))
        for (model, pooling), rows in _ROWS.items()
        for way, scores in zip(WAYS, zip(*rows), strict=True)
    }
