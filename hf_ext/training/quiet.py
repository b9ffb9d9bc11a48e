"""A run without the progress bars and tables that libraries would print into its own."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub.utils as hub
from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers.utils import logging as transformers_logging

# What Transformers logs by when it has loaded a model.
_LOADING = logging.getLogger("transformers.modeling_utils")
_ROW = re.compile(r"^(\S.*?) +\| (?:\x1b\[\d+m)?(MISSING|UNEXPECTED)\b", re.MULTILINE)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep off the bars of Transformers and datasets within the block, and put a report of loading into a line.

    Downloads still show theirs. A report that an error follows is left as it is.
    """
    bars, downloads = transformers_logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()
    maps = not are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()
    # Transformers takes its own bars and those of the Hub for one.
    if downloads:
        hub.enable_progress_bars()
    disable_progress_bars()
    _LOADING.addFilter(_shorten)
    try:
        yield
    finally:
        _LOADING.removeFilter(_shorten)
        if maps:
            enable_progress_bars()
        if bars:
            transformers_logging.enable_progress_bar()
            if not downloads:
                hub.disable_progress_bars()


@contextmanager
def said_once() -> Iterator[None]:
    """Log no message again within the block, as those of a file that is read several times."""
    filters = [(handler, _First()) for handler in logging.getLogger().handlers]
    for handler, first in filters:
        handler.addFilter(first)
    try:
        yield
    finally:
        for handler, first in filters:
            handler.removeFilter(first)


class _First(logging.Filter):
    """Lets a message through that it has not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        is_new = message not in self.seen
        self.seen.add(message)
        return is_new


def _shorten(record: logging.LogRecord) -> bool:
    """Make one line of a report of loading."""
    report = record.getMessage()
    if "LOAD REPORT" not in report or re.search(r"\| (?:\x1b\[\d+m)?(MISMATCH|CONVERSION)\b", report):
        return True
    names: dict[str, list[str]] = {"MISSING": [], "UNEXPECTED": []}
    for name, kind in _ROW.findall(report):
        names[kind].append(name)
    source = report.partition("from: ")[2].partition("\n")[0]
    told = {"MISSING": "not in {} and new: ", "UNEXPECTED": "in {} and not used: "}
    lines = [told[kind].format(source) + _some(sorted(own)) for kind, own in names.items() if own]
    record.msg, record.args = "; ".join(lines), ()
    return bool(lines)


def _some(names: list[str], most: int = 4) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
