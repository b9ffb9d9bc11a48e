"""What is T-TA's own: no token sees itself, at any depth and in any layout, down to texts of one; its refusals."""

import math
from typing import Any

import pytest
import torch
from model_outputs import gradients
from models_tiny import SIZES, make
from torch import Tensor, nn

from hf_ext import TTAConfig, TTAForMaskedLM, TTAForSequenceClassification, TTAModel

BACK_ENDS = ("eager", "sdpa")


def model_of(back_end: str = "sdpa", **fields: Any) -> TTAForMaskedLM:
    return make(TTAForMaskedLM, TTAConfig(**SIZES | {"num_hidden_layers": 3} | fields), back_end)


def written_out(model: TTAForMaskedLM, ids: Tensor) -> Tensor:
    """Logits ``[L, V]`` of a text ``[L]``, token by token and head by head, without a mask: keys that are left out."""
    config, encoder, embeddings = model.config, model.t_ta.encoder, model.t_ta.embeddings
    words, places, norm = embeddings.word_embeddings.weight, embeddings.position_embeddings.weight, embeddings.LayerNorm
    text = norm(words[ids] + places[: len(ids)])
    start = words[config.mask_token_id] if config.query_input == "mask_token" else torch.zeros_like(words[0])
    size = config.hidden_size // config.num_attention_heads
    rows = []
    for number in range(len(ids)):
        others = [j for j in range(len(ids)) if j != number or not config.self_mask]
        x = norm(start + places[number])
        for layer in encoder.layer:
            own = layer.attention.self
            parts = []
            for head in range(config.num_attention_heads):
                cut = slice(head * size, (head + 1) * size)
                query = (own.query(x))[cut]
                scores = [float(query @ own.key(text[j])[cut]) / math.sqrt(size) for j in others]
                total = sum(map(math.exp, scores))
                values = [math.exp(s) / total * own.value(text[j])[cut] for s, j in zip(scores, others)]
                parts.append(sum(values, torch.zeros(size, dtype=x.dtype)))
            out = layer.attention.output
            x = out.LayerNorm(out.dense(torch.cat(parts)) + x)
            inner = nn.functional.gelu(layer.intermediate.dense(x))
            x = layer.output.LayerNorm(layer.output.dense(inner) + x)
        head_of = model.cls.predictions
        x = head_of.transform.LayerNorm(nn.functional.gelu(head_of.transform.dense(x)))
        rows.append(words @ x + head_of.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("fields", [{}, {"query_input": "position"}, {"self_mask": False}], ids=str)
@torch.no_grad()
def test_against_formulas_written_out(fields: dict[str, Any], length: int) -> None:
    model = model_of(**fields)
    ids = torch.randint(1, 60, (length,), generator=torch.Generator().manual_seed(length))
    torch.testing.assert_close(model(ids[None]).logits[0], written_out(model, ids), atol=1e-10, rtol=0)


@pytest.mark.parametrize("back_end", BACK_ENDS)
@torch.no_grad()
def test_a_token_tells_everywhere_but_in_its_own_place(back_end: str) -> None:
    """To the last bit, padded and packed: all that is said of a token is said by the others."""
    model = model_of(back_end)
    ids = torch.randint(5, 60, (2, 6), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    # The second row of the packed one begins in the middle, where a position of the first comes again.
    packed = {"position_ids": torch.tensor([[0, 1, 2, 3, 0, 1]])}
    for arguments in ({"attention_mask": mask}, packed, {}):
        before = model(ids, **arguments).logits
        for place in range(6):
            other = ids.clone()
            other[:, place] = (ids[:, place] - 4) % 55 + 5
            after = model(other, **arguments).logits
            assert torch.equal(before[0, place], after[0, place])
            moved = (before[0] != after[0]).any(-1)
            documents = torch.tensor([0, 0, 0, 0, 1, 1]) if arguments is packed else torch.zeros(6)
            wanted = (torch.arange(6) != place) & (documents == documents[place])
            assert torch.equal(moved, wanted)


@torch.no_grad()
def test_one_pass_gives_what_runs_for_each_token_give() -> None:
    """The score is the sum over runs in which the token that is asked for is replaced by any other."""
    model = model_of()
    ids = torch.randint(5, 60, (1, 7), generator=torch.Generator().manual_seed(0))
    total = torch.zeros((), dtype=torch.float64)
    for place in range(7):
        replaced = ids.clone()
        replaced[0, place] = place
        total += model(replaced).logits[0, place].log_softmax(-1)[ids[0, place]]
    torch.testing.assert_close(model.score(ids), total[None], atol=1e-11, rtol=0)
    torch.testing.assert_close(model.token_log_probs(ids).sum(-1), total[None], atol=1e-11, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scores_are_in_float32(dtype: torch.dtype) -> None:
    ids = torch.randint(5, 60, (2, 7), generator=torch.Generator().manual_seed(0))
    found, wanted = model_of().to(dtype).score(ids), model_of().score(ids)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, atol=1, rtol=0.05)


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_a_text_of_one_token(back_end: str, unpad: bool) -> None:
    """Alone, in a padded row or among packed ones: its query sees nothing, and gradients are finite."""
    model = model_of(back_end, unpad=unpad).train()
    ids = torch.tensor([[7, 0, 0], [8, 9, 11]])
    mask = torch.tensor([[1, 0, 0], [1, 1, 1]])
    logits = model(ids, mask).logits
    alone = model(ids[:1, :1]).logits
    torch.testing.assert_close(logits[0, :1], alone[0], atol=1e-12, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(alone[0], written_out(model, ids[0, :1]), atol=1e-11, rtol=0)
    logits[mask.bool()].square().sum().backward()
    assert all(gradient.isfinite().all() for gradient in gradients(model).values())
    model.zero_grad()
    model(ids[:1, :1]).logits.square().sum().backward()
    found = gradients(model)
    assert all(gradient.isfinite().all() for gradient in found.values())
    # The one key is read by no one.
    assert not any(found[name].any() for name in found if ".key." in name or ".value." in name)


@torch.no_grad()
def test_no_weight_is_given_to_the_token_itself() -> None:
    model = model_of("eager")
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    weights = model(torch.full((2, 4), 9), mask, output_attentions=True).attentions
    assert len(weights) == 3
    for own in weights:
        seen = (mask[:, None] != 0) & ~torch.eye(4, dtype=torch.bool)
        assert torch.equal(own > 0, seen[:, None].expand_as(own))
        torch.testing.assert_close(own.sum(-1)[:, 0], seen.any(-1).double())


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_of_either_kind(reentrant: bool) -> None:
    """The text goes into every block, and its gradient comes of all of them."""
    ids = torch.randint(5, 60, (2, 7), generator=torch.Generator().manual_seed(0))
    found = []
    for checkpointing in (False, True):
        model = model_of().train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model(ids, labels=ids).loss.backward()
        found.append(gradients(model))
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"query_input": "token"}, 'query_input must be "mask_token" or "position", got \'token\''),
        ({"mask_token_id": 60}, "mask_token_id must be in .0, vocab_size=60. .*got 60"),
        ({"mask_token_id": -1}, "mask_token_id must be .* got -1"),
        ({"embedding_size": 16}, "embedding_size must equal hidden_size .*embedding_size=16 and hidden_size=32"),
        ({"attention_mode": "causal"}, "attention_mode must be 'bidirectional'"),
        ({"is_decoder": True}, "is_decoder must be False"),
        ({"type_vocab_size": 2}, "type_vocab_size must be 0"),
        ({"position_embedding_type": "relative"}, "position_embedding_type must be 'absolute'"),
    ],
)
def test_refused_settings(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        TTAConfig(**SIZES | fields)


def test_an_id_of_the_mask_token_that_nothing_reads() -> None:
    assert TTAConfig(**SIZES, query_input="position", mask_token_id=60).mask_token_id == 60


def test_refused_inputs() -> None:
    model = model_of(max_position_embeddings=4)
    ids = torch.full((1, 5), 9)
    with pytest.raises(ValueError, match=r"position_ids must be in .0, max_position_embeddings=4., got 4"):
        model(ids)
    with pytest.raises(ValueError, match="token_type_ids must be None"):
        model(ids[:, :3], token_type_ids=torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="encoder_hidden_states needs"):
        model(ids[:, :3], encoder_hidden_states=torch.zeros(1, 3, 32))
    with pytest.raises(ValueError, match=r"attention_mask must have shape .B, L., got .1, 1, 3, 3."):
        model.score(ids[:, :3], torch.ones(1, 1, 3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="self_mask must be True to score tokens"):
        model_of(self_mask=False).score(ids[:, :3])


def test_flash_attention_is_refused() -> None:
    """It has no mask that would hide a token from its own query."""
    with pytest.raises(ValueError, match=r"Flash Attention|flash_attention"):
        TTAModel(TTAConfig(**SIZES, attn_implementation="flash_attention_2"))


def test_fine_tuning_may_drop_the_mask() -> None:
    """The same weights under both, of which one sees the token itself."""
    config = TTAConfig(**SIZES)
    masked = make(TTAForSequenceClassification, config)
    plain = make(TTAForSequenceClassification, TTAConfig(**SIZES, self_mask=False))
    plain.load_state_dict(masked.state_dict())
    ids = torch.tensor([[3, 9, 11, 1]])
    other = torch.tensor([[13, 9, 11, 1]])
    with torch.no_grad():
        assert torch.equal(masked(ids).logits, masked(other).logits)
        assert not torch.equal(plain(ids).logits, plain(other).logits)
