"""A name is opened as what the model says of itself, or as it is asked to."""

import json

import pytest

from hf_ext.export import onnx_pipeline
from hf_ext.serve import open_model
from hf_ext.tasks.classification.pipeline import ClassificationPipeline
from hf_ext.tasks.dialogue.pipeline import DialoguePipeline
from hf_ext.tasks.similarity.pair_pipeline import SimilarityPipeline
from hf_ext.tasks.similarity.pipeline import EmbeddingPipeline


@pytest.mark.parametrize(
    ("name", "task", "kind", "found"),
    [
        ("classifier", None, ClassificationPipeline, "classes"),
        ("classifier", "classification", ClassificationPipeline, "classes"),
        ("encoder", None, EmbeddingPipeline, "vectors"),
        ("classifier", "embedding", EmbeddingPipeline, "vectors"),
        ("encoder", "similarity", SimilarityPipeline, "similarity"),
        # By its config it could be either.
        ("writer", None, DialoguePipeline, "reply"),
    ],
)
def test_what_a_model_is_opened_as(folders, name, task, kind, found):
    opened = open_model(str(folders[name]), task)
    assert (type(opened), opened.found) == (kind, found)


def test_a_causal_model_that_was_pretrained_completes(folders, tmp_path):
    for file in folders["writer"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "job.json").write_text(json.dumps({"command": "lm", "options": {}}))
    assert open_model(str(tmp_path)).found == "completions"


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("encoder", "nothing", r"task must be one of .*summarization, embedding, completion, got 'nothing'"),
        ("encoder", "ner", r"model must have a trained head, one of \.\.\.ForSequenceLabeling"),
        ("reader", "classification", "model must have a trained head"),
    ],
)
def test_what_a_model_is_not_for(folders, name, task, message):
    with pytest.raises(ValueError, match=message):
        open_model(str(folders[name]), task)


def test_an_exported_folder_is_run_by_what_exported_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_pipeline, "OnnxPipeline", lambda folder, threads=None: (folder, threads))
    (tmp_path / "onnx.json").write_text("{}")
    assert open_model(str(tmp_path), threads=3) == (str(tmp_path), 3)
    with pytest.raises(ValueError, match="task has no effect with an exported folder"):
        open_model(str(tmp_path), "ner")
