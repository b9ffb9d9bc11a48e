"""The configurations of `examples/distributed`: two processes under each train what one does, as far as a CPU can."""

import json
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from jobs_tiny import JOBS, SIZE
from safetensors.torch import load_file
from transformers import BertConfig, BertForMaskedLM, BertModel
from typer.testing import CliRunner

import hf_ext
from hf_ext.cli import app
from hf_ext.training.sharding import divides_weights, shard_by_blocks

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "distributed"
STEPS = ["--max-steps", 2, "--logging-steps", 1, "--lr-scheduler-type", "constant", "--optim", "sgd"]
STEPS += ["--learning-rate", 0.002, "--max-grad-norm", 0, "--report-to", "none", "--disable-tqdm"]
STEPS += ["--save-strategy", "steps", "--save-steps", 1, "--eval-strategy", "steps", "--eval-steps", 1]
# PyTorch loads no optimiser without a state into divided weights.
ADAM = ["--optim", "adamw_torch"]
# A head of ours over BERT, and one whose transitions learn at a rate of their own.
TASKS = {"spans": ["ner"], "crf": ["ner", "--head", "crf"]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name in TASKS:
        JOBS[name].write(folder / name)
    hf_ext.RoFormerConfig(
        num_hidden_layers=1, hidden_size=16, num_attention_heads=2, intermediate_size=16
    ).save_pretrained(folder / "roformer")
    (folder / "texts.txt").write_text("今天天气真好\n我们去北京\n" * 9, encoding="utf-8")
    return folder


def words(files, name, output, rows, *more):
    """A command of two steps, with so many rows of a process in each."""
    given = ["--train-file", files / name / "train.jsonl", "--validation-file", files / name / "validation.jsonl"]
    given += ["--config", files / name / "config", "--output-dir", files / output, *STEPS, *more]
    return list(map(str, ["train", *TASKS[name], *given, "--per-device-train-batch-size", rows]))


def run_program(arguments):
    """Run ``accelerate launch`` to its end."""
    command = [sys.executable, "-m", "accelerate.commands.launch", *arguments]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def launch(config, commands, folder, script):
    """What was refused of commands that two processes run under a configuration, in the numbers of one process."""
    file = folder / f"{config}.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in commands), encoding="utf-8")
    options = ["--config_file", FOLDER / f"{config}.yaml", "--num_processes", 2, "--mixed_precision", "no"]
    run_program([*options, script, file])
    return json.loads(file.with_suffix(".errors").read_text(encoding="utf-8"))


def steps(folder):
    log = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return [[entry[name] for name in ("step", "loss", "grad_norm")] for entry in log if "loss" in entry]


def assert_same(folder, other):
    assert len(steps(folder)) == 2
    assert [*chain(*steps(folder))] == pytest.approx([*chain(*steps(other))], rel=1e-4)
    found, wanted = (load_file(one / "model.safetensors") for one in (folder, other))
    assert found.keys() == wanted.keys()
    # The gradient of a bias of keys is nothing but rounding, of which Adam makes a step.
    names = [name for name in wanted if not name.endswith("key.bias")]
    torch.testing.assert_close(*([one[name] for name in names] for one in (found, wanted)), rtol=1e-4, atol=1e-5)
    scores = [json.loads((one / "scores.json").read_text(encoding="utf-8")) for one in (folder, other)]
    assert scores[0].keys() == scores[1].keys()
    for name, value in scores[1].items():
        assert scores[0][name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value)


@pytest.fixture(scope="module")
def of_one(files):
    """What one process makes of all rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        runs = [words(files, name, f"one {name}", 4) for name in TASKS]
        for run in (*runs, words(files, "spans", "one adam", 4, *ADAM)):
            result = CliRunner().invoke(app, [*run, "--use-cpu"])
            assert result.exit_code == 0, result.output
    return files


@pytest.mark.slow
def test_fsdp2_trains_what_one_process_trains(of_one):
    """And goes on from a checkpoint of its own; what it cannot divide, or would need whole weights, is refused."""
    files = of_one
    commands = {f"two {name}": words(files, name, f"two {name}", 2) for name in TASKS}
    # With a limit, checkpoints are left behind.
    broken = words(files, "spans", "broken", 2, *ADAM, "--max-steps", 1, "--save-total-limit", 9)
    checkpoint = files / "broken" / "checkpoint-1"
    resumed = words(files, "spans", "resumed", 2, *ADAM, "--resume-from-checkpoint", checkpoint)
    commands |= {"broken": broken, "resumed": resumed}
    commands["ema"] = words(files, "spans", "ema", 2, "--ema-decay", 0.9)
    commands["tied bias"] = ["pretrain", "wwm", "--train-file", files / "texts.txt", "--config", files / "roformer"]
    commands["tied bias"] += ["--output-dir", files / "wwm", "--max-steps", 1, "--max-length", 16, "--held-out", 2]
    lines = [list(map(str, command)) for command in commands.values()]
    errors = dict(zip(commands, launch("fsdp2", lines, files, "tests/sharded_on_cpu.py"), strict=True))
    refused = {"ema": errors.pop("ema"), "tied bias": errors.pop("tied bias")}
    assert {*errors.values()} == {None}
    assert refused["ema"].startswith("ema_decay must be left out where fsdp or deepspeed divide the weights")
    assert re.match(
        "fsdp must .* a RoFormerForMaskedLM, whose .* share .*bias with another layer; DDP", refused["tied bias"]
    )
    for name in TASKS:
        assert_same(files / f"two {name}", files / f"one {name}")
    assert_same(files / "resumed", files / "one adam")
    assert checkpoint.is_dir()


@pytest.mark.slow
def test_ddp_trains_what_one_process_trains(of_one):
    command = words(of_one, "crf", "ddp", 2, "--use-cpu")
    launched = ["--config_file", FOLDER / "ddp.yaml", "--num_processes", 2, "--mixed_precision", "no"]
    run_program([*launched, "-m", "hf_ext.cli", *command])
    assert_same(of_one / "ddp", of_one / "one crf")


def test_sharding_on_a_cpu_is_refused_where_it_would_be_left_out(files, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    result = CliRunner().invoke(app, [*words(files, "spans", "alone", 4), "--use-cpu"])
    assert str(result.exception).startswith("fsdp must be left out on a CPU or in one process")


@pytest.mark.parametrize(
    ("fsdp", "deepspeed", "expected"),
    [(None, None, False), (True, None, True), (None, "a.json", True)],
)
def test_who_divides_weights(fsdp, deepspeed, expected, monkeypatch):
    arguments = SimpleNamespace(fsdp=fsdp, deepspeed=deepspeed)
    for name in ("FSDP", "DEEPSPEED"):
        monkeypatch.delenv(f"ACCELERATE_USE_{name}", raising=False)
    assert divides_weights(arguments) is expected
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert divides_weights(arguments)


def test_blocks_are_those_without_the_word_embeddings():
    model = BertModel(BertConfig(vocab_size=20, **SIZE))
    for given, version, wanted in ((None, 2, ["BertLayer"]), (["BertEncoder"], 2, ["BertEncoder"]), (None, 1, None)):
        plugin = SimpleNamespace(fsdp_version=version, transformer_cls_names_to_wrap=given)
        shard_by_blocks(model, plugin)
        assert plugin.transformer_cls_names_to_wrap == wanted
    vit = hf_ext.RoPEViTModel(hf_ext.RoPEViTConfig(**SIZE, image_size=8, patch_size=4))
    plugin = SimpleNamespace(fsdp_version=2, transformer_cls_names_to_wrap=None)
    shard_by_blocks(vit, plugin)
    assert plugin.transformer_cls_names_to_wrap == ["RoPEViTLayer"]
    with pytest.raises(ValueError, match=r"BertForMaskedLM, whose .* share cls\.predictions\.bias with another layer"):
        shard_by_blocks(BertForMaskedLM(model.config), SimpleNamespace(fsdp_version=2))
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    pegasus = hf_ext.T5PegasusForConditionalGeneration(hf_ext.T5PegasusConfig(vocab_size=20, **sizes))
    with pytest.raises(ValueError, match=r"T5PegasusForConditionalGeneration, whose .* share .*weight with"):
        shard_by_blocks(pegasus, SimpleNamespace(fsdp_version=2))


def test_deepspeed_is_configured_by_keys_that_there_are():
    """As far as that can be told without a GPU."""
    config = yaml.safe_load((FOLDER / "deepspeed_zero3.yaml").read_text(encoding="utf-8"))
    own = config["deepspeed_config"]
    assert {*own} <= {"deepspeed_config_file", "zero3_init_flag"}
    settings = json.loads((ROOT / own["deepspeed_config_file"]).read_text(encoding="utf-8"))
    assert settings["zero_optimization"]["stage"] == 3
    # Trainer fills in what is "auto", if it is one of these.
    counts = {"train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps"}
    assert {name for name, value in settings.items() if value == "auto"} == {*counts, "gradient_clipping"}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_accelerate_knows_the_settings(file):
    config = load_config_from_file(str(file))
    assert config.num_processes == 8
    known = {action.dest for action in launch_command_parser()._actions}
    own = yaml.safe_load(file.read_text(encoding="utf-8"))
    for group in ("fsdp_config", "deepspeed_config"):
        assert {*own.get(group, {})} <= known
