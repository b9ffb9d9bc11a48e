"""GAU-alpha against what the original computed, in every layout and on every back end; the conversion of its files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertTokenizer

from hf_ext.conversion import convert_release, load_state_dict
from hf_ext.models.gau_alpha import GAUAlphaForMaskedLM

# Of the library's own call of flex attention: a flag that PyTorch deprecates, and of running uncompiled.
pytestmark = [
    pytest.mark.filterwarnings("ignore:_compile flag on create_block_mask:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
]

BACK_ENDS = ("gated_attention", "eager", "sdpa", "flex_attention")
# golden/README.md: hidden states, logits, probabilities.
TOLERANCES = {torch.float64: (2e-6, 5e-6, 1e-6), torch.float32: (2e-5, 1e-4, 1e-5)}
LAYOUTS = ("padded", "unpadded", "packed")


@pytest.fixture(autouse=True)
def _flex_attention_in_eager_mode() -> Iterator[None]:
    """The library compiles flex attention on first use, which takes a minute on a CPU and changes no number."""
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


LoadModel = Callable[..., GAUAlphaForMaskedLM]


@pytest.fixture(scope="module")
def load_model(golden: Path) -> LoadModel:
    """A function that builds the model from the original checkpoint, which is read once."""
    config, state = load_state_dict(golden / "gau_alpha")

    def load(dtype: torch.dtype = torch.float64, back_end: str | None = None, **fields: Any) -> GAUAlphaForMaskedLM:
        return GAUAlphaForMaskedLM.from_pretrained(
            None,
            config=type(config)(**(config.to_dict() | fields)),
            state_dict=dict(state),
            dtype=dtype,
            attn_implementation=back_end,
        ).eval()

    return load


@pytest.fixture(scope="module")
def io(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "gau_alpha" / "io.npz") as file:
        return {name: torch.from_numpy(value) for name, value in file.items()}


def read_inputs(io: dict[str, Tensor], layout: str, prefix: str = "") -> tuple[dict[str, Tensor], Tensor]:
    """The inputs of a layout, and where the real tokens are: the originals never mask position 0."""
    ids, types = io[f"{prefix}token_ids"].long(), io[f"{prefix}segment_ids"].long()
    real = ids != 0
    real[:, 0] = True
    if layout != "packed":
        return {"input_ids": ids, "attention_mask": real.long(), "token_type_ids": types}, real
    positions = torch.cat([torch.arange(int(n)) for n in real.sum(-1)])[None]
    return {"input_ids": ids[real][None], "token_type_ids": types[real][None], "position_ids": positions}, real


def recorded(model: GAUAlphaForMaskedLM, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """All that the original's file holds, by its names, in the shape that the layers ran in."""
    found: dict[str, Tensor] = {}

    def record(name: str) -> Any:
        return lambda module, args, output: found.__setitem__(name, output)

    base = model.gau_alpha
    hooks = [base.embeddings.register_forward_hook(record("embedding_output"))]
    hooks += [layer.register_forward_hook(record(f"layer_{i}_output")) for i, layer in enumerate(base.encoder.layer)]
    hooks.append(base.register_forward_hook(record("base")))
    with torch.no_grad():
        logits = model(**inputs).logits
    for hook in hooks:
        hook.remove()
    base_output: Any = found.pop("base")
    return found | {
        "last_hidden_state": base_output.last_hidden_state,
        "mlm_logits": logits,
        "mlm_probs": logits.softmax(-1),
    }


def at_real_tokens(value: Tensor, real: Tensor) -> Tensor:
    """``[T, ...]`` of ``[B, L, ...]`` or of a packed row ``[1, T, ...]``."""
    return value[real] if value.shape[:2] == real.shape else value[0]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_every_tensor(
    load_model: LoadModel, io: dict[str, Tensor], back_end: str, layout: str, dtype: torch.dtype
) -> None:
    inputs, real = read_inputs(io, layout)
    model = load_model(dtype, back_end, unpad=layout == "unpadded")
    found = recorded(model, inputs)
    assert found.keys() == {name for name in io if not name.startswith("edge_")} - {"token_ids", "segment_ids"}
    hidden, logit, probability = TOLERANCES[dtype]
    ran_unpadded = found["embedding_output"].shape[1] == real.sum()
    assert ran_unpadded == (layout == "packed" or (layout == "unpadded" and back_end != "flex_attention"))
    for name, value in found.items():
        tolerance = logit if name.endswith("logits") else probability if name.endswith("probs") else hidden
        wanted = io[name]
        if layout != "padded":
            value, wanted = at_real_tokens(value, real), wanted[real]
        np.testing.assert_allclose(value.numpy(), wanted.numpy(), atol=tolerance, rtol=0, err_msg=name)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_padding_inside_the_text(
    load_model: LoadModel, io: dict[str, Tensor], back_end: str, unpad: bool, dtype: torch.dtype
) -> None:
    inputs, real = read_inputs(io, "padded", "edge_")
    assert not real[0].all()
    found = recorded(load_model(dtype, back_end, unpad=unpad), inputs)
    where = real if unpad else torch.ones_like(real)
    for name, tolerance in (("last_hidden_state", TOLERANCES[dtype][0]), ("mlm_logits", TOLERANCES[dtype][1])):
        wanted = io[f"edge_{name}"][where]
        np.testing.assert_allclose(found[name][where].numpy(), wanted.numpy(), atol=tolerance, rtol=0, err_msg=name)


def test_gradients(load_model: LoadModel, io: dict[str, Tensor]) -> None:
    """Of all parameters and the embedded inputs, on all back ends that have a backward pass on a CPU."""
    torch.manual_seed(0)
    first: dict[str, Tensor] = {}
    for back_end in ("eager", "sdpa", "gated_attention"):
        for layout in LAYOUTS:
            inputs, real = read_inputs(io, layout)
            model = load_model(back_end=back_end, unpad=layout == "unpadded")
            embeds = model.get_input_embeddings().weight.detach()[inputs.pop("input_ids")].requires_grad_()
            logits = at_real_tokens(model(inputs_embeds=embeds, **inputs).logits, real)
            weight = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            (logits.log_softmax(-1) * weight).sum().backward()
            gradients = {name: p.grad for name, p in model.named_parameters()}
            gradients["inputs_embeds"] = at_real_tokens(embeds.grad, real)
            assert not [name for name, gradient in gradients.items() if gradient is None]
            first = first or gradients
            for name, gradient in gradients.items():
                where = f"{back_end}, {layout}, {name}"
                np.testing.assert_allclose(gradient, first[name], atol=1e-10, rtol=1e-9, err_msg=where)


def test_the_bound_of_the_release_changes_short_rows_alone(load_model: LoadModel, io: dict[str, Tensor]) -> None:
    inputs, real = read_inputs(io, "padded")
    found = recorded(load_model(softmax_plus_min_keys=1), inputs)["last_hidden_state"]
    differs = [(found[row][real[row]] - io["last_hidden_state"][row][real[row]]).abs().max() > 1e-3 for row in range(3)]
    assert real.sum(-1).tolist() == [17, 11, 6]
    assert differs == [False, True, True]


def test_conversion(golden: Path, io: dict[str, Tensor], tmp_path: Path) -> None:
    report = convert_release(golden / "gau_alpha", tmp_path / "out", tokenizer="character")
    meta = json.loads((golden / "gau_alpha" / "meta.json").read_text(encoding="utf-8"))
    assert sorted(report.variables) == sorted(meta["checkpoint_variables"])
    assert report.architecture == "GAUAlphaForMaskedLM"
    model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert type(model) is GAUAlphaForMaskedLM
    assert not any(info.values())
    inputs, real = read_inputs(io, "padded")
    found = recorded(model.eval(), inputs)["mlm_logits"]
    np.testing.assert_allclose(found[real].numpy(), io["mlm_logits"][real].numpy(), atol=1e-4, rtol=0)
    assert isinstance(AutoTokenizer.from_pretrained(tmp_path / "out"), BertTokenizer)
