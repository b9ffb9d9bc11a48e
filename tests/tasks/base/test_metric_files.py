"""The metrics of the tasks by `evaluate.load`, beside the functions that they are of."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import evaluate
import pytest

import hf_ext
from hf_ext.metrics import classification_scores, span_scores
from hf_ext.tasks.classification import ClassificationMetric
from hf_ext.tasks.events import EventMetric, event_scores
from hf_ext.tasks.reading_comprehension import reading_scores
from hf_ext.tasks.relations import RelationMetric, relation_scores

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def relation(predicate: str, subject: str, thing: str, *slots: tuple[str, str]) -> dict[str, Any]:
    """As a pipeline gives it: with places, and a score."""
    found = {"predicate": predicate, "subject": {"text": subject, "start": 0}, "object": {"text": thing}, "score": 0.5}
    return {**found, "slots": [{"name": name, "text": text, "end": 3} for name, text in slots]} if slots else found


def event(kind: str, *arguments: tuple[str, int, int]) -> dict[str, Any]:
    own = [{"role": role, "start": start, "end": end, "text": "x"} for role, start, end in arguments]
    return {"type": kind, "arguments": own, "score": 0.5}


CASES: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "classification": (classification_scores, [["a"], ["a", "b"], []], [["a"], ["b"], ["c"]]),
    "entities": (span_scores, [[("a", 0, 2)], [], [("b", 1, 2)]], [[("a", 0, 2), ("b", 3, 4)], [], []]),
    "relations": (
        relation_scores,
        [[relation("住", "甲", "乙")], [relation("演", "甲", "丙", ("剧", "丁"))], []],
        [[relation("住", "甲", "乙")], [relation("演", "甲", "丙", ("剧", "戊"))], [relation("住", "己", "乙")]],
    ),
    "events": (
        event_scores,
        [[event("到", ("触发词", 1, 2), ("人", 0, 1))], [], [event("去", ("人", 0, 1))]],
        [[event("到", ("触发词", 1, 2), ("人", 0, 1))], [event("去", ("人", 0, 1))], [event("去", ("地", 0, 1))]],
    ),
    "reading_comprehension": (reading_scores, ["北京", "", "上海"], [["北京市"], [], ["上海", "沪"]]),
}


@pytest.mark.parametrize("task", CASES)
def test_metric_is_loaded_by_its_path(task, tmp_path):
    score, predictions, references = CASES[task]
    metric = evaluate.load(hf_ext.metric_path(task), cache_dir=str(tmp_path))
    wanted = score(predictions, references)
    assert metric.compute(predictions=predictions, references=references) == wanted
    metric.add_batch(predictions=predictions[:2], references=references[:2])
    metric.add(prediction=predictions[2], reference=references[2])
    assert metric.compute() == wanted


@pytest.mark.parametrize("task", ["classification", "relations", "events"])
def test_metric_over_two_ranks(task, tmp_path):
    score, predictions, references = CASES[task]
    kind = {"classification": ClassificationMetric, "relations": RelationMetric, "events": EventMetric}[task]

    def part(rank: int) -> Any:
        metric = kind(num_process=2, process_id=rank, experiment_id=task, cache_dir=str(tmp_path))
        metric.add_batch(predictions=predictions[rank::2], references=references[rank::2])
        return metric.compute()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(part, (0, 1))
    # The ranks come one after the other.
    order = [*range(0, 3, 2), 1]
    assert first == score([predictions[i] for i in order], [references[i] for i in order])
    assert second is None


def test_labels_can_be_chosen(tmp_path):
    score, predictions, references = CASES["classification"]
    metric = evaluate.load(hf_ext.metric_path("classification"), cache_dir=str(tmp_path))
    chosen = metric.compute(predictions=predictions, references=references, labels=["a", "b"])
    assert chosen == score(predictions, references, ["a", "b"])
    score, predictions, references = CASES["relations"]
    chosen = RelationMetric(cache_dir=str(tmp_path)).compute(
        predictions=predictions, references=references, predicates=["住"]
    )
    assert chosen == score(predictions, references, ["住"])


def test_paths_are_of_files_and_of_no_other_task():
    assert {Path(hf_ext.metric_path(task)).name for task in CASES} == {"evaluate_metric.py"}
    with pytest.raises(ValueError, match=r"task must be one of classification, entities, .*, got 'summaries'"):
        hf_ext.metric_path("summaries")
    with pytest.raises(ValueError, match=r"got '\.\./tasks/entities'"):
        hf_ext.metric_path("../tasks/entities")


def test_example_of_the_document_runs(capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out == f"{2 / 3}\n"
    told = {*re.findall(r"^\| `(\w+)` \| `hf_ext", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)}
    assert told == CASES.keys()
