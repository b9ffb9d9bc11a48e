"""Patterns: what is read of a template and of a file, and what is refused."""

import json
import os
import re
from pathlib import Path

import pytest

from hf_ext.tasks.cloze import ClozePattern, read_cloze_texts, read_unlabelled_texts, shipped_patterns
from hf_ext.tasks.cloze.pattern import Segment

WORDS = {"good": "很", "bad": ("不", "没")}
# Labels, masks that a word fills, and the texts of each pattern that comes along.
SHIPPED = {
    "bustm": (2, 0, ("text", "text2")),
    "chid": (None, 0, ("content",)),
    "cluewsc": (2, 0, ("target.span2_text", "target.span1_text", "text")),
    "csl": (2, 0, ("keyword", "abst")),
    "csldcp": (67, 0, ("text",)),
    "eprstmt": (2, 0, ("text",)),
    "iflytek": (119, 0, ("text",)),
    "ocnli": (3, 0, ("text", "text2")),
    "tnews": (15, 0, ("text",)),
}


def words(text):
    return Segment("words", text)


def test_pieces_of_an_example_stand_in_the_order_of_the_template():
    pattern = ClozePattern("{{X}}{mask}满意{soft}。{a.b:whole}{list}", WORDS)
    assert pattern.segments({"a": {"b": "甲{text}"}, "list": ["乙", "丙"]}) == [
        words("{X}"),
        Segment("mask"),
        words("满意"),
        Segment("soft"),
        words("。"),
        Segment("text", "甲{text}"),
        Segment("text", "乙，丙", "end"),
    ]
    assert (pattern.fields, pattern.masks, pattern.soft_tokens) == (("a.b", "list"), 0, 1)
    assert pattern.labels == ("good", "bad")
    assert pattern.words == {"good": ("很",), "bad": ("不", "没")}
    assert ClozePattern("{mask}{text}{mask}", WORDS).masks == 2


def test_a_blank_of_the_text_is_where_the_masks_are():
    pattern = ClozePattern("{content}", blank="#idiom#", candidates="candidates")
    assert pattern.segments({"content": "前#idiom#后"}) == [
        Segment("text", "前", "start"),
        Segment("mask"),
        Segment("text", "后", "end"),
    ]
    for text in ("前后", "#idiom#前#idiom#"):
        with pytest.raises(ValueError, match=r"must have the blank '#idiom#' once, got it [02] times"):
            pattern.segments({"content": text})


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        ("满意。{text}", {}, "template must have at least one {mask}, got '满意。{text}'"),
        ("{mask}满意。", {}, "template must have a text, such as {text}"),
        ("{mask{text}", {}, "template must have names in its braces, and others doubled"),
        ("{mask}}{text}", {}, "template must have names in its braces"),
        ("{mask}{}{text}", {}, "template must have names in its braces"),
        ("{mask}{ text}", {}, "template must have names in its braces"),
        ("{mask}{text}", {"blank": "#"}, "template must have no {mask} with the blank '#'"),
        ("{text}", {"blank": ""}, "blank must be left out or some characters"),
        (
            "{mask}{text}",
            {"verbalizer": {"a": "很", "b": "很"}},
            "got '很' of 'a' and 'b', whose scores would always tie",
        ),
        ("{mask}{text}", {"verbalizer": {"a": ["很", "很"], "b": "不"}}, "must differ, got '很' twice of 'a'"),
        ("{mask}{text}", {"verbalizer": {"a": " ", "b": "不"}}, "must be texts that are not blank, got ' ' of 'a'"),
        ("{mask}{text}", {"verbalizer": {"a": [], "b": "不"}}, "must be texts that are not blank, got [] of 'a'"),
        ("{mask}{text}", {"verbalizer": {"a": [1], "b": "不"}}, "must be texts that are not blank, got [1] of 'a'"),
        ("{mask}{text}", {"verbalizer": {"a": "很"}}, "verbalizer must have at least two labels, got ['a']"),
        ("{mask}{text}", {"verbalizer": WORDS, "candidates": "c"}, "give either a verbalizer or candidates, got both"),
    ],
)
def test_what_is_no_pattern_is_refused(template, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ClozePattern(template, **options)


def test_labels_may_share_a_word_where_that_is_said():
    pattern = ClozePattern("{mask}{text}", {"a": "工具", "b": "工具"}, shared_words=True)
    assert pattern.words == {"a": ("工具",), "b": ("工具",)}


def test_a_text_that_an_example_lacks_is_named():
    with pytest.raises(ValueError, match=r"must have a text under 'target.span', as its pattern says, got None"):
        ClozePattern("{mask}{target.span}", WORDS).segments({"target": "甲"})


@pytest.mark.parametrize(
    ("template", "number", "wanted"),
    [
        ("{mask}{text}", 8, "{soft}{soft}{soft}{soft}{mask}{soft}{soft}{soft}{soft}{text}"),
        ("{text}。{mask}{mask}的", 3, "{text}。{soft}{mask}{mask}{soft}{soft}的"),
    ],
)
def test_soft_tokens_stand_around_the_mask(template, number, wanted):
    assert ClozePattern(template, WORDS).with_soft_tokens(number) == ClozePattern(wanted, WORDS)


def test_soft_tokens_stand_around_the_blank_of_a_text():
    pattern = ClozePattern("{content}", blank="#", candidates="c").with_soft_tokens(3)
    kinds = [segment.kind for segment in pattern.segments({"content": "今天#好"})]
    assert kinds == ["text", "soft", "mask", "soft", "soft", "text"]
    assert pattern.soft_tokens == 3
    assert ClozePattern.from_json(pattern.as_json()) == pattern
    with pytest.raises(ValueError, match="soft_around_blank goes with a blank and is 0 or more, got 2"):
        ClozePattern("{mask}{text}", WORDS, soft_around_blank=2)


@pytest.mark.parametrize(
    ("template", "number", "message"),
    [
        ("{soft}{mask}{text}", 2, "soft_tokens must be left out where the pattern says where they stand"),
        ("{mask}{text}{mask}", 2, "soft tokens need a pattern with its masks in one place"),
        ("{mask}{text}", 0, "soft_tokens must be at least 1, got 0"),
    ],
)
def test_soft_tokens_that_cannot_be_placed_are_refused(template, number, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ClozePattern(template, WORDS).with_soft_tokens(number)


@pytest.mark.parametrize(
    "pattern",
    [
        ClozePattern("{mask}{text}", {"z": "很", "a": ["不", "没"]}),
        ClozePattern("{mask}{text}", {"b": "很", "a": "很"}, shared_words=True),
        ClozePattern("{x}", blank="#", candidates="c", answer="right"),
        ClozePattern("{mask}{text}"),
    ],
)
def test_a_pattern_is_read_as_it_is_written_with_its_labels_in_their_order(pattern):
    """A config sorts its keys."""
    written = json.loads(json.dumps(pattern.as_json(), sort_keys=True))
    again = ClozePattern.from_json(written)
    assert again == pattern
    assert pattern.verbalizer is None or again.labels == pattern.labels


def test_files_hold_patterns(tmp_path):
    wanted = ClozePattern("{mask}满意。{text}", {"1": "很", "no": ("不", "没")})
    (tmp_path / "a.yaml").write_text(
        'pattern: "{mask}满意。{text}"\nverbalizer: {1: 很, no: [不, 没]}\n', encoding="utf-8"
    )
    said = {"pattern": wanted.template, "verbalizer": {"1": "很", "no": ["不", "没"]}}
    (tmp_path / "a.json").write_text(json.dumps(said), encoding="utf-8")
    assert ClozePattern.load(str(tmp_path / "a.yaml")) == wanted
    assert ClozePattern.load(str(tmp_path / "a.json")) == wanted
    assert ClozePattern.load(wanted.template).with_verbalizer(wanted.words) == wanted
    with pytest.raises(ValueError, match="verbalizer must be left out where the pattern has one"):
        wanted.with_verbalizer(WORDS)
    with pytest.raises(ValueError, match="verbalizer must be given, with the word of each label"):
        _ = ClozePattern.load(wanted.template).labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"verbalizer": {}}', "must have a pattern and none but pattern, verbalizer"),
        ('{"pattern": "{mask}{text}", "words": {}}', "must have a pattern and none but pattern, verbalizer"),
        ('{"pattern": "{mask}{text}", "verbalizer": 3}', "a.json: "),
        ('{"pattern": "{mask}{text}", "verbalizer": [1, 2]}', "a.json: "),
        ('{"pattern": "{mask}"}', "a.json: template must have a text"),
        ("[", "a.json cannot be read"),
    ],
)
def test_what_a_file_has_wrong_is_refused_with_its_name(text, message, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        ClozePattern.load(str(tmp_path / "a.json"))


def test_a_pattern_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"one of fewclue/bustm, .*fewclue/tnews, got 'tnews'"):
        ClozePattern.load("tnews")


def test_patterns_that_come_along():
    assert shipped_patterns() == [f"fewclue/{name}" for name in sorted(SHIPPED)]
    for name, (labels, masks, fields) in SHIPPED.items():
        pattern = ClozePattern.load(f"fewclue/{name}")
        assert (pattern.masks, pattern.fields) == (masks, fields)
        assert (pattern.verbalizer and len(pattern.labels)) == labels
        # Every word fits its masks: one character or two.
        assert len({len(word) for own in (pattern.verbalizer or {}).values() for word in own}) <= 1


@pytest.fixture(scope="module")
def fewclue(shared: Path) -> Path:
    return shared / "data" / "fewclue"


@pytest.mark.parametrize("name", [name for name, (labels, *_) in SHIPPED.items() if labels or name == "chid"])
def test_the_benchmarks_files_are_read_as_they_are(fewclue, name):
    pattern = ClozePattern.load(f"fewclue/{name}")
    for part in ("train_0", "dev_0", "test_public"):
        examples = read_cloze_texts(fewclue / name / f"{part}.json", pattern)
        lines = (fewclue / name / f"{part}.json").read_text(encoding="utf-8").strip().split("\n")
        assert len(examples) == len(lines) > 30
        # Not every file has all of many classes.
        if name != "chid" and (part == "train_0" or len(pattern.labels) < 60):
            assert {example["label"] for example in examples} == set(pattern.labels)
        for example, line in zip(examples, lines):
            record = json.loads(line)
            label = record["answer"] if name == "chid" else record["label"]
            assert example["label"] == str(label)
            pattern.segments(example)


def test_names_of_tnews_are_those_of_its_own_file(fewclue):
    lines = (fewclue / "tnews" / "label_index2en2zh.json").read_text(encoding="utf-8").splitlines()
    said = {record["label"]: (record["label_zh"],) for record in map(json.loads, lines)}
    assert ClozePattern.load("fewclue/tnews").words == said


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_files_of_a_patterns_own_keys(tmp_path):
    pattern = ClozePattern("{mask}用{keyword}概括{abst}，{text}", {"1": "可以", "0": "不能"})
    record = {"keyword": ["甲", "乙"], "abst": "丙", "sentence": "丁", "label": 1, "id": 3}
    file = write(tmp_path / "a.json", json.dumps(record), json.dumps({**record, "label": "0"}))
    texts = {"keyword": ["甲", "乙"], "abst": "丙", "text": "丁"}
    assert read_cloze_texts(file, pattern) == [{**texts, "label": "1"}, {**texts, "label": "0"}]
    assert read_unlabelled_texts(file, pattern) == [texts, texts]


@pytest.mark.parametrize(
    ("pattern", "record", "message"),
    [
        ("{mask}{a}", {"label": "good"}, "a.json:1: an example must have a text under 'a'"),
        ("{mask}{a}", {"a": "甲"}, "a.json:1: a row must have 'label'"),
        ("{mask}{a}", {"a": "甲", "label": "fine"}, "a.json:1: label must be one of good, bad, got 'fine'"),
        ("{mask}{text}", {"text": "甲", "label": "fine"}, "a.json:1: label must be one of good, bad, got 'fine'"),
        ("{mask}{text}", {"text": "甲", "labels": ["good", "bad"]}, "a text must have one label"),
        ("{mask}{text}{text2}", {"text": "甲", "label": "good"}, "a row must have text2, as the pattern says"),
    ],
)
def test_rows_that_a_pattern_cannot_take_are_refused(pattern, record, message, tmp_path):
    file = write(tmp_path / "a.json", json.dumps(record))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_cloze_texts(file, ClozePattern(pattern, WORDS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": 2}, "answer must be a number from 0 to 1, got '2'"),
        ({"answer": True}, "answer must be a number from 0 to 1, got 'true'"),
        ({"answer": None}, "answer must be a number from 0 to 1, got 'null'"),
        ({"candidates": ["甲", "甲"]}, "candidates must be a list of two words or more that differ"),
        ({"candidates": "甲乙"}, "candidates must be a list of two words or more that differ"),
        ({"text": "甲"}, "a text must have the blank '#' once, got it 0 times"),
    ],
)
def test_candidates_are_checked(change, message, tmp_path):
    record = {"text": "甲#", "candidates": ["甲", "乙"], "answer": 1}
    pattern = ClozePattern("{text}", blank="#", candidates="candidates")
    file = write(tmp_path / "a.json", json.dumps(record))
    assert read_cloze_texts(file, pattern) == [{"text": "甲#", "candidates": ["甲", "乙"], "label": "1"}]
    with pytest.raises(ValueError, match=re.escape(message)):
        read_cloze_texts(write(tmp_path / "b.json", json.dumps(record | change)), pattern)


def test_unlabelled_texts_are_lines_or_json(tmp_path):
    pattern = ClozePattern("{mask}{text}", WORDS)
    assert read_unlabelled_texts(write(tmp_path / "a.txt", "甲", "", "乙"), pattern) == [{"text": "甲"}, {"text": "乙"}]
    pair = ClozePattern("{text}{mask}{text2}", WORDS)
    with pytest.raises(ValueError, match="must have JSON lines with text, text2, as the pattern says, got lines"):
        read_unlabelled_texts(tmp_path / "a.txt", pair)
    file = write(tmp_path / "b.json", '{"sentence1": "甲", "sentence2": "乙", "id": 1}')
    assert read_unlabelled_texts(file, pair) == [{"text": "甲", "text2": "乙"}]


def test_a_file_that_changes_is_read_anew(tmp_path):
    file = tmp_path / "pattern.json"
    for number, word in enumerate("好美"):
        file.write_text(
            json.dumps({"pattern": "很{mask}：{text}", "verbalizer": {"yes": word, "no": "差"}}), encoding="utf-8"
        )
        os.utime(file, (number, number))
        assert ClozePattern.load(str(file)).words["yes"] == (word,)


def test_files_of_one_name_in_two_folders_are_two(tmp_path, monkeypatch):
    for word in "好美":
        folder = tmp_path / word
        folder.mkdir()
        text = json.dumps({"pattern": "很{mask}：{text}", "verbalizer": {"yes": word, "no": "差"}})
        (folder / "pattern.json").write_text(text, encoding="utf-8")
        os.utime(folder / "pattern.json", (0, 0))
        monkeypatch.chdir(folder)
        assert ClozePattern.load("pattern.json").words["yes"] == (word,)
