import pytest
import torch
from torch.utils.checkpoint import checkpoint

from hf_ext.ops import pointer_tiles
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.pointer import efficient_pointer_scores, pointer_scores, span_mask, top_spans
from hf_ext.ops.pointer_loss import (
    check_span_labels,
    dense_span_losses,
    efficient_pointer_loss,
    naive_efficient_pointer_loss,
    naive_pointer_loss,
    pointer_loss,
)
from hf_ext.ops.pointer_loss.bilinear import bilinear_sums
from hf_ext.ops.top_spans import efficient_pointer_top_spans, pointer_top_spans

# B, L, C, D
SHAPES = [(1, 1, 1, 2), (2, 3, 1, 4), (3, 7, 3, 4), (5, 17, 4, 6), (2, 70, 5, 8), (1, 133, 2, 4)]
PADDINGS = ["none", "right", "left", "holes", "all but one", "all"]
KINDS = {
    "plain": (pointer_loss, naive_pointer_loss, pointer_top_spans),
    "efficient": (efficient_pointer_loss, naive_efficient_pointer_loss, efficient_pointer_top_spans),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def take(monkeypatch, way):
    """Choose how few scores are dealt with, and tiles so small that even small inputs take several of them."""
    if way != "dense":
        monkeypatch.setattr(pointer_tiles, "DENSE", -1)
    if way == "many chunks":
        monkeypatch.setattr(pointer_tiles, "_KEPT", -1)
    if way.startswith("many chunks"):
        monkeypatch.setattr(pointer_tiles, "_CPU_TILE", 300)
        monkeypatch.setattr(pointer_tiles, "_STARTS", 5)


@pytest.fixture(autouse=True)
def decoding_of_a_gpu(monkeypatch):
    """Few scores are decoded all at once, which a CPU does in graphs alone."""

    def few(shape, device):
        return in_graph() or pointer_tiles.few_scores(shape, pointer_tiles.DENSE)

    monkeypatch.setattr("hf_ext.ops.top_spans._all_at_once", few)


@pytest.fixture(params=["dense", "one chunk", "many chunks"])
def tile(request, monkeypatch):
    take(monkeypatch, request.param)


@pytest.fixture
def tiled(monkeypatch):
    take(monkeypatch, "one chunk")


def inputs(kind, shape, dtype=torch.float64, scale=1.0):
    batch, length, types, size = shape
    generator = torch.Generator().manual_seed(length + types)
    shapes = [(batch, length, types, size)] * 2
    if kind == "efficient":
        shapes = [(batch, length, size)] * 2 + [(batch, length, types)] * 2
    parts = [torch.randn(*form, generator=generator, dtype=torch.float64) * scale for form in shapes]
    return [part.to(dtype).requires_grad_() for part in parts]


def padding(kind, batch, length):
    mask = torch.ones(batch, length, dtype=torch.long)
    if kind == "none":
        return None
    if kind == "right":
        mask[-1, (length + 1) // 2 :] = 0
    if kind == "left":
        mask[0, : length // 2] = 0
    if kind == "holes":
        mask[-1, 1::3] = 0
    if kind == "all but one":
        mask[:] = 0
        mask[:, length // 3] = 1
    if kind == "all":
        mask[0] = 0
    return mask


def spans(shape, mask, ordered=True, most=6):
    """Labels of each row: some twice, some cells with two types, some rows without any."""
    batch, length, types, _ = shape
    generator = torch.Generator().manual_seed(batch * length)
    allowed = span_mask(length, mask, ordered).expand(batch, length, length)
    labels = torch.full((batch, most + 2, 3), -100)
    for row in range(batch):
        cells = allowed[row].nonzero()
        if row == 1 or not len(cells):
            continue
        chosen = cells[torch.randint(len(cells), (most,), generator=generator)]
        labels[row, 1:-1, 0] = torch.randint(types, (most,), generator=generator)
        labels[row, 1:-1, 1:] = chosen
        labels[row, -1] = labels[row, 1]
        labels[row, 0] = torch.tensor([(int(labels[row, 1, 0]) + 1) % types, *chosen[0].tolist()])
    return labels


def dense_scores(kind, parts, mask, ordered):
    make = pointer_scores if kind == "plain" else efficient_pointer_scores
    return make(*parts, span_mask(parts[0].shape[1], mask, ordered))


@kinds
@pytest.mark.parametrize("pads", PADDINGS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("tile")
def test_losses_and_gradients_of_the_readable_form(kind, shape, pads):
    mask, parts = padding(pads, *shape[:2]), inputs(kind, shape)
    fast, naive, _ = KINDS[kind]
    weights = torch.rand(shape[0], shape[2], dtype=torch.float64) - 0.3
    for ordered in (True, False):
        labels = spans(shape, mask, ordered)
        got, want = (loss(*parts, labels, mask, ordered) for loss in (fast, naive))
        assert got.shape == (shape[0], shape[2])
        torch.testing.assert_close(got, want)
        gradients, wanted = (torch.autograd.grad((loss * weights).sum(), parts) for loss in (got, want))
        for found, gradient in zip(gradients, wanted):
            torch.testing.assert_close(found, gradient)
        assert torch.equal(fast(*parts, labels[:, :0], mask, ordered), fast(*parts, labels * 0 - 100, mask, ordered))


@kinds
@pytest.mark.parametrize("scale", [1e-3, 1.0, 3.0, 10.0, 40.0])
@pytest.mark.usefixtures("tile")
def test_float32_against_float64(kind, scale):
    """Scores up to thousands: in float32 they are themselves off by their size times its precision."""
    shape = (3, 37, 4, 8)
    mask, parts = padding("right", 3, 37), inputs(kind, shape, torch.float32, scale)
    labels = spans(shape, mask)
    exact = [part.detach().double().requires_grad_() for part in parts]
    fast, naive, _ = KINDS[kind]
    got, want = fast(*parts, labels, mask), naive(*exact, labels, mask)
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=1e-6)
    if scale > 10:
        return
    for found, wanted in zip(torch.autograd.grad(got.sum(), parts), torch.autograd.grad(want.sum(), exact)):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5 * max(1, scale))


@pytest.mark.parametrize(("scale", "dtype"), [(1.0, torch.float32), (6.0, torch.float64), (40.0, None)])
@pytest.mark.usefixtures("tiled")
def test_range_of_the_efficient_form(monkeypatch, scale, dtype):
    seen = []

    def spy(*arguments):
        seen.append(arguments[-1])
        return bilinear_sums(*arguments)

    monkeypatch.setattr("hf_ext.ops.pointer_loss.dispatch.bilinear_sums", spy)
    shape = (2, 9, 3, 4)
    parts, labels = inputs("efficient", shape, torch.float32, scale), spans(shape, None)
    # What stands at padding does not count.
    parts[0].data[:, -1] = 1e30
    mask = torch.ones(2, 9)
    mask[:, -1] = 0
    labels = spans(shape, mask)
    assert efficient_pointer_loss(*parts, labels, mask).isfinite().all()
    assert seen == ([] if dtype is None else [dtype])


@kinds
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 200.0, 3e4])
@pytest.mark.usefixtures("tile")
def test_half_precision_extremes(kind, dtype, size):
    shape = (2, 9, 3, 64)
    parts = [torch.full_like(part, size).requires_grad_() for part in inputs(kind, shape, dtype)]
    labels = spans(shape, None)
    got = KINDS[kind][0](*parts, labels)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, KINDS[kind][1](*parts, labels))
    for gradient in torch.autograd.grad(got.sum(), parts):
        assert gradient.dtype == dtype
        assert not gradient.isnan().any()


@pytest.mark.slow
@kinds
@pytest.mark.usefixtures("tile")
def test_gradients_numerically(kind):
    shape = (2, 5, 2, 2)
    mask, parts = padding("right", 2, 5), inputs(kind, shape)
    labels = spans(shape, mask, most=2)
    assert torch.autograd.gradcheck(lambda *p: KINDS[kind][0](*p, labels, mask), parts)
    assert torch.autograd.gradgradcheck(lambda *p: KINDS[kind][0](*p, labels, mask), parts)
    parts[1].requires_grad_(False)
    assert torch.autograd.gradgradcheck(lambda *p: KINDS[kind][0](*p, labels, mask), parts)


@pytest.mark.usefixtures("tile")
def test_efficient_form_out_of_range_has_the_same_second_derivative():
    shape = (1, 4, 2, 2)
    parts, labels = inputs("efficient", shape, scale=40.0), spans(shape, None, most=1)
    found = []
    for loss in (efficient_pointer_loss, naive_efficient_pointer_loss):
        first = torch.autograd.grad(loss(*parts, labels).sum(), parts, create_graph=True)
        found.append(torch.autograd.grad(sum(part.square().sum() for part in first), parts))
    for got, want in zip(*found):
        torch.testing.assert_close(got, want)


@kinds
@pytest.mark.usefixtures("tile")
def test_autocast_and_checkpointing_change_nothing(kind):
    shape = (2, 11, 3, 4)
    parts, labels = inputs(kind, shape, torch.float32), spans(shape, None)
    loss = KINDS[kind][0]
    plain = torch.autograd.grad(loss(*parts, labels).sum(), parts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = loss(*parts, labels).sum()
    cast = torch.autograd.grad(out, parts)
    again = torch.autograd.grad(checkpoint(loss, *parts, labels, use_reentrant=False).sum(), parts)
    for want, *others in zip(plain, cast, again):
        assert all(torch.equal(want, other) for other in others)


@kinds
@pytest.mark.usefixtures("tiled")
def test_backward_pass_under_autocast(kind):
    """Which PyTorch advises against; the readable form's products are then in half precision."""
    shape = (2, 11, 3, 4)
    parts, labels = inputs(kind, shape, torch.float32), spans(shape, None)
    plain = torch.autograd.grad(KINDS[kind][0](*parts, labels).sum(), parts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = torch.autograd.grad(KINDS[kind][0](*parts, labels).sum(), parts)
    assert all(torch.equal(one, other) for one, other in zip(plain, cast))


@kinds
@pytest.mark.usefixtures("tile")
def test_compiled_graphs_take_the_readable_form(kind):
    shape = (2, 6, 3, 4)
    mask, parts = padding("right", 2, 6), inputs(kind, shape)
    labels = spans(shape, mask)
    fast, naive, best = KINDS[kind]
    compiled = torch.compile(fast, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*parts, labels, mask), naive(*parts, labels, mask))
    compiled = torch.compile(best, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*parts, 5, mask), best(*parts, 5, mask))


@kinds
def test_no_tensor_has_the_size_of_the_scores(kind):
    """Tensors of forward and backward, as the allocator sees them."""
    shape = (2, 512, 10, 4)
    parts, labels = inputs(kind, shape, torch.float32), spans(shape, None)
    loss, naive, _ = KINDS[kind]
    peaks = []
    for function in (loss, naive):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            function(*parts, labels).sum().backward()
        events = profile.profiler.kineto_results.events()
        peaks.append(max(event.nbytes() for event in events if event.name() == "[memory]"))
    assert peaks[0] < 2**21 < 2 * 10 * 512 * 512 * 4 <= peaks[1]


@kinds
def test_ways_meet_at_the_thresholds(kind, monkeypatch):
    """The same on both sides of each threshold, a score more or less than there are."""
    shape = (3, 23, 5, 4)
    mask, parts = padding("holes", 3, 23), inputs(kind, shape)
    labels, scores = spans(shape, mask), 3 * 5 * 23 * 23
    loss, _, best = KINDS[kind]
    monkeypatch.setattr(pointer_tiles, "_STARTS", 5)
    found = []
    for few in (None, "DENSE", "_KEPT"):
        for name in ("DENSE", "_KEPT"):
            monkeypatch.setattr(pointer_tiles, name, scores - (name != few))
        out = loss(*parts, labels, mask)
        found.append((out, *torch.autograd.grad(out.square().sum(), parts), best(*parts, 300, mask)))
    for others in found[1:]:
        torch.testing.assert_close(others, found[0])


@pytest.mark.parametrize("way", ["dense", "many chunks"])
def test_nan_where_no_span_may_stand_is_no_score(monkeypatch, way):
    """Below the diagonal infinity times 0 is NaN; where spans may stand the scores are -inf."""
    take(monkeypatch, way)
    query, key = torch.full((1, 12, 2, 4), -1.0), torch.ones(1, 12, 2, 4)
    query[0, 7, 1], key[0, 6, 1] = -torch.inf, 0.0
    got = pointer_top_spans(query, key, 200, above=-10.0)
    assert (got[0, :, 0] >= 0).sum() == 2 * 78 - 5
    with pytest.raises(ValueError, match="row 0 for type 1 and start 7"):
        pointer_top_spans(query, key, 200, ordered=False)


def test_readable_form_by_hand():
    scores = torch.tensor([[[[0.5, -1.0], [-torch.inf, 2.0]], [[0.0, 0.0], [-torch.inf, 0.0]]]])
    got = dense_span_losses(scores, torch.tensor([[[0, 1, 1], [-100, -100, -100]]]))
    first = torch.log1p(scores[0, 0, 0].exp().sum()) + torch.log1p(torch.tensor(-2.0).exp())
    torch.testing.assert_close(got, torch.stack((first, torch.tensor(4.0).log()))[None])


@pytest.mark.slow
@kinds
@pytest.mark.parametrize("pads", PADDINGS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("tile")
def test_top_spans_of_dense_scores_ties_included(kind, shape, pads):
    """Small integers, whose products are exact: of the scores most are tied."""
    mask = padding(pads, *shape[:2])
    parts = [(part.detach() * 1.5).round().clamp(-2, 2) for part in inputs(kind, (*shape[:3], 4))]
    for ordered, above, k in ((True, 0.0, 7), (False, -1.5, 40), (True, 100.0, 3)):
        got = KINDS[kind][2](*parts, k, mask, ordered, above)
        scores = dense_scores(kind, parts, mask, ordered)
        want = top_spans(scores, k, above)
        assert got.dtype == torch.float32
        assert torch.equal(got, want)
        for row, found in zip(scores, got.tolist()):
            places = [(*place, row[tuple(place)].item()) for place in (row > above).nonzero().tolist()]
            best = sorted(places, key=lambda place: -place[3])[:k]
            assert found == [list(map(float, place)) for place in best] + [[-1.0, -1.0, -1.0, 0.0]] * (k - len(best))


@kinds
@pytest.mark.usefixtures("tile")
def test_top_spans_have_no_gradient_and_take_half_precision(kind):
    parts = inputs(kind, (2, 40, 3, 4), torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = KINDS[kind][2](*parts, 9)
    assert not got.requires_grad
    assert torch.equal(got, top_spans(dense_scores(kind, parts, None, True), 9))
    with pytest.raises(ValueError, match="got 0"):
        KINDS[kind][2](*parts, 0)


@kinds
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[[3, 0, 1]]], r"labels\[0, 0\] must be \(label in \[0, 3\).*got \(3, 0, 1\)"),
        ([[[0, 2, 1]]], r"start <= end.*got \(0, 2, 1\)"),
        ([[[-100, 0, 0], [0, 0, 5]]], r"labels\[0, 1\].*4 real tokens of 6.*got \(0, 0, 5\)"),
        ([[[0, 0, 6]]], r"got \(0, 0, 6\)"),
        ([[[0.0, 0.0, 1.0]]], "integers"),
    ],
)
def test_wrong_labels(kind, labels, message):
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    with pytest.raises(ValueError, match=message):
        KINDS[kind][0](*inputs(kind, (1, 6, 3, 4)), torch.tensor(labels), mask)


def test_ends_before_starts_where_they_are_allowed():
    labels = torch.tensor([[[0, 2, 1]]])
    check_span_labels(labels, 1, (1, 3), ordered=False)
    with pytest.raises(ValueError, match="start <= end"):
        check_span_labels(labels, 1, (1, 3))


@kinds
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.usefixtures("tile")
def test_nan_is_named(kind, value):
    shape = (2, 5, 3, 4)
    mask, parts = padding("right", 2, 5), inputs(kind, shape)
    labels = spans(shape, mask)
    with torch.no_grad():
        parts[0][1, 4] = value
    # At padding it does not matter.
    assert KINDS[kind][0](*parts, labels, mask).isfinite().all()
    KINDS[kind][2](*parts, 3, mask)
    with torch.no_grad():
        parts[0][1, 2] = value
        parts[1][1, 2] = 0.0
    with pytest.raises(ValueError, match=rf"row 1 for type 0: query\[1, 2, .*\] is {value}"):
        KINDS[kind][0](*parts, labels, mask)
    with pytest.raises(ValueError, match=r"row 1 for type 0 and start 2"):
        KINDS[kind][2](*parts, 3, mask)


@pytest.mark.parametrize(
    ("kind", "place", "shape", "message"),
    [
        ("plain", 1, (2, 5, 3, 5), "query and key"),
        ("efficient", 0, (2, 5, 3, 4), r"query and key must be \[B, L, D\]"),
        ("efficient", 2, (2, 4, 3), "start_bias and end_bias"),
    ],
)
def test_shapes_that_do_not_fit(kind, place, shape, message):
    parts = inputs(kind, (2, 5, 3, 4))
    parts[place] = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        KINDS[kind][0](*parts, torch.full((2, 1, 3), -100))
    with pytest.raises(ValueError, match=r"attention_mask must be \[B, L\]"):
        KINDS[kind][0](*inputs(kind, (2, 5, 3, 4)), torch.full((2, 1, 3), -100), torch.ones(2, 5, 5))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float16, 2e-2), (torch.bfloat16, 1e-1)])
def test_on_a_gpu(kind, ordered, dtype, tolerance, monkeypatch):
    monkeypatch.setenv("HF_EXT_TRITON", "1")
    take(monkeypatch, "one chunk")
    shape = (3, 133, 4, 24)
    mask, parts = padding("holes", 3, 133), inputs(kind, shape)
    labels = spans(shape, mask, ordered)
    moved = [part.detach().to("cuda", dtype).requires_grad_() for part in parts]
    found = KINDS[kind][0](*moved, labels.cuda(), mask.cuda(), ordered)
    wanted = KINDS[kind][1](*parts, labels, mask, ordered)
    gradients = [torch.autograd.grad(loss.sum(), own) for loss, own in ((found, moved), (wanted, parts))]
    for got, want in zip((found, *gradients[0]), (wanted, *gradients[1])):
        torch.testing.assert_close(got.cpu().double(), want, atol=tolerance, rtol=tolerance)
