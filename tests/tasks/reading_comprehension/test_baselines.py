"""What the baselines of CLUE and LIC2020 do: steps of windows, one window alone, answers drawn, ranks by scores."""

import random

import pytest
from datasets import Dataset

from hf_ext import build_char_tokenizer
from hf_ext.data import DrawnRows
from hf_ext.tasks.reading_comprehension import (
    ReadingEncoder,
    draw_answer,
    rank_answers,
    scores_of_none,
    span_accuracy,
)
from hf_ext.tasks.reading_comprehension.answers import decode_answers

CONTEXT = "甲乙丙丁戊己庚辛壬癸"
QUESTIONS = ["谁？", "谁在那？"]
TOKENIZER = build_char_tokenizer([CONTEXT, *QUESTIONS])


def answers(*places):
    return [{"text": CONTEXT[start:end] if start >= 0 else "无", "start": start} for start, end in places]


def encoded(question, places, **options):
    encoder = ReadingEncoder(TOKENIZER, max_length=12, max_question_length=4, **options)
    return encoder({"question": [question], "context": [CONTEXT], "answers": [answers(*places)]}, [0])


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("step", [1, 2, 5])
def test_windows_begin_a_step_apart_whatever_the_question_takes(question, step):
    rows = encoded(question, [(0, 1)], step=step)
    room = 12 - 3 - len(question)
    # The baseline's loop, in characters, which are tokens here.
    wanted, begin = [], 0
    while True:
        wanted.append(CONTEXT[begin : begin + room])
        if begin + room >= len(CONTEXT):
            break
        begin += step
    texts = [
        "".join(CONTEXT[start:end] for (start, end), inside in zip(offsets, mask) if inside)
        for offsets, mask in zip(rows["offset_mapping"], rows["context_mask"])
    ]
    assert texts == wanted


def test_without_windows_an_answer_that_is_cut_off_is_not_learnt():
    rows = encoded("谁？", [(8, 10)], windows=False)
    assert (rows["labels"], rows["lost_answers"], rows["answer_labels"]) == ([[-100, -100]], [1], [[]])
    rows = encoded("谁？", [(8, 10), (1, 3)], windows=False)
    # After [CLS], two characters and [SEP].
    assert (rows["labels"], rows["lost_answers"], rows["answer_labels"]) == ([[5, 6]], [0], [[[5, 6]]])
    assert len(encoded("谁？", [(8, 10)])["labels"]) > 1


def test_a_dataset_without_answers_has_no_columns_of_labels():
    encoder = ReadingEncoder(TOKENIZER, max_length=12, max_question_length=4)
    rows = encoder.encode_dataset(Dataset.from_dict({"question": ["谁？"], "context": [CONTEXT]}))
    assert not {"labels", "lost_answers", "answer_labels"} & {*rows.column_names}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 2, "step": 2}, "give stride or step, got stride=2 and step=2"),
        ({"stride": 2, "windows": False}, "stride and step need windows, got stride=2"),
        ({"step": 6}, r"step must be in \[1, 5\], the least room of a window, got 6"),
        ({"step": 0}, r"step must be in \[1, 5\]"),
    ],
)
def test_what_has_no_effect_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        encoded("谁？", [(0, 1)], **options)


def test_each_answer_is_drawn_in_some_epoch_and_the_same_again():
    places = [(0, 2), (-1, 0), (0, 2), (3, 4), (2, 5)]
    columns = encoded("谁？", places, windows=False)
    assert columns["answer_labels"] == [[[4, 5], [7, 7], [6, 8]]]
    rows = [{name: values[0] for name, values in columns.items()}]
    drawn = []
    for _ in range(2):
        data = DrawnRows(rows, draw_answer, seed=3)
        own = []
        for epoch in range(30):
            data.set_epoch(epoch)
            own.append(tuple(data[0]["labels"]))
        drawn.append(own)
    assert drawn[0] == drawn[1]
    assert {*drawn[0]} == {(4, 5), (7, 7), (6, 8)}
    assert "answer_labels" not in data[0]
    assert len(data) == 1
    # Of a row without an answer the label stays.
    none = {"labels": [0, 0], "answer_labels": []}
    assert draw_answer(none, random.Random(0)) == {"labels": [0, 0]}


def test_by_their_scores_answers_of_windows_change_places():
    offsets = [(0, 0), (0, 1), (1, 2), (2, 3)]
    # In the first window an answer that is likely there, in the second one that scores more.
    spans, nones = [[[1, 1, 2.0]], [[2, 2, 3.0]]], [-4.0, 2.5]
    best = {}
    for ranking in ("odds", "score"):
        own = scores_of_none(nones, ranking)
        windows = [decode_answers(row, none, offsets, "甲乙丙") for row, none in zip(spans, own)]
        best[ranking] = [(one["text"], one["score"]) for one in rank_answers(windows)]
    assert best["odds"] == [("甲", 6.0), ("乙", 0.5), ("", 0.0)]
    assert best["score"] == [("乙", 7.0), ("甲", 6.0), ("", 0.0)]
    with pytest.raises(ValueError, match="ranking must be odds or score, got 'best'"):
        scores_of_none(nones, "best")


def test_span_accuracy_is_of_the_first_answer_at_its_place():
    right, elsewhere = ({"text": "甲", "start": place, "end": place + 1, "score": 1.0} for place in (0, 4))
    none = {"text": "", "start": 0, "end": 0, "score": 9.0}
    true = [{"text": "甲", "start": 0}, {"text": "甲", "start": 4}]
    assert span_accuracy([[none, right], [elsewhere], []], [true, true, true]) == pytest.approx(1 / 3)
    assert span_accuracy([[right], [none]], [true, []]) == 1.0
    assert span_accuracy([[none]], [[]]) == 0.0
