"""What is written from scores of tokens, which PyTorch gives in place of graphs, beside what the pipeline writes."""

from typing import Any

import numpy as np
import pytest
from onnx_tiny import Writer, texts, torch_answers
from transformers import GenerationConfig, MT5Config

from hf_ext.export import export_onnx
from hf_ext.export.token_search import search_of
from hf_ext.export.writing_settings import WritingSettings

OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_length": 2, "min_length": 0, "num_beams": 1},
    {"min_length": 7, "num_beams": 1},
    {"num_beams": 2},
    {"num_beams": 3, "length_penalty": 2.0, "min_length": 5},
    {"num_beams": 4, "early_stopping": True, "max_length": 6},
    {"num_beams": 2, "early_stopping": "never", "length_penalty": 0.5},
    {"num_beams": 3, "length_penalty": -1.0},
]


def both(folder: Any, **kind: Any) -> tuple[Any, Any]:
    """The pipeline of a model, and the answers from its scores."""
    Writer(**kind).save(folder)
    return torch_answers("summary-generation", folder)


@pytest.mark.parametrize(
    "kind",
    [
        {"generation": {"max_length": 11}},
        {
            "generation": {"max_length": 12, "min_length": 4, "num_beams": 2},
            "seed": 2,
            "fields": {"feed_forward_proj": "relu", "num_decoder_layers": 1},
        },
    ],
)
def test_writes_what_the_pipeline_writes(kind, tmp_path):
    theirs, ours = both(tmp_path, **kind)
    some = texts(5, 60)
    lengths = set()
    for options in OPTIONS:
        wanted = theirs(some, **options)
        assert list(ours.answers(some, 8, **options)) == wanted, options
        lengths |= set(map(len, wanted))
    # Some end before they must.
    assert len(lengths) > 3


def test_a_model_that_says_nothing_of_lengths(tmp_path):
    theirs, ours = both(tmp_path)
    with pytest.warns(UserWarning, match="model-agnostic default"):
        wanted = theirs(["今天"])
    assert list(ours.answers(["今天"], 1)) == wanted
    assert WritingSettings(**ours.description.settings).max_length == 21


def test_one_beam_of_a_search_over_all_texts():
    """With beams enough for all texts, the best is the best of all, as counted."""
    chances = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    settings = WritingSettings(
        start=0, ends=[3], max_length=4, num_beams=64, length_penalty=0.0, early_stopping="never"
    )
    search = search_of(settings)
    more = True
    while more:
        step = search.running.shape[1] - 1
        more = search.take(chances[step, search.running[:, -1]])
    shares = chances - np.log(np.exp(chances).sum(-1, keepdims=True))

    def ways(written: list[int], score: float) -> Any:
        if len(written) == 4 or written[-1] == 3:
            yield score, written
            return
        for token in range(4):
            yield from ways([*written, token], score + float(shares[len(written) - 1, written[-1], token]))

    assert search.best() == max(ways([0], 0.0))[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 0}, "num_beams must be a whole number, at least 1, got 0"),
        ({"max_length": 1}, "max_length must be a whole number, at least 2, got 1"),
        ({"min_length": -1}, "min_length must be a whole number, at least 0, got -1"),
        ({"num_beams": 2, "length_penalty": "1"}, "length_penalty must be a number, got '1'"),
        ({"num_beams": 2, "early_stopping": "soon"}, "early_stopping must be true, false or 'never', got 'soon'"),
        ({"early_stopping": True}, "early_stopping goes with num_beams above 1, got True with one beam"),
    ],
)
def test_refuses_settings(options, message):
    with pytest.raises(ValueError, match=message):
        WritingSettings(start=2, ends=[3], max_length=9).changed(**options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"do_sample": True}, "do_sample must not be set for a model to be exported to ONNX, got True"),
        ({"no_repeat_ngram_size": 2}, "no_repeat_ngram_size must not be set"),
        ({"forced_eos_token_id": 0}, "forced_eos_token_id must not be set"),
        ({"decoder_start_token_id": None}, "decoder_start_token_id must be set"),
    ],
)
def test_refuses_what_generation_it_does_not_do(given, message):
    with pytest.raises(ValueError, match=message):
        WritingSettings.of(GenerationConfig(**{"decoder_start_token_id": 2, **given}))


def test_reads_what_changes_nothing():
    given = GenerationConfig(bos_token_id=4, eos_token_id=[3, 5], repetition_penalty=1.0, min_new_tokens=3, top_k=50)
    assert WritingSettings.of(GenerationConfig(decoder_start_token_id=1, max_new_tokens=5)).max_length == 6
    assert WritingSettings.of(given) == WritingSettings(start=4, ends=[3, 5], max_length=21, min_length=4)


def test_refuses_other_inputs_and_models(tmp_path):
    _, ours = both(tmp_path / "model")
    with pytest.raises(TypeError, match="inputs must be texts, got int"):
        list(ours.answers([3], 1))
    with pytest.raises(ValueError, match="scores must be numbers, got NaN"):
        search_of(WritingSettings(2, [3], 9)).take(np.full((1, 6), np.nan))
    Writer(config=MT5Config).save(tmp_path / "mt5")
    with pytest.raises(ValueError, match=r"must be t5_pegasus to be exported to ONNX, got .*mt5, which is mt5"):
        export_onnx(str(tmp_path / "mt5"), tmp_path / "onnx")
