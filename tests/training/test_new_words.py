"""New words begin as the mean of the tokens that they were."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

import hf_ext
from hf_ext.training.new_words import add_words

SIZE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 11}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["bert", "roformer"])
def test_embeddings_and_biases_are_means(family, tied):
    options = {**SIZE, "tie_word_embeddings": tied}
    model = (
        BertForMaskedLM(BertConfig(**options))
        if family == "bert"
        else hf_ext.RoFormerForMaskedLM(hf_ext.RoFormerConfig(**options))
    )
    with torch.no_grad():
        model.get_output_embeddings().bias.normal_()
    matrices = [model.get_input_embeddings().weight.clone(), model.get_output_embeddings().weight.clone()]
    bias, ids = model.get_output_embeddings().bias.clone(), torch.tensor([[3, 4, 5]])
    model.eval()
    before = model(ids).logits
    pieces = [[1, 2], [7], [], [3, 3, 4]]
    add_words(model, pieces)
    assert model.config.vocab_size == 15
    now = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    for old, new in zip(matrices, now):
        assert torch.equal(new[:11], old)
        for place, own in enumerate(pieces, start=11):
            wanted = old[own].mean(0) if own else torch.zeros(8)
            torch.testing.assert_close(new[place], wanted)
    new_bias = model.get_output_embeddings().bias
    torch.testing.assert_close(new_bias[11:], torch.stack([bias[p].mean() if p else torch.tensor(0.0) for p in pieces]))
    assert (now[0] is now[1]) == tied
    torch.testing.assert_close(model(ids).logits[..., :11], before)
