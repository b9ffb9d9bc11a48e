"""The small encoders of the study: made without anybody watching, left alone once they are there; their texts."""

import csv
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.encoders import log_of, main
from studies.pretraining_texts import _FILES, write_texts


@pytest.mark.slow
def test_encoders_are_made_once_and_go_on(tmp_path, capsys):
    words = ["--quick", "--output", str(tmp_path), "--config", "tiny", "--threads", "1", "--batch-size", "4"]
    names = ("roformer", "gau_alpha", "words")
    words += [word for name in names for word in ("--only", name)]
    main(words)
    with (tmp_path / "curves.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["encoder"] for row in rows} == set(names)
    assert any(row["loss"] for row in rows)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    for name in names:
        assert (tmp_path / name / "model.safetensors").is_file()
        assert any("share_of_peak" in entry for entry in log_of(tmp_path / name))
    capsys.readouterr()
    times = {name: (tmp_path / name / "model.safetensors").stat().st_mtime_ns for name in names}
    # One was broken off before it could write its scores.
    (tmp_path / "words" / "scores.json").unlink()
    (tmp_path / "words" / "model.safetensors").unlink()
    main(words)
    printed = capsys.readouterr().out
    assert printed.count("has ended") == 2
    for name in names:
        changed = (tmp_path / name / "model.safetensors").stat().st_mtime_ns != times[name]
        assert changed == (name == "words")


def test_texts_are_without_labels_and_each_once(tmp_path):
    count = write_texts(tmp_path / "texts.jsonl", None)
    lines = (tmp_path / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(row.keys() == {"text"} for row in rows)
    texts = [row["text"] for row in rows]
    assert len(set(texts)) == len(texts) > 20
    assert count == sum(map(len, texts))


def test_no_file_is_one_to_be_scored_on():
    assert [name for name in _FILES if "test" in name or "dev" in name or "valid" in name] == []


@pytest.mark.parametrize(
    ("name", "lines", "wanted"),
    [
        ("tnews/train.tsv", ["标题\tnews\n"], ["标题"]),
        ("chnsenticorp/train.tsv", ["label\ttext_a\n", "1\t很好\n"], ["很好"]),
        ("afqmc/train.txt", ["甲\t乙\t0\n"], ["甲", "乙"]),
        ("simbert_sample/data_similarity.jsonl", ['{"text": "甲", "synonyms": ["乙", "丙"]}\n'], ["甲", "乙", "丙"]),
        ("resume_ner/train.char.bmes", ["高 B\n", "勇 E\n", "\n", "男 O\n"], ["高勇", "男"]),
        ("weibo_ner/weiboNER_2nd_conll.train", ["科0\tO\n", "技1\tO\n"], ["科技"]),
        ("lccc_sample/toy_train.txt", ["你 好\t在 吗\n"], ["你好", "在吗"]),
        ("duee_event_multilabel/train.csv", ["label,content\n", "裁员,雀巢,裁员\n"], ["雀巢,裁员"]),
        ("cail2019_elements/labor.train.json", ['[{"sentence": "甲。"}, {"sentence": "乙。"}]\n'], ["甲。乙。"]),
        ("cmrc2018/cmrc2018_trial.json", ['{"data": [{"paragraphs": [{"context": "文"}]}]}'], ["文"]),
        ("webqa_sample/WebQA.json", ['[{"passages": [{"passage": "段"}]}, {}]'], ["段"]),
    ],
)
def test_texts_of_each_form(name, lines, wanted):
    assert [text.strip() for text in _FILES[name][0](lines)] == wanted
