"""`hf-ext analyze cost`, and the time of a layer."""

import pytest
from models_tiny import TOKEN_HEADS, Case
from typer.testing import CliRunner

from hf_ext import RoFormerConfig, RoPEViTConfig, TokenMixerConfig
from hf_ext.analysis import layer_cost, layer_seconds
from hf_ext.cli import app


def run(*arguments):
    words = ["analyze", "cost", *(str(argument) for argument in arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "120"})


def test_a_size_is_counted_measured_and_drawn(tmp_path):
    result = run("tiny", "--lengths", "8,16", "--measure", "--head", "--plot", tmp_path / "cost.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "cost.png").read_bytes().startswith(b"\x89PNG")
    rows = [line.strip("│ ").split() for line in result.stdout.splitlines() if line.startswith("│")]
    assert [row[0] for row in rows] == ["8", "16"]
    assert all(len([cell for cell in row if cell != "│"]) == 9 for row in rows)
    config = RoFormerConfig(hidden_size=128, intermediate_size=512, num_attention_heads=4)
    assert f"{layer_cost(config, 16).total / 1e6:.1f}" in rows[1]
    assert "from 256 tokens on attention with its projections costs more" in result.stdout


def test_a_folder_is_counted(tmp_path):
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 256}
    RoFormerConfig(**sizes).save_pretrained(tmp_path)
    assert "from 128 tokens on attention" in run(tmp_path).stdout


def test_what_cannot_be_counted_is_refused(tmp_path):
    assert "must be at least 1" in str(run("tiny", "--lengths", "0").exception)
    assert run("tiny", "--lengths", "a").exit_code == 2
    assert "must be in a folder that exists" in str(run("tiny", "--plot", tmp_path / "no/cost.png").exception)
    assert "device has no effect without measure, got cpu" in str(run("tiny", "--device", "cpu").exception)
    RoPEViTConfig(hidden_size=8, num_attention_heads=2).save_pretrained(tmp_path)
    assert "config must have a vocabulary" in str(run(tmp_path, "--head").exception)


@pytest.mark.parametrize("case", TOKEN_HEADS)
def test_every_family_can_be_timed(case: Case):
    """Beyond the positions of the config too, where these are a table."""
    config = case.config()
    length = 9 if config.model_type in ("token_mixer", "univae") else 70
    assert layer_seconds(config, length, rounds=1) > 0
    assert config.to_dict() == case.config().to_dict()


def test_a_text_longer_than_the_matrix_of_tokens_is_refused():
    config = TokenMixerConfig(max_position_embeddings=8, hidden_size=16, intermediate_size=32, vocab_size=20)
    with pytest.raises(ValueError, match="length must be at most the 8 tokens"):
        layer_seconds(config, 9)
