"""`hf-ext probe`, and the probes of layers."""

import csv
import json

import pytest
import torch
from saved_tiny import saved
from transformers import BertConfig, BertModel
from typer.testing import CliRunner

from hf_ext import RoFormerConfig, RoFormerModel, build_char_tokenizer
from hf_ext.analysis import LayerScore, probe_layers
from hf_ext.cli import app

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
WORDS = ["红", "蓝", "大", "小", "我们", "去"]


def run(*arguments):
    words = ["probe", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "100"})


def examples(count):
    """Texts whose class is a letter in them."""
    generator = torch.Generator().manual_seed(count)
    for number in range(count):
        rest = "".join(WORDS[int(i)] for i in torch.randint(2, 6, (3 + number % 4,), generator=generator))
        yield {"text": rest + WORDS[number % 2] + rest[::-1], "label": ("red", "blue")[number % 2]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    saved(folder, RoFormerModel, WORDS, config_class=RoFormerConfig, initializer_range=0.3, **SIZE)
    for name, count in (("train", 120), ("test", 40)):
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in examples(count))
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def test_a_table_a_picture_and_a_file(folder, tmp_path):
    result = run(
        folder, "--file", folder / "train.jsonl", "--test-file", folder / "test.jsonl", "--shrinkage", 0.01,
        "--output", tmp_path / "layers.csv", "--plot", tmp_path / "layers.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "120 texts to fit to, 40 to score on, 2 classes" in result.stderr
    with open(tmp_path / "layers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["0", "1", "2"]
    # A letter is in the mean of the embeddings as it is.
    assert float(rows[0]["accuracy"]) == float(rows[0]["macro_f1"]) == 1
    assert all(f"{100 * float(row['accuracy']):.2f}" in result.stdout for row in rows)
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_a_fifth_is_kept_to_score_on(folder):
    result = run(folder, "--file", folder / "train.jsonl", "--pooling", "cls")
    assert result.exit_code == 0, result.output
    assert "96 texts to fit to, 24 to score on" in result.stderr


def test_what_cannot_be_probed_is_refused(folder, tmp_path):
    several = tmp_path / "several.jsonl"
    several.write_text('{"text": "a", "labels": ["b", "c"]}\n', encoding="utf-8")
    assert "must have texts with one class each" in str(run(folder, "--file", several).exception)
    train = folder / "train.jsonl"
    assert "must be in a folder" in str(run(folder, "--file", train, "--output", tmp_path / "no/a.csv").exception)
    assert run(folder, "--file", train, "--shrinkage", "much").exit_code == 2


def test_scores_are_those_of_predictions_counted_by_hand():
    tokenizer = build_char_tokenizer(WORDS)
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), initializer_range=0.3, **SIZE))
    model.train()
    texts = [("红大", "小"), ("蓝", "大小我"), ("去", "红"), ("蓝小", "们")] * 4
    ids = [0, 1, 0, 1] * 4
    told = []
    scores = probe_layers(model, tokenizer, (texts, ids), (texts[:3], [0, 1, 1]), report=told.append)
    assert model.training
    assert sum(told) == 2 * 16 + 3
    assert [one.layer for one in scores] == [0, 1, 2]
    assert isinstance(scores[0], LayerScore)
    # Those of the embeddings tell all classes; one of the three is labelled otherwise.
    assert scores[0].train_accuracy == 1
    assert scores[0].accuracy == pytest.approx(2 / 3)
    assert scores[0].macro_f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("train", "test", "pooling", "told"),
    [
        (([], []), (["红"], [0]), "mean", "train must be texts and as many labels, got 0 and 0"),
        ((["红"], [0]), (["红"], [0, 1]), "mean", "test must be texts and as many labels, got 1 and 2"),
        ((["红", "蓝"], [1, 1]), (["红"], [0]), "mean", "train must have texts of at least two classes, got 1"),
        ((["红", "蓝"], [0, 1]), (["红"], [0]), "max", "pooling must be one of mean, cls, got 'max'"),
    ],
)
def test_what_is_no_data_is_refused(train, test, pooling, told):
    tokenizer = build_char_tokenizer(WORDS)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), **SIZE))
    with pytest.raises(ValueError, match=told):
        probe_layers(model, tokenizer, train, test, pooling)
