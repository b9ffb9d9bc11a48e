"""Replies of graphs that PyTorch runs, beside those of the pipeline."""

from typing import Any

import pytest
from onnx_tiny import KINDS, Speaker, torch_answers

import hf_ext
from hf_ext.export import export_onnx

# So small that the likeliest token is left alone.
CERTAIN = {"top_p": 1e-6}
OPTIONS: list[dict[str, Any]] = [
    {"num_beams": 1},
    {"num_beams": 1, "max_new_tokens": 3},
    {"num_beams": 4, "max_new_tokens": 9, "max_length": 20},
    {"num_beams": 2},
    CERTAIN,
    {**CERTAIN, "temperature": 0.2, "max_length": 12},
]


@pytest.fixture(params=["replies", "replies by types"])
def both(request, tmp_path):
    """The pipeline of a model, and the answers from its scores."""
    KINDS[request.param].save(tmp_path)
    return torch_answers("dialogue-reply", tmp_path)


def test_replies_as_the_pipeline(both):
    theirs, ours = both
    dialogues = KINDS["replies"].inputs()
    found = set()
    for options in OPTIONS:
        wanted = theirs(dialogues, **options)
        assert list(ours.answers(dialogues, 3, **options)) == wanted, options
        assert list(ours.answers(dialogues[-1:], 1, **options)) == wanted[-1:], options
        found |= set(wanted)
    # They depend on what was said, and on the options.
    assert len(found) > 12


def test_a_seed_gives_the_same_replies(both):
    _, ours = both
    dialogues = KINDS["replies"].inputs()
    first = list(ours.answers(dialogues, 8, seed=3))
    assert list(ours.answers(dialogues[::-1], 8, seed=3)) == first[::-1]
    assert list(ours.answers(dialogues, 8, seed=4)) != first
    assert list(ours.answers(dialogues, 8)) != list(ours.answers(dialogues, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"temperature": -1.0}, "temperature must be positive, got -1.0"),
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"num_beams": 2, "top_p": 0.5}, "top_p has no effect with num_beams"),
        ({"max_length": 7}, "max_length must be at least 8, got 7"),
        ({"max_length": 20, "max_new_tokens": 19}, "room must leave tokens for a turn in max_length=20, got 19"),
    ],
)
def test_refuses_what_the_pipeline_refuses(options, message, both):
    theirs, ours = both
    for refuses in (theirs, lambda inputs, **options: list(ours.answers(inputs, 2, **options))):
        with pytest.raises(ValueError, match=message):
            refuses(["今天"], **options)
        with pytest.raises(ValueError, match="turns must be a list of texts, one or more, got"):
            refuses([{"turns": []}])
        with pytest.raises(TypeError, match="inputs must be texts, or mappings with turns, got int"):
            refuses([3])


def test_refuses_a_seed_without_chance(both):
    with pytest.raises(ValueError, match="seed has no effect with num_beams"):
        list(both[1].answers(["今天"], 1, seed=3, num_beams=2))


def test_refuses_a_table_that_ends(tmp_path):
    Speaker(config=hf_ext.CDialGPTConfig).save(tmp_path)
    theirs, ours = torch_answers("dialogue-reply", tmp_path)
    for refuses in (theirs, lambda inputs, **options: list(ours.answers(inputs, 2, **options))):
        with pytest.raises(ValueError, match="max_length must be at most the model's 128 positions, got 129"):
            refuses(["今天"], max_length=129)


def test_refuses_models_without_keys_and_values(tmp_path):
    Speaker(config=hf_ext.LinearRoFormerConfig, fields={"attention_mode": "causal"}).save(tmp_path)
    with pytest.raises(ValueError, match=r"must keep keys and values of each token .*, which is linear_roformer"):
        torch_answers("dialogue-reply", tmp_path)


def test_answers_have_no_score(tmp_path):
    KINDS["replies"].save(tmp_path / "model")
    with pytest.raises(ValueError, match="score_file needs a task whose answers are scored, got a model of dialogue"):
        export_onnx(
            str(tmp_path / "model"), tmp_path / "onnx", int8=True, score_file=tmp_path / "model" / "config.json"
        )
    assert not (tmp_path / "onnx").exists()
