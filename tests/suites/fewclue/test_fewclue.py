"""FewCLUE's tables: patterns for every class, files by split, and rows as the cloze job reads them."""

import pytest

from hf_ext.suites import shipped_suites
from hf_ext.suites.files import find_part, read_part, usable, write_examples
from hf_ext.tasks.cloze import ClozePattern, read_cloze_texts

SUITE = shipped_suites()["fewclue"]
CLASSES = {"eprstmt": 2, "csldcp": 67, "tnews": 15, "iflytek": 119, "ocnli": 3, "bustm": 2, "csl": 2, "cluewsc": 2}


@pytest.mark.parametrize("name", ["csldcp", "iflytek"])
def test_words_of_ours_tell_every_class_from_every_other(shared, name):
    pattern = ClozePattern.load(f"fewclue/{name}")
    words = [word for (word,) in pattern.words.values()]
    assert len({*words}) == len(words) == CLASSES[name]
    assert not pattern.shared_words
    vocabulary = (shared / "vocab" / "bert-base-chinese.vocab.txt").read_text(encoding="utf-8").split("\n")
    assert {character for word in words for character in word} <= {*vocabulary}
    assert {len(word) for word in words} == {2}


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.name)
def test_every_class_has_a_word(task):
    assert len(task.labels) == CLASSES.get(task.name, 0)
    assert task.options["pattern"] == f"fewclue/{task.name}"
    assert task.settings("official")["num_train_epochs"] == {"tnews": 5, "iflytek": 6}.get(task.name, 20)


@pytest.mark.parametrize("task", SUITE.tasks, ids=lambda task: task.name)
def test_real_files_become_what_the_job_reads(shared, task, tmp_path):
    data = shared / "data" / "fewclue"
    assert find_part(data, task, "train", "0")[0].name == "train_0.json"
    pattern = ClozePattern.load(task.options["pattern"])
    for part in ("train", "test_public"):
        rows = usable(task, read_part(data, task, part, "0"))
        write_examples(rows, tmp_path / "rows.jsonl")
        examples = read_cloze_texts(tmp_path / "rows.jsonl", pattern)
        assert len(examples) == len(rows) > 0
        for example in examples:
            pattern.segments(example)


def test_lines_of_a_submission_keep_ids_and_types():
    lines = {task.name: task.submission_line({"id": 3000, "label": "1"}) for task in SUITE.tasks}
    assert lines["bustm"] == {"id": 3000, "label": "1"}
    assert lines["chid"] == {"id": 3000, "answer": 1}


def test_splits_are_those_of_the_benchmark():
    assert SUITE.chosen_splits(None) == ("0", "1", "2", "3", "4")
    assert SUITE.chosen_splits(["few_all"]) == ("few_all",)
    with pytest.raises(ValueError, match="splits must be of 0, 1, 2, 3, 4, few_all, got '5'"):
        SUITE.chosen_splits(["5"])
