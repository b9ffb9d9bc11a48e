"""Folders of ``hf-ext export onnx`` are served as the models that they were made of."""

import pytest
from onnx_tiny import KINDS
from served import asked, near
from transformers import pipeline

from hf_ext.export import OnnxPipeline, export_onnx
from hf_ext.serve import open_model
from hf_ext.tasks.base.saved_model import SavedModel

# Of one character, of several, and of more than a window.
TEXTS = ["人", "张三在北京", "李四王五到了上海城" * 12]


@pytest.fixture(scope="module")
def folders_of(tmp_path_factory):
    """What gives the folders of a model of a kind and of its export."""

    def made(kind):
        folder = tmp_path_factory.mktemp("exported")
        KINDS[kind].save(folder / "model")
        export_onnx(str(folder / "model"), folder / "onnx", KINDS[kind].task)
        return folder / "model", folder / "onnx"

    return made


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "threshold"), [("classes", 0.1), ("entities", 0.7)])
def test_answers_are_those_of_the_pipeline_of_the_model(kind, threshold, folders_of):
    model, exported = folders_of(kind)
    theirs, ours = SavedModel.read(str(model)).open(None, "cpu", "float32"), open_model(str(exported), threads=1)
    assert isinstance(ours, OnnxPipeline)
    wanted = [{ours.found: found} for found in theirs(TEXTS)]
    other = [{ours.found: found} for found in theirs(TEXTS, threshold=threshold)]
    assert wanted != other

    async def talk(client):
        bodies = ({"inputs": TEXTS}, {"inputs": TEXTS, "parameters": {"threshold": threshold}}, {"inputs": TEXTS[1]})
        answers = [await client.post("/models/exported/predict", json=body) for body in bodies]
        refused = await client.post("/models/exported/predict", json={"inputs": TEXTS, "parameters": {"top_k": 2}})
        assert refused.status_code == 422
        return [answer.json()["results"] for answer in answers]

    found = asked({"exported": ours}, talk)
    assert found == near([wanted, other, wanted[1:2]], 2e-5)


@pytest.mark.slow
def test_vectors_are_those_of_the_pipeline_of_the_model(folders_of):
    model, exported = folders_of("vectors")
    wanted = pipeline("text-embedding", model=str(model), device="cpu")(TEXTS, normalize=True)

    async def talk(client):
        return (await client.post("/v1/embeddings", json={"model": "exported", "input": TEXTS})).json()

    found = asked({"exported": open_model(str(exported), threads=1)}, talk)
    assert [one["embedding"] for one in found["data"]] == near([list(map(float, one)) for one in wanted], 2e-5)
    # Of each at most a window, of 64 tokens.
    assert found["usage"]["total_tokens"] == 3 + 7 + 64
