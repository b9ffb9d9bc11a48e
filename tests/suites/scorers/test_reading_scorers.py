import random
import re

import numpy as np
import pytest

from hf_ext.suites.scorers import cmrc2018_scores, dureader_robust_scores, strict_span_accuracy
from hf_ext.suites.scorers.dureader_robust import PUNCTUATION, dureader_words, plain_answer


def slow_f1(found, true):
    """F1 of the longest run in common, by trying every run."""
    runs = [found[start:end] for start in range(len(found)) for end in range(start + 1, len(found) + 1)]
    length = max((len(run) for run in runs for at in range(len(true)) if true[at : at + len(run)] == run), default=0)
    return 2 * length / (len(found) + len(true)) if length else 0.0


@pytest.mark.parametrize(
    ("found", "true", "f1"), [("二零一零年10月", "2010年10月", 6 / 11), ("北京市海淀区", "北京海淀", 4 / 10)]
)
def test_f1_is_of_a_run_and_not_of_a_subsequence(found, true, f1):
    for scores in (cmrc2018_scores, dureader_robust_scores):
        score = scores({"q": found}, {"q": [true]})
        assert score["f1"] == pytest.approx(f1)
        assert score["exact_match"] == 0.0
        # The best of several answers.
        assert scores({"q": found}, {"q": [true, found]})["f1"] == 1.0


@pytest.mark.parametrize("scores", [cmrc2018_scores, dureader_robust_scores])
def test_questions_without_a_prediction_stay_in_the_denominator(scores):
    references = {"a": ["北京"], "b": ["上海"], "c": ["天津"]}
    found = scores({"a": "北京", "c": "北京", "d": "重庆"}, references)
    assert (found["exact_match"], found["f1"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (found["total"], found["skipped"]) == (3, 1)
    backwards = dict(reversed(references.items()))
    assert scores({"c": "北京", "a": "北京"}, backwards) == found
    with pytest.raises(ValueError, match="got none to b"):
        scores({}, {"a": ["北京"], "b": []})
    with pytest.raises(ValueError, match=r"one or more|one question or more"):
        scores({}, {})


def test_placeholders_of_a_test_file_are_no_answers():
    with pytest.raises(ValueError, match="placeholder FAKE_ANSWER_2 of a test file for TEST_0_QUERY_0"):
        cmrc2018_scores({}, {"TEST_0_QUERY_0": ["FAKE_ANSWER_2", "FAKE_ANSWER_1"]})


def test_placeholders_of_the_real_test_file_are_no_answers(shared):
    from hf_ext.tasks.reading_comprehension import read_questions

    questions = read_questions(shared / "data" / "clue" / "cmrc2018" / "test_part.json")
    references = {one["id"]: [answer["text"] for answer in one["answers"]] for one in questions}
    with pytest.raises(ValueError, match="placeholder"):
        cmrc2018_scores({}, references)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2010年10月", ["2010", "年", "10", "月"]),
        ("A=B c", ["a", "=", "b c"]),
        ("（约）1,000 米！", ["约", "1000 ", "米"]),
        ("㐀𠀀豈", ["㐀", "𠀀", "豈"]),
        ("……~-", ["……~-"]),
        ("あいう가", ["あいう가"]),
        ("", []),
        ("，。", []),
    ],
)
def test_words_of_dureader(text, words):
    assert dureader_words(text) == words


def test_marks_of_dureader_are_those_of_the_script():
    script = ":_`，。：？！(）“”；’《》·、,「」（)－～『』|"
    assert set(script) == PUNCTUATION
    assert plain_answer("A‘’-……|b") == "a‘-……b"


def test_the_two_scripts_differ():
    """CMRC2018's takes ``-`` out and cuts words at spaces; DuReader's takes ``|`` out and keeps a run whole."""
    pairs = {"a-b": "ab", "a|b": "ab", "new york": "york"}
    cmrc, dureader = (
        [scores({"q": found}, {"q": [true]})["f1"] for found, true in pairs.items()]
        for scores in (cmrc2018_scores, dureader_robust_scores)
    )
    assert cmrc == [1.0, 0.0, pytest.approx(2 / 3)]
    assert dureader == [0.0, 1.0, 0.0]


def test_dureader_scores_are_those_of_the_definition():
    draw = random.Random(0)
    alphabet = "北京海a1=， "
    for _ in range(150):
        questions = {
            str(number): ["".join(draw.choices(alphabet, k=draw.randint(1, 6))) for _ in range(draw.randint(1, 3))]
            for number in range(draw.randint(1, 4))
        }
        found = {key: "".join(draw.choices(alphabet, k=draw.randint(0, 6))) for key in questions if draw.random() < 0.8}
        scores = dureader_robust_scores(found, questions)
        exact = f1 = 0.0
        for key, answers in questions.items():
            if key not in found:
                continue
            words = [re.findall("[北京海=]|[a1 ]+", one.replace("，", "")) for one in (found[key], *answers)]
            plain = ["".join(one) for one in words]
            exact += plain[0] in plain[1:]
            f1 += max(slow_f1(words[0], one) for one in words[1:])
        assert scores["exact_match"] == pytest.approx(exact / len(questions))
        assert scores["f1"] == pytest.approx(f1 / len(questions))
        assert scores["skipped"] == len(questions) - len(found)


def test_dureader_answers_score_all_against_themselves(shared):
    from hf_ext.tasks.reading_comprehension import read_questions

    questions = read_questions(shared / "data" / "clue" / "dureader_robust" / "dev_part.json")
    references = {one["id"]: [answer["text"] for answer in one["answers"]] for one in questions}
    scores = dureader_robust_scores({key: answers[-1] for key, answers in references.items()}, references)
    assert scores == {"exact_match": 1.0, "f1": 1.0, "total": 500, "skipped": 0}


def test_strict_spans():
    """Right is the span of the best window alone, and of equal windows the first one's label."""
    questions = ["a", "a", "a", "a", "b", "b", "c"]
    scores = [1.0, 3.0, 3.0, 2.0, 0.5, -1.0, 9.0]
    spans = [[1, 2], [4, 6], [4, 6], [7, 7], [3, 3], [5, 5], [2, 2]]
    labels = [[1, 2], [4, 6], [4, 5], [7, 7], [0, 0], [5, 5], [2, 3]]
    assert strict_span_accuracy(questions, scores, spans, labels) == pytest.approx(1 / 3)
    swapped = [0, 2, 1, 3, 4, 5, 6]
    rows = [np.array(one)[swapped] for one in (questions, scores, spans, labels)]
    assert strict_span_accuracy(list(rows[0]), *rows[1:]) == 0.0


def test_strict_spans_in_any_order_of_questions():
    draw = np.random.default_rng(0)
    for _ in range(50):
        number = int(draw.integers(1, 12))
        questions = draw.integers(0, 4, size=number)
        scores = draw.normal(size=number)
        spans, labels = draw.integers(0, 2, size=(2, number, 2))
        right = []
        for question in set(questions):
            window = max(np.flatnonzero(questions == question), key=lambda one: scores[one])
            right.append((spans[window] == labels[window]).all())
        found = strict_span_accuracy(list(questions), scores, spans, labels)
        assert found == pytest.approx(np.mean(right))
        order = draw.permutation(number)
        assert strict_span_accuracy(list(questions[order]), scores[order], spans[order], labels[order]) == found


@pytest.mark.parametrize("number", [0, 1])
def test_strict_spans_of_other_shapes(number):
    with pytest.raises(ValueError, match=f"N = {number} > 0"):
        strict_span_accuracy(["a"] * number, [1.0] * number, [[1, 2, 3]] * number, [[1, 2]] * number)
