"""`hf-ext predict` and `hf-ext embed` take folders of `hf-ext export onnx`, also where PyTorch is not installed."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from onnx_tiny import KINDS
from served import near
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.export import export_onnx

# Of one character, of several, and of more than a window; the last has a word that the tokenizer does not know.
TEXTS = ["人", "张三在北京", "李四王五到了上海城" * 12, "北京的 word"]
QUESTIONS = [
    {"text": "今天", "choices": ["北京", "上海", "人"]},
    {"text": "张三在北京", "question": "去哪", "choices": ["城", "日"]},
]

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from hf_ext_cli import main
main()
"""


def run(*words, **options):
    return CliRunner().invoke(app, [*map(str, words)], **options)


def read(result):
    assert result.exit_code == 0, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By kind a folder with a model and the folder that was exported of it."""
    made = {}
    for kind in ("entities", "choices", "vectors"):
        folder = made[kind] = tmp_path_factory.mktemp("exported")
        KINDS[kind].save(folder / "model")
        export_onnx(str(folder / "model"), folder / "onnx", KINDS[kind].task)
    return made


@pytest.mark.parametrize("words", [(), ("--threshold", 0.7), ("--threshold", 0, "--stride", 5, "--batch-size", 2)])
def test_entities_are_those_of_the_model(words, folders, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    given = ("--file", file, *words)
    wanted = read(run("predict", folders["entities"] / "model", *given, "--dtype", "float32"))
    assert any(line["entities"] for line in wanted)
    result = run("predict", folders["entities"] / "onnx", *given)
    assert read(result) == near(wanted, 2e-5)
    assert result.stderr.startswith(f"{folders['entities'] / 'onnx'} gives entities for text\n")


def test_questions_are_answered_as_by_the_model(folders, tmp_path):
    lines = "\n".join(map(json.dumps, QUESTIONS))
    given = ("--top-k", 2, "--output", tmp_path / "out.jsonl")
    found = []
    for name, words in (("model", ("--dtype", "float32")), ("onnx", ())):
        assert read(run("predict", folders["choices"] / name, *given, *words, input=lines)) == []
        found.append([json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()])
    assert found[1] == near(found[0], 2e-5)
    assert [len(line["answers"]) for line in found[1]] == [2, 2]


def test_a_page_is_made_of_entities(folders, tmp_path):
    read(run("predict", folders["entities"] / "onnx", TEXTS[1], "--html", tmp_path / "page.html"))
    assert "张三" in re.sub("<.*?>", "", (tmp_path / "page.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("words", [(), ("--normalize",), ("--max-length", 9)])
def test_vectors_are_those_of_the_model(words, folders, tmp_path):
    found = []
    for name in ("model", "onnx"):
        given = (folders["vectors"] / name, *words, "--output")
        assert run("embed", *given, tmp_path / "v.npy", input="\n".join(TEXTS)).exit_code == 0
        assert run("embed", *given, tmp_path / "v.jsonl", input="\n".join(TEXTS)).exit_code == 0
        lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [line["text"] for line in lines] == TEXTS
        found.append(np.load(tmp_path / "v.npy"))
        np.testing.assert_array_equal(np.float32([line["embedding"] for line in lines]), found[-1])
    assert found[1].dtype == np.float32
    np.testing.assert_allclose(found[1], found[0], atol=2e-5)


def test_both_run_without_pytorch(folders, tmp_path):
    def alone(*words):
        words = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    done = alone("predict", folders["entities"] / "onnx", *TEXTS, "--html", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    wanted = read(run("predict", folders["entities"] / "onnx", *TEXTS))
    assert [json.loads(line) for line in done.stdout.splitlines()] == near(wanted, 2e-5)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    given = ("--input", tmp_path / "texts.txt", "--output", tmp_path / "v.npy")
    done = alone("embed", folders["vectors"] / "onnx", *given)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "v.npy")
    assert run("embed", folders["vectors"] / "onnx", *given).exit_code == 0
    np.testing.assert_allclose(found, np.load(tmp_path / "v.npy"), atol=2e-5)
    done = alone("predict", folders["entities"] / "onnx", "人", "--device", "cpu")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: device has no effect with an exported folder; leave it out")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "entities", "--device", "cpu"), "device has no effect with an exported folder; leave it out for "),
        (("predict", "entities", "--dtype", "float32"), "dtype has no effect with an exported folder"),
        (("predict", "entities", "--task", "ner"), "task has no effect with an exported folder"),
        (("predict", "entities", "--engine", "ray"), "engine has no effect with an exported folder"),
        (("predict", "entities", "--seed", 1), "seed has no effect with a model that finds entities"),
        (("predict", "entities", "--top-k", 2), "top_k has no effect with a model that finds entities"),
        (
            ("predict", "choices", "--html", "page.html"),
            "html is a page of entities, and the model in .* finds answers",
        ),
        (("predict", "choices"), 'this model reads JSON lines with "text" and "choices", got a text alone'),
        (("predict", "vectors"), "model must be one of a task, got .*onnx, which gives vectors: see hf-ext embed"),
        (("embed", "entities"), "model must give vectors, got .*onnx, which gives entities: see hf-ext predict"),
        (("embed", "vectors", "--pooling", "cls"), "pooling has no effect with an exported folder"),
        (("embed", "vectors", "--whitening", "folder"), "whitening has no effect with an exported folder"),
        (("embed", "vectors", "--tokens-per-batch", 64), "tokens_per_batch has no effect with an exported folder"),
        (("embed", "vectors", "--resume"), "resume has no effect with an exported folder"),
        (("embed", "vectors", "--device", "cpu"), "device has no effect with an exported folder"),
        (("embed", "vectors", "--dtype", "auto"), "dtype has no effect with an exported folder"),
        (("embed", "vectors", "--engine", "ray"), "engine has no effect with an exported folder"),
        (("embed", "vectors", "--max-length", 0), "max_length must be at least 1, got 0"),
    ],
)
def test_what_has_no_effect_is_refused(words, message, folders, tmp_path):
    command, kind, *more = words
    given = ("人",) if command == "predict" and "ray" not in more else ("--output", tmp_path / "v.npy")
    result = run(command, folders[kind] / "onnx", *given, *more, input="人")
    assert re.match(message, str(result.exception)), result.exception
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["predict", "embed"])
def test_a_folder_that_is_none_is_refused(command, tmp_path):
    (tmp_path / "onnx.json").write_text("{}", encoding="utf-8")
    given = ("人",) if command == "predict" else ("--output", tmp_path / "v.npy")
    result = run(command, tmp_path, *given, input="人")
    assert "onnx.json must be as hf-ext export onnx writes it" in str(result.exception)


@pytest.mark.slow
def test_a_seed_writes_the_same_paraphrases_again(tmp_path):
    KINDS["paraphrases"].save(tmp_path / "model")
    export_onnx(str(tmp_path / "model"), tmp_path / "onnx")
    found = [read(run("predict", tmp_path / "onnx", *TEXTS[:2], "--seed", seed, "--top-k", 5)) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert [len(line["paraphrases"]) for line in found[0]] == [5, 5]
