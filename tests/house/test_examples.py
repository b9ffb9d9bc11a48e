"""Every example runs with few steps on little data; the first as a user runs it, the others in this process."""

import ast
import json
import os
import runpy
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from unittest import mock

import pytest
from safetensors.torch import load_file

import hf_ext
from hf_ext.tasks.entities import write_entities

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name, *options):
    """What an example prints; a new process would spend most of its time on imports."""
    printed, command = StringIO(), [name, *map(str, options)]
    with warnings.catch_warnings(), mock.patch.object(sys, "argv", command), redirect_stdout(printed):
        warnings.simplefilter("ignore")
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return printed.getvalue()


def run_anew(name, *options):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLES / name), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.name)
def test_examples_use_public_names_alone(file):
    """Those that a package of ours lists; and they import what registers, as nothing else does it for them."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    imported = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert [name for name in imported if name.partition(".")[0] == "hf_ext"] == ["hf_ext"]
    used = {("hf_ext", node.attr) for node in nodes if isinstance(node, ast.Attribute) and is_package(node.value)}
    used |= {(node.module, alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    used -= {("hf_ext", "losses")}
    ours = [(package, name) for package, name in used if package.partition(".")[0] == "hf_ext"]
    assert [
        f"{package}.{name}" for package, name in ours if name not in getattr(import_module(package), "__all__", ())
    ] == []


def is_package(node):
    return isinstance(node, ast.Name) and node.id == "hf_ext"


def test_every_example_has_a_test_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert [file.name for file in EXAMPLES.glob("*.py") if f'"{file.name}"' not in source] == []


def test_ner(tmp_path):
    output = tmp_path / "model"
    options = ["--output-dir", output, "--max-steps", 2]
    for name, seed in (("train", 0), ("validation", 1)):
        write_entities(tmp_path / f"{name}.jsonl", hf_ext.generate_samples(20, seed))
        options += [f"--{name}-file", tmp_path / f"{name}.jsonl"]
    assert "F1: " in run_anew("ner.py", *options)
    config = json.loads((output / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForSpanExtraction"]
    head = [name for name in load_file(output / "model.safetensors") if name.startswith("classifier.")]
    assert head
    assert (output / "tokenizer.json").is_file()


def test_sequence_labeling(tmp_path):
    output = tmp_path / "model"
    options = ["--output-dir", output, "--max-steps", 2, "--head", "memm"]
    for name, seed in (("train", 0), ("validation", 1)):
        write_entities(tmp_path / f"{name}.jsonl", hf_ext.generate_samples(20, seed))
        options += [f"--{name}-file", tmp_path / f"{name}.jsonl"]
    assert "F1 of token spans: " in run("sequence_labeling.py", *options)
    config = json.loads((output / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForSequenceLabeling"]


@pytest.mark.parametrize("script", ["flash.py", "linear_roformer.py"])
def test_states_of_constant_size(script):
    held = [
        line.split(" holds ")[1] for line in run(script, "--steps", 2, "--new-tokens", 70).splitlines() if "KiB" in line
    ]
    assert held[0] == held[1]


@pytest.mark.parametrize("mixer", ["gmlp", "fnet"])
def test_token_mixer(mixer):
    printed = run("token_mixer.py", "--mixer", mixer, "--steps", 2, "--rows", 4)
    assert f"{mixer}: " in printed
    assert "of the masked characters are told right" in printed


def test_gau_alpha(tmp_path):
    printed = run("gau_alpha.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "accuracy: " in printed
    assert printed.count("'label': ") == 3
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["GAUAlphaForSequenceClassification"]


def test_t_ta(tmp_path):
    printed = run("t_ta.py", "--output-dir", tmp_path / "model", "--steps", 2, "--batch-size", 4)
    assert "step 1: loss " in printed
    assert printed.count(" for ") == 2
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["TTAForMaskedLM"]


def test_urpe():
    printed = run("urpe.py", "--steps", 3, "--length", 4).splitlines()
    # What learns nothing in three steps has one of four right.
    assert printed[0].startswith("a bias before softmax: 0.25 right; ")
    assert [line.rpartition(" ")[2] for line in printed] == ["False", "True", "True"]


def test_wobert(tmp_path):
    output = tmp_path / "model"
    printed = run("wobert.py", "--output-dir", output, "--max-steps", 2, "--words", 50, "--max-length", 24)
    assert "50 words; " in printed
    assert json.loads((output / "config.json").read_text(encoding="utf-8"))["architectures"] == ["BertForMaskedLM"]
    assert (output / "vocab.txt").is_file()
    assert not (output / "tokenizer.json").exists()


def test_dialogue(tmp_path):
    printed = run("dialogue.py", "--output-dir", tmp_path / "model")
    assert "9 of 9 replies are those of the dialogues" in printed
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert (config["architectures"], config["attention_mode"]) == (["NezhaForCausalLM"], "causal")


def test_summarization(tmp_path):
    options = ["--output-dir", tmp_path / "model", "--max-steps", 2]
    for name in ("train", "validation"):
        lines = [f"{a}研究{b}\t{a}用很长的时间研究了{b}，结果很好。" for a in "甲乙丙" for b in "丁戊"]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines), encoding="utf-8")
        options += [f"--{name}-file", tmp_path / f"{name}.tsv"]
    printed = run("summarization.py", *options)
    assert "Rouge-L: " in printed
    assert "summary: " in printed
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["T5PegasusForConditionalGeneration"]


def test_classification(tmp_path):
    printed = run("classification.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "macro F1: " in printed
    assert printed.count(" -> ") == 2
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForSequenceClassification"]
    assert config["problem_type"] == "multi_label_classification"


def test_multiple_choice(tmp_path):
    printed = run("multiple_choice.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "accuracy: " in printed
    assert printed.count(" -> ") == 2
    assert "assignment: " in printed
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForLinearChoice"]


def test_cloze(tmp_path):
    printed = run("cloze.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert printed.count("accuracy ") == 2
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForMaskedLM"]
    assert config["cloze"]["pattern"] == "{mask}满意。{text}"


def test_image_classification(tmp_path):
    printed = run("image_classification.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "48 x 48: accuracy " in printed
    assert printed.count(" -> ") == 2
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert (config["architectures"], config["rope_kind"]) == (["RoPEViTForImageClassification"], "mixed")


def test_similarity(tmp_path):
    printed = run("similarity.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "Spearman: " in printed
    assert "whitened to 8 numbers: " in printed
    assert (tmp_path / "model" / "whitening.safetensors").is_file()
    assert (tmp_path / "model" / "modules.json").is_file()


def test_univae(tmp_path):
    printed = run("univae.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert printed.count("with latent ") == 2
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["UniVAEForTextAutoencoding"]


def test_paraphrase(tmp_path):
    output = tmp_path / "model"
    file = tmp_path / "sentences.jsonl"
    lines = [{"text": f"{n}只小猫", "synonyms": [f"小猫有{n}只"]} for n in "一二三四"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    printed = run("paraphrase.py", "--output-dir", output, "--max-steps", 2, "--file", file)
    assert "nearest to 一只小猫: " in printed
    config = json.loads((output / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForParaphrase"]
    assert (output / "modules.json").is_file()


def test_losses(tmp_path):
    options = ["--output-dir", tmp_path / "model", "--max-steps", 2]
    printed = run("losses.py", *options)
    assert "F1: " in printed
    assert printed.count(" above ") == 6
    options += ["--loss", "focal", "--option", "gamma=1.5", "--r-drop", 2]
    assert "accuracy: " in run("losses.py", *options)


def test_relations(tmp_path):
    printed = run("relations.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "F1: " in printed
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForRelationExtraction"]


def test_events(tmp_path):
    printed = run("events.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "F1 of arguments: " in printed
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForEventExtraction"]


def test_reading_comprehension(tmp_path):
    printed = run("reading_comprehension.py", "--output-dir", tmp_path / "model", "--max-steps", 2)
    assert "EM: " in printed
    assert printed.count("谁写了") == 3
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForReadingComprehension"]
    assert config["null_threshold"] == 0.0
