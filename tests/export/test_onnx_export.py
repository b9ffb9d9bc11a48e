"""hf-ext export onnx: what it writes and says, and that a folder is written whole or not at all."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from jobs_tiny import JOBS
from models_tiny import SIZES
from onnx_tiny import KINDS, texts
from transformers import BertConfig, BertForMaskedLM
from typer.testing import CliRunner

import hf_ext_cli
from hf_ext.export import OnnxPipeline, export_onnx, onnx_export
from hf_ext.export.graphs import graphs_of
from hf_ext.extras import MissingExtraError


def run(*arguments):
    return CliRunner().invoke(hf_ext_cli.app, ["export", "onnx", *map(str, arguments)])


@pytest.fixture
def model(tmp_path):
    """A folder of a model of entities."""
    KINDS["entities"].save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("task", ["multiple-choice", "half-pointer-relation-extraction"])
def test_examples_are_the_same_each_time_and_draw_nothing_of_the_callers(task):
    part = torch.nn.Identity()
    model = SimpleNamespace(config=BertConfig(**SIZES), base_model=part, classifier=part)
    tokenizer = SimpleNamespace(model_input_names=["input_ids"])
    state = torch.get_rng_state()
    for graph in graphs_of(task, model, tokenizer, "cls"):
        first, second = graph.example(3, 8), graph.example(3, 8)
        assert len(first) == 2
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)


def test_says_what_it_wrote(model, tmp_path):
    (model / "job.json").write_text(json.dumps({"command": "ner", "options": {}}), encoding="utf-8")
    result = run(model, tmp_path / "onnx")
    assert result.exit_code == 0, result.output
    assert "model.onnx: " in result.stdout
    assert "span-extraction; largest difference to PyTorch " in result.stdout
    names = {file.name for file in (tmp_path / "onnx").iterdir()}
    assert names == {"model.onnx", "onnx.json", "config.json", "job.json", "tokenizer.json", "tokenizer_config.json"}
    assert json.loads((tmp_path / "onnx" / "job.json").read_text(encoding="utf-8"))["command"] == "ner"
    again = run(model, tmp_path / "onnx")
    assert again.exit_code != 0
    assert "set overwrite (--overwrite)" in str(again.exception)
    # Another model takes the place of what is there.
    small = run(model, tmp_path / "onnx", "--overwrite", "--int8")
    assert small.exit_code == 0, small.output
    assert float(small.stdout.split()[1]) < float(result.stdout.split()[1])
    assert json.loads((tmp_path / "onnx" / "onnx.json").read_text(encoding="utf-8"))["int8"] is True
    assert len(OnnxPipeline(tmp_path / "onnx")(texts(4))) == 4


@pytest.mark.parametrize("difference", [2e-4, float("inf")])
def test_refuses_other_numbers(difference, model, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "largest_difference", lambda *_: difference)
    monkeypatch.setattr(onnx_export, "write_graph", lambda graph, path: path.write_bytes(b""))
    monkeypatch.setattr(onnx_export, "GraphSession", lambda *_: None)
    with pytest.raises(ValueError, match=r"must give PyTorch's numbers, got a difference of .*; nothing is written"):
        export_onnx(str(model), tmp_path / "onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_refuses_what_pytorch_makes_no_graph_of(model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise torch.onnx.OnnxExporterError("Step 1\nConversionError: no function for aten::sort\nreport it")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ValueError, match=r"no ONNX graph of RoFormerForSpanExtraction: .*no function for aten::sort"):
        export_onnx(str(model), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_refuses_options_without_effect(model, tmp_path):
    for options, message in (
        ({"pooling": "cls"}, "pooling goes with vectors, got cls with a model that finds entities"),
        ({"score_file": model}, "score_file goes with int8, got .* without it"),
        ({"task": "nothing"}, "task must be one of "),
        ({"task": "embedding", "pooling": "most"}, "pooling must be one of pooler, "),
        ({"int8": True, "score_file": model / "none.txt"}, "score_file must be there, got "),
        ({"task": "embedding", "int8": True, "score_file": model / "config.json"}, "score_file needs a task"),
    ):
        with pytest.raises(ValueError, match=message):
            export_onnx(str(model), tmp_path / "onnx", **options)
    assert not (tmp_path / "onnx").exists()


def test_names_what_it_does_not_export(model, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(onnx_export, "EXPORTED", frozenset({"cloze"}))
        with pytest.raises(ValueError, match=r"one of cloze to be exported to ONNX, got .*, which is for span-"):
            export_onnx(str(model), tmp_path / "onnx")
    BertForMaskedLM(BertConfig(**SIZES)).save_pretrained(tmp_path / "masked")
    with pytest.raises(ValueError, match="model must be trained for a task, got BertForMaskedLM"):
        export_onnx(str(tmp_path / "masked"), tmp_path / "onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"exporting to ONNX needs onnxscript, .*hf-ext\[onnx\]"):
        export_onnx(str(model), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


# Of each kind of answer one.
SCORED = {
    "spans": "f1",
    "classes": "f1",
    "answers": "f1",
    "choices": "accuracy",
    "cloze": "accuracy",
    "images": "f1",
    "cosent": "spearman",
    "summaries": "rougeL",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORED)
def test_int8_beside_float32(name, tmp_path):
    case = JOBS[name]
    case.write(tmp_path / "files")
    job = case.make(tmp_path / "files")
    scores = job.run(case.arguments(tmp_path / "run", max_steps=12, learning_rate=1e-2))
    file = tmp_path / "files" / "validation.jsonl"
    result = run(tmp_path / "run", tmp_path / "onnx", "--int8", "--score-file", file)
    assert result.exit_code == 0, result.exception
    assert f"float32 {scores[job.metric]:.4f}, int8 " in result.stdout
    assert result.stdout.splitlines()[-1].startswith(f"{SCORED[name]} on {file}: ")
