"""What all models that generate have in common, whatever the search, the cache and the padding; the table is in
`models_tiny`.
"""

import copy
import string
from pathlib import Path
from typing import Any

import pytest
import torch
from models_tiny import Case, cases, one_of_each
from torch import Tensor
from torch.nn import functional as F
from transformers import BertTokenizer, DynamicCache, EncoderDecoderCache, StaticCache
from transformers.utils.generic import find_labels

from hf_ext.models.flash import FLASHCache
from hf_ext.models.linear_roformer import LinearRoFormerCache

GENERATORS = cases("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "ForParaphrase", ours=True)
ONE_OF_EACH = one_of_each("AutoModelForCausalLM", "AutoModelForSeq2SeqLM")
# Keys and values alone have a place to reserve; states are of another kind.
STATES = {"FLASHConfig": FLASHCache, "LinearRoFormerConfig": LinearRoFormerCache}
STATIC = [case for case in GENERATORS if case.values[0].family.config.__name__ not in STATES]
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"num_beams": 3},
    "sample": {"do_sample": True},
    "beam sample": {"num_beams": 2, "do_sample": True},
}
LENGTHS = [6, 3, 1]
STEPS = 6


def prompt(case: Case, lengths: list[int] | None = None, side: str = "left") -> dict[str, Tensor]:
    """A batch to go on from."""
    batch = case.batch(lengths or LENGTHS, side)
    batch.pop("decoder_input_ids", None)
    return batch


def generate(model: Any, batch: dict[str, Tensor], **settings: Any) -> Any:
    """Six tokens more; no token ends a text but where a test says so."""
    torch.manual_seed(0)
    defaults = {"max_new_tokens": STEPS, "pad_token_id": 0, "do_sample": False, "eos_token_id": None}
    return model.generate(**batch, **(defaults | settings))


def continuation(case: Case, output: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """What is new in sequences."""
    return output[:, 1 if case.family.paired else batch["input_ids"].shape[1] :]


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("case", GENERATORS)
def test_with_and_without_a_cache(case: Case, search: dict[str, Any]) -> None:
    """The same text and scores from a batch that is padded on the left; and for each row alone."""
    model, batch = case.make(), prompt(case)
    settings = {"return_dict_in_generate": True, "output_logits": True, **search}
    cached = generate(model, batch, **settings)
    plain = generate(model, batch, use_cache=False, **settings)
    assert torch.equal(cached.sequences, plain.sequences)
    torch.testing.assert_close(torch.stack(cached.logits), torch.stack(plain.logits), atol=1e-10, rtol=0)
    if search.get("do_sample"):
        return
    found = continuation(case, cached.sequences, batch)
    for row, length in enumerate(LENGTHS):
        alone = {name: value[row : row + 1, -length:] for name, value in batch.items() if name != "attention_mask"}
        assert torch.equal(continuation(case, generate(model, alone, **search), alone)[0], found[row])


@pytest.mark.parametrize("case", GENERATORS)
def test_greedy_search_takes_the_likeliest_token(case: Case) -> None:
    """By hand: the whole text is run again for each token, by the model alone."""
    model, batch = case.make(), prompt(case, [5])
    text = torch.full((1, 1), 2) if case.family.paired else batch["input_ids"]
    unilm = case.config().attention_mode == "unilm" if not case.family.paired else False
    found = generate(model, batch)
    for _ in range(STEPS):
        with torch.no_grad():
            if case.family.paired:
                logits = model(input_ids=batch["input_ids"], decoder_input_ids=text).logits
            else:
                types = batch["token_type_ids"]
                more = types.new_ones(1, text.shape[1] - 5) * (1 if unilm else types[:, -1:])
                logits = model(text, token_type_ids=torch.cat((types, more), dim=1)).logits
        text = torch.cat((text, logits[:, -1:].argmax(-1)), dim=1)
    assert torch.equal(found, text)


@pytest.mark.parametrize("search", [{}, {"num_beams": 2}, {"do_sample": True}], ids=["greedy", "beam", "sample"])
@pytest.mark.parametrize("case", STATIC)
def test_cache_of_fixed_size(case: Case, search: dict[str, Any]) -> None:
    model, batch = case.make(), prompt(case)
    wanted = generate(model, batch, **search)
    assert torch.equal(generate(model, batch, cache_implementation="static", **search), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in STATIC if "causal" in case.id or "pair" in case.id])
def test_compiled_steps(case: Case) -> None:
    """One graph for all steps with a cache of fixed size, against the text run whole."""
    torch._dynamo.reset()
    model = case.make()
    ids = case.batch([7, 7])["input_ids"]
    inputs: dict[str, Any] = {"input_ids": ids}
    cache: Any = StaticCache(config=model.config, max_cache_len=8)
    if case.family.paired:
        # The encoder's keys and values are of the encoder's length.
        cache = EncoderDecoderCache(cache, StaticCache(config=model.config, max_cache_len=7))
        with torch.no_grad():
            inputs = {"encoder_outputs": model.get_encoder()(ids), "attention_mask": torch.ones_like(ids)}
        whole = model(**inputs, decoder_input_ids=ids, use_cache=False).logits
    else:
        whole = model(ids, use_cache=False).logits
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    # The first call fills the cache; only the steps after it are of one shape.
    for start, stop in ((0, 3), (3, 4), (4, 5), (5, 6), (6, 7)):
        name = "decoder_input_ids" if case.family.paired else "input_ids"
        step = compiled if start else model
        with torch.no_grad():
            logits = step(**(inputs | {name: ids[:, start:stop]}), cache=cache, use_cache=True).logits
        torch.testing.assert_close(logits, whole[:, start:stop], atol=1e-10, rtol=0)


@pytest.mark.parametrize("case", GENERATORS)
def test_text_begun_before(case: Case) -> None:
    """A text and its cache, given back, go on as if they had never stopped; also in a batch with padding."""
    model, batch = case.make(), prompt(case)
    wanted = generate(model, batch)
    begun = generate(model, batch, max_new_tokens=4, return_dict_in_generate=True)
    rest: dict[str, Any] = {"cache": begun.cache}
    if case.family.paired:
        rest |= batch | {
            "decoder_input_ids": begun.sequences,
            "decoder_attention_mask": torch.ones_like(begun.sequences),
        }
    else:
        columns = begun.sequences.shape[1] - batch["input_ids"].shape[1]
        types = batch["token_type_ids"]
        unilm = case.config().attention_mode == "unilm"
        more = types.new_ones(len(types), columns) if unilm else types[:, -1:].expand(-1, columns)
        rest |= {
            "input_ids": begun.sequences,
            "attention_mask": F.pad(batch["attention_mask"], (0, columns), value=1),
            "token_type_ids": torch.cat((types, more), dim=1),
        }
    assert torch.equal(generate(model, rest, max_new_tokens=2), wanted)


@pytest.mark.parametrize("case", GENERATORS)
def test_embedded_prompt(case: Case) -> None:
    model, batch = case.make(), prompt(case)
    embedded = {name: value for name, value in batch.items() if name != "input_ids"}
    embedded["inputs_embeds"] = model.get_input_embeddings()(batch["input_ids"]).detach()
    found, wanted = generate(model, embedded), continuation(case, generate(model, batch), batch)
    assert torch.equal(found[:, -STEPS:], wanted)
    assert found.shape[1] == STEPS + case.family.paired


@pytest.mark.parametrize("case", GENERATORS)
def test_format_of_the_cache(case: Case) -> None:
    """What `generate` and the model return: keys and values of all layers, of all tokens but the last."""
    model, batch = case.make(), prompt(case)
    cache = generate(model, batch, return_dict_in_generate=True).cache
    seen = (1 if case.family.paired else batch["input_ids"].shape[1]) + STEPS - 1
    assert cache.get_seq_length() == seen
    if (kind := STATES.get(case.family.config.__name__)) is not None:
        assert type(cache) is kind
        assert len(cache.states) == 2
        assert cache.row_lengths.tolist() == [length + STEPS - 1 for length in LENGTHS]
        return
    parts = [(cache, seen)]
    if case.family.paired:
        assert type(cache) is EncoderDecoderCache
        parts = [(cache.self_attention_cache, seen), (cache.cross_attention_cache, max(LENGTHS))]
    for part, length in parts:
        assert type(part) is DynamicCache
        assert len(part.layers) == 2
        for layer in part.layers:
            assert layer.keys.shape == layer.values.shape == (len(LENGTHS), 4, length, 8)


@pytest.mark.parametrize("case", GENERATORS)
def test_old_name_of_the_cache(case: Case) -> None:
    """`past_key_values` gives the numbers of `cache`, with Transformers' warning."""
    model, batch = case.make(), case.batch([6, 6])
    name = "decoder_input_ids" if case.family.paired else "input_ids"
    shared = {"input_ids": batch["input_ids"]} if case.family.paired else {}
    with torch.no_grad():
        cache = model(**shared, **{name: batch[name][:, :4]}, use_cache=True).cache
        step: dict[str, Any] = {**shared, name: batch[name][:, 4:5]}
        wanted = model(**step, cache=copy.deepcopy(cache)).logits
        with pytest.warns(FutureWarning, match="`past_key_values` is deprecated .* Use `cache` instead"):
            found = model(**step, past_key_values=copy.deepcopy(cache)).logits
        assert torch.equal(found, wanted)
        assert not torch.allclose(model(**step).logits, wanted)
        part = model if case.family.paired else model.base_model
        with pytest.warns(FutureWarning, match="`past_key_values` is deprecated .* Use `cache` instead"):
            part(**step, past_key_values=copy.deepcopy(cache))


@pytest.mark.parametrize("case", [case for case in GENERATORS if not case.values[0].family.paired])
def test_labels_that_are_shifted(case: Case) -> None:
    """With and without `labels`, and divided by a count that is given; packed rows, whose last tokens ask for none."""
    model, batch = case.make(), case.batch([6, 3, 1, 4])
    # Trainer waits for every column of labels that a model names.
    assert find_labels(type(model)) == ["labels"]
    labels = case.labels(batch)["labels"]
    shifted = F.pad(labels[:, 1:], (0, 1), value=-100)
    extra = {"labels": labels.roll(2, 1)}
    plain = model(**batch, labels=labels)
    for more in ({}, extra):
        for count in ({}, {"num_items_in_batch": torch.tensor(7)}):
            wanted = model(**batch, labels=labels, **count)
            found = model(**batch, shift_labels=shifted, **more, **count)
            assert torch.equal(found.loss, wanted.loss)
            if case.auto != "ForParaphrase":
                losses = F.cross_entropy(found.logits.mT, shifted, reduction="sum")
                divisor = 7 if count else (shifted != -100).sum()
                torch.testing.assert_close(found.loss.double(), losses / divisor, atol=1e-5, rtol=1e-6)
    # A part of a longer tensor, which is not contiguous.
    cut = F.pad(labels, (0, 1), value=-100)[:, 1:]
    assert torch.equal(model(**batch, shift_labels=cut).loss, plain.loss)
    # The last token may have a successor in another part of the text.
    whole = shifted.clone()
    whole[0, -1] = 9
    assert not torch.equal(model(**batch, shift_labels=whole).loss, plain.loss)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> BertTokenizer:
    """One token for each id of the models."""
    path = tmp_path_factory.mktemp("letters") / "vocab.txt"
    letters = string.ascii_lowercase
    entries = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *("##" + letter for letter in letters),
        *"今天。",
    ]
    path.write_text("\n".join(entries) + "\n", encoding="utf-8")
    return BertTokenizer(str(path))


@pytest.mark.parametrize("search", [{}, {"num_beams": 2}, {"use_cache": False}], ids=["greedy", "beam", "no cache"])
@pytest.mark.parametrize("case", ONE_OF_EACH)
def test_stop_strings(case: Case, search: dict[str, Any], tokenizer: BertTokenizer) -> None:
    """A text ends with the string, and goes on if it says another."""
    model, batch = case.make(), prompt(case, [5])
    stop, other = tokenizer.convert_ids_to_tokens([59, 58])
    settings: dict[str, Any] = {"tokenizer": tokenizer, "prefix_allowed_tokens_fn": lambda row, ids: [59]}
    found = generate(model, batch, stop_strings=[stop], **settings, **search)
    assert continuation(case, found, batch).tolist() == [[59]]
    found = generate(model, batch, stop_strings=[other], **settings, **search)
    assert continuation(case, found, batch).tolist() == [[59] * STEPS]


@pytest.mark.parametrize("case", [case for case in STATIC if "causal" in case.id])
def test_drafts(case: Case) -> None:
    """Drafts of several tokens, looked up in the prompt, give the same text."""
    model = case.make()
    batch = {"input_ids": torch.tensor([[5, 6, 7, 8, 5, 6, 7]])}
    assert torch.equal(generate(model, batch, prompt_lookup_num_tokens=3), generate(model, batch))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "case", cases("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForMaskedLM", ours=True, once=True)
)
def test_resized_vocabulary(case: Case, tied: bool, tmp_path: Path) -> None:
    """More and fewer tokens: those that stay have the same scores, what was tied is tied, and it is saved so."""
    batch = case.batch([5, 3])
    batch = {name: value.clamp(max=49) if name.endswith("input_ids") else value for name, value in batch.items()}
    for size in (67, 50):
        model = case.make(tie_word_embeddings=tied)
        with torch.no_grad():
            wanted = model(**batch).logits
        model.resize_token_embeddings(size)
        assert model.config.vocab_size == size
        matrix, table = model.get_output_embeddings(), model.get_input_embeddings()
        assert (matrix.weight is table.weight) == tied
        assert len(matrix.weight) == len(table.weight) == matrix.out_features == size
        with torch.no_grad():
            logits = model(**batch).logits
            assert logits.shape[-1] == size
            kept = min(size, 60)
            torch.testing.assert_close(logits[..., :kept], wanted[..., :kept], atol=1e-12, rtol=0)
            model.save_pretrained(tmp_path)
            again = case.model_class.from_pretrained(tmp_path, attn_implementation=case.family.back_ends[0]).eval()
            torch.testing.assert_close(again(**batch).logits, logits, atol=1e-12, rtol=0)
        assert (again.get_output_embeddings().weight is again.get_input_embeddings().weight) == tied
        labels = {"labels": batch["decoder_input_ids" if case.family.paired else "input_ids"]}
        model(**batch, **labels).loss.backward()
        assert matrix.weight.grad is not None


@pytest.mark.parametrize("case", cases(ours=True))
def test_gradients_of_inner_states(case: Case) -> None:
    """What is shown of a forward pass is part of its graph."""
    model = case.make("eager").train()
    batch = case.batch([6, 3, 1, 4])
    asked = {"output_hidden_states": True} | ({"output_attentions": True} if case.family.attentions else {})
    output = model(**batch, **asked, **({} if case.is_base else case.labels(batch)))
    shown = {name: output[name] for name in output if name.endswith(("hidden_states", "attentions"))}
    assert len(shown) >= len(asked)
    for states in shown.values():
        for state in states:
            state.retain_grad()
    # Of a vector that is normalised without a gain the sum of squares is constant.
    (output.last_hidden_state[..., ::3].square().sum() if case.is_base else output.loss).backward()
    if case.auto == "ForTextAutoencoding":
        # Latents are made in front of blocks: what the last one of the encoder makes is of no use to the loss.
        shown = {name: states if name.startswith("decoder") else states[:-1] for name, states in shown.items()}
    for name, states in shown.items():
        for state in states:
            assert state.grad is not None, name
            assert state.grad.any(), name


@pytest.mark.parametrize(
    "case",
    cases("AutoModel", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "ForTextAutoencoding", ours=True),
)
def test_chosen_hidden_states(case: Case) -> None:
    """`output_hidden_states` may name layers, counted from either end; the others are None."""
    model, batch = case.make("eager"), case.batch([6, 3, 1, 4], "left")
    with torch.no_grad():
        whole = model(**batch, output_hidden_states=True)
        for wanted in ([1], [0, -1], 2):
            chosen = {i % 3 for i in ([wanted] if isinstance(wanted, int) else wanted)}
            output = model(**batch, output_hidden_states=wanted)
            for name in [name for name in whole if name.endswith("hidden_states")]:
                assert [state is not None for state in output[name]] == [i in chosen for i in range(3)]
                for i in chosen:
                    torch.testing.assert_close(output[name][i], whole[name][i], rtol=0, atol=0)


@pytest.mark.parametrize("case", [case for case in cases(ours=True) if not case.values[0].family.attentions])
def test_attentions_that_there_are_not(case: Case) -> None:
    """They are refused however they are asked for."""
    model, batch = case.make(), case.batch([6, 4])
    with pytest.raises(ValueError, match="output_attentions must be False"):
        model(**batch, output_attentions=True)
    if case.auto == "AutoModelForCausalLM":
        with pytest.raises(ValueError, match="output_attentions must be False"):
            generate(model, prompt(case), output_attentions=True, return_dict_in_generate=True)
    for asking in (case.make(output_attentions=True), model):
        asking.config.output_attentions = True
        with pytest.raises(ValueError, match="output_attentions must be False"):
            asking(**batch)
        asking(**batch, output_attentions=False)
