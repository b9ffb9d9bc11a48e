"""`hf-ext analyze dimension`, and how the commands of this group are found."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import hf_ext.cli.analyze
from hf_ext import RoFormerConfig, RoFormerModel
from hf_ext.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["analyze", *(str(argument) for argument in arguments)])


def test_the_group_has_a_command_for_each_file():
    files = {file.stem.replace("_", "-") for file in Path(hf_ext.cli.analyze.__file__).parent.glob("*.py")}
    commands = typer.main.get_command(app).commands["analyze"].commands
    assert commands.keys() == files - {"--init--"}
    assert all(command.help for command in commands.values())


def test_a_number_of_words():
    told = run("dimension", 100000).output.splitlines()
    assert told == ["by the rule 8.33 ln N: 95.9", "exactly, at scale 1: 95.4"]
    assert run("dimension", 100000, "--scale", 2).output.splitlines()[2].startswith("exactly, at scale 2: ")


def test_a_model(tmp_path):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    model = RoFormerModel(RoFormerConfig(vocab_size=50, **size))
    model.embeddings.word_embeddings.weight.data.fill_(0.5)
    model.save_pretrained(tmp_path)
    told = run("dimension", tmp_path).output.splitlines()
    # All have the length 2.
    assert told[0] == "50 vectors of 16 numbers; the square of their length is 0.25 times that"
    assert [line.partition(":")[0] for line in told[1:]] == [
        "by the rule 8.33 ln N",
        "exactly, at scale 1",
        "exactly, at scale 0.25",
        "entropy of a skip-gram model of such vectors",
    ]


@pytest.mark.parametrize("words", ["1", "missing/folder/of/none"])
def test_what_cannot_be_counted_is_refused(words):
    assert isinstance(run("dimension", words).exception, ValueError)
