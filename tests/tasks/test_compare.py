"""What each task's job compares for its error report: beside the scores of random predictions, and case by case."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest

from hf_ext.metrics.error_report import error_report
from hf_ext.metrics.exact_spans import span_scores
from hf_ext.tasks.base.run_end import Scored, report_errors
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.classification.metrics import class_probabilities
from hf_ext.tasks.dialogue import DialogueJob
from hf_ext.tasks.entities import SpanExtractionJob
from hf_ext.tasks.events import EventExtractionJob
from hf_ext.tasks.events.labels import TRIGGER
from hf_ext.tasks.events.metrics import event_scores
from hf_ext.tasks.paraphrase import ParaphraseJob
from hf_ext.tasks.paraphrase.metrics import nearest_sentences
from hf_ext.tasks.reading_comprehension import ReadingComprehensionJob
from hf_ext.tasks.relations import RelationExtractionJob
from hf_ext.tasks.relations.metrics import relation_scores
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.tasks.similarity.metrics import relative_ranks
from hf_ext.tasks.summarization import SummarizationJob
from hf_ext.tasks.summarization.metrics import each_summary_scores, summary_scores

TEXT = "甲乙丙丁戊己庚辛甲乙丙丁"


def make(job):
    return job("train.jsonl", "validation.jsonl", config="tiny")


def span(rng):
    start = rng.randrange(len(TEXT) - 3)
    end = start + rng.randint(1, 3)
    return {"start": start, "end": end, "text": TEXT[start:end]}


def entity(rng):
    return {**span(rng), "label": rng.choice("ab")}


def relation(rng):
    slots = [{"name": "s", **span(rng)}] if rng.random() < 0.3 else []
    return {"predicate": rng.choice("pq"), "subject": span(rng), "object": span(rng), "slots": slots}


def event(rng):
    arguments = [{"role": rng.choice(("甲方", "乙方")), **span(rng)} for _ in range(rng.randrange(3))]
    return {"type": rng.choice("ef"), "arguments": [{"role": TRIGGER, **span(rng)}, *arguments]}


@pytest.mark.parametrize(
    ("job", "draw", "key", "scores"),
    [
        (SpanExtractionJob, entity, "entities", lambda found, true: span_scores(found, true)),
        (RelationExtractionJob, relation, "relations", relation_scores),
        (EventExtractionJob, event, "events", event_scores),
    ],
    ids=["entities", "relations", "events"],
)
@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_the_scores(job, draw, key, scores, seed):
    """To the last digit, things that stand there twice among them."""
    rng = random.Random(seed)

    def drawn():
        return [draw(rng) for _ in range(rng.randrange(6))]

    true = [drawn() for _ in range(6)]
    found = [[one for one in row if rng.random() < 0.6] * rng.randint(1, 2) + drawn() for row in true]
    examples = [{"text": TEXT, key: row} for row in true]
    report = error_report(make(job).compare(found, examples, None), {})
    expected = scores(found, true)
    for group, own in (
        (report["total"], expected),
        *((report["labels"][one], expected["per_type"][one]) for one in report["labels"]),
    ):
        assert (group["precision"], group["recall"], group["f1"]) == (own["precision"], own["recall"], own["f1"])
        assert group["true"] == own["support"]
    assert report["labels"].keys() == expected["per_type"].keys()
    assert report["total"]["right"] > 0


def test_an_argument_shows_the_trigger_of_its_event():
    (item,) = make(EventExtractionJob).items(
        TEXT,
        [{"type": "e", "arguments": [{"role": TRIGGER, "start": 2, "end": 3}, {"role": "人", "start": 0, "end": 2}]}],
    )
    assert (item.name, item.surface, item.spans, item.more_spans) == ("e|人", "甲乙", (("", 0, 2),), ((TRIGGER, 2, 3),))


def test_a_report_is_of_the_file_that_it_is_told(tmp_path):
    example = {"text": TEXT, "entities": [{"start": 0, "end": 2, "label": "a"}]}
    job, files = make(SpanExtractionJob), ("report.html", "report.json")
    (tmp_path / "test.jsonl").touch()
    report_errors(job, Scored(str(tmp_path / "test.jsonl"), [example], [[]], {"f1": 0.0}), None, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["about"] == {"task": "ner", "file": "test.jsonl"}
    # What training has seen is not known.
    assert report["surfaces"] == {}
    report_errors(job, Scored("org/names (test)", [example], [[]], {"f1": 0.0}), None, tmp_path, train=[example])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["about"] == {"task": "ner", "file": "org/names (test)"}
    assert report["surfaces"].keys() == {"seen in training"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [*files, "test.jsonl"]


def answer(text, start, score=1.0):
    return {"text": text, "start": start, "end": start + len(text), "score": score, "probability": 0.5}


@pytest.mark.parametrize(
    ("answers", "ranked", "kinds", "measures"),
    [
        ([("乙丙", 1)], [answer("乙丙", 1)], ["right"], (1, 1)),
        # The one of several that is said.
        ([("乙", 1), ("丙丁", 2)], [answer("丙丁", 2)], ["right"], (1, 1)),
        # At another place, which does not count.
        ([("乙丙", 1)], [answer("乙丙", 9)], ["right"], (1, 1)),
        ([("乙丙丁", 1)], [answer("乙丙", 1)], ["cut"], (0, 0.8)),
        ([("乙丙", 1)], [answer("戊", 4)], ["missed", "invented"], (0, 0)),
        ([("乙丙", 1)], [], ["missed"], (0, 0)),
        ([("乙丙", -1)], [], ["missed"], (0, 0)),
        # No answer is the right one, or is not.
        ([], [answer("戊", 4, -2.0)], ["right"], (1, 1)),
        ([], [answer("戊", 4)], ["invented"], (0, 0)),
        ([("乙丙", 1)], [answer("乙丙", 1, -2.0)], ["missed"], (0, 0)),
    ],
)
def test_answers(answers, ranked, kinds, measures):
    model = SimpleNamespace(config=SimpleNamespace(null_threshold=0.0))
    example = {
        "question": "谁",
        "context": TEXT,
        "answers": [{"text": text, "start": start} for text, start in answers],
    }
    job = make(ReadingComprehensionJob)
    (one,) = job.compare([ranked], [example], model)
    assert [outcome.kind for outcome in one.outcomes] == kinds
    assert tuple(value / number for value, number in one.measures.values()) == pytest.approx(measures)
    scores = job.score([ranked], [example], model)
    assert scores["exact_match"] == one.measures["exact_match"][0]
    assert scores["f1"] == pytest.approx(one.measures["f1"][0])
    assert one.badness == pytest.approx(2 - sum(measures))


def classified(logits, examples, problem_type="single_label_classification"):
    names = ["a", "b", "c"]
    config = SimpleNamespace(
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
        problem_type=problem_type,
    )
    found = SimpleNamespace(predictions=np.array(logits, dtype=float))
    return make(ClassificationJob).compare(found, examples, SimpleNamespace(config=config))


def test_classes_come_with_the_surest_mistake_first():
    rows = [[3, 0, 0], [0, 1, 0], [0, 9, 0]]
    compared = classified(rows, [{"text": str(number), "label": "a"} for number in range(3)])
    assert [[(one.kind, one.found.label) for one in each.outcomes] for each in compared] == [
        [("right", "a")],
        [("label", "b")],
        [("label", "b")],
    ]
    assert compared[0].badness == 0 < compared[1].badness < compared[2].badness
    report = error_report(compared, {})
    assert [one["number"] for one in report["examples"]] == [3, 2, 1]
    assert report["confusions"] == [{"true": "a", "found": "b", "number": 2}]


def test_of_several_classes_none_is_taken_for_another():
    example = {"text": "一", "text2": "二", "labels": ["a", "b"]}
    (one,) = classified([[2, -3, 1]], [example], "multi_label_classification")
    assert sorted((each.kind, (each.true or each.found).label) for each in one.outcomes) == [
        ("invented", "c"),
        ("missed", "b"),
        ("right", "a"),
    ]
    assert one.parts == {"text": "一", "text2": "二"}
    assert one.badness == pytest.approx(2 + 1 / (1 + np.exp(-3)))


@pytest.mark.parametrize("scale", [1, 1000])
def test_probabilities(scale):
    logits = np.array([[1.0, 0.0, -1.0], [0.5, 0.5, 0.5]]) * scale
    softmax = class_probabilities(logits, False)
    assert softmax.sum(-1) == pytest.approx([1, 1])
    assert softmax[1] == pytest.approx([1 / 3] * 3)
    assert softmax[0, 0] / (softmax[0, 0] + softmax[0, 1]) == pytest.approx(1 / (1 + np.exp(-float(scale))))
    sigmoid = class_probabilities(logits, True)
    assert sigmoid[0] + sigmoid[0][::-1] == pytest.approx([1, 1, 1])
    assert sigmoid[0, 0] == pytest.approx(1 / (1 + np.exp(-float(scale))))


def test_pairs_come_by_how_far_their_ranks_are_apart():
    examples = [{"text1": "一", "text2": str(number), "score": score} for number, score in enumerate((1, 2, 3, 5))]
    compared = make(SimilarityJob).compare(np.array([0.9, 0.2, 0.3, 0.4]), examples, None)
    assert [one.badness for one in compared] == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3])
    assert (compared[0].true, compared[0].found) == ("score 1, rank 0%", "cosine 0.900, rank 100%")


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], []), ([7], [0.5]), ([3, 1, 2], [1, 0, 0.5]), ([1, 1, 2], [0.25, 0.25, 1]), ([2, 2], [0.5, 0.5])],
)
def test_relative_ranks(values, expected):
    assert relative_ranks(values).tolist() == pytest.approx(expected)


def test_paraphrases_show_the_side_that_fails():
    """The second text finds its synonym, and this the first text; the third is found by all, and finds the first."""
    angles = [[0.0, 0.3], [1.0, 0.5], [2.0, 2.05]]
    vectors = np.array([[[np.cos(angle), np.sin(angle)] for angle in pair] for pair in angles])
    examples = [{"text": f"文{number}", "synonyms": [f"同{number}", "别"]} for number in range(3)]
    sums = np.array([[2.0, 4], [3.0, 3], [0.0, 0]])
    # Nearest: to 0.0 0.3, to 0.3 0.5, to 1.0 0.5, to 0.5 0.3, to 2.0 and 2.05 each other.
    assert nearest_sentences(vectors).tolist() == [[1, 3], [3, 1], [5, 4]]
    compared = make(ParaphraseJob).compare((vectors, sums), examples, None)
    assert [(one.parts["text"], one.true, one.found) for one in compared] == [
        ("同0", "文0", "同1"),
        ("同1", "文1", "同0"),
        ("文2", "同2", "同2"),
    ]
    assert [one.measures["retrieval_accuracy"] for one in compared] == [(1, 2), (1, 2), (2, 2)]
    assert [round(one.badness, 1) for one in compared] == [1000.5, 1001.0, 0.0]


def test_dialogues_come_by_the_loss_of_a_token():
    examples = [{"turns": ["一", "二"]}, {"turns": ["三", "四"]}]
    compared = make(DialogueJob).compare(np.array([[2.0, 1, 4], [6.0, 0, 3]]), examples, None)
    assert [one.badness for one in compared] == [0.5, 2.0]
    assert error_report(compared, {})["total"]["measures"] == {"loss": 8 / 7, "accuracy": 1 / 7}
    assert compared[0].parts == {"turns": "一\n二"}


def test_summaries_come_by_their_rouge():
    examples = [{"text": "一二三四", "summary": "一二"}, {"text": "五六", "summary": "五"}]
    written = ["一二", "六"]
    compared = make(SummarizationJob).compare(written, examples, None)
    assert [one.badness for one in compared] == [0, 1]
    assert (compared[1].true, compared[1].found) == ("五", "六")
    expected = summary_scores(written, ["一二", "五"])
    assert error_report(compared, {})["total"]["measures"] == expected
    assert {
        name: (own + each_summary_scores(["六"], ["五"])[0][name]) / 2
        for name, own in each_summary_scores(["一二"], ["一二"])[0].items()
    } == expected
