"""What a RoFormer computes whatever the batch, the back end, the layout and the precision; and what it refuses."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from roformer_tiny import V2, VARIANTS, packed, tiny, tokens
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, LlamaConfig
from transformers.masking_utils import flash_attention_mask
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from hf_ext.models.roformer import (
    RoFormerForMaskedLM,
    RoFormerForMultipleChoice,
    RoFormerForSequenceClassification,
    RoFormerForTokenClassification,
    RoFormerModel,
)
from hf_ext.ops.masks import unilm_mask

# A row of one token is all padding but one.
LENGTHS = [12, 7, 1, 4]
# Without a cache, so that models that generate may run without padding.
PLAIN = {"use_cache": False}


def run(model: Any, batch: dict[str, Tensor], **settings: Any) -> Tensor:
    with torch.no_grad():
        return model(**batch, **PLAIN, **settings).last_hidden_state


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_rows_do_not_depend_on_their_batch(fields: dict[str, Any], back_end: str, unpad: bool, side: str) -> None:
    """Each row, alone and without a mask, against the same row in a padded batch."""
    model = tiny(RoFormerModel, back_end, unpad=unpad, **fields)
    batch = tokens(LENGTHS, side)
    if model.config.rotary_value:
        # Queries and keys meet by their distance alone; a rotated value carries its position.
        batch["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    found = run(model, batch)
    for row, length in enumerate(LENGTHS):
        cut = slice(0, length) if side == "right" else slice(-length, None)
        alone = {name: value[row : row + 1, cut] for name, value in batch.items() if name != "attention_mask"}
        torch.testing.assert_close(found[row, cut], run(model, alone)[0], atol=1e-11, rtol=0)
    if model.pooler is not None:
        with torch.no_grad():
            pooled = [model(**one, **PLAIN).pooler_output for one in (batch, tokens(LENGTHS))]
        torch.testing.assert_close(*pooled, atol=1e-11, rtol=0)


@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_packed_rows(fields: dict[str, Any], back_end: str) -> None:
    """One packed row, a batch of two, and the same with a cache."""
    model = tiny(RoFormerModel, back_end, **fields)
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    row, wanted = packed(batch), run(model, batch)[real]
    torch.testing.assert_close(run(model, row)[0], wanted, atol=1e-11, rtol=0)
    twice = {name: value.expand(2, -1) for name, value in row.items()}
    for out in run(model, twice):
        torch.testing.assert_close(out, wanted, atol=1e-11, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(model(**row, use_cache=True).last_hidden_state[0], wanted, atol=1e-11, rtol=0)


@pytest.mark.parametrize("name", ["input_ids", "inputs_embeds"])
@pytest.mark.parametrize("unpad", [False, True])
def test_batch_of_padding_alone(name: str, unpad: bool) -> None:
    model = tiny(RoFormerModel, unpad=unpad)
    inputs = torch.zeros(2, 5, dtype=torch.long) if name == "input_ids" else torch.zeros(2, 5, 32, dtype=torch.float64)
    assert run(model, {name: inputs, "attention_mask": torch.zeros(2, 5)}).isfinite().all()


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("fields", [{}, {"embedding_size": 16}], ids=["v1", "factorized"])
def test_embedded_inputs(fields: dict[str, Any], unpad: bool) -> None:
    model = tiny(RoFormerModel, unpad=unpad, **fields)
    batch = tokens(LENGTHS)
    embeds = model.get_input_embeddings()(batch["input_ids"]).detach()
    wanted = run(model, batch)
    del batch["input_ids"]
    torch.testing.assert_close(run(model, batch | {"inputs_embeds": embeds}), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("unpad", [False, True])
def test_types_and_positions_of_one_row_serve_all(unpad: bool) -> None:
    model = tiny(RoFormerModel, unpad=unpad)
    batch = tokens([9, 9, 5])
    types, positions = batch["token_type_ids"][:1], torch.arange(9)[None] + 40
    found = run(model, batch | {"token_type_ids": types, "position_ids": positions})
    wanted = run(model, batch | {"token_type_ids": types.expand(3, -1), "position_ids": positions.expand(3, -1)})
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def visible(mode: str, types: Tensor) -> Tensor:
    """``[L, L]``, which key each query of one text sees, from the definitions."""
    length = types.shape[-1]
    if mode == "bidirectional":
        return torch.ones(length, length, dtype=torch.bool)
    if mode == "causal":
        return torch.ones(length, length, dtype=torch.bool).tril()
    sums = types.cumsum(-1)
    return sums[None, :] <= sums[:, None]


@pytest.mark.parametrize("layout", ["padded", "unpadded", "packed"])
@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
@pytest.mark.parametrize("mode", ["bidirectional", "causal", "unilm"])
def test_what_each_token_sees(mode: str, back_end: str, layout: str) -> None:
    """In one layer a token's output has a gradient to just those tokens that it sees."""
    model = tiny(RoFormerModel, back_end, attention_mode=mode, num_hidden_layers=1, unpad=layout == "unpadded")
    batch = tokens([6, 3, 1])
    batch["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]])
    real = batch["attention_mask"].bool()
    texts = torch.block_diag(*(visible(mode, types[row]).int() for types, row in zip(batch["token_type_ids"], real)))
    inputs = packed(batch) if layout == "packed" else batch
    ids = inputs.pop("input_ids")
    where = torch.ones_like(ids, dtype=torch.bool) if layout == "packed" else real
    embeds = model.get_input_embeddings()(ids).detach().requires_grad_()
    out = model(inputs_embeds=embeds, **inputs, **PLAIN).last_hidden_state[where]
    # The sum of a normalised vector is constant; a random weighting is not.
    weight = torch.randn(out.shape[-1], dtype=out.dtype)
    reached = [torch.autograd.grad(value, embeds, retain_graph=True)[0] for value in out @ weight]
    assert torch.equal(torch.stack([g[where].abs().sum(-1) > 0 for g in reached]), texts.bool())
    assert not any(g[~where].any() for g in reached)


def test_unilm_without_types_is_bidirectional() -> None:
    batch = tokens(LENGTHS)
    del batch["token_type_ids"]
    unilm, bidirectional = (tiny(RoFormerModel, attention_mode=mode) for mode in ("unilm", "bidirectional"))
    torch.testing.assert_close(run(unilm, batch), run(bidirectional, batch), atol=1e-12, rtol=0)


def test_mask_of_pairs() -> None:
    """A mask ``[B, 1, L, L]`` is taken as it is: here UniLM's, in a model that knows nothing of it."""
    batch = tokens([9, 9])
    wanted = run(tiny(RoFormerModel, attention_mode="unilm"), batch)
    batch["attention_mask"] = unilm_mask(batch["token_type_ids"])
    for unpad in (False, True):
        torch.testing.assert_close(run(tiny(RoFormerModel, unpad=unpad), batch), wanted, atol=1e-12, rtol=0)


def varlen_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, scaling: float, **kwargs: Any
) -> tuple[Tensor, None]:
    """What flash attention does with the offsets of a packed row, pair by pair."""
    assert attention_mask is None
    offsets = kwargs["cu_seq_lens_q"]
    assert torch.equal(offsets, kwargs["cu_seq_lens_k"])
    assert offsets.dtype == torch.int32
    assert kwargs["max_length_q"] == kwargs["max_length_k"] == int(offsets.diff().max())
    text = torch.searchsorted(offsets, torch.arange(query.shape[2]), right=True)
    allowed = text[:, None] == text
    if module.is_causal:
        allowed = allowed.tril()
    scores = (query @ key.mT * scaling).masked_fill(~allowed, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2), None


@pytest.mark.parametrize("layout", ["unpadded", "packed"])
@pytest.mark.parametrize("mode", ["bidirectional", "causal"])
def test_offsets_for_flash_attention(mode: str, layout: str) -> None:
    AttentionInterface.register("flash_attention_of_this_test", varlen_attention)
    AttentionMaskInterface.register("flash_attention_of_this_test", flash_attention_mask)
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    wanted = run(tiny(RoFormerModel, attention_mode=mode), batch)[real]
    model = tiny(RoFormerModel, attention_mode=mode, unpad=layout == "unpadded")
    model.config._attn_implementation = "flash_attention_of_this_test"
    found = run(model, batch)[real] if layout == "unpadded" else run(model, packed(batch))[0]
    torch.testing.assert_close(found, wanted, atol=1e-11, rtol=0)


REFUSED_BY_FLASH = {
    "unilm": ("unilm", lambda batch: batch),
    "unilm, packed": ("unilm", packed),
    "unilm, no types": ("unilm", lambda batch: {"input_ids": batch["input_ids"]}),
    "several packed rows": ("causal", lambda batch: {k: v.expand(2, -1) for k, v in packed(batch).items()}),
}


@pytest.mark.parametrize(("mode", "layout"), REFUSED_BY_FLASH.values(), ids=REFUSED_BY_FLASH)
@pytest.mark.parametrize("unpad", [False, True])
def test_flash_attention_refuses_masks_that_it_would_drop(mode: str, layout: Any, unpad: bool) -> None:
    model = tiny(RoFormerModel, attention_mode=mode, unpad=unpad)
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="attn_implementation='flash_attention_2' cannot do"):
        run(model, layout(tokens(LENGTHS)))


@pytest.mark.parametrize("back_end", ["sdpa", "eager"])
def test_beyond_the_length_of_pre_training(back_end: str) -> None:
    """Angles in float32 would be off by 1e-4 at 3,000 tokens; the model's are rounded once."""
    fields = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    length = 3000 if back_end == "sdpa" else 600
    batch = tokens([length])
    found, exact = (
        run(tiny(RoFormerModel, back_end, dtype, **fields), batch) for dtype in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(found.double(), exact, atol=2e-5, rtol=0)
    model = tiny(RoFormerModel, dtype=torch.float32)
    positions = torch.tensor([[0, 1535, 1536, 100_003]])
    angles = np.outer(positions.numpy(), 10000.0 ** (-np.arange(0, 8, 2) / 8))
    for found, wanted in zip(model.position_tensors(positions), (np.cos(angles), np.sin(angles))):
        np.testing.assert_allclose(found[0].numpy(), wanted, atol=6e-8, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_half_precision(fields: dict[str, Any], dtype: torch.dtype) -> None:
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    exact = run(tiny(RoFormerModel, **fields), batch)[real]
    for back_end in ("sdpa", "eager"):
        for unpad in (False, True):
            model = tiny(RoFormerModel, back_end, dtype, unpad=unpad, **fields)
            found = run(model, batch)[real]
            assert found.dtype == dtype
            # Outputs are about 1; two layers round some ten times each, and the softmax is steep.
            error = (found.double() - exact).square().mean().sqrt()
            assert error < 4 * torch.finfo(dtype).eps


SCALINGS: dict[str, dict[str, Any]] = {
    "theta": {"rope_type": "default", "rope_theta": 5e5},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "longrope": {
        "rope_type": "longrope",
        "short_factor": [1.0, 1.5, 2.0, 2.5],
        "long_factor": [2.0, 3.0, 4.0, 5.0],
        "factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


@pytest.mark.parametrize("length", [10, 200])
@pytest.mark.parametrize("rope", SCALINGS.values(), ids=SCALINGS)
def test_scaled_positions(rope: dict[str, Any], length: int) -> None:
    """The frequencies are those that Llama has under the same settings; unpadding does not change them."""
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 64}
    peer = LlamaRotaryEmbedding(LlamaConfig(**sizes, rope_parameters=dict(rope)))
    model = tiny(RoFormerModel, dtype=torch.float32, rope_parameters=dict(rope))
    positions = torch.arange(length)[None]
    for found, wanted in zip(model.position_tensors(positions), peer(torch.zeros(1), positions)):
        torch.testing.assert_close(found, wanted[..., :4], atol=3e-5, rtol=0)
    batch = tokens([length, 3])
    unpadded = tiny(RoFormerModel, rope_parameters=dict(rope), unpad=True)
    found, wanted = run(unpadded, batch), run(tiny(RoFormerModel, rope_parameters=dict(rope)), batch)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(found[real], wanted[real], atol=1e-10, rtol=0)


@pytest.mark.parametrize("layout", ["padded", "unpadded", "packed"])
@pytest.mark.parametrize("fields", [{}, {"embedding_size": 16}, V2], ids=["v1", "factorized", "v2"])
def test_inner_states(layout: str, fields: dict[str, Any]) -> None:
    batch = tokens(LENGTHS)
    real = batch["attention_mask"].bool()
    inputs = packed(batch) if layout == "packed" else batch
    rows, length = inputs["input_ids"].shape
    model = tiny(RoFormerModel, "eager", unpad=layout == "unpadded", **fields)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True, output_attentions=True)
    assert [state.shape for state in output.hidden_states] == [(rows, length, 32)] * 3
    assert [weights.shape for weights in output.attentions] == [(rows, 4, length, length)] * 2
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    for weights in output.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        if layout == "packed":
            texts = torch.block_diag(*(torch.ones(n, n) for n in LENGTHS)).bool()
            assert not weights[..., ~texts].any()
        else:
            assert not weights.transpose(1, 3)[~real].any()
    # What runs without padding otherwise gives the same.
    where = torch.ones(rows, length, dtype=torch.bool) if layout == "packed" else real
    torch.testing.assert_close(run(model, inputs)[where], output.last_hidden_state[where], atol=1e-11, rtol=0)
    only = run(model, inputs, output_hidden_states=True)
    torch.testing.assert_close(only[where], output.last_hidden_state[where], atol=1e-11, rtol=0)


@pytest.mark.parametrize("side", ["right", "left"])
def test_heads_read_the_first_real_token(side: str) -> None:
    """Multiple choice and classification of texts give the same on either side of padding, and what the layers say."""
    batch = tokens([5, 3, 4, 1], side)
    choices = {name: value.view(2, 2, -1) for name, value in batch.items()}
    model = tiny(RoFormerForMultipleChoice)
    first = run(model.roformer, batch)[torch.arange(4), batch["attention_mask"].argmax(-1)]
    with torch.no_grad():
        output = model(**choices, labels=torch.tensor([1, 0]))
        wanted = model.classifier(first).view(2, 2)
        embeds = model.get_input_embeddings()(choices.pop("input_ids"))
        embedded = model(**choices, inputs_embeds=embeds)
    torch.testing.assert_close(output.logits, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(embedded.logits, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(output.loss, torch.nn.functional.cross_entropy(wanted, torch.tensor([1, 0])))
    classifier = tiny(RoFormerForSequenceClassification, num_labels=3)
    with torch.no_grad():
        found, plain = classifier(**batch).logits, classifier(**tokens([5, 3, 4, 1])).logits
    torch.testing.assert_close(found, plain, atol=1e-11, rtol=0)


def test_wrong_inputs() -> None:
    model = tiny(RoFormerModel)
    ids = torch.tensor([[1, 2, 3]])
    embeds = torch.zeros(1, 3, 32, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"RoFormerModel\.forward.*\['atention_mask', 'token_types'\]"):
        model(ids, atention_mask=ids, token_types=ids)
    for head in (RoFormerForMaskedLM, RoFormerForTokenClassification):
        with pytest.raises(TypeError, match=r"\['head_mask'\]"):
            tiny(head)(ids, head_mask=ids)
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds, got both"):
        model(ids, inputs_embeds=embeds)
    for none in (model, tiny(RoFormerForMultipleChoice)):
        with pytest.raises(ValueError, match="either input_ids or inputs_embeds, got neither"):
            none()
    with pytest.raises(ValueError, match=r"encoder_hidden_states.*add_cross_attention"):
        model(ids, encoder_hidden_states=embeds)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS)
def test_copies(fields: dict[str, Any], duplicate: Any) -> None:
    model = tiny(RoFormerModel, **fields)
    again = duplicate(model)
    assert duplicate(model.config).to_dict() == model.config.to_dict()
    batch = tokens(LENGTHS)
    torch.testing.assert_close(run(again, batch), run(model, batch), rtol=0, atol=0)
    language_model = duplicate(tiny(RoFormerForMaskedLM))
    assert language_model.get_output_embeddings().weight is language_model.get_input_embeddings().weight


def test_tuple_outputs() -> None:
    batch = tokens(LENGTHS)
    model = tiny(RoFormerForTokenClassification, num_labels=3)
    with torch.no_grad():
        output = model(**batch, labels=batch["token_type_ids"])
        loss, logits = model(**batch, labels=batch["token_type_ids"], return_dict=False)
        (hidden,) = tiny(RoFormerModel)(**batch, return_dict=False)
    torch.testing.assert_close((loss, logits), (output.loss, output.logits), rtol=0, atol=0)
    assert hidden.shape == (4, 12, 32)
