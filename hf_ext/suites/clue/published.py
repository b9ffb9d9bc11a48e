"""Published numbers of CLUE's tasks, for base models."""

from hf_ext.suites.suite import Published

EXACT_TOKEN_SPANS = "exact spans of the first answer"
"""Of CMRC2018: what the articles' scripts tell of the validation file, much below its EM."""
MICRO_OF_SPANS = "micro F1 of exact spans"
"""Of CLUENER: what the articles' scripts and papers tell of the validation file."""
MACRO_OF_STRINGS = "macro F1 of strings"
"""Of CLUENER: the official score, of the leaderboard."""

_LOCAL = {"cmrc2018": EXACT_TOKEN_SPANS, "cluener": MICRO_OF_SPANS}
_SITE = {"cmrc2018": "EM", "cluener": MACRO_OF_STRINGS}
_TEST = ("iflytek", "tnews", "afqmc", "cmnli", "ocnli", "wsc", "csl", "cmrc2018", "chid", "c3", "cluener")
_DEV = ("iflytek", "tnews", "afqmc", "cmnli", "ocnli", "wsc", "csl", "cmrc2018", "c3", "chid", "cluener")


def _test(name: str, source: str, *scores: float | None) -> Published:
    known = {task: score for task, score in zip(_TEST, scores, strict=True) if score is not None}
    return Published(name, "test", known, source, _SITE)


def _dev(name: str, *scores: float) -> Published:
    source = "the README of ZhuiyiTechnology/GAU-alpha"
    return Published(name, "validation", dict(zip(_DEV, scores, strict=True)), source, _LOCAL)


_ARTICLE = "kexue.fm/archives/8739"
_CLUE = f"CLUE, in {_ARTICLE}"

PUBLISHED = (
    _test("BERT, CLUE", _CLUE, 60.29, 57.42, 73.70, 79.69, 72.20, 74.60, 80.36, 71.60, 82.04, 64.50, 78.82),
    _test("BERT, article", _ARTICLE, 61.19, 56.29, 73.37, 79.37, 71.73, 73.85, 84.03, 72.10, 85.13, 61.33, 78.68),
    _test("RoBERTa, CLUE", _CLUE, 60.31, None, 74.04, 80.51, None, None, 81.00, 75.20, 83.62, 66.50, None),
    _test("RoBERTa, article", _ARTICLE, 61.12, 58.35, 73.61, 80.81, 74.27, 82.28, 85.33, 75.40, 86.04, 67.11, 79.38),
    _dev("BERT, scripts", 60.06, 56.80, 72.41, 79.56, 73.93, 78.62, 83.93, 56.17, 60.54, 85.69, 79.45),
    _dev("RoBERTa, scripts", 60.64, 58.06, 74.05, 81.24, 76.00, 87.50, 84.50, 56.54, 67.66, 86.71, 79.47),
    _dev("RoFormer, scripts", 60.91, 57.54, 73.52, 80.92, 76.07, 86.84, 84.63, 56.26, 67.24, 86.57, 79.72),
    _dev("RoFormer-V2, scripts", 60.87, 56.54, 72.75, 80.34, 75.36, 80.92, 84.67, 57.91, 64.62, 85.09, 81.08),
    _dev("GAU-alpha, scripts", 61.41, 57.76, 74.17, 81.82, 75.86, 79.93, 85.67, 58.09, 68.24, 87.91, 80.01),
)
"""Per cent. RoFormer-V2 is that without multi-task training."""
