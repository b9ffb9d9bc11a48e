"""What all models compute whatever the batch, back end, layout and precision; the table is in `models_tiny`."""

from typing import Any

import pytest
import torch
from model_outputs import finite_tensors, gradients, real_tensors, tensors
from models_tiny import (
    ANSWERS,
    ANY_ENCODER,
    EVENTS,
    HALF_POINTERS,
    ON_OTHERS,
    RELATIONS,
    SPANS,
    Case,
    cases,
    one_of_each,
    packed,
)
from torch import Tensor

from hf_ext import UniVAEConfig
from hf_ext.modules.rotary_positions import RotaryConfig

pytestmark = [
    # Of the library's own call of flex attention: a flag that PyTorch deprecates, and of running uncompiled.
    pytest.mark.filterwarnings("ignore:_compile flag on create_block_mask:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
]

# A row of one token is all padding but one; an even number of rows, for choices between two.
LENGTHS = [9, 4, 1, 6]
BASE = cases("AutoModel", ours=True)
CLOSE: dict[str, Any] = {"atol": 1e-11, "rtol": 0}


def run(model: Any, batch: dict[str, Tensor], **settings: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        return real_tensors(model(**batch, **settings), batch)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("case", [*cases(ours=True), *ON_OTHERS])
def test_rows_do_not_depend_on_their_batch(case: Case, side: str) -> None:
    """Each row alone and without a mask, against the same row in a batch padded on either side, unpadded or not."""
    batch = case.batch(LENGTHS, side)
    rows = len(batch["input_ids"])
    for unpad in (False, True)[: 1 + case.family.unpads]:
        model = case.make(**({"unpad": True} if unpad else {}))
        with torch.no_grad():
            together = tensors(model(**batch, **case.settings))
        for row in range(rows):
            mask = batch["attention_mask"][row : row + 1]
            cut = mask.flatten(0, -2).any(0)
            alone = {
                name: value[row : row + 1] if "decoder" in name else value[row : row + 1][..., cut]
                for name, value in batch.items()
                # Choices have a length each, and stay padded to the longer one.
                if mask.dim() == 3 or name not in ("attention_mask", "position_ids")
            }
            for name, wanted in run_alone(model, alone, **case.settings).items():
                found = together[name][row : row + 1]
                if name in PLACES:
                    found = moved(found, PLACES[name][case.auto], int(cut.int().argmax()))
                elif case.pairs and name.startswith("logits"):
                    found = found[..., cut, :][..., cut]
                elif found.shape != wanted.shape:
                    found = found[:, cut]
                torch.testing.assert_close(
                    found, wanted, atol=case.family.close, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
                )


# Columns of what is predicted that are places of tokens; those of answers count from the text's first.
PLACES = {
    "spans": {SPANS: slice(1, 3), ANSWERS: slice(0)},
    "predictions": {RELATIONS: slice(1, 5), HALF_POINTERS: slice(1, 5), EVENTS: slice(2, 4)},
}


def moved(predictions: Tensor, columns: slice, left: int) -> Tensor:
    """Predictions whose places are so many tokens to the left."""
    predictions = predictions.clone()
    predictions[..., columns] -= left * (predictions[..., columns] >= 0)
    return predictions


def run_alone(model: Any, batch: dict[str, Tensor], **settings: Any) -> dict[str, Tensor]:
    with torch.no_grad():
        return tensors(model(**batch, **settings))


@pytest.mark.parametrize("case", BASE)
def test_padding_tells_in_nothing(case: Case) -> None:
    """Other ids and types at padding give the same, in the pooled vector too."""
    batch = case.batch(LENGTHS)
    for unpad in (False, True)[: 1 + case.family.unpads]:
        model = case.make(**({"unpad": True} if unpad else {}))
        other = dict(batch)
        for name in ("input_ids", "token_type_ids"):
            if name in batch:
                other[name] = batch[name].masked_fill(batch["attention_mask"] == 0, 1)
        torch.testing.assert_close(run(model, other), run(model, batch), **CLOSE)


@pytest.mark.parametrize("case", cases("AutoModel", "AutoModelForTextEncoding", *ANY_ENCODER, images=True))
def test_back_ends(case: Case) -> None:
    """All give the same outputs and gradients, from texts padded on the right and not padded at all."""
    for lengths in (LENGTHS, [5, 5]):
        batch = case.batch(lengths)
        found = []
        for back_end in case.family.back_ends:
            model = case.make(back_end)
            assert model.config._attn_implementation == back_end
            # On a CPU flex attention runs forward alone; compiling it takes a minute and changes no number.
            flex = back_end == "flex_attention"
            with torch.set_grad_enabled(not flex), torch.compiler.set_stance("force_eager" if flex else "default"):
                outputs = model(**batch, **case.settings)
            real = real_tensors(outputs, batch)
            real = {name: value[value > -torch.inf] for name, value in real.items()}
            if not flex:
                sum(value.square().sum() for value in real.values()).backward()
            found.append(({name: value.detach() for name, value in real.items()}, flex or gradients(model)))
        for outputs, gradient in found[1:]:
            close = {"atol": 10 * case.family.close, "rtol": 1000 * case.family.close}
            torch.testing.assert_close(outputs, found[0][0], **close)
            if gradient is not True:
                torch.testing.assert_close(gradient, found[0][1], **close)


@pytest.mark.parametrize("case", [c for c in BASE if not c.values[0].family.paired])
def test_packed_rows(case: Case) -> None:
    """Texts in one row, told apart by their positions, give what they give in a padded batch; also two such rows."""
    model, batch = case.make(use_cache=False), case.batch(LENGTHS)
    row = packed(batch)
    wanted = run(model, batch)["last_hidden_state"]
    for rows in (1, 2):
        inputs = {name: value.expand(rows, -1) for name, value in row.items()}
        with torch.no_grad():
            for found in model(**inputs).last_hidden_state:
                torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("case", cases())
def test_inner_states(case: Case) -> None:
    """Shapes of hidden states and attentions, the last state among them; asking for them changes no output."""
    attentions = case.family.attentions
    for unpad in (False, True)[: 1 + case.family.unpads]:
        model = case.make("eager", **({"unpad": True} if unpad else {}))
        batch = case.batch(LENGTHS)
        ids = batch["input_ids"].flatten(0, -2)
        asked = {"output_hidden_states": True} | ({"output_attentions": True} if attentions else {})
        with torch.no_grad():
            output, plain = model(**batch, **asked), model(**batch)
        torch.testing.assert_close(real_tensors(output, batch), real_tensors(plain, batch), **CLOSE)
        size = case.config().get_text_config().hidden_size
        (rows, length), heads, layers = ids.shape, case.config().num_attention_heads, 2
        sides = {"": length}
        if case.family.paired and case.auto != "AutoModelForTextEncoding":
            sides = {"encoder_": length, "decoder_": batch["decoder_input_ids"].shape[1]}
        for side, tokens in sides.items():
            states = output[f"{side}hidden_states"]
            assert [state.shape for state in states[1:]] == [(rows, tokens, size)] * layers
            assert states[0].shape[:2] == (rows, tokens)
            if attentions:
                weights = output[f"{side}attentions"]
                assert [w.shape for w in weights] == [(rows, heads, tokens, tokens)] * layers
                wanted = torch.ones_like(weights[0][..., 0])
                if getattr(model.config, "self_mask", False):
                    # The one token of a text sees nothing.
                    real = batch["attention_mask"].flatten(0, -2)
                    wanted.transpose(1, 2)[(real == 1) & (real.sum(-1, keepdim=True) == 1)] = 0
                for w in weights if case.weights_add_up else ():
                    # Some take the softmax in float32 whatever the model's precision: their weights are such numbers.
                    close = 1e-6 if bool((w.float() == w).all()) else 1e-7
                    torch.testing.assert_close(w.sum(-1), wanted, atol=close, rtol=0)
        assert f"{next(iter(sides))}hidden_states" not in plain


@pytest.mark.parametrize("case", cases())
def test_embedded_inputs(case: Case) -> None:
    batch = case.batch(LENGTHS)
    for unpad in (False, True)[: 1 + case.family.unpads]:
        model = case.make(**({"unpad": True} if unpad else {}))
        embedded = {name: value for name, value in batch.items() if name != "input_ids"}
        embedded["inputs_embeds"] = model.get_input_embeddings()(batch["input_ids"]).detach()
        torch.testing.assert_close(run(model, embedded), run(model, batch), rtol=0, atol=0)


@pytest.mark.parametrize("case", cases(once=True, images=True))
def test_tuples(case: Case) -> None:
    """By the argument or by the config, as in old folders; the argument goes before the config."""
    model, batch = case.make(use_cache=False), case.batch(LENGTHS)
    labels = {} if case.is_base else case.labels(batch)
    of_tuples = case.make(use_cache=False, return_dict=False)
    for inputs in (batch, batch | labels):
        with torch.no_grad():
            output = model(**inputs)
            for values in (model(**inputs, return_dict=False), of_tuples(**inputs)):
                assert type(values) is tuple
                torch.testing.assert_close(values, output.to_tuple(), rtol=0, atol=0)
            torch.testing.assert_close(tensors(of_tuples(**inputs, return_dict=True)), tensors(output), rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", one_of_each(images=True))
def test_one_graph(case: Case) -> None:
    """The whole model compiles without a break, and gives the same."""
    torch._dynamo.reset()
    layers = "num_layers" if case.family.paired else "num_hidden_layers"
    model, batch = case.make(use_cache=False, **{layers: 1}), case.batch(LENGTHS)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(run(compiled, batch), run(model, batch), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", [*cases(ours=True, once=True, images=True), *ON_OTHERS])
def test_half_precision(case: Case, dtype: torch.dtype) -> None:
    """Outputs and gradients are finite, padding or not, and near those of float64."""
    batch = case.batch(LENGTHS)
    found = []
    for kind in (torch.float64, dtype):
        model = case.make(dtype=kind)
        output = model(**batch, **({} if case.is_base else case.labels(batch)))
        assert all(value.isfinite().all() for value in finite_tensors(output).values())
        # Of a vector that is normalised without a gain the sum of squares is constant; a sum of other powers is not.
        loss = output.last_hidden_state.double()[..., ::3].square().mean() if case.is_base else output.loss
        loss.backward()
        found.append((loss.item(), torch.cat([g.flatten().double() for g in gradients(model).values()])))
    (exact, exact_gradient), (loss, gradient) = found
    assert gradient.isfinite().all()
    # Two layers round some ten times each, and the softmax is steep.
    assert loss == pytest.approx(exact, rel=20 * torch.finfo(dtype).eps)
    assert (gradient - exact_gradient).norm() < 40 * torch.finfo(dtype).eps * exact_gradient.norm()


@pytest.mark.parametrize("name", ["input_ids", "inputs_embeds"])
@pytest.mark.parametrize("case", cases(ours=True, once=True))
def test_padding_alone(case: Case, name: str) -> None:
    """A row that is all padding, and a batch of such: finite values and gradients, and the same for the others."""
    batch = case.batch(LENGTHS)
    padded = case.make()
    if name == "inputs_embeds":
        batch[name] = padded.get_input_embeddings()(batch.pop("input_ids")).detach()
    for unpad in (False, True)[: 1 + case.family.unpads]:
        model = case.make(**({"unpad": True} if unpad else {}))
        for rows in (slice(-1, None), slice(None)):
            inputs = {key: value.clone() for key, value in batch.items()}
            leave_out(inputs, rows)
            output = finite_tensors(model(**inputs, **case.settings))
            assert all(value.isfinite().all() for value in output.values())
            sum(value.square().sum() for value in output.values()).backward()
            assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        inputs = {key: value.clone() for key, value in batch.items()}
        leave_out(inputs, slice(-1, None))
        with torch.no_grad():
            found, plain = tensors(model(**inputs)), tensors(padded(**batch))
        for key, value in found.items():
            if key not in PLACES:
                mask = inputs["attention_mask"].bool()[:-1]
                pick = mask if value[:-1].shape[: mask.dim()] == mask.shape else slice(None)
                torch.testing.assert_close(value[:-1][pick], plain[key][:-1][pick], **CLOSE)


def leave_out(inputs: dict[str, Tensor], rows: slice) -> None:
    """Make rows all padding."""
    for name in inputs.keys() & {"attention_mask", "context_mask"}:
        inputs[name][rows] = 0


@pytest.mark.parametrize("case", cases(ours=True, once=True))
def test_unknown_ids(case: Case) -> None:
    model = case.make()
    names = {"input_ids": "vocab_size", "token_type_ids": "type_vocab_size", "decoder_input_ids": "vocab_size"}
    if case.family.config.__name__ == "CDialGPTConfig":
        names["token_type_ids"] = "vocab_size"
    size = {"vocab_size": 60, "type_vocab_size": 2}
    for name, setting in names.items():
        batch = case.batch(LENGTHS)
        if name not in batch:
            continue
        said = name.removeprefix("decoder_")
        for wrong in (size[setting], -1):
            batch[name][-1].view(-1)[0] = wrong
            with pytest.raises(ValueError, match=rf"{said} must be in \[0, {setting}={size[setting]}\), got {wrong}"):
                model(**batch)
    model.resize_token_embeddings(61)
    batch = case.batch(LENGTHS)
    batch["input_ids"][-1].view(-1)[0] = 60
    model(**batch)


@pytest.mark.parametrize("case", cases(ours=True, once=True))
def test_empty_texts(case: Case) -> None:
    model, batch = case.make(), case.batch([1, 1])
    empty = {name: value if "decoder" in name else value[..., :0] for name, value in batch.items()}
    axes, sizes = ("B, K, L", "1, 2, 0") if case.chooses else ("B, L", "2, 0")
    message = rf"input_ids must have shape \[{axes}\] with at least one token, got \[{sizes}\]"
    with pytest.raises(ValueError, match=message):
        model(**empty)
    empty["inputs_embeds"] = model.get_input_embeddings()(empty.pop("input_ids"))
    with pytest.raises(ValueError, match=rf"inputs_embeds must have shape \[{axes}, E\].* got \[{sizes}, \d+\]"):
        model(**empty)
    if not case.family.paired or case.is_base:
        with pytest.raises(ValueError, match=rf"input_ids must have shape \[{axes}\].* got \[2\]"):
            model(torch.tensor([1, 2]))


# UniVAE has a fixed length, and refuses to be stretched; frequencies that are learnt are not computed for a length.
STRETCHED = [
    case
    for case in BASE
    if issubclass(case.values[0].family.config, RotaryConfig)
    and case.values[0].family.config is not UniVAEConfig
    and "trainable_frequencies" not in case.values[0].fields
]


@pytest.mark.parametrize("scaling", ["made with it", "set later"])
@pytest.mark.parametrize("case", STRETCHED)
def test_stretched_positions(case: Case, scaling: str) -> None:
    """Positions that are stretched twice and divided by two are as they were; so they are if a config says so later."""
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    batch = case.batch(LENGTHS)
    model = case.make()
    stretched = case.make(**({"rope_parameters": dict(rope)} if scaling == "made with it" else {}))
    stretched.config.rope_parameters = rope
    positions = torch.arange(9)[None]
    wanted = run(model, batch | {"position_ids": positions})
    # The library's scaled frequencies are in float32.
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(run(stretched, batch | {"position_ids": 2 * positions}), wanted, **close)
    torch.testing.assert_close(run(model, batch), wanted, **CLOSE)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(run(stretched, batch), wanted, **close)
    for settings, message in (
        ({"rope_type": "lineal", "rope_theta": 1e4}, "rope_type must be one of"),
        ({"rope_type": "linear", "factor": 2.0}, "must have rope_theta"),
    ):
        stretched.config.rope_parameters = settings
        with pytest.raises(ValueError, match=message):
            stretched(**batch)
