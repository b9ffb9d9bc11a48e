"""What is typed reaches the runner of a suite, and what has no effect is refused."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hf_ext.suites import Suite, SuiteTask, Training, shipped_suites
from hf_ext.suites.command import ACTIONS, action_command, file_command, suite_command
from hf_ext.suites.jobs import job_class, of_job
from hf_ext.suites.options import training_parser
from hf_ext.suites.training import known_options
from hf_ext.tasks.base.job_parser import OptionError
from hf_ext_cli import app

CLUE = shipped_suites()["clue"]
PATHS = {"DATA": "the data"}


def test_options_of_jobs_training_and_suite_are_read_together():
    words = "data --tasks wsc tnews --seeds 1 2 --variant tnews=keywords --learning-rate 1e-4 --r-drop 1 --bf16"
    given, paths = training_parser(CLUE, PATHS).words([*words.split(), "--head", "crf"])
    assert paths == [Path("data")]
    assert given == {
        "tasks": ["wsc", "tnews"],
        "seeds": [1, 2],
        "variant": {"tnews": "keywords"},
        "learning_rate": 1e-4,
        "r_drop": 1.0,
        "bf16": True,
        "head": "crf",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "DATA must be given before the options, got none"),
        ("a b", "DATA must be given before the options, got a and b"),
        ("a --train-file b", "--train-file must be left out of a suite, got b"),
        ("a --learning-rat 1", 'unknown option "--learning-rat": did you mean "--learning-rate"?'),
        ("a --seeds x", "--seeds: invalid int value: 'x'"),
    ],
)
def test_words_that_cannot_be_are_refused(words, message):
    with pytest.raises(OptionError, match=re.escape(message)):
        training_parser(CLUE, PATHS).words(words.split())


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_its_help_and_options(action):
    command = suite_command("clue", action)
    assert command.help
    known = {option for parameter in command.params for option in parameter.opts}
    assert ("--tasks" in known) == (action in ("check", "train", "predict", "pack", "validate"))
    assert ("--preset" in known) == (action == "train")
    assert "--train-file" not in known
    assert known & {option for parameter in file_command().params for option in parameter.opts} >= known & {"--tasks"}
    assert action_command(CLUE, action).help == command.help


def test_a_task_without_a_job_knows_no_options():
    task = SuiteTask(name="a", job="none", files={"train": "a", "validation": "b"}, read=lambda paths: [])
    assert known_options(task) == frozenset()
    assert Suite("own", tasks=[task]).presets == ()


@pytest.mark.parametrize("suite", shipped_suites().values(), ids=lambda suite: suite.name)
def test_settings_of_tasks_are_options_of_their_jobs(suite):
    for task in suite.tasks:
        for preset in (None, *task.all_presets):
            settings = task.settings(preset)
            kind = job_class(task.trained(preset), settings)
            kind(train_file="a", validation_file="b", config="tiny", **of_job(kind, settings))
        with pytest.raises(ValueError, match=f"preset of {task.name} must be one that it has"):
            task.settings("none")


@pytest.mark.parametrize("preset", ["article", "official"])
def test_every_task_of_clue_has_both_presets(preset):
    assert [task.name for task in CLUE.tasks if preset not in task.presets] == []


def test_what_comes_next_is_told_as_it_is_typed(tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "run", lambda self: [])
    file = tmp_path / "own.py"
    file.write_text("from hf_ext.suites import shipped_suites\nSUITE = shipped_suites()['clue']\n", encoding="utf-8")
    for words, program in ((["suite", str(file)], f"hf-ext suite {file}"), (["clue"], "hf-ext clue")):
        result = CliRunner().invoke(app, [*words, "train", "my data", "--output-dir", "my runs"])
        assert result.exit_code == 0, result.output
        assert f"  {program} predict 'my data' 'my runs'\n  {program} report 'my runs'\n" in result.output
