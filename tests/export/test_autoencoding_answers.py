"""What is written from codes of texts, by graphs that PyTorch runs, beside what the pipeline writes."""

from typing import Any

import pytest
from onnx_tiny import Coder, texts, torch_answers

OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_length": 4, "min_length": 0},
    {"num_beams": 2},
    {"num_beams": 3, "length_penalty": 2.0, "min_length": 9},
    {"num_beams": 4, "early_stopping": True, "max_length": 6},
]


@pytest.mark.parametrize(
    "fields",
    [{}, {"latent": "gaussian", "num_latent_layers": 2, "half_length": 40, "embedding_size": 16}, {"latent": "none"}],
)
def test_writes_what_the_pipeline_writes(fields, tmp_path):
    Coder(fields=fields).save(tmp_path)
    theirs, ours = torch_answers("text-autoencoding", tmp_path)
    some = texts(7, 30)
    found = set()
    for options in OPTIONS:
        wanted = theirs(some, **options)
        assert list(ours.answers(some, 3, **options)) == wanted, options
        found |= set(wanted)
    # They depend on the text, and on the options.
    assert len(found) > 9


def test_follows_the_models_settings(tmp_path):
    Coder().save(tmp_path)
    theirs, _ = torch_answers("text-autoencoding", tmp_path)
    theirs.model.generation_config.update(max_new_tokens=3, num_beams=2)
    theirs.model.save_pretrained(tmp_path)
    theirs, ours = torch_answers("text-autoencoding", tmp_path)
    some = texts(5, 30)
    assert list(ours.answers(some, 8)) == theirs(some)


def test_refuses_what_the_pipeline_refuses(tmp_path):
    Coder().save(tmp_path)
    theirs, ours = torch_answers("text-autoencoding", tmp_path)
    long = ["今天", "今" * 30, "今" * 31]
    for refuses in (theirs, lambda inputs: list(ours.answers(inputs, 2))):
        with pytest.raises(ValueError, match=r"at most half_length=32 tokens, got 33 in '今今.*: shorten it"):
            refuses(long)
        with pytest.raises(TypeError, match="inputs must be texts, got int"):
            refuses([3])
    for refuses in (theirs, lambda inputs, **options: list(ours.answers(inputs, 2, **options))):
        with pytest.raises(ValueError, match="at most half_length=32 tokens, got max_length=33"):
            refuses(["今天"], max_length=33)
    theirs.model.generation_config.update(no_repeat_ngram_size=2)
    theirs.model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no_repeat_ngram_size must not be set"):
        torch_answers("text-autoencoding", tmp_path)
