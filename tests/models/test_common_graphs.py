"""Graphs that outlive the inputs they were made with, traced and exported; the table is in `models_tiny`."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from model_outputs import tensors
from models_tiny import ANSWERS, ANY_ENCODER, SPANS, TAGS, Case, cases, one_of_each
from torch import Tensor, nn

pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated:FutureWarning"),
]

LENGTHS = [9, 4, 1, 6]


class Outputs(nn.Module):
    """A model of tensors, by their order, to tensors, by name."""

    def __init__(self, model: Any, names: Iterable[str], settings: dict[str, Any]):
        super().__init__()
        self.model, self.names, self.settings = model, list(names), settings

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The tensors of the output."""
        return tensors(self.model(**dict(zip(self.names, inputs)), **self.settings))


def made(case: Case, batch: dict[str, Tensor], back_end: str | None = None) -> Outputs:
    """A model that runs unpadded where it can, and without a cache, which is no tensor."""
    caches = case.auto in ("AutoModel", "ForParaphrase") or case.auto.endswith("LM")
    settings = case.settings | ({"use_cache": False} if caches and case.auto != "AutoModelForMaskedLM" else {})
    layers = {} if case.family.paired else {"num_hidden_layers": 1}
    model = case.make(back_end, **layers, **({"unpad": True} if case.family.unpads else {}))
    return Outputs(model, batch, settings).eval()


def check(graph: Any, model: Outputs, case: Case) -> None:
    """The graph gives what the model gives, of rows of other lengths and in other number, padded on either side."""
    for side in ("right", "left"):
        batch = case.batch(LENGTHS, side)
        inputs = tuple(batch[name] for name in model.names)
        found, wanted = graph(*inputs), model(*inputs)
        # A graph cannot decode; it always gives what others may do that with.
        assert wanted.keys() - found.keys() <= {"tags", "predictions"}
        assert found
        real = batch["attention_mask"].bool()
        for name, value in found.items():
            rows = real if value.shape[: real.dim()] == real.shape else slice(None)
            torch.testing.assert_close(value[rows], wanted[name][rows], atol=10 * case.family.close, rtol=0)


# Of a model without a head all settings and back ends, but flex attention, which on a CPU runs compiled alone.
WAYS = [
    pytest.param(*case.values, back_end, id=f"{case.id}, {back_end}")
    for case in [*cases("AutoModel", ours=True), *(c for c in cases(ours=True, once=True) if not c.values[0].is_base)]
    for back_end in case.values[0].family.back_ends[: None if case.values[0].is_base else 1]
    if back_end != "flex_attention"
]


@pytest.mark.parametrize(("case", "back_end"), WAYS)
def test_traced(case: Case, back_end: str) -> None:
    """Traced with one text, or one choice of two."""
    one = case.batch([5, 5] if case.chooses else [5])
    model = made(case, one, back_end)
    with torch.no_grad():
        check(torch.jit.trace(model, tuple(one.values()), check_trace=False, strict=False), model, case)


# Each way to attend, and each of our heads; they take seconds each.
EXPORTED = [
    *one_of_each("AutoModelForSequenceClassification", "AutoModelForCausalLM", "AutoModelForTextEncoding"),
    *(pytest.param(*case.values, id=case.id, marks=pytest.mark.slow) for case in cases(*ANY_ENCODER, once=True)[:7]),
]

# The heads of relations and events look at each text by loops, which take minutes to compile.
COMPILED = cases("AutoModelForSequenceClassification", SPANS, TAGS, ANSWERS, once=True)[:4]


@pytest.mark.slow
@pytest.mark.parametrize("case", EXPORTED)
def test_exported(case: Case) -> None:
    """Exported for any number of texts of any length."""
    two = case.batch([7, 4])
    model = made(case, two)
    free = tuple(dict.fromkeys(range(value.dim()), torch.export.Dim.DYNAMIC) for value in two.values())
    with torch.no_grad():
        inputs = tuple(two.values())
        program = torch.export.export(model, inputs, dynamic_shapes=(free,), strict=False)
        check(program.module(), model, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", COMPILED)
def test_compiled(case: Case) -> None:
    """Compiled for any number of texts of any length; what decodes runs between graphs."""
    torch.compiler.reset()
    two = case.batch([7, 4])
    model = made(case, two)
    with torch.no_grad():
        check(torch.compile(model, backend="eager", dynamic=True), model, case)
