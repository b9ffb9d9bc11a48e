import itertools
import json
import logging
import math
import random

import pytest
import torch
from datasets import Dataset

import hf_ext
from hf_ext.tasks.reading_comprehension import (
    DataCollatorForReadingComprehension,
    ReadingEncoder,
    best_answer,
    decode_answer_dataset,
    rank_answers,
    read_questions,
    reading_scores,
)
from hf_ext.tasks.reading_comprehension.answers import NO_ANSWER, decode_answers

TEXT = "甲在1990年写了《长河》。乙在2001年写了《春江》。"
ANSWER = {"text": "1990年", "start": 2}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def squad(*questions, context=TEXT):
    return {"version": "v1", "data": [{"paragraphs": [{"context": context, "qas": list(questions)}]}]}


OWN = {"id": "q", "question": "哪年？", "context": TEXT, "answers": [ANSWER]}
LINE = json.dumps(OWN, ensure_ascii=False)
QUESTION = {"id": "q", "question": "哪年？", "answers": [{"text": "1990年", "answer_start": 2}]}
FORMATS = {
    "squad": squad(QUESTION),
    "squad 2.0": squad({**QUESTION, "is_impossible": False}),
    "pretty printed": json.dumps(squad(QUESTION), indent=2),
    "cmrc2018": [
        {
            "context_id": "c",
            "context_text": TEXT,
            "qas": [{"query_id": "q", "query_text": "哪年？", "answers": ["1990年"]}],
        }
    ],
    "articles in a list": squad(QUESTION)["data"],
    "entries in a list": [OWN],
    "lines": LINE + "\n\n",
    "lines of datasets": json.dumps({**OWN, "answers": {"text": ["1990年"], "answer_start": [2]}}) + "\n",
    "lines of columns": json.dumps({**OWN, "answers": {"text": ["1990年"], "start": [2]}}),
    "spaces around the answer": json.dumps({**OWN, "context": TEXT, "answers": [{"text": " 1990年 ", "start": 1}]}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_told_apart(name, tmp_path):
    assert read_questions(write(tmp_path / "file", FORMATS[name])) == [OWN]


def test_passages_with_and_without_an_answer(tmp_path):
    passages = [{"passage": TEXT, "answer": "2001年"}, {"passage": TEXT, "answer": ""}]
    records = [{"id": "w", "question": "哪年？", "passages": passages}, {"passages": passages}]
    found = read_questions(write(tmp_path / "file", records))
    assert [one["id"] for one in found] == ["w-0", "w-1"]
    assert [one["answers"] for one in found] == [[{"text": "2001年", "start": 16}], []]


def test_lines_without_ids_have_numbers_and_empty_files_nothing(tmp_path):
    line = json.dumps({key: value for key, value in OWN.items() if key != "id"})
    assert [one["id"] for one in read_questions(write(tmp_path / "a", f"{line}\n\n{line}"))] == ["0", "1"]
    assert read_questions(write(tmp_path / "b", "\n")) == []


@pytest.mark.parametrize("name", FORMATS)
def test_files_without_answers_are_to_be_predicted(name, tmp_path):
    content = FORMATS[name] if isinstance(FORMATS[name], str) else json.dumps(FORMATS[name])
    # No question of any format has "answers" any more.
    path = write(tmp_path / "file", content.replace('"answers"', '"other"').replace(', "is_impossible": false', ""))
    assert read_questions(path) == [{key: value for key, value in OWN.items() if key != "answers"}]


def test_no_answer_of_squad_2(tmp_path):
    plausible = {**QUESTION, "is_impossible": True, "plausible_answers": QUESTION["answers"]}
    assert read_questions(write(tmp_path / "file", squad(plausible)))[0]["answers"] == []


@pytest.mark.parametrize(
    ("text", "start", "place", "counts"),
    [
        ("写了", 7, 7, None),
        ("写了", 9, 7, (1, 0)),
        ("写了", 19, 21, (1, 0)),
        ("写了", 14, 7, (1, 0)),
        ("写了", 15, 21, (1, 0)),
        ("写了", -1, 7, None),
        ("写了", None, 7, None),
        ("丙", 3, -1, (0, 1)),
        ("丙", None, -1, (0, 1)),
        ("0", None, 5, None),
    ],
)
def test_answers_that_do_not_stand_where_they_should(text, start, place, counts, tmp_path, caplog):
    answer = {"text": text} if start is None else {"text": text, "answer_start": start}
    path = write(tmp_path / "file", squad({**QUESTION, "answers": [answer]}))
    found = read_questions(path)
    assert found[0]["answers"] == [{"text": text, "start": place}]
    messages = [record.getMessage() for record in caplog.records]
    what = "{}: of 1 answers {} stand elsewhere than given, and {} are not in their text and only score"
    assert messages == ([what.format(path, *counts)] if counts else [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1,", "file:1: the file must be JSON"),
        ('"text"', "file: the file must be JSON of an object or a list"),
        ('{"data": 3}', "file: there must be an object with a list 'data'"),
        (squad({"question": "a", "answers": []}), r"data\[0\].paragraphs\[0\].qas\[0\]: a question must have id"),
        (squad(QUESTION, {"id": "1", "question": "a"}), r"qas\[1\]: there must be an object with 'answers'"),
        (squad({**QUESTION, "question": 3}), r"qas\[0\]: question must be a string, got '3'"),
        (squad(QUESTION, context=" "), r"qas\[0\]: context must be a string that is not blank"),
        (squad(QUESTION, QUESTION), r"qas\[1\]: id must be unlike that of .*qas\[0\], got 'q'"),
        (squad({**QUESTION, "id": 1.5}), "id must be a string or an integer, got '1.5'"),
        (squad({**QUESTION, "answers": "1990年"}), "answers must be a list"),
        (squad({**QUESTION, "answers": [{"text": " "}]}), "an answer must be an object with a 'text'"),
        (
            squad({**QUESTION, "answers": [{"text": "甲", "answer_start": "0"}]}),
            "place of an answer must be an integer",
        ),
        ([{"question": "a", "passages": [{"answer": "b"}]}], r"\[0\].passages\[0\]: there must be an object with 'pas"),
        ([{"question": "a", "passages": [{"passage": "b", "answer": 1}]}], "answer must be a string, got '1'"),
        (
            {**OWN, "answers": {"text": ["1990年", "甲"], "answer_start": [2]}},
            "places of answers must be a list of 2",
        ),
        (
            {**OWN, "answers": {"text": ["1990年"], "answer_start": 2}},
            "places of answers must be a list of 1.*'2'",
        ),
        ({**OWN, "answers": {"text": ["甲"], "start": []}}, "file:1: the places of answers must be a list of 1"),
        ({**OWN, "id": True}, "file:1: id must be a string or an integer, got 'True'"),
        ([3], r"\[0\]: there must be an object with a list 'qas'"),
        (LINE + "\n{", "file:2: the line must be JSON"),
        (LINE + "\n[]", "file:2: the line must be a JSON object"),
        (LINE + '\n{"question": "a"}', "file:2: there must be an object with 'context'"),
    ],
)
def test_errors_name_the_file_and_the_entry(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_questions(write(tmp_path / "file", content))


def test_files_must_be_utf_8(tmp_path):
    (tmp_path / "file").write_bytes("[\n\n甲".encode("gbk"))
    with pytest.raises(ValueError, match="file:3: the file must be UTF-8"):
        read_questions(tmp_path / "file")


@pytest.fixture(scope="module")
def tokenizer():
    return hf_ext.build_char_tokenizer([TEXT, "哪年？谁"])


def encode(encoder, context=TEXT, answers=(ANSWER,), question="哪年？"):
    return encoder({"question": [question], "context": [context], "answers": [list(answers)]}, [7])


def test_one_row(tokenizer):
    rows = encode(ReadingEncoder(tokenizer, 64))
    assert tokenizer.decode(rows["input_ids"][0]).count("[SEP]") == 2
    (mask,), (label,), (offsets,) = rows["context_mask"], rows["labels"], rows["offset_mapping"]
    inside = [place for place, one in enumerate(mask) if one]
    assert inside == [*range(5, len(mask) - 1)]
    assert mask == [*rows["token_type_ids"][0][:-1], 0]
    assert [offsets[place] for place in (0, 1, 4, len(mask) - 1)] == [(0, 0)] * 4
    assert TEXT[offsets[label[0]][0] : offsets[label[1]][1]] == "1990年"
    assert (rows["lost_answers"], rows["cut_questions"], rows["example_id"]) == ([0], [0], [7])
    assert encode(ReadingEncoder(tokenizer, 64), answers=())["labels"] == [[0, 0]]
    missing = [{"text": "丙", "start": -1}]
    assert encode(ReadingEncoder(tokenizer, 64), answers=missing)["labels"] == [[-100, -100]]
    assert encode(ReadingEncoder(tokenizer, 64), answers=[*missing, ANSWER])["labels"] == [label]


def test_windows_without_the_answer_have_none_and_parts_are_left_out(tokenizer):
    encoder = ReadingEncoder(tokenizer, 16, stride=4, max_question_length=3)
    rows = encode(encoder)
    assert [label != [0, 0] for label in rows["labels"]] == [True, False, False, False]
    # Longer than the part that two windows share, and nowhere whole.
    long = {"text": TEXT[3:16], "start": 3}
    rows = encode(encoder, answers=[long])
    windows = [[pair for pair in offsets if pair != (0, 0)] for offsets in rows["offset_mapping"]]
    touched = [max(3, own[0][0]) < min(16, own[-1][1]) for own in windows]
    assert rows["labels"] == [[-100, -100] if one else [0, 0] for one in touched]
    assert sum(rows["lost_answers"]) == 1


def test_an_answer_that_ends_inside_a_token_is_lost():
    whole = hf_ext.build_char_tokenizer([TEXT])
    whole.add_tokens(["1990年"])
    rows = encode(ReadingEncoder(whole, 64), answers=[{"text": "1990", "start": 2}])
    assert (rows["labels"], rows["lost_answers"]) == ([[-100, -100]], [1])
    assert encode(ReadingEncoder(whole, 64))["lost_answers"] == [0]


def test_warnings_count_lost_answers_and_cut_questions(tokenizer, caplog):
    encoder = ReadingEncoder(tokenizer, 16, stride=4, max_question_length=3)
    long = {"text": TEXT[3:16], "start": 3}
    rows = [{"id": "a", "question": "哪年？谁", "context": TEXT, "answers": [long]}, OWN]
    with caplog.at_level(logging.WARNING):
        encoded = encoder.encode_dataset(Dataset.from_list(rows))
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "the answers of 1 of 2 questions begin or end inside a token, or fit in no window of 16 tokens",
        "1 of 2 questions are cut to 3 tokens (max_question_length)",
    ]
    assert encoded["example_id"][0] == 0
    assert encoded["example_id"][-1] == 1
    unlabelled = encoder.encode_dataset(Dataset.from_list(rows).remove_columns("answers"))
    assert unlabelled["input_ids"] == encoded["input_ids"]
    assert "labels" not in unlabelled.column_names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 20, "max_question_length": 17}, "max_length must have room for 3 special tokens, 17 of a que"),
        (
            {"max_length": 4},
            "max_length must have room for 3 special tokens, 1 of a question and one of its text, got 4",
        ),
        ({"max_question_length": 0}, "max_question_length must be at least 1, got 0"),
        ({"max_length": 40, "stride": 27}, "stride must be at least 0 and less than the 27 tokens of a window, got 27"),
        ({"stride": -1}, "stride must be at least 0"),
    ],
)
def test_lengths_that_leave_no_room(tokenizer, options, message):
    assert len(encode(ReadingEncoder(tokenizer, 5))["labels"]) == len(TEXT)
    with pytest.raises(ValueError, match=message):
        ReadingEncoder(tokenizer, **options)


def test_an_empty_dataset_and_questions_without_a_place_for_no_answer(tokenizer):
    encoder = ReadingEncoder(tokenizer)
    with pytest.raises(ValueError, match="dataset must have at least one row"):
        encoder.encode_dataset(Dataset.from_list([OWN]).select([]))
    bare = hf_ext.build_char_tokenizer([TEXT])
    bare.backend_tokenizer.post_processor = None
    with pytest.raises(ValueError, match="question must have a token for no answer to stand at, got ''"):
        encode(ReadingEncoder(bare), question="")
    slow = hf_ext.build_char_tokenizer([TEXT])
    type(slow).is_fast, kept = False, type(slow).is_fast
    try:
        with pytest.raises(ValueError, match="tokenizer must be a fast one"):
            ReadingEncoder(slow)
    finally:
        type(slow).is_fast = kept


@pytest.mark.parametrize("side", ["right", "left"])
def test_collator_pads_on_either_side(side):
    tokenizer = hf_ext.build_char_tokenizer([TEXT, "哪年？"], padding_side=side)
    rows = encode(ReadingEncoder(tokenizer, 24, stride=4, max_question_length=3))
    table = [{name: values[i] for name, values in rows.items()} for i in (0, len(rows["labels"]) - 1)]
    batch = DataCollatorForReadingComprehension(tokenizer, pad_to_multiple_of=16)(table)
    assert set(batch) == {"input_ids", "token_type_ids", "attention_mask", "context_mask", "labels"}
    assert {name: tuple(value.shape) for name, value in batch.items()} == dict.fromkeys(batch, (2, 32)) | {
        "labels": (2, 2)
    }
    for padded, row, mask in zip(batch["context_mask"], table, batch["attention_mask"]):
        assert padded[mask.bool()].tolist() == row["context_mask"]
        assert not padded[~mask.bool()].any()
    assert batch["labels"].tolist() == [row["labels"] for row in table]
    for row in table:
        del row["labels"]
    assert "labels" not in DataCollatorForReadingComprehension(tokenizer)(table)


def brute_force(windows, n_best):
    """All answers by place, each with its best score, and their shares with no answer."""
    places = {(one["start"], one["end"]) for window in windows for one in window}
    scores = {
        place: max(one["score"] for window in windows for one in window if (one["start"], one["end"]) == place)
        for place in places
    }
    total = 1 + sum(math.exp(score) for score in scores.values())
    ranked = sorted(scores.items(), key=lambda item: (-item[1], *item[0]))[:n_best]
    return [(*place, score, math.exp(score) / total) for place, score in ranked], 1 / total


@pytest.mark.parametrize("n_best", [1, 3, 50])
def test_merging_is_the_best_of_all_windows(n_best):
    source = random.Random(n_best)
    for _ in range(50):
        windows = [
            [
                {"start": start, "end": start + source.randint(1, 3), "text": "x", "score": source.gauss(0, 3)}
                for start in (source.randrange(6) for _ in range(source.randrange(8)))
            ]
            for _ in range(source.randrange(1, 4))
        ]
        want, none = brute_force(windows, n_best)
        found = rank_answers(windows, n_best)
        assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
        (null,) = [one for one in found if not one["text"]]
        assert null == {**NO_ANSWER, "probability": pytest.approx(none)}
        answers = [one for one in found if one["text"]]
        assert [(a["start"], a["end"], a["score"], a["probability"]) for a in answers] == [
            (start, end, score, pytest.approx(share)) for start, end, score, share in want
        ]
        without = rank_answers(windows, n_best, null=False)
        assert [one["start"] for one in without] == [one["start"] for one in answers]
        if len(without) == len({(one["start"], one["end"]) for window in windows for one in window}) > 0:
            assert sum(one["probability"] for one in without) == pytest.approx(1)
        best = answers[0]["score"] if answers else None
        for threshold, expected in [(None, True), (0.0, best and best >= 0), (2.0, best and best >= -2)]:
            assert best_answer(found, threshold) == ("x" if best is not None and expected else "")


def test_scores_are_odds_against_no_answer_and_far_ones_do_not_overflow():
    offsets = [(0, 0), (0, 1), (1, 2), (2, 4), (0, 0)]
    spans = [[1, 2, -0.5], [0, 1, 9.0], [3, 3, -1000.0], [-1, -1, -math.inf]]
    found = decode_answers(spans, -2.0, offsets, "甲乙 丙")
    assert found == [
        {"start": 0, "end": 2, "text": "甲乙", "score": 1.5},
        {"start": 3, "end": 4, "text": "丙", "score": -998.0},
    ]
    ranked = rank_answers([[{**found[0], "score": 2000.0}], found])
    assert [one["probability"] for one in ranked] == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="got NaN"):
        decode_answers([[1, 2, math.nan]], 0.0, offsets, "甲乙 丙")
    with pytest.raises(ValueError, match="must lie within the row's 5 tokens"):
        decode_answers([[1, 5, 0.0]], 0.0, offsets, "甲乙 丙")
    with pytest.raises(ValueError, match="n_best must be at least 1"):
        rank_answers([found], 0)


def test_one_prediction_for_each_row(tokenizer):
    encoded = ReadingEncoder(tokenizer, 64).encode_dataset(Dataset.from_list([OWN]))
    with pytest.raises(ValueError, match="one entry for each of the 1 rows, got 2 and 1"):
        decode_answer_dataset(([[], []], [0.0]), encoded, [TEXT])


@pytest.mark.slow
@pytest.mark.parametrize("file", ["cmrc2018_dev_first250.json", "cmrc2018_trial.json"])
def test_gold_answers_come_back_from_windows_of_128_tokens(shared, file):
    path = shared / "data" / "cmrc2018" / file
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    asked = [question for article in articles for part in article["paragraphs"] for question in part["qas"]]
    examples = read_questions(path)
    assert [example["question"] for example in examples] == [question["question"].strip() for question in asked]
    tokenizer = hf_ext.build_char_tokenizer(example["context"] + example["question"] for example in examples)
    encoded = ReadingEncoder(tokenizer, 128).encode_dataset(Dataset.from_list(examples))
    labels = encoded["labels"]
    spans = [[[*label, 3.0]] if label[1] > 0 else [[-1, -1, -math.inf]] for label in labels]
    contexts = [example["context"] for example in examples]
    ranked = decode_answer_dataset((spans, [0.0] * len(spans)), encoded, contexts)
    gone = set(itertools.compress(encoded["example_id"], encoded["lost_answers"]))
    # One that can be learnt begins and ends with tokens of one window.
    borders = {number: [] for number in range(len(examples))}
    for number, offsets in zip(encoded["example_id"], encoded["offset_mapping"]):
        borders[number].append([set(side) for side in zip(*(place for place in offsets if place[1]))])
    assert gone == {
        number
        for number, example in enumerate(examples)
        if not any(
            answer["start"] in starts and answer["start"] + len(answer["text"]) in ends
            for answer in example["answers"]
            for starts, ends in borders[number]
        )
    }
    usable = [number for number in range(len(examples)) if number not in gone]
    texts = [[answer["text"] for answer in examples[number]["answers"]] for number in usable]
    scores = reading_scores([best_answer(ranked[number]) for number in usable], texts)
    assert (scores["exact_match"], scores["f1"], scores["total"]) == (1.0, 1.0, len(usable))
    assert torch.tensor(labels).shape == (len(encoded), 2)


@pytest.mark.parametrize("file", ["WebQA.json", "SogouQA.json"])
def test_published_passages(shared, file, caplog):
    path = shared / "data" / "webqa_sample" / file
    entries = json.loads(path.read_text(encoding="utf-8"))
    passages = [one for entry in entries if entry.get("question") for one in entry["passages"]]
    found = [[answer["text"] for answer in example["answers"]] for example in read_questions(path)]
    assert found == [[one["answer"].strip()] if one["answer"].strip() else [] for one in passages]
    # All stand in their passages.
    assert caplog.messages == []
