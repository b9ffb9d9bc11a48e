"""Exported folders give the answers of the pipelines that they were made of, also where PyTorch is not installed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_tiny import KINDS, texts
from transformers import pipeline

from hf_ext.export import OnnxExport, OnnxPipeline, export_onnx
from hf_ext.extras import MissingExtraError
from hf_ext.tasks.base.saved_model import SavedModel

# The others differ from one of these in a setting.
QUICK = ("entities", "crf", "half pointers", "answers", "classes", "clozes", "images", "choices", "vectors")
WRITTEN = ("summaries", "texts as points", "paraphrases", "replies")
WAYS = [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in KINDS]

WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
from hf_ext.export import OnnxPipeline
found = [OnnxPipeline(folder, threads=1)(inputs, **options) for folder, inputs, options in json.load(sys.stdin)]
print(json.dumps([one if isinstance(one, list) else one.tolist() for one in found]))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What gives the folder with a model of a kind, and what was exported of it."""

    @cache
    def made(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("exported")
        KINDS[kind].save(folder / "model")
        result = export_onnx(str(folder / "model"), folder / "onnx", KINDS[kind].task)
        assert isinstance(result, OnnxExport)
        assert result.description.largest_difference < 2e-5
        return folder

    return made


def alike(found: Any, wanted: Any) -> None:
    """The same but for what rounding makes of numbers."""
    if isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=2e-5)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            alike(found[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted):
            alike(one, other)
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_allclose(found, wanted, atol=2e-5)
    else:
        assert found == wanted


def opened(kind: str, folder: Path) -> Any:
    """The pipeline with PyTorch."""
    if KINDS[kind].task == "embedding":
        make: Any = pipeline
        return make("text-embedding", model=str(folder / "model"), device="cpu")
    return SavedModel.read(str(folder / "model")).open(KINDS[kind].task, "cpu", "float32")


@pytest.mark.parametrize("kind", WAYS)
def test_gives_the_answers_of_the_pipeline(kind, exported):
    folder = exported(kind)
    theirs, ours = opened(kind, folder), OnnxPipeline(folder / "onnx", threads=1)
    assert (ours.found, ours.reads, ours.optional) == (theirs.found, theirs.reads, theirs.optional)
    assert ours.predict_options.items() <= {own: name or own for own, name in theirs.predict_options.items()}.items()
    inputs, always = KINDS[kind].inputs(), KINDS[kind].always
    found = theirs(inputs, **always)
    assert any(np.size(one) for one in found)
    for more in ({}, *KINDS[kind].options):
        options = {**always, **more}
        wanted = theirs(inputs, **options)
        alike(ours(inputs, batch_size=3, **options), wanted)
        alike(ours(inputs[2], **options), wanted[2])


@pytest.mark.parametrize(
    "kinds", [QUICK, pytest.param(("summaries", "texts as points", "paraphrases", "replies"), marks=pytest.mark.slow)]
)
def test_runs_without_pytorch(kinds, exported):
    """The answers of a process in which PyTorch cannot be imported."""
    asked = [(str(exported(kind) / "onnx"), KINDS[kind].inputs(), KINDS[kind].always) for kind in kinds]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for kind, found in zip(kinds, json.loads(done.stdout.splitlines()[-1]), strict=True):
        wanted = OnnxPipeline(exported(kind) / "onnx")(KINDS[kind].inputs(), **KINDS[kind].always)
        alike(found, wanted if isinstance(wanted, list) else wanted.tolist())


def test_takes_any_number_of_texts(exported):
    ours = OnnxPipeline(exported("entities") / "onnx")
    some = texts(9)
    wanted = ours(some)
    assert ours([]) == []
    assert OnnxPipeline(exported("vectors") / "onnx")([]).shape == (0, 32)
    stream = ours(iter(some), batch_size=1)
    assert isinstance(stream, Iterator)
    alike(list(stream), wanted)
    assert ours("") == wanted[0]


def test_questions_of_a_group_take_different_choices(exported):
    folder = exported("choices")
    choices = ["北京", "上海", "天"]
    rows = [{"text": text or "人", "choices": choices, "group": 1} for text in texts(3, 9)] + [
        {"text": "今天", "choices": choices[:2], "group": 2}
    ]
    theirs, ours = opened("choices", folder), OnnxPipeline(folder / "onnx")
    for options in ({}, {"decoding": "greedy"}, {"decoding": "argmax", "top_k": 3}):
        alike(ours(rows, batch_size=2, **options), theirs(rows, **options))
    with pytest.raises(ValueError, match="stand together"):
        ours([*rows, rows[0]])


@pytest.mark.parametrize(
    ("kind", "inputs", "options", "message"),
    [
        ("entities", "今天", {"n_best": 2}, "takes threshold, max_length, stride; got 'n_best'"),
        ("entities", "今天", {"threshold": 1.0}, r"threshold must be in \[0, 1\), got 1.0"),
        ("entities", "今天", {"max_length": 5, "stride": 5}, "stride must be at least 0 and less than"),
        ("entities", "今天", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ("entities", {"text": "今天"}, {}, "inputs must be texts, got dict"),
        ("entities", 3, {}, "inputs must be texts, got int"),
        ("answers", "今天", {}, "inputs must be mappings with question and context, got str"),
        ("answers", {"question": "谁", "context": " "}, {}, "context must be a string that is not blank"),
        ("answers", {"question": "谁", "context": "人"}, {"top_k": 99}, r"top_k must be in \[1, 20\]"),
        ("answers", {"question": "谁", "context": "人"}, {"max_answer_len": 0}, "max_answer_len must be at least 1"),
        ("clozes", {"text2": "今天"}, {}, "an example must have a text under 'text'"),
        ("clozes", 3, {}, "inputs must be texts, or mappings with those of the pattern, got int"),
        ("clozes", "今天", {"top_k": 0}, "top_k must be at least 1, got 0"),
        (
            "clozes",
            "今天",
            {"decoding": "best"},
            "decoding must be one of parallel, .*, got 'best'",
        ),
        ("images", {"image": "none.png"}, {}, "an image must be there, got none.png: no such file"),
        ("images", 3, {}, "Incorrect format used for image"),
        ("images", [3], {"top_k": 0}, "top_k must be at least 1, got 0"),
        ("choices", {"text": "今天"}, {}, "a question must have text and choices, got text"),
        ("choices", {"text": "今天", "choices": ["人"]}, {"top_k": 0}, "top_k must be at least 1, got 0"),
        ("classes", [3], {}, "inputs must be texts, or mappings with text and text2, got 3"),
        ("classes", "今天", {"threshold": -1.0}, "threshold must be in"),
        ("vectors", "今天", {"max_length": 0}, "max_length must be at least 1, got 0"),
        ("vectors", [None], {}, "inputs must be texts, got NoneType"),
    ],
)
def test_refuses_what_it_cannot_answer(kind, inputs, options, message, exported):
    with pytest.raises((TypeError, ValueError), match=message):
        OnnxPipeline(exported(kind) / "onnx")(inputs, **options)


def test_refuses_longer_texts_than_the_model_has_positions_for(exported, tmp_path):
    description = json.loads((exported("vectors") / "onnx" / "onnx.json").read_text(encoding="utf-8"))
    for file in (exported("vectors") / "onnx").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "onnx.json").write_text(json.dumps({**description, "longest": 64}), encoding="utf-8")
    with pytest.raises(ValueError, match="max_length must be at most the model's 64 positions, got 65"):
        OnnxPipeline(tmp_path)("今天", max_length=65)


def test_refuses_other_folders(exported, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"folder must be written by hf-ext export onnx, got .* without onnx.json"):
        OnnxPipeline(tmp_path)
    (tmp_path / "onnx.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"onnx.json must be as hf-ext export onnx writes it"):
        OnnxPipeline(tmp_path)
    text = (exported("entities") / "onnx" / "onnx.json").read_text(encoding="utf-8")
    (tmp_path / "onnx.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"folder must hold model.onnx, got .* without it"):
        OnnxPipeline(tmp_path)
    (tmp_path / "onnx.json").write_text(text.replace('"span-extraction"', '"text-scoring"'), encoding="utf-8")
    with pytest.raises(ValueError, match=r"folder must be of one of span-extraction, .*, got text-scoring"):
        OnnxPipeline(tmp_path)
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        OnnxPipeline(exported("entities") / "onnx", threads=0)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r'pip install "hf-ext\[onnx\]"'):
        OnnxPipeline(exported("entities") / "onnx")
