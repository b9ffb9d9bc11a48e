"""Generation with RoFormer: the same text whatever the cache, the padding and the way the prompt is given."""

from typing import Any

import pytest
import torch
from roformer_tiny import VARIANTS, tiny, tiny_config, tokens
from torch import Tensor

from hf_ext.models.roformer import RoFormerForCausalLM

CACHES = ({"use_cache": True}, {"use_cache": False}, {"cache_implementation": "static"})
SEARCHES = {"greedy": {}, "beam": {"num_beams": 3}, "sample": {"do_sample": True}}


def generate(model: Any, batch: dict[str, Tensor], **settings: Any) -> Tensor:
    torch.manual_seed(0)
    return model.generate(**batch, **{"max_new_tokens": 6, "pad_token_id": 0, "do_sample": False} | settings)


def test_settings_of_a_bidirectional_model(caplog: pytest.LogCaptureFixture) -> None:
    """A causal model of an encoder's config says what it does, and leaves that config alone."""
    config = tiny_config()
    model = RoFormerForCausalLM(config)
    assert "attention_mode" in caplog.text
    assert (model.config.attention_mode, config.attention_mode) == ("causal", None)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("name", ["causal", "unilm", "rotated values"])
def test_with_and_without_a_cache(name: str, typed: bool, search: dict[str, Any]) -> None:
    """A prompt may end inside the target; it is the same text with each cache, and for each row alone."""
    model = tiny(RoFormerForCausalLM, **({"attention_mode": "causal"} | VARIANTS[name]))
    batch = tokens([6, 3], "left")
    if not typed:
        del batch["token_type_ids"]
    found = [generate(model, batch, **search, **cache) for cache in CACHES]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    if not search.get("do_sample"):
        alone = {name: value[1:, 3:] for name, value in batch.items()}
        assert torch.equal(generate(model, alone, **search)[0], found[0][1, 3:])


@pytest.mark.parametrize("mode", ["causal", "unilm"])
def test_cache_filled_in_pieces(mode: str) -> None:
    """A text run in pieces with a cache, each piece with its own types, is the text run whole."""
    model = tiny(RoFormerForCausalLM, attention_mode=mode)
    batch = tokens([8, 8])
    # UniLM's source has to be run at once: its tokens see one another.
    batch["token_type_ids"] = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]] * 2)
    with torch.no_grad():
        whole = model(**batch).logits
        cache, pieces = None, []
        for start, stop in ((0, 3), (3, 6), (6, 7), (7, 8)):
            piece = {name: value[:, start:stop] for name, value in batch.items()}
            piece["attention_mask"] = batch["attention_mask"][:, :stop]
            output = model(**piece, cache=cache, use_cache=True)
            cache = output.cache
            pieces.append(output.logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-10, rtol=0)


@pytest.mark.parametrize("search", [{}, {"num_beams": 2}], ids=["greedy", "beam"])
def test_prompt_with_an_encoder(search: dict[str, Any]) -> None:
    model = tiny(RoFormerForCausalLM, is_decoder=True, add_cross_attention=True)
    batch = tokens([5, 3], "left") | {
        "encoder_hidden_states": torch.randn(2, 6, 32, dtype=torch.float64),
        "encoder_attention_mask": torch.tensor([[1] * 6, [1, 1, 0, 0, 0, 0]]),
    }
    found = [generate(model, batch, **search, **cache) for cache in CACHES]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    other = generate(model, batch | {"encoder_hidden_states": batch["encoder_hidden_states"].flip(0)}, **search)
    assert not torch.equal(found[0], other)


@pytest.mark.parametrize("mode", ["causal", "unilm"])
def test_ways_to_give_the_prompt(mode: str) -> None:
    """As embeddings; and as a text begun before, with its cache."""
    model = tiny(RoFormerForCausalLM, attention_mode=mode)
    ids = tokens([7])["input_ids"]
    prompt = {"token_type_ids": torch.tensor([[0, 0, 0, 0, 0, 1, 1]])}
    wanted = generate(model, {"input_ids": ids, **prompt})
    embedded = generate(model, {"inputs_embeds": model.get_input_embeddings()(ids), **prompt})
    assert torch.equal(embedded, wanted[:, 7:])
    begun = generate(model, {"input_ids": ids, **prompt}, max_new_tokens=4, return_dict_in_generate=True)
    types = torch.cat([prompt["token_type_ids"], torch.ones(1, 4, dtype=torch.long)], dim=1)
    rest = {"input_ids": begun.sequences, "token_type_ids": types, "cache": begun.cache}
    assert torch.equal(generate(model, rest, max_new_tokens=2), wanted)


def test_drafts() -> None:
    """Drafts of several tokens give the same text; under UniLM's mask they would be part of the source."""
    batch = {"input_ids": torch.tensor([[5, 6, 7, 8, 5, 6, 7]])}
    causal, unilm = (tiny(RoFormerForCausalLM, attention_mode=mode) for mode in ("causal", "unilm"))
    assert torch.equal(generate(causal, batch, prompt_lookup_num_tokens=3), generate(causal, batch))
    with pytest.raises(ValueError, match='under attention_mode="unilm"'):
        generate(unilm, batch, prompt_lookup_num_tokens=3)


@pytest.mark.parametrize("keep", [1, 3, torch.tensor([0, 4])])
def test_logits_to_keep(keep: int | Tensor) -> None:
    model = tiny(RoFormerForCausalLM, attention_mode="causal")
    batch = tokens([9, 5])
    with torch.no_grad():
        found, whole = model(**batch, logits_to_keep=keep).logits, model(**batch).logits
    wanted = whole[:, keep] if isinstance(keep, Tensor) else whole[:, -keep:]
    torch.testing.assert_close(found, wanted, atol=1e-13, rtol=0)
