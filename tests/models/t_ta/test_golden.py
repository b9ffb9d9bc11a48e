"""T-TA against the formulas of its code and its article, layer by layer, on every back end and layout."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hf_ext import TTAConfig, TTAForMaskedLM

pytestmark = [
    # Of the library's own call of flex attention: a flag that PyTorch deprecates, and of running uncompiled.
    pytest.mark.filterwarnings("ignore:_compile flag on create_block_mask:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
]

BACK_ENDS = ("eager", "sdpa", "flex_attention")
QUERIES = {"mask_query": "mask_token", "position_query": "position"}


@pytest.fixture(autouse=True)
def _flex_attention_in_eager_mode() -> Iterator[None]:
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


class Case:
    """What the folder holds, and a model of its weights."""

    def __init__(self, folder: Path):
        self.arrays = {name: torch.from_numpy(value) for name, value in np.load(folder / "io.npz").items()}
        meta = json.loads((folder / "meta.json").read_text())
        self.sizes, self.tolerances = meta["sizes"], meta["tolerance"]
        self.ids, self.mask = self.arrays["input_ids"], self.arrays["attention_mask"]
        self.real = self.mask.bool()

    def model(self, back_end: str, dtype: torch.dtype, **fields: Any) -> TTAForMaskedLM:
        """A model of the weights in evaluation."""
        named = {name.removeprefix("weights."): x for name, x in self.arrays.items() if name.startswith("weights.")}
        words = named["embeddings.word_embeddings.weight"]
        config = TTAConfig(
            vocab_size=len(words),
            hidden_size=words.shape[1],
            num_hidden_layers=self.sizes["layers"],
            num_attention_heads=self.sizes["heads"],
            intermediate_size=len(named["layer.0.intermediate.dense.bias"]),
            max_position_embeddings=len(named["embeddings.position_embeddings.weight"]),
            mask_token_id=self.sizes["mask_token_id"],
            pad_token_id=self.sizes["pad_token_id"],
            **fields,
        )
        model = TTAForMaskedLM(config).double()
        state = {parameter(name): x for name, x in named.items()}
        found = model.load_state_dict(state, strict=False)
        assert not found.unexpected_keys
        assert {*found.missing_keys} == {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
        model.set_attn_implementation(back_end)
        return model.to(dtype).eval()

    def close(self, found: Tensor, name: str, dtype: torch.dtype = torch.float64) -> None:
        """Compare at real tokens, where there is one row a token."""
        wanted = self.arrays[name].to(dtype)
        if wanted.shape[:2] == self.real.shape:
            found, wanted = found[self.real], wanted[self.real]
        tolerance = self.tolerances[str(dtype).removeprefix("torch.")]
        torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0, msg=lambda message: f"{name}: {message}")


def parameter(name: str) -> str:
    """Our name of a weight of the folder."""
    if name.startswith("mlm."):
        rest = name.removeprefix("mlm.")
        return f"cls.predictions.{rest if rest == 'bias' else f'transform.{rest}'}"
    if name.startswith("embeddings."):
        return f"t_ta.{name}"
    layer, number, rest = name.split(".", 2)
    rest = rest.replace("attention.", "attention.output.")
    rest = f"attention.self.{rest}" if rest.startswith(("query", "key", "value")) else rest
    return f"t_ta.encoder.{layer}.{number}.{rest}"


@pytest.fixture(scope="module")
def case(golden: Path) -> Case:
    return Case(golden / "t_ta")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("query", QUERIES)
def test_every_layer(case: Case, query: str, back_end: str, dtype: torch.dtype) -> None:
    model = case.model(back_end, dtype, query_input=QUERIES[query])
    labels = case.ids.masked_fill(~case.real, -100)
    with torch.no_grad():
        output = model(case.ids, case.mask, labels=labels, output_hidden_states=True)
        assert len(output.hidden_states) == case.sizes["layers"] + 1
        for number, states in enumerate(output.hidden_states):
            case.close(states, f"{query}.hidden.{number}", dtype)
        case.close(output.logits, f"{query}.logits", dtype)
        # The library's loss is in float32 in any model.
        torch.testing.assert_close(output.loss.double(), case.arrays[f"{query}.loss"], atol=2e-5, rtol=0)
        case.close(model.token_log_probs(case.ids, case.mask), f"{query}.token_log_prob", dtype)
        torch.testing.assert_close(
            model.score(case.ids, case.mask).double(),
            case.arrays[f"{query}.pll"],
            atol=case.tolerances[str(dtype).removeprefix("torch.")] * case.ids.shape[1],
            rtol=0,
        )


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_without_the_mask_of_fine_tuning(case: Case, back_end: str) -> None:
    model = case.model(back_end, torch.float64, self_mask=False)
    with torch.no_grad():
        case.close(model.t_ta(case.ids, case.mask).last_hidden_state, "no_diagonal.last_hidden")


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("layout", ["unpadded", "packed"])
def test_layouts(case: Case, layout: str, back_end: str) -> None:
    """Unpadded by the model, or packed by the user, with the same scores."""
    model = case.model(back_end, torch.float64, unpad=layout == "unpadded")
    if layout == "unpadded":
        case.close(model.token_log_probs(case.ids, case.mask), "mask_query.token_log_prob")
        return
    positions = torch.cat([torch.arange(int(length)) for length in case.mask.sum(-1)])[None]
    found = model.token_log_probs(case.ids[case.real][None], position_ids=positions)
    torch.testing.assert_close(
        found[0], case.arrays["mask_query.token_log_prob"][case.real], atol=case.tolerances["float64"], rtol=0
    )
