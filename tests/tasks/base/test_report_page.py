"""The page of an error report: text of any characters comes through, and nothing of it becomes part of the page."""

import json
import re

import pytest
from page_parts import Page

from hf_ext.metrics.comparison import Comparison, Item, pair_items
from hf_ext.metrics.error_report import error_report
from hf_ext.tasks.base import report_page
from hf_ext.tasks.base.report_page import write_report

NAMES = [
    "</script><script>alert(1)</script>",
    "<!--",
    "\"'&<b>",
    "{{ 7 * 7 }}{% raw %}",
    "人名😀👨‍👩‍👧",
    "اسم",
    "\u2028\\u003c",
    "__proto__",
]


def comparison(text, label):
    item = Item(label, (0, 1), text[:1], (("", 0, 1),), score=0.25)
    return Comparison({"text": text}, pair_items([item], [Item("x", (0, 1), text[:1], (("", 0, 1),))]))


def written(tmp_path, comparisons, scores=None, **about):
    write_report(tmp_path, error_report(comparisons, scores or {}, **about))
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def data_of(page):
    return json.loads(next(text for attributes, text in page.all("script") if attributes.get("id") == "report"))


@pytest.mark.parametrize("name", NAMES)
def test_names_and_texts_of_any_characters(tmp_path, name):
    html = written(tmp_path, [comparison(f"字{name}", name)], {"f1": 0.5}, task="ner", file=name)
    page = Page(html)
    assert page.is_whole
    assert page.texts("title") == page.texts("h1") == [f"Errors: ner {name}"]
    assert len(page.all("script")) == 2
    assert not [own for _, own, _ in page.elements if own.keys() & {"src", "href", "action"}]
    (example,) = data_of(page)["examples"]
    assert example["parts"] == {"text": f"字{name}"}
    assert example["items"][0]["true"]["label"] == name
    assert name in page.texts("td")
    saved = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert saved["examples"] == [example]
    assert list(saved["labels"]) == [name, "x"] if name != "x" else ["x"]


def test_a_page_names_no_address_and_fits_a_phone(tmp_path):
    html = written(tmp_path, [comparison("张三", "人")])
    assert not re.search(r"https?:|//[\w.]+\.\w|@import|url\(", html.replace("// ", ""))
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in html


def test_the_page_shows_the_counts_and_scores(tmp_path):
    html = written(tmp_path, [comparison("张三", "人"), Comparison({"text": "无"})], {"f1": 0.123456, "support": 1})
    assert "2 examples, 1 with something wrong" in html
    assert "f1 <b>0.1235</b>" in html
    assert "support <b>1</b>" in html
    assert Page(html).texts("td")[:6] == ["人", "1", "0", "0.0000", "0.0000", "0.0000"]


def test_a_page_of_measures_has_no_columns_of_kinds(tmp_path):
    html = written(tmp_path, [Comparison({"text": "一二"}, true="一", found="二", measures={"rougeL": (0.5, 1)})])
    assert Page(html).texts("td") == ["0-15", "1", "0.5000"]
    assert "invented</th>" not in html


def test_of_a_huge_file_the_page_has_the_worst(tmp_path, monkeypatch):
    examples = [comparison("字" * length, "人") for length in (9, 5, 5)]
    monkeypatch.setattr(report_page, "MOST_CHARACTERS", 16)
    html = written(tmp_path, examples)
    assert len(data_of(Page(html))["examples"]) == 2
    assert "The 1 that are least wrong are not shown here" in html
    assert len(json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["examples"]) == 3
    monkeypatch.setattr(report_page, "MOST_EXAMPLES", 1)
    assert len(data_of(Page(written(tmp_path, examples)))["examples"]) == 1
