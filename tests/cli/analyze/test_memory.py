"""`hf-ext analyze memory`."""

import pytest
from typer.testing import CliRunner

from hf_ext import RoPEViTConfig, UniLMBertConfig
from hf_ext.cli import app


def run(*arguments):
    words = ["analyze", "memory", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "100"})


def test_a_size_with_and_without_checkpointing():
    result = run("tiny", "--length", 16, "--batch-size", 2, "--layers", 6)
    assert result.exit_code == 0, result.output
    rows = [line.strip("│ ").split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == ["all kept", "gradient checkpointing"]
    whole, less = (float(row[1]) for row in rows)
    assert 0 < 3 * less < whole
    assert "times as many texts in the same memory" in result.stdout


def test_what_cannot_be_is_refused(tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    UniLMBertConfig(vocab_size=30, max_position_embeddings=8, **sizes).save_pretrained(tmp_path)
    assert "length must be at most the 8 tokens" in str(run(tmp_path, "--length", 9).exception)
    RoPEViTConfig(hidden_size=8, num_attention_heads=2).save_pretrained(tmp_path / "images")
    assert "model must read tokens" in str(run(tmp_path / "images").exception)


@pytest.mark.parametrize("option", ["--length", "--batch-size", "--layers"])
def test_numbers_must_be_at_least_1(option):
    assert "must be at least 1, got 0" in str(run("tiny", option, 0).exception)
