"""`hf-ext analyze signal`: its table is that of the probe over the same tokens."""

import csv

import pytest
import torch
from transformers import AutoTokenizer
from typer.testing import CliRunner

import hf_ext
from hf_ext.analysis import SecondMomentProbe
from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext_cli import app

TEXTS = ["天气很好", "我们去公园", "好"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tokenizer = build_char_tokenizer(TEXTS)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    torch.manual_seed(0)
    config = hf_ext.RoFormerConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes)
    hf_ext.RoFormerModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    (path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def run(*words):
    return CliRunner().invoke(app, ["analyze", "signal", *map(str, words)])


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return {(row["module"], row["kind"]): row for row in csv.DictReader(file)}


def test_texts_of_a_file(folder, tmp_path):
    table = tmp_path / "signal.csv"
    result = run(
        folder, "--file", folder / "texts.txt", "--csv", table, "--gradients", "--modules", r"encoder\.layer\.1.*"
    )
    assert result.exit_code == 0, result.output
    assert "encoder.layer.1.attention.self" in result.output
    assert "largest weight" in result.output
    found = rows_of(table)
    model = hf_ext.RoFormerModel.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with SecondMomentProbe(model.eval()) as probe:
        batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
        model(batch["input_ids"], batch["attention_mask"])
    for row in probe.rows:
        if row.module.startswith("encoder.layer.1"):
            assert float(found[row.module, row.kind]["mean_square"]) == pytest.approx(row.mean_square, rel=1e-4)
            assert int(found[row.module, row.kind]["count"]) == row.count
    assert ("encoder.layer.1", "gradient") in found
    assert {name for name, _ in found} == {r.module for r in probe.rows if r.module.startswith("encoder.layer.1")}


def test_drawn_tokens_and_new_weights(folder, tmp_path):
    pytest.importorskip("matplotlib")
    for scheme in ("family", "deepnorm"):
        table, plot = tmp_path / f"{scheme}.csv", tmp_path / f"{scheme}.png"
        words = ["--new-weights", scheme, "--texts", 3, "--max-length", 5, "--batch-size", 2]
        result = run(folder, *words, "--csv", table, "--plot", plot)
        assert result.exit_code == 0, result.output
        assert int(rows_of(table)["encoder.layer.0", "output"]["count"]) == 3 * 5 * 8
        assert plot.stat().st_size
    first, second = (
        float(rows_of(tmp_path / f"{s}.csv")["encoder.layer.0.intermediate.dense", "output"]["mean_square"])
        for s in ("family", "deepnorm")
    )
    assert first < second / 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--new-weights", "x"], "new_weights must be one of family, bert"),
        (["--csv", "no/folder/x.csv"], "no/folder/x.csv must be in a folder that exists"),
        (["--modules", "x"], "pattern must match the name of a module, got 'x'"),
    ],
)
def test_what_is_refused(folder, words, message):
    result = run(folder, *words)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_an_empty_file(folder, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    result = run(folder, "--file", tmp_path / "empty.txt")
    assert result.exit_code
