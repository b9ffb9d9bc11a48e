"""`hf-ext analyze unargmaxable`."""

import json

import torch
from typer.testing import CliRunner

from hf_ext import RoFormerConfig, RoFormerForMaskedLM, RoFormerModel, build_char_tokenizer
from hf_ext.cli import app

SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}


def run(*arguments):
    return CliRunner().invoke(app, ["analyze", "unargmaxable", *(str(argument) for argument in arguments)])


def test_tokens_that_never_win_are_named(tmp_path):
    tokenizer = build_char_tokenizer(["天气真不错，我们去公园吧"])
    torch.manual_seed(0)
    model = RoFormerForMaskedLM(RoFormerConfig(vocab_size=len(tokenizer), **SIZE))
    rows = model.get_output_embeddings().weight.data
    # Of rows of one length all win.
    rows.copy_(torch.nn.functional.normalize(torch.randn(rows.shape), dim=-1))
    rows[8] = rows[11:].mean(0)
    rows[9] = rows[10]
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    result = run(tmp_path, "--output", tmp_path / "found.jsonl")
    assert result.exit_code == 0, result.output
    never, *doubles = [line.split("\t") for line in result.stdout.splitlines()]
    assert never == ["never", "8", tokenizer.convert_ids_to_tokens(8)]
    assert [line[:2] for line in doubles] == [["duplicate", "9"], ["duplicate", "10"]]
    assert f"{len(tokenizer)} tokens of 16 numbers and a bias: duplicate 2, never 1, wins" in result.stderr
    first, *_ = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    mean = torch.tensor(first["weights"]) @ rows[first["others"]]
    torch.testing.assert_close(mean, rows[8], rtol=0, atol=1e-6)


def test_a_model_without_a_head_is_refused(tmp_path):
    RoFormerModel(RoFormerConfig(vocab_size=20, **SIZE)).save_pretrained(tmp_path)
    assert "ForMaskedLM" in str(run(tmp_path).exception)
    assert "must be in a folder that exists" in str(run(tmp_path, "--output", tmp_path / "no/file").exception)
