"""How many tokens models and tokenizers take."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

import hf_ext  # noqa: F401  (registers)
from hf_ext import build_char_tokenizer
from hf_ext.data.input_limit import check_input_length, input_limit, longest_input

SIZE = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}


def config_of(model_type, **fields):
    if model_type == "t5":
        return AutoConfig.for_model("t5")
    return AutoConfig.for_model(model_type, **{**SIZE, "max_position_embeddings": 12, **fields})


@pytest.mark.parametrize(
    ("model_type", "fields", "longest"),
    [
        ("bert", {}, 12),
        ("roberta", {"pad_token_id": 1}, 10),
        ("roberta", {"pad_token_id": 3}, 8),
        ("xlm-roberta", {"pad_token_id": 1}, 10),
        ("camembert", {"pad_token_id": 1}, 10),
        ("mpnet", {"pad_token_id": 1}, 10),
        ("esm", {"pad_token_id": 1, "position_embedding_type": "absolute"}, 10),
        ("unilm_bert", {}, 12),
        ("gpt_cdial", {}, 12),
        ("token_mixer", {"mixer": "gmlp"}, 12),
        ("token_mixer", {"mixer": "fnet"}, 12),
        ("token_mixer", {"mixer": "synthesizer_random", "position_embeddings": False}, 12),
    ],
)
def test_a_table_of_positions_has_as_many_as_a_model_runs(model_type, fields, longest):
    config = config_of(model_type, **fields)
    assert longest_input(config) == longest
    model = AutoModel.from_config(config).eval()
    model(input_ids=torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError, ValueError)):
        model(input_ids=torch.full((1, longest + 1), 5))
    check_input_length(longest, config)
    with pytest.raises(ValueError, match=f"max_seq_len must be at most the model's {longest} positions, got"):
        check_input_length(longest + 1, config, "max_seq_len")


@pytest.mark.parametrize(
    ("model_type", "fields"),
    [
        ("roformer", {}),
        ("nezha", {}),
        ("gau_alpha", {}),
        ("flash", {}),
        ("token_mixer", {"mixer": "fnet", "position_embeddings": False}),
        ("token_mixer", {"mixer": "external", "position_embeddings": False}),
        ("urpe", {}),
        ("modernbert", {}),
        ("deberta-v2", {"position_biased_input": False, "relative_attention": True}),
        ("esm", {"pad_token_id": 1, "position_embedding_type": "rotary"}),
    ],
)
def test_computed_and_relative_positions_have_no_end(model_type, fields):
    config = config_of(model_type, **fields)
    assert longest_input(config) is None
    check_input_length(100_000, config)


@pytest.mark.parametrize("model_type", ["t5", "xlnet"])
def test_families_without_the_field_have_no_end(model_type):
    assert longest_input(AutoConfig.for_model(model_type)) is None


@pytest.mark.parametrize(
    ("model_type", "tokens", "most", "limit"),
    [
        ("bert", None, 512, 12),
        ("bert", 7, 512, 7),
        ("bert", 7, 5, 5),
        ("bert", 30, None, 12),
        # Positions have no end here, but the model was made for so many.
        ("nezha", 1024, 512, 12),
        ("nezha", None, None, 12),
        ("nezha", 7, None, 7),
        ("t5", None, None, 512),
    ],
)
def test_the_least_limit_counts(model_type, tokens, most, limit):
    options = {} if tokens is None else {"model_max_length": tokens}
    assert input_limit(build_char_tokenizer(["ab"], **options), config_of(model_type), most) == limit
