import numpy as np
import pytest
import torch

from hf_ext.modules.global_pointer import EfficientGlobalPointer, GlobalPointer
from hf_ext.ops.pointer import span_mask, top_spans

SIZES = {"hidden_size": 32, "num_labels": 4, "head_size": 16}
VARIANTS = [(1, 1, 1, ""), (1, 1, 1, "_nomask"), (1, 1, 0, ""), (1, 0, 1, ""), (0, 1, 1, ""), (0, 0, 1, "")]


@pytest.fixture(scope="module")
def cases(golden):
    return np.load(golden / "heads" / "io.npz")


def loaded(cases, prefix, cls, rope, ordered, bias, dtype):
    module = cls(**SIZES, rope=bool(rope), ordered=bool(ordered), bias=bool(bias))
    state = {}
    for name in module.state_dict():
        layer, kind = name.split(".")
        array = torch.tensor(cases[f"{prefix}_{layer}_{'kernel' if kind == 'weight' else 'bias'}"])
        state[name] = array.T if kind == "weight" else array
    module.load_state_dict(state)
    return module.to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-5)])
@pytest.mark.parametrize(("prefix", "cls"), [("gp", GlobalPointer), ("egp", EfficientGlobalPointer)])
@pytest.mark.parametrize(("rope", "ordered", "bias", "mask"), VARIANTS)
def test_equals_the_original(cases, prefix, cls, rope, ordered, bias, mask, dtype, tolerance):
    module = loaded(cases, prefix, cls, rope, ordered, bias, dtype)
    want = torch.tensor(cases[f"{prefix}_logits_rope{rope}_tril{ordered}_bias{bias}{mask}"]).to(dtype)
    hidden = torch.tensor(cases["hidden"], dtype=dtype)
    got = module(hidden, None if mask else torch.tensor(cases["mask"]))
    assert torch.equal(got == -torch.inf, want == -torch.inf)
    torch.testing.assert_close(got, want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_scores_by_their_definition(cls, length):
    torch.manual_seed(length)
    module = cls(6, 3, head_size=4, rope=False).double()
    hidden = torch.randn(2, length, 6, dtype=torch.float64)
    got = module(hidden)
    parts = module.project(hidden)
    for c in range(3):
        for i in range(length):
            for j in range(i, length):
                if cls is GlobalPointer:
                    want = (parts[0][:, i, c] * parts[1][:, j, c]).sum(-1) / 2
                else:
                    want = (parts[0][:, i] * parts[1][:, j]).sum(-1) / 2 + parts[2][:, i, c] + parts[3][:, j, c]
                torch.testing.assert_close(got[:, c, i, j], want)


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_strays(cls, dtype):
    torch.manual_seed(0)
    module = cls(32, 4, 16)
    hidden = torch.randn(2, 9, 32)
    mask = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    want = module(hidden, mask)
    got = module.to(dtype)(hidden.to(dtype), mask)
    assert got.dtype == torch.float32
    allowed = want > -torch.inf
    torch.testing.assert_close(got[allowed], want[allowed], rtol=0.05, atol=0.05)
    with torch.autocast("cpu", dtype):
        mixed = module.float()(hidden, mask)
    torch.testing.assert_close(mixed[allowed], want[allowed], rtol=0.05, atol=0.05)
    assert module.to(dtype)((hidden * 1000).to(dtype), mask)[allowed].isfinite().all()


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_only_distances_matter(cls):
    """Rows padded on the left and on the right give the same scores."""
    torch.manual_seed(0)
    module = cls(8, 2, 4).double()
    hidden = torch.randn(1, 5, 8, dtype=torch.float64)
    left = module(torch.cat((torch.zeros(1, 3, 8), hidden), 1).double(), torch.tensor([[0] * 3 + [1] * 5]))
    right = module(torch.cat((hidden, torch.zeros(1, 3, 8)), 1).double(), torch.tensor([[1] * 5 + [0] * 3]))
    torch.testing.assert_close(left[..., 3:, 3:], right[..., :5, :5], rtol=0, atol=1e-6)
    assert (left[..., :3, :] == -torch.inf).all()


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_gradients(cls):
    torch.manual_seed(0)
    module = cls(6, 2, 4).double()
    hidden = torch.randn(1, 3, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 0]])
    # The rotation is in float32 angles but differentiable in the type of its input.
    assert torch.autograd.gradcheck(lambda h: module(h, mask).masked_fill(~module.allowed(h, mask), 0), hidden)


@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_compiles_to_one_graph(cls):
    torch.manual_seed(0)
    module = cls(8, 2, 4)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    for length in (3, 6):
        hidden = torch.randn(2, length, 8, requires_grad=True)
        mask = torch.ones(2, length)
        torch.testing.assert_close(compiled(hidden, mask), module(hidden, mask))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"head_size": 5}, "even.*got 5"), ({"head_size": 0}, "got 0"), ({"num_labels": 0}, "num_labels.*got 0")],
)
@pytest.mark.parametrize("cls", [GlobalPointer, EfficientGlobalPointer])
def test_bad_settings(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**{**SIZES, **options})


def test_masks():
    assert span_mask(2).tolist() == [[[True, True], [False, True]]]
    assert span_mask(2, ordered=False).all()
    got = span_mask(3, torch.tensor([[0, 1, 1], [0, 0, 0]]))
    assert got[0].tolist() == [[False] * 3, [False, True, True], [False, False, True]]
    assert not got[1].any()


@pytest.mark.parametrize(("types", "length", "k"), [(1, 1, 1), (2, 3, 5), (3, 7, 20), (3, 7, 500), (4, 16, 9)])
def test_top_spans_against_sorting(types, length, k):
    torch.manual_seed(k)
    scores = torch.randn(3, types, length, length).masked_fill(~span_mask(length).unsqueeze(1), -torch.inf)
    scores[1] = -scores[1].abs()
    got = top_spans(scores, k)
    assert got.shape == (3, k, 4)
    assert got.dtype == torch.float32
    for row, spans in zip(scores, got.tolist()):
        found = [(*place, row[tuple(place)].item()) for place in (row > 0).nonzero().tolist()]
        want = sorted(found, key=lambda span: -span[3])[:k]
        assert spans == [list(map(float, span)) for span in want] + [[-1.0, -1.0, -1.0, 0.0]] * (k - len(want))


def test_top_spans_of_huge_and_masked_scores():
    scores = torch.full((1, 2, 3, 3), -torch.inf)
    assert (top_spans(scores, 4)[..., 0] == -1).all()
    scores[0, 1, 0, 2] = torch.finfo(torch.float32).max
    assert top_spans(scores, 4)[0, 0, :3].tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="got 0"):
        top_spans(scores, 0)
