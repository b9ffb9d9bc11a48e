"""A task is its folder: one that is put among the others trains, predicts and is found, and nothing else is edited."""

import json
import shutil
from pathlib import Path

import fresh_process
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ROOT_NAME = "from .tasks.toy.head import AutoModelForVerdict as AutoModelForVerdict\n"


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """A copy of the package and its program with one more folder, and one more line for a name of the root."""
    folder = tmp_path_factory.mktemp("installation")
    shutil.copytree(ROOT / "hf_ext", folder / "hf_ext")
    shutil.copy(ROOT / "hf_ext_cli.py", folder)
    shutil.copytree(Path(__file__).parent / "toy_task", folder / "hf_ext" / "tasks" / "toy")
    with (folder / "hf_ext" / "__init__.pyi").open("a", encoding="utf-8") as stub:
        stub.write(ROOT_NAME)
    for name in ("train", "validation"):
        rows = [{"text": text, "good": text[0] == "好"} for text in ("好天气", "坏天气", "好人", "坏人")]
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def python(installation, code, *arguments):
    """What a new process prints, in which the copy is the package."""
    own = f"import sys; sys.path.insert(0, {str(installation)!r})\n"
    done = fresh_process.run(own + code, *map(str, arguments), cwd=installation)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hf_ext(installation, *arguments):
    return python(installation, "from hf_ext_cli import main; main()", *arguments)


@pytest.fixture(scope="module")
def trained(installation):
    """A folder with a model that tells the four texts apart, and what the training printed."""
    options = {"train-file": "train.jsonl", "validation-file": "validation.jsonl", "config": "tiny"}
    options |= {"max-length": 8, "num-train-epochs": 30, "learning-rate": 3e-3, "output-dir": "model"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return installation / "model", hf_ext(installation, "train", "toy", *words, "--verdict-bias", False, "--use-cpu")


def test_its_command_is_listed_with_its_help(installation):
    listed = hf_ext(installation, "train", "--help")
    assert "toy" in listed
    assert "Whether a text says something good." in listed
    shown = hf_ext(installation, "train", "toy", "--help")
    assert "Whether a text says something good." in shown
    assert "--verdict-bias" in shown


def test_its_command_trains(trained):
    folder, printed = trained
    assert "accuracy 1.00" in printed
    assert "saved to model" in printed
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["architectures"], config["verdict_bias"]) == (["RoFormerForVerdict"], False)
    assert json.loads((folder / "scores.json").read_text(encoding="utf-8")) == {"accuracy": 1.0}
    # Without a template of its own.
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "library_name: hf-ext\n" in card
    assert "from hf_ext.tasks.toy.head import RoFormerForVerdict\n" in card
    assert "| accuracy | 1.0000 |" in card


def test_its_job_runs_in_python(installation):
    code = """
from hf_ext.tasks.toy import VerdictJob
job = VerdictJob("train.jsonl", "validation.jsonl", config="tiny", max_length=8)
scores = job.run(job.training_arguments("of-python", max_steps=1, use_cpu=True, disable_tqdm=True))
print(list(scores))
"""
    assert python(installation, code).splitlines()[-1] == "['accuracy']"


def test_its_pipeline_and_predict_find_the_same(installation, trained):
    folder, _ = trained
    texts = ["好天气", "坏人"]
    code = """
import json, hf_ext
from transformers import pipeline
print(json.dumps(pipeline("toy", model=sys.argv[1], device="cpu")(sys.argv[2:])))
"""
    found = json.loads(python(installation, code, folder, *texts).splitlines()[-1])
    assert [one["good"] for one in found] == [True, False]
    printed = hf_ext(installation, "predict", folder, *texts, "--device", "cpu", "--dtype", "float32")
    predicted = [json.loads(line) for line in printed.splitlines()]
    assert [(one["text"], one["verdict"]) for one in predicted] == [
        (text, [pytest.approx(each)]) for text, each in zip(texts, found)
    ]


def test_its_names_are_public(installation, trained):
    code = """
import hf_ext
from transformers import BertConfig
from hf_ext.tasks.toy import VerdictPipeline, read_verdicts
assert "AutoModelForVerdict" in hf_ext.__all__
own = hf_ext.AutoModelForVerdict.from_pretrained(sys.argv[1])
size = dict(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
other = hf_ext.AutoModelForVerdict.from_config(BertConfig(**size))
print(type(own).__name__, type(other).__name__, len(read_verdicts("train.jsonl")), VerdictPipeline.__module__)
"""
    printed = python(installation, code, trained[0]).splitlines()[-1]
    assert printed == "RoFormerForVerdict BertForVerdict 4 hf_ext.tasks.toy.pipeline"
