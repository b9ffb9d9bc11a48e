"""The names of files in submissions: those that people get wrong, and those of FewCLUE's board of five splits."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_END = "_predict.json"
SPLITS = ("0", "1", "2", "3", "4", "all")
"""The splits that FewCLUE's second board takes a file of each task for."""

# Names of older rules, of other contests, and those that the site gave 0 points for without a word.
_WRONG = {
    "wsc": ("cluewsc10", "cluewsc11", "cluewscf"),
    "wsc10": ("cluewsc10",),
    "wsc11": ("cluewsc11",),
    "cluewsc": ("cluewsc10", "cluewsc11", "cluewscf"),
    "cluewsc2020": ("cluewsc10", "cluewsc11", "cluewscf"),
    "tnews": ("tnews10", "tnews11", "tnewsf"),
    "ocnli": ("ocnli_50k", "ocnlif"),
    "ocnli50k": ("ocnli_50k",),
    "c3": ("c310", "c311"),
    "chid": ("chid10", "chid11", "chidf"),
    "cmrc": ("cmrc2018",),
    "cluener2020": ("cluener",),
    "csl": ("cslf",),
    "iflytek": ("iflytekf",),
    "cslf": ("csl",),
    "iflytekf": ("iflytek",),
    "bustmf": ("bustm",),
    "csldcpf": ("csldcp",),
    "eprstmtf": ("eprstmt",),
    "diagnostic": ("diagnostics",),
}  # fmt: skip


def split_name(name: str, split: str) -> str:
    """The name of a file on FewCLUE's board of five splits: ``bustm_predict_0.json`` of ``bustm_predict.json``.

    Raises:
        ValueError: if there is no such split, or the name is none of a prediction.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not name.endswith(_END):
        raise ValueError(f"name must end in {_END}, got {name!r}")
    return f"{name.removesuffix('.json')}_{split}.json"


def right_names(name: str, expected: Iterable[str]) -> list[str]:
    """What a file with a name that is not expected is likely to have to be called, none if that cannot be told."""
    wanted = list(expected)
    lower = {one.lower(): one for one in wanted}
    if name.lower() in lower:
        return [lower[name.lower()]]
    stem, mark, end = _parts(name)
    # The rest of the name says of which split it is; without one, each may be meant.
    same = [one for one in wanted if _parts(one)[0] in (*_WRONG.get(stem, ()), stem)]
    same = [one for one in same if mark and end in (".json", _parts(one)[2])] or same
    close = get_close_matches(stem, [_parts(one)[0] for one in wanted], n=2, cutoff=0.75)
    return same or [one for one in wanted if _parts(one)[0] in close]


def _parts(name: str) -> Sequence[str]:
    """What stands before, at and after ``_predict`` in a name, or ``_results`` as in other contests."""
    mark = next((one for one in ("_prediction", "_predict", "_results") if one in name.lower()), ".")
    return name.lower().partition(mark)
