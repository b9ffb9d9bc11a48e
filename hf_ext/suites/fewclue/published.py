"""Published numbers of FewCLUE's tasks, for models of base size."""

from hf_ext.suites.suite import Published

_TASKS = ("eprstmt", "csldcp", "tnews", "iflytek", "ocnli", "bustm", "csl", "chid", "cluewsc")
_SOURCE = "the README of CLUEbenchmark/FewCLUE"


def _mean(name: str, *scores: float) -> Published:
    return Published(name, "test_public", dict(zip(_TASKS, scores, strict=True)), _SOURCE)


PUBLISHED = (
    _mean("majority", 50.0, 1.5, 6.7, 0.8, 38.1, 50.0, 50.0, 14.3, 50.0),
    _mean("human", 90.0, 68.0, 71.0, 66.0, 90.3, 88.0, 84.0, 87.1, 98.0),
    _mean("fine-tuning, RoBERTa", 65.4, 35.5, 49.0, 32.8, 33.0, 60.7, 50.0, 14.9, 55.6),
    _mean("zero-shot, RoBERTa", 85.2, 12.6, 25.3, 27.7, 40.3, 50.6, 52.2, 57.6, 50.0),
    _mean("PET", 86.7, 51.7, 54.5, 46.0, 44.0, 56.0, 59.4, 61.2, 57.5),
    _mean("P-tuning, RoBERTa", 88.3, 56.0, 54.2, 57.6, 41.9, 60.9, 62.9, 59.3, 58.1),
    _mean("PET, trained on few_all", 88.2, 58.8, 55.12, 51.34, 49.25, 62.19, 66.28, 62.39, 64.65),
)
"""Per cent; of what is trained, but for the last one, means over the five splits."""
