"""The requests of docs/serving.md are answered as it shows."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from served import asked

from hf_ext.serve import open_model

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def calls(block):
    """Path, and body if there is one, of each call of curl."""
    for line in block.replace("\\\n", " ").splitlines():
        program, address, *words = shlex.split(line)
        assert program == "curl"
        options = dict(zip(words[::2], words[1::2]))
        assert options.keys() <= {"-H", "-d"}
        if "-d" in options:
            assert options["-H"] == "Content-Type: application/json"
        yield urlsplit(address).path, options.get("-d")


def shape(value):
    """Keys and types: what is the same of all answers."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value)


BLOCKS = FENCE.findall(PAGE)
EXAMPLES = [
    (call, json.loads(following[1]) if following[0] == "json" else None)
    for (language, block), following in zip(BLOCKS, [*BLOCKS[1:], ("", "")])
    if language == "bash"
    for call in calls(block)
]


@pytest.fixture(scope="module")
def models(folders):
    own = {"topics": ("classifier", None), "vectors": ("encoder", "embedding"), "writer": ("writer", "completion")}
    return {name: open_model(str(folders[kind]), task) for name, (kind, task) in own.items()}


def test_all_paths_are_shown():
    paths = {path for (path, _), _ in EXAMPLES}
    assert paths == {"/models/topics/predict", "/v1/embeddings", "/v1/completions", "/health", "/ready", "/metrics"}


def test_the_example_in_python_serves(folders):
    (code,) = [block for language, block in BLOCKS if language == "python"]
    names: dict[str, object] = {}
    exec(code.replace('"topic-model"', repr(str(folders["classifier"]))), names)
    made = names["app"]
    assert made.state.limits.batch == 32
    (model,) = made.state.models.values()
    assert model.purpose == "topics gives classes for text and text2 or text"
    model.batcher.close()


@pytest.mark.parametrize(("call", "shown"), EXAMPLES, ids=lambda one: one[0] if isinstance(one, tuple) else "")
def test_requests_are_answered_as_shown(models, call, shown):
    path, body = call

    async def talk(client):
        if body is None:
            return await client.get(path)
        return await client.post(path, content=body.encode(), headers={"Content-Type": "application/json"})

    answer = asked(models, talk)
    assert answer.status_code == 200, answer.text
    assert shown is None or shape(answer.json()) == shape(shown)
