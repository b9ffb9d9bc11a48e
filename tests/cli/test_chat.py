"""Training and talking on the command line."""

import io
import json
import os
import subprocess
import sys
from itertools import chain

import pytest
from transformers import BertConfig, BertForMaskedLM
from typer.testing import CliRunner

from hf_ext.cli import app, main
from hf_ext.cli.chat import read_lines

DIALOGUES = [["你好", "你好啊", "今天天气怎么样", "很好"], ["在吗", "在"], ["吃了吗", "还没", "一起去"]]


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "dialogues.json"
    file.write_text(json.dumps({"train": DIALOGUES, "valid": DIALOGUES[:2]}), encoding="utf-8")
    return file


def train(data, output, **options):
    options = {"--config": "tiny", "--max-steps": 2, "--eval-strategy": "no", "--save-strategy": "no"} | options
    files = ("--train-file", data, "--validation-file", data, "--output-dir", output)
    command = ("train", "dialogue", *files, "--load_best_model_at_end", "False", "--use-cpu")
    return run(*command, *chain(*options.items()))


@pytest.fixture(scope="module", params=["nezha", "gpt_cdial"])
def trained(request, data, tmp_path_factory):
    output = tmp_path_factory.mktemp(request.param)
    result = train(data, output, **{"--family": request.param, "--max-length": 64})
    assert result.exit_code == 0, result.output
    return output, result


def test_train_writes_model_scores_and_curves(trained):
    output, result = trained
    assert {"config.json", "model.safetensors", "tokenizer.json", "scores.json", "curves.png"} <= set(
        os.listdir(output)
    )
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert f"perplexity {scores['perplexity']:.2f}" in result.output
    assert f"before training {scores['perplexity_before']:.2f}" in result.output
    assert 0 <= scores["accuracy"] <= 1


def test_train_keeps_the_epoch_of_least_perplexity(data, tmp_path):
    options = {"--max-steps": 6, "--eval-strategy": "steps", "--eval-steps": 2, "--save-strategy": "steps"}
    options |= {"--save-steps": 2, "--load_best_model_at_end": "True", "--learning-rate": 0.05, "--warmup-steps": 0}
    result = train(data, tmp_path, **options)
    assert result.exit_code == 0, result.output
    state = json.loads((tmp_path / "trainer_state.json").read_text(encoding="utf-8"))
    found = {entry["step"]: entry["eval_perplexity"] for entry in state["log_history"] if "eval_perplexity" in entry}
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert state["best_metric"] == min(found[step] for step in (2, 4, 6))
    assert scores["perplexity"] == pytest.approx(state["best_metric"], rel=1e-5)


def test_chat_answers_a_pipe_line_by_line(trained):
    model = trained[0]
    options = (model, "--device", "cpu", "--max-new-tokens", 8, "--num-beams", 1)
    once = run("chat", *options, input="你好\n\n在吗\n")
    assert once.exit_code == 0, once.output
    first, second = once.stdout.splitlines()
    assert first
    assert second
    # What was said is forgotten, and nothing is read after the end.
    again = run("chat", *options, input="你好\n在吗\n/reset\n你好\n/quit\n在吗\n")
    assert again.stdout.splitlines() == [first, second, first]
    # No line end at the end.
    assert run("chat", *options, input="你好").stdout == first + "\n"
    assert run("chat", *options, input="").stdout == ""


def test_chat_samples_by_seed_and_searches(trained):
    options = ("chat", trained[0], "--device", "cpu", "--max-new-tokens", 12)
    lines = "你好\n在吗\n"
    sampled = [
        run(*options, "--temperature", 3, "--top-p", 1, "--seed", seed, input=lines).stdout for seed in (1, 1, 2)
    ]
    assert sampled[0] == sampled[1] != sampled[2]
    searched = run(*options, "--num-beams", 3, input=lines)
    assert searched.exit_code == 0, searched.output
    assert len(searched.stdout.splitlines()) == 2


def test_chat_goes_on_after_a_line_without_text(trained):
    options = ("chat", trained[0], "--device", "cpu", "--max-new-tokens", 4, "--num-beams", 1)
    result = run(*options, input="\x01\n你好\n")
    assert result.exit_code == 0
    assert result.stdout == run(*options, input="你好\n").stdout
    assert "a turn must not be empty" in result.stderr


@pytest.mark.slow
def test_chat_as_a_program(trained):
    """The one test in a process of its own, whose standard input is a pipe."""
    if trained[0].name.startswith("gpt"):
        pytest.skip("once is enough")
    command = [sys.executable, "-m", "hf_ext.cli", "chat", str(trained[0]), "--device", "cpu", "--max-new-tokens", "4"]
    done = subprocess.run(command, input="你好\n在吗\n", capture_output=True, text=True, encoding="utf-8", check=True)
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top-p", 2], "top_p must be in"),
        (["--num-beams", 0], "num_beams must be at least 1"),
        (["--num-beams", 2, "--top-p", 0.5], "top_p has no effect with num_beams"),
        (["--num-beams", 2, "--seed", 3], "seed has no effect with num_beams"),
        (["--device", "gpu"], "must be a device that is there"),
        (["--max-length", 20, "--max-new-tokens", 19], "room must leave tokens"),
    ],
)
def test_chat_refuses_options(trained, options, message):
    result = run("chat", trained[0], *options, input="你好\n")
    assert message in result.output + str(result.exception)


def test_chat_refuses_a_folder_of_another_kind(tmp_path, monkeypatch, capsys):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertForMaskedLM(BertConfig(vocab_size=9, **size)).save_pretrained(tmp_path)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["hf-ext", "chat", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: a dialogue model must be a NEZHA-GPT or CDial-GPT, got model_type='bert'")
    assert shown.err.count("\n") == 1


def test_chat_at_a_terminal(trained, monkeypatch, capsys):
    said = iter(["你好", "", "/quit"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: next(said))
    monkeypatch.setattr(sys, "argv", ["hf-ext", "chat", str(trained[0]), "--num-beams", "1", "--max-new-tokens", "4"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1
    assert "/reset" in shown.err

    def interrupted(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert list(read_lines(interactive=True)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--model": "a"}, "got both"),
        ({"--family": "gpt2"}, "invalid choice: 'gpt2'"),
        ({"--train-file": "missing.json"}, "missing.json"),
        ({"--no-such-option": 1}, "no-such-option"),
    ],
)
def test_train_refuses_in_one_line(data, tmp_path, options, message):
    result = train(data, tmp_path / "out", **options)
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)
    assert not (tmp_path / "out").exists()


def test_help():
    for command in (["train", "dialogue"], ["chat"]):
        assert run(*command, "--help").exit_code == 0


def test_turns_are_lines_of_utf8(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\ufeff你\r好\r\n \n乙\u2028丙\n".encode()), "ascii"))
    assert list(read_lines(interactive=False)) == ["你\r好", "乙\u2028丙"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("你\n".encode() + "好\n".encode("gbk")), "gbk"))
    with pytest.raises(ValueError, match="standard input:2: the file must be UTF-8"):
        list(read_lines(interactive=False))
