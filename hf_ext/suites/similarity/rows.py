"""The files ``TASK.{train,valid,test}.data`` of the articles on sentence vectors (kexue.fm/archives/8321)."""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hf_ext.data.text_lines import FileLine, fail, read_lines
from hf_ext.suites.suite import Row

logger = logging.getLogger(__name__)


class PairFile(NamedTuple):
    """What a file holds.

    Attributes:
        pairs: dicts ``{"text1", "text2", "score"}``, each after its place.
        skipped: places of the lines that are left out.
    """

    pairs: list[tuple[FileLine, dict[str, Any]]]
    skipped: list[FileLine]


def read_pair_file(path: Path) -> PairFile:
    """Read a file of lines ``text<TAB>text<TAB>score``.

    A line that has not exactly three fields, or a blank one among them, is left out, as the original does with the
    former; blank lines do not count. Spaces at the ends of fields are taken away.

    Raises:
        ValueError: naming the file and the line, if the score of three fields is no finite number.
    """
    found = PairFile([], [])
    for where, line in read_lines(path):
        # As the original: a tab at an end makes no field.
        fields = [field.strip() for field in line.strip().split("\t")]
        if len(fields) != 3 or not all(fields):
            found.skipped.append(where)
            continue
        try:
            score = float(fields[2])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            fail(where, "score must be a finite number", fields[2])
        found.pairs.append((where, {"text1": fields[0], "text2": fields[1], "score": score}))
    return found


def pair_rows(paths: Sequence[Path]) -> Iterator[Row]:
    """The pairs of files, with numbers from 0 over all of them; says how many lines were left out.

    Raises:
        ValueError: naming the file and the line, if a score is no finite number.
    """
    number = 0
    for path in paths:
        pairs, skipped = read_pair_file(path)
        if skipped:
            total = len(pairs) + len(skipped)
            logger.warning(
                "%d of %d lines of %s have not three fields, and are left out; the first is line %d",
                len(skipped), total, path, skipped[0].number,
            )  # fmt: skip
        for where, pair in pairs:
            yield Row(where, number, pair)
            number += 1
