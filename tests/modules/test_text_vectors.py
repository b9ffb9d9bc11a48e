"""Vectors of texts by each pooling: NumPy over hidden states that hooks took, any family, padding, unpadding, LoRA."""

import numpy as np
import pytest
import torch
from models_tiny import one_of_each
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AlbertConfig, AlbertModel, BertConfig, BertModel, ElectraConfig, ElectraModel

import hf_ext
from hf_ext.modules.text_vectors import encode_texts, pooler_dense
from hf_ext.ops.pooling import POOLINGS, text_vectors

SIZE = {
    "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3,
}  # fmt: skip
LENGTHS = [7, 1, 4]
OTHERS = ("cls", "mean", "first_last")


def batch(dtype=torch.int64):
    torch.manual_seed(1)
    mask = (torch.arange(7) < torch.tensor(LENGTHS)[:, None]).to(dtype)
    return {"input_ids": torch.randint(1, 30, (3, 7)) * mask.long(), "attention_mask": mask}


def bert(**fields):
    torch.manual_seed(0)
    return BertModel(BertConfig(**SIZE, **fields)).double().eval()


def states_by_hooks(model, blocks, inputs):
    """What the first block and the last give, whatever the model says of its hidden states."""
    seen = {}

    def keep(name):
        return lambda module, args, output: seen.update({name: output[0] if isinstance(output, tuple) else output})

    hooks = [block.register_forward_hook(keep(name)) for name, block in (("first", blocks[0]), ("last", blocks[-1]))]
    with torch.no_grad():
        model(**inputs)
    for hook in hooks:
        hook.remove()
    return (seen[name].detach().numpy().astype(np.float64) for name in ("first", "last"))


def by_numpy(first, last, mask, dense):
    """The four poolings of the articles, and the pooler of BERT."""
    weights = mask.numpy()[:, :, None] / mask.numpy().sum(1)[:, None, None]
    weight, bias = (value.detach().numpy().astype(np.float64) for value in (dense.weight, dense.bias))
    linear = last[:, 0] @ weight.T + bias
    return {
        "cls": last[:, 0],
        "pooler_dense": linear,
        "pooler": np.tanh(linear),
        "mean": (last * weights).sum(1),
        "first_last": ((first * weights).sum(1) + (last * weights).sum(1)) / 2,
    }


@pytest.mark.parametrize("layers", [1, 3])
def test_poolings_are_those_of_numpy(layers):
    torch.manual_seed(0)
    model = BertModel(BertConfig(**{**SIZE, "num_hidden_layers": layers})).double().eval()
    inputs = batch()
    wanted = by_numpy(
        *states_by_hooks(model, model.encoder.layer, inputs), inputs["attention_mask"], model.pooler.dense
    )
    assert wanted.keys() == set(POOLINGS)
    for pooling, value in wanted.items():
        with torch.no_grad():
            found = encode_texts(model, inputs, pooling)
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found.numpy(), value, rtol=1e-12, atol=1e-12)


def test_albert_has_the_layer_alone():
    torch.manual_seed(0)
    model = AlbertModel(AlbertConfig(**SIZE, embedding_size=8)).double().eval()
    with torch.no_grad():
        found, outputs = encode_texts(model, batch(), "pooler_dense"), model(**batch())
    torch.testing.assert_close(found.tanh(), outputs.pooler_output)
    assert (found.tanh() - found).abs().max() > 0.1


@pytest.mark.parametrize("unpad", [False, True], ids=["padded", "unpadded"])
@pytest.mark.parametrize("activation", ["tanh", "linear"])
def test_ours_give_the_same_padded_or_not(unpad, activation):
    """Also with hidden states, for which unpadding steps aside."""
    torch.manual_seed(0)
    config = hf_ext.RoFormerConfig(**SIZE, pooler_activation=activation)
    model = hf_ext.RoFormerModel(config).double().eval()
    model.config.unpad = unpad
    inputs = batch()
    wanted = None
    if not unpad:
        states = states_by_hooks(model, model.encoder.layer, inputs)
        wanted = by_numpy(*states, inputs["attention_mask"], model.pooler.dense)
    for pooling in POOLINGS:
        with torch.no_grad():
            found = encode_texts(model, inputs, pooling)
            alone = [
                encode_texts(model, {"input_ids": inputs["input_ids"][row : row + 1, :length]}, pooling)[0]
                for row, length in enumerate(LENGTHS)
            ]
        torch.testing.assert_close(found, torch.stack(alone))
        if wanted is not None and not (activation == "linear" and pooling == "pooler"):
            np.testing.assert_allclose(found.numpy(), wanted[pooling], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", one_of_each())
def test_every_family_of_ours_has_the_others(case):
    model = case.make().eval()
    inputs = {name: value for name, value in case.batch([5, 3]).items() if name in ("input_ids", "attention_mask")}
    if case.family.paired:
        pytest.skip("an encoder and a decoder give no vectors of one text")
    for pooling in OTHERS:
        with torch.no_grad():
            found = encode_texts(model, inputs, pooling)
            again = encode_texts(model, {name: value[1:, :3] for name, value in inputs.items()}, pooling)
        assert found.shape[0] == 2
        assert found.isfinite().all()
        torch.testing.assert_close(found[1:], again, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_layer_and_adapters_of_it():
    model = get_peft_model(bert(), LoraConfig(r=2, target_modules=["query", "pooler.dense"], init_lora_weights=False))
    inputs = batch()
    found = encode_texts(model, inputs, "pooler_dense")
    found.square().sum().backward()
    grads = [p.grad for name, p in model.named_parameters() if "pooler" in name and p.requires_grad]
    assert len(grads) == 2
    assert all(grad.abs().max() > 0 for grad in grads)
    with torch.no_grad():
        torch.testing.assert_close(found.tanh(), model(**inputs).pooler_output)


class Around(nn.Module):
    """As what exchanges gradients is."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, **inputs):
        return self.module(**inputs)


def test_a_model_in_something_is_told_apart():
    model = bert()
    with torch.no_grad():
        found = encode_texts(Around(model), batch(), "pooler_dense", model)
        torch.testing.assert_close(found, encode_texts(model, batch(), "pooler_dense"))


@pytest.mark.parametrize("pooling", ["pooler", "pooler_dense"])
def test_what_a_model_does_not_have_is_refused(pooling):
    torch.manual_seed(0)
    for model in (
        ElectraModel(ElectraConfig(**SIZE, embedding_size=8)).eval(),
        BertModel(BertConfig(**SIZE), add_pooling_layer=False).eval(),
    ):
        message = f"pooling must be one of cls, mean, first_last for a model without a pooler, got '{pooling}'"
        with pytest.raises(ValueError, match=message):
            encode_texts(model, batch(), pooling)
    with pytest.raises(ValueError, match="got 'pooler_dense'"):
        pooler_dense(model)


def test_half_precision_is_pooled_in_float32():
    outputs = bert().to(torch.bfloat16)(**batch(), output_hidden_states=True)
    for pooling in OTHERS:
        found = text_vectors(outputs, batch()["attention_mask"], pooling)
        assert found.dtype == torch.float32
    mean = (outputs.hidden_states[1].float()[2, :4].mean(0) + outputs.last_hidden_state.float()[2, :4].mean(0)) / 2
    torch.testing.assert_close(text_vectors(outputs, batch()["attention_mask"], "first_last")[2], mean)
    with pytest.raises(
        ValueError, match="pooling must be one of pooler, cls, mean, pooler_dense, first_last, got 'max'"
    ):
        text_vectors(outputs, None, "max")
