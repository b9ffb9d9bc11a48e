import io
import random

import numpy as np
import pytest
from rich.console import Console
from transformers import EvalPrediction

from hf_ext.tasks.reading_comprehension import ReadingMetric, reading_compute_metrics, reading_scores
from hf_ext.tasks.reading_comprehension.answers import best_answer
from hf_ext.tasks.reading_comprehension.english_words import english_words
from hf_ext.tasks.reading_comprehension.metrics import (
    _longest_run,
    answer_exact_match,
    answer_f1,
    answer_words,
    best_null_threshold,
    reading_table,
)

# What CMRC2018's script gives: prediction, answers, EM, F1.
OFFICIAL = [
    ("光荣和ω-force", ["光荣和ω-force"], 1, 1.0),
    ("光荣", ["光荣和ω-force"], 0, 0.6666666666666666),
    ("光荣和Ω-Force。", ["光荣和ω-force"], 1, 1.0),
    ("「战史演武」&「争霸演武」", ["战史演武和争霸演武"], 0, 0.4444444444444444),
    ("在1990年", ["1990年"], 0, 0.8),
    ("1990 年", ["1990年"], 0, 1.0),
    ("Henry A. Walsh", ["henry walsh"], 0, 0.4),
    ("the U.S. Army", ["U.S. Army"], 0, 0.8),
    ("St. John of Matha", ["st john of matha"], 0, 0.75),
    ("it's 3.5%", ["3.5%"], 0, 0.6666666666666666),
    ("cannot", ["can not"], 0, 1.0),
    ("don't go.", ["go"], 0, 0.4),
    ('他说"好"', ["他说“好”"], 0, 0.5),
    ("……", ["…"], 0, 0),
    ("天地人", ["人地天"], 0, 0.3333333333333333),
    ("北京，上海", ["北京上海"], 1, 1.0),
    ("a-b", ["ab"], 1, 1.0),
    ("", ["北京"], 0, 0),
    ("，", ["。"], 1, 0),
    ("北京。上海", ["上海。北京"], 0, 0.5),
    ("No. 3 Road", ["no 3 road"], 0, 0.5714285714285715),
    ("Hey! Say! JUMP", ["hey say jump"], 0, 0.25),
    ("あいうえ", ["あい"], 0, 0),
    ("1,000米", ["1000米"], 0, 0.5),
    ("（日本）东京", ["东京"], 0, 0.6666666666666666),
    ("x² + y²", ["x²+y²"], 0, 0),
    ("foo (bar) baz", ["foo bar baz"], 0, 0.25),
    ("任天堂游戏谜之村雨城", ["村雨城", "任天堂游戏谜之村雨城"], 1, 1.0),
    ("村雨城改编", ["村雨城", "任天堂游戏谜之村雨城"], 0, 0.7499999999999999),
]
# What NLTK's word_tokenize gives.
WORDS = [
    ("a. b c", ["a.", "b", "c"]),
    ("st. felix of valois", ["st.", "felix", "of", "valois"]),
    ("andrew w. mellon", ["andrew", "w.", "mellon"]),
    ("s.g. tallentyre", ["s.g.", "tallentyre"]),
    ("hey! say! jump", ["hey", "!", "say", "!", "jump"]),
    ('he said "yes." then left.', ["he", "said", "``", "yes", ".", "''", "then", "left", "."]),
    ("no. 3, please", ["no", ".", "3", ",", "please"]),
    ("1. a 2. b", ["1.", "a", "2.", "b"]),
    ("mr. x. then", ["mr.", "x.", "then"]),
    ("ok? (yes.) no.", ["ok", "?", "(", "yes", ".", ")", "no", "."]),
    ("rock 'n roll 'tis gonna", ["rock", "'n", "roll", "'", "tis", "gon", "na"]),
    ("l'homme d'or", ["l'homme", "d'or"]),
    ("we'll they're i'd", ["we", "'ll", "they", "'re", "i", "'d"]),
    ("u.s.a.", ["u.s.a", "."]),
    ("3.14, 2.71;5", ["3.14", ",", "2.71", ";", "5"]),
    ("a—b…c", ["a", "—", "b…c"]),
    ("x.. y", ["x", "..", "y"]),
    ("[a] <b> {c}", ["[", "a", "]", "<", "b", ">", "{", "c", "}"]),
    ("50% $3 #1 @me", ["50", "%", "$", "3", "#", "1", "@", "me"]),
    ("foo,bar", ["foo", ",", "bar"]),
    ("foo, ,,bar", ["foo", ",", ",", ",bar"]),
    ('end."', ["end", ".", "''"]),
    ("it's john's", ["it", "'s", "john", "'s"]),
    ("can't cannot", ["ca", "n't", "can", "not"]),
    ("q.e.d. (end", ["q.e.d", ".", "(", "end"]),
    ("ａｂｃ １２", ["ａｂｃ", "１２"]),
    ("한국 어", ["한국", "어"]),
]


@pytest.mark.parametrize(("prediction", "answers", "exact", "f1"), OFFICIAL)
def test_scores_are_those_of_the_official_script(prediction, answers, exact, f1):
    assert answer_exact_match(prediction, answers) == exact
    assert answer_f1(prediction, answers) == pytest.approx(f1, abs=1e-15)


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_english_words_are_those_of_nltk(text, words):
    assert english_words(text) == words


def test_words_of_mixed_text():
    assert answer_words(" 他说：“Don't stop，3-5%”…") == ["他", "说", "do", "n't", "stop35", "%", "…"]


def test_whole_files():
    predictions = [prediction for prediction, *_ in OFFICIAL]
    references = [answers for _, answers, *_ in OFFICIAL]
    scores = reading_scores([*predictions, None], [*references, ["x"]])
    count = len(OFFICIAL) + 1
    assert scores["exact_match"] == pytest.approx(sum(exact for _, _, exact, _ in OFFICIAL) / count)
    assert scores["f1"] == pytest.approx(sum(f1 for *_, f1 in OFFICIAL) / count)
    assert scores["average"] == pytest.approx((scores["exact_match"] + scores["f1"]) / 2)
    assert (scores["total"], scores["skipped"], len(scores)) == (count, 1, 5)


def test_questions_without_an_answer():
    scores = reading_scores(["甲", "", "", "乙", None], [["甲乙"], ["甲"], [], [], []])
    assert scores["exact_match"] == 0.2
    assert scores["f1"] == pytest.approx((2 / 3 + 1) / 5)
    assert (scores["answerable_exact_match"], scores["answerable_f1"]) == (0.0, pytest.approx(1 / 3))
    assert (scores["no_answer_accuracy"], scores["no_answer_total"]) == (pytest.approx(1 / 3), 3)
    assert (scores["answerable_total"], scores["total"], scores["skipped"]) == (2, 5, 1)
    nothing = reading_scores(["甲"], [[]])
    assert (nothing["answerable_total"], nothing["answerable_f1"]) == (0, 0.0)


@pytest.mark.parametrize(("predictions", "references"), [([], []), (["a"], []), (["a"], [["a"], ["b"]])])
def test_other_numbers_are_refused(predictions, references):
    with pytest.raises(ValueError, match="predictions must be for as many questions as references, one or more"):
        reading_scores(predictions, references)


def test_metric_of_evaluate(tmp_path):
    metric = ReadingMetric(cache_dir=str(tmp_path))
    metric.add_batch(predictions=["甲", None], references=[["甲乙", "甲"], ["丙"]])
    metric.add(prediction="", reference=[])
    found = metric.compute()
    assert found == reading_scores(["甲", None, ""], [["甲乙", "甲"], ["丙"], []])


def test_table_is_in_percent():
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(reading_table(reading_scores(["甲", "", "丙"], [["甲"], [], ["丁"]]), title="file"))
    text = console.export_text()
    assert "66.667" in text
    assert "50.000" in text
    assert "100.000" in text


def brute_force(spans, null_scores, labels, threshold):
    """Sets of tokens, row by row."""
    exact, f1, told = [], [], []
    for (start, end, score), none, (first, last) in zip(spans[:, 0], null_scores, labels):
        if first < 0:
            continue
        answered = (first, last) != (0, 0)
        told.append((start >= 0 and (threshold is None or none - score <= threshold)) == answered)
        if answered:
            found = set(range(int(start), int(end) + 1)) if start >= 0 else set()
            true = set(range(first, last + 1))
            exact.append(found == true)
            f1.append(2 * len(found & true) / (len(found) + len(true)))
    return np.mean(exact), np.mean(f1), np.mean(told)


@pytest.mark.parametrize("threshold", [None, 0.0, 1.0])
def test_spans_of_tokens_are_scored_as_sets_of_tokens(threshold):
    generator = np.random.default_rng(0)
    first = generator.integers(1, 9, (2, 300))
    last = first + generator.integers(0, 3, (2, 300))
    labels = np.stack((first[0], last[0]), -1)
    labels[::4], labels[1::7] = 0, -100
    spans = np.stack((first[1], last[1], generator.normal(size=300)), -1)[:, None]
    spans[::3, 0, :2] = np.where(labels[::3] > 0, labels[::3], 1)
    spans[5] = (-1, -1, -np.inf)
    nulls = generator.normal(size=300)
    found = reading_compute_metrics(threshold)(EvalPrediction((spans, nulls), labels))
    want = brute_force(spans, nulls, labels.tolist(), threshold)
    assert (found["exact_match"], found["f1"], found["no_answer_accuracy"]) == pytest.approx(want)


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        (np.zeros((2, 3, 3)), np.zeros((2, 2)), "predictions must be a pair"),
        ((np.zeros((2, 3, 4)), np.zeros(2)), np.zeros((2, 2)), r"\[N, K, 3\] and \[N\]"),
        ((np.zeros((2, 3, 3)), np.zeros(3)), np.zeros((2, 2)), r"\[N, K, 3\] and \[N\]"),
        ((np.zeros((2, 3, 3)), np.zeros(2)), np.zeros((2, 3)), r"\[N, K, 3\] and \[N\]"),
    ],
)
def test_other_shapes_are_refused(predictions, labels, message):
    with pytest.raises(ValueError, match=message):
        reading_compute_metrics()(EvalPrediction(predictions, labels))


def test_the_longest_run_is_that_of_brute_force():
    rng = random.Random(0)
    for _ in range(500):
        found, true = (rng.choices("ab甲", k=rng.randint(0, 14)) for _ in range(2))
        runs = {tuple(true[i:j]) for i in range(len(true)) for j in range(i + 1, len(true) + 1)}
        wanted = max((len(run) for run in runs if any(found[i : i + len(run)] == [*run] for i in range(14))), default=0)
        assert _longest_run(found, true) == wanted, (found, true)


@pytest.mark.parametrize("unit", ["A. ", "x! ", "e.g. ", "a\n. ", "甲"])
def test_long_answers_take_time_by_their_length(unit):
    # By the square of their length these would take minutes.
    short, answer = unit * 20, unit * 20_000
    assert abs(len(answer_words(answer)) - 1000 * len(answer_words(short))) <= 1000
    assert answer_f1(answer, [answer[: len(answer) // 2]]) == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_the_best_threshold_of_no_answer_is_that_of_trying_all(seed):
    drawn = random.Random(seed)
    ranked, references = [], []
    for _ in range(12):
        # Some alike, some questions for which nothing was found.
        score = drawn.choice([drawn.uniform(-3, 3), 1.0, -2.0])
        found = [{"text": "", "score": 0.0}, {"text": drawn.choice("甲乙"), "score": score}]
        ranked.append(found[: drawn.choice([1, 2, 2, 2])])
        references.append(drawn.choice([[], ["甲"], ["甲乙"]]))

    def f1(threshold):
        return reading_scores([best_answer(own, threshold) for own in ranked], references)["f1"]

    chosen = best_null_threshold(ranked, references)
    best = max(f1(step / 50) for step in range(-250, 251))
    assert f1(chosen) == pytest.approx(best)
    if f1(0.0) == pytest.approx(best):
        assert chosen == 0.0


def test_without_answers_no_threshold_is_better():
    assert best_null_threshold([], []) == 0.0
    assert best_null_threshold([[{"text": "", "score": 0.0}]], [["甲"]]) == 0.0
    # The answer is right and the null far above it.
    assert best_null_threshold([[{"text": "甲", "score": -9.0}]], [["甲"]]) > 9.0
    assert best_null_threshold([[{"text": "甲", "score": 9.0}]], [[]]) < -9.0
