"""Writes an error report: as JSON, and as a page to look at."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.metrics.comparison import KINDS
from hf_ext.page_frame import page_frame
from hf_ext.tasks.base.report_template import BODY, REPORT_STYLE

# What a browser still opens at once; what is beyond is in the JSON.
MOST_EXAMPLES = 20_000
MOST_CHARACTERS = 10_000_000

_RATIOS = {"precision": "precision", "recall": "recall", "f1": "F1"}


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write ``report.json`` and ``report.html``, which needs no network and no other file.

    Of a huge file the page has the worst examples.

    Args:
        folder: where to write.
        report: what :func:`hf_ext.metrics.error_report` gives.
    """
    with atomic_write(folder / "report.json") as file:
        # An example a line, as files of texts have them.
        parts = [f"{_json(key)}: {_json(value)}" for key, value in report.items() if key != "examples"]
        examples = ",\n".join(map(_json, report["examples"]))
        file.write("{\n" + ",\n".join([*parts, f'"examples": [\n{examples}\n]']) + "\n}\n")
    with atomic_write(folder / "report.html") as file:
        file.write(report_page(report))


def report_page(report: Mapping[str, Any]) -> str:
    """The page of a report."""
    from jinja2 import Environment

    environment = Environment(autoescape=True)
    # The filter also escapes what could end the element that the JSON stands in.
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    about = report["about"]
    examples = _that_fit(report["examples"])
    # Items that match exactly are not what the F1 of answers is of.
    ratios = [key for key in _RATIOS if key != "f1" or "measures" not in report["total"]]
    tables = [
        ("By label", "label", report["labels"], True),
        ("By length of the text", "characters", report["lengths"], False),
        ("By length of the item", "characters", report["item_lengths"], False),
        ("By what training has seen", "surface", report["surfaces"], False),
    ]
    body = environment.from_string(BODY).render(
        report=report,
        scores={name: _shown(value) for name, value in report["scores"].items() if isinstance(value, int | float)},
        tables=[table for table in tables if table[2]],
        columns=lambda groups: _columns(groups, ratios).values(),
        cells=lambda group, groups: _cells(group, _columns(groups, ratios)),
        left_out=len(report["examples"]) - len(examples),
        data={"examples": examples, "layout": report["layout"], "kinds": KINDS},
    )
    return page_frame(" ".join(["Errors:", *filter(None, (about.get("task"), about.get("file")))]), REPORT_STYLE, body)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _that_fit(examples: list[Any]) -> list[Any]:
    room = MOST_CHARACTERS
    for number, example in enumerate(examples[:MOST_EXAMPLES]):
        room -= sum(map(len, example["parts"].values()))
        if room < 0:
            return examples[:number]
    return examples[:MOST_EXAMPLES]


def _columns(groups: Mapping[str, Mapping[str, Any]], ratios: Sequence[str]) -> dict[str, str]:
    """The columns of a table, by their keys: counts that occur in none are left out."""
    measures = {name: name for group in groups.values() for name in group.get("measures", ())}
    counts = {"texts": "texts", "true": "true", "found": "found"}
    # What is looked for most first, as a phone shows the first columns.
    columns = counts | (measures or {key: _RATIOS[key] for key in ratios}) | KINDS
    without = {key for key in (*counts, *KINDS) if not any(group.get(key) for group in groups.values())}
    return {key: name for key, name in columns.items() if key not in without}


def _cells(group: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    values = {**group, **group.get("measures", {})}
    return [_shown(values.get(key, 0)) for key in columns]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
