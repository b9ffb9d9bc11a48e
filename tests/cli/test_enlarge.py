"""hf-ext enlarge: what it writes loads, and computes the same."""

import json

import pytest
import torch
from models_tiny import SIZES, make
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer
from typer.testing import CliRunner

import hf_ext
import hf_ext_cli
from hf_ext.enlargement import EnlargedFolder, enlarge_folder

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"甲乙丙丁戊"]


def run(*arguments):
    return CliRunner().invoke(hf_ext_cli.app, ["enlarge", *map(str, arguments)])


@pytest.fixture
def small(tmp_path):
    """A folder of a model and its tokenizer."""
    folder = tmp_path / "small"
    model = make(hf_ext.RoFormerForMaskedLM, hf_ext.RoFormerConfig(**SIZES | {"vocab_size": 10}), dtype=torch.float32)
    model.save_pretrained(folder)
    folder.joinpath("vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    folder.joinpath("job.json").write_text(json.dumps({"command": "mlm", "options": {}}), encoding="utf-8")
    return folder


def test_enlarges(small, tmp_path):
    large = tmp_path / "large"
    result = run(small, large, "--factor", "3", "--noise", "0.1")
    assert result.exit_code == 0, result.output
    assert "RoFormerForMaskedLM" in result.stdout
    assert "Largest differences in float64: logits" in result.stdout
    assert "rounded to float32" in result.stdout
    inputs = AutoTokenizer.from_pretrained(large)("甲丁戊", return_tensors="pt")
    before, after = (AutoModelForMaskedLM.from_pretrained(folder).eval() for folder in (small, large))
    assert after.config.num_attention_heads == 12
    torch.testing.assert_close(after(**inputs).logits, before(**inputs).logits, rtol=1e-4, atol=1e-4)
    assert json.loads((large / "job.json").read_text())["command"] == "mlm"
    card = (large / "README.md").read_text()
    assert "enlarged from small" in card
    assert "| factor | 3 |" in card
    # The card's own command makes the same.
    again = tmp_path / "again"
    options = next(line for line in card.splitlines() if line.startswith("hf-ext enlarge")).split()[4:]
    assert run(small, again, *options).exit_code == 0
    one, other = (load_file(folder / "model.safetensors") for folder in (large, again))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_refuses_and_leaves_what_is_there(small, tmp_path):
    before = {file.name: file.read_bytes() for file in small.iterdir()}
    large = tmp_path / "large"
    for arguments, message in (
        ((small, small), "is or holds the input"),
        ((small, large, "--grow", "head_size"), "would change outputs"),
        ((tmp_path / "nothing", large), "no such folder"),
        ((small, large, "--factor", "1"), "factor must be"),
    ):
        result = run(*arguments)
        assert result.exit_code != 0
        assert message in str(result.exception)
        assert not large.exists()
    assert {file.name: file.read_bytes() for file in small.iterdir()} == before
    result = run(small, large, "--grow", "head_size", "--inexact")
    assert result.exit_code == 0
    assert "Not exact: the frequencies of the rotation" in result.stdout
    assert "does not compute quite" in (large / "README.md").read_text()
    assert "not empty" in str(run(small, large).exception)
    assert run(small, large, "--overwrite").exit_code == 0


def test_untied_images_and_parts_left_out(tmp_path):
    gau = hf_ext.GAUAlphaConfig(**SIZES | {"num_attention_heads": 1})
    make(hf_ext.GAUAlphaForMaskedLM, gau).save_pretrained(tmp_path / "gau")
    made = enlarge_folder(tmp_path / "gau", tmp_path / "large", 2)
    assert isinstance(made, EnlargedFolder)
    assert made.enlargement.untied
    assert made.without_tokenizer
    assert "one of its own now" in str(made)
    assert made.after == sum(one.numel() for one in made.enlargement.model.parameters()) > made.before

    sizes = {name: SIZES[name] for name in ("hidden_size", "num_attention_heads", "num_hidden_layers")}
    images = hf_ext.RoPEViTConfig(**sizes, intermediate_size=48, image_size=8, patch_size=4)
    make(hf_ext.RoPEViTModel, images).save_pretrained(tmp_path / "images")
    assert enlarge_folder(tmp_path / "images", tmp_path / "larger images", 2).enlargement.largest < 1e-12


def test_a_folder_that_says_mt5(tmp_path):
    sizes = {"vocab_size": 10, "d_model": 16, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    config = hf_ext.T5PegasusConfig(**sizes, decoder_start_token_id=2, eos_token_id=3)
    small, large = tmp_path / "small", tmp_path / "large"
    make(hf_ext.T5PegasusForConditionalGeneration, config, dtype=torch.float32).save_pretrained(small)
    settings = json.loads((small / "config.json").read_text())
    settings |= {"model_type": "mt5", "architectures": ["MT5ForConditionalGeneration"]}
    (small / "config.json").write_text(json.dumps(settings))
    (small / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    made = enlarge_folder(small, large, 2)
    assert type(made.enlargement.model) is hf_ext.T5PegasusForConditionalGeneration
    assert made.enlargement.largest < 1e-12
    assert json.loads((large / "config.json").read_text())["d_model"] == 32
