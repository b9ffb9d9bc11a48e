"""The CRF's and MEMM's functions against enumeration, the originals' numbers, finite differences and each other."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hf_ext.ops.crf import crf_decode, crf_log_partition, crf_loss, crf_marginals, crf_nbest, crf_score, partition
from hf_ext.ops.crf.naive import naive_decode, naive_log_partition, naive_marginals
from hf_ext.ops.crf.scan import peaks, steps_between_scalings
from hf_ext.ops.memm import memm_logits, memm_loss, memm_potentials

FORMS = {"scan": (10**9, 0), "blocks": (0, 10**9)}


@pytest.fixture(params=FORMS)
def form(request, monkeypatch):
    """Makes one of the fast forms run, whatever the sizes."""
    long, products = FORMS[request.param]
    monkeypatch.setattr(partition, "_LONG", long)
    monkeypatch.setattr(partition, "_PRODUCTS_A_STEP", products)
    return request.param


def scores(batch, length, tags, spread=2.0, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((batch, length, tags), (tags, tags), (tags,), (tags,))
    return [spread * torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


def steps(emissions, transitions, start, end, mask):
    return steps_between_scalings(peaks(emissions, mask)[1], transitions, start, end)


def holes(batch, length, seed=0):
    """A mask with gaps anywhere; the first row is full, the second (if any) has one token, the last (of many) none."""
    mask = torch.rand(batch, length, generator=torch.Generator().manual_seed(seed)) < 0.7
    mask[0] = True
    if batch > 1:
        mask[1] = torch.arange(length) == length // 2
    if batch > 2:
        mask[-1] = False
    return mask


def enumerate_row(emissions, transitions, start, end, keep):
    """Every tag sequence of the kept tokens of one row, and its score."""
    kept = emissions[keep]
    paths = list(itertools.product(range(emissions.shape[1]), repeat=len(kept)))
    totals = []
    for path in paths:
        total = torch.zeros((), dtype=emissions.dtype)
        if path:
            total = start[path[0]] + end[path[-1]] + sum(kept[t, tag] for t, tag in enumerate(path))
            total = total + sum(transitions[pair] for pair in itertools.pairwise(path))
        totals.append(total)
    return paths, torch.stack(totals)


@pytest.mark.parametrize(("length", "tags"), [(1, 1), (1, 3), (2, 2), (4, 3), (5, 2), (3, 4)])
def test_enumeration(form, length, tags):
    emissions, transitions, start, end = scores(4, length, tags)
    mask = holes(4, length)
    inputs = (emissions, transitions, mask, start, end)
    total, best, marginals = crf_log_partition(*inputs), crf_decode(*inputs), crf_marginals(*inputs)
    several = crf_nbest(emissions, transitions, 5, mask, start, end)
    for row in range(4):
        paths, values = enumerate_row(emissions[row], transitions, start, end, mask[row])
        want = values.logsumexp(0) if mask[row].any() else torch.zeros((), dtype=torch.float64)
        torch.testing.assert_close(total[row], want)
        torch.testing.assert_close(marginals.log_partition[row], want)
        torch.testing.assert_close(best[1][row], values.max())
        assert tuple(best[0][row][mask[row]].tolist()) == paths[values.argmax()]
        assert (best[0][row][~mask[row]] == -100).all()
        probabilities = (values - want).exp()
        expected = torch.zeros(length, tags, dtype=torch.float64)
        counts = torch.zeros(tags, tags, dtype=torch.float64)
        for path, probability in zip(paths, probabilities):
            for place, tag in zip(mask[row].nonzero().squeeze(1), path):
                expected[place, tag] += probability
            for pair in itertools.pairwise(path):
                counts[pair] += probability
        torch.testing.assert_close(marginals.tags[row], expected)
        torch.testing.assert_close(marginals.transitions[row], counts)
        for place, index in enumerate(values.argsort(descending=True)[:5].tolist()):
            torch.testing.assert_close(several[1][row, place], values[index])
            assert tuple(several[0][row, place][mask[row]].tolist()) == paths[index]
        assert (several[1][row, len(paths) :] == -torch.inf).all()
        assert (several[0][row, len(paths) :] == -100).all()
        labels = torch.full((1, length), -100)
        labels[0, mask[row]] = torch.tensor(paths[0], dtype=torch.long)
        torch.testing.assert_close(
            crf_score(emissions[row : row + 1], transitions, labels, None, start, end)[0], values[0]
        )


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 18, 33, 100, 301])
@pytest.mark.parametrize("tags", [1, 2, 5])
def test_fast_forms_are_the_readable_one(form, length, tags):
    inputs = scores(5, length, tags, spread=3.0)
    mask = holes(5, length)
    emissions, transitions, start, end = inputs
    assert steps(*inputs, mask) > 0
    got = crf_marginals(emissions, transitions, mask, start, end)
    total, of_tags, of_pairs = naive_marginals(*inputs, mask)
    torch.testing.assert_close(got.log_partition, total)
    torch.testing.assert_close(got.tags, of_tags)
    torch.testing.assert_close(got.transitions, of_pairs)
    torch.testing.assert_close(crf_log_partition(emissions, transitions, mask, start, end), total)
    tags_found, best = crf_decode(emissions, transitions, mask, start, end)
    tags_wanted, want = naive_decode(*inputs, mask)
    assert torch.equal(tags_found, tags_wanted)
    torch.testing.assert_close(best, want)
    assert torch.equal(crf_nbest(emissions, transitions, 2, mask, start, end)[0][:, 0], tags_wanted)


def test_gradients(form):
    inputs = [x.requires_grad_() for x in scores(4, 4, 3)]
    mask = holes(4, 4)
    labels = torch.randint(0, 3, (4, 4), generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([0.3, -2.0, 1.0, 5.0], dtype=torch.float64)

    def loss(emissions, transitions, start, end):
        return crf_loss(emissions, transitions, labels, mask, start, end) * weights

    assert torch.autograd.gradcheck(loss, inputs)
    for some in itertools.combinations(range(4), 1):
        parts = [x if index in some else x.detach() for index, x in enumerate(inputs)]
        assert torch.autograd.gradcheck(loss, parts)


def test_second_derivatives():
    inputs = [x.requires_grad_() for x in scores(3, 4, 3)]
    mask = holes(3, 4)

    def total(emissions, transitions, start, end):
        return crf_log_partition(emissions, transitions, mask, start, end)

    assert torch.autograd.gradgradcheck(total, inputs)
    first = torch.autograd.grad(total(*inputs).sum(), inputs)
    for own, again in zip(first, torch.autograd.grad(total(*inputs).sum(), inputs, create_graph=True)):
        torch.testing.assert_close(again, own)
    # Of emissions alone, the gradient that comes from above being a constant.
    emissions, rest = inputs[0], [x.detach() for x in inputs[1:]]
    (first,) = torch.autograd.grad(total(emissions, *rest).sum(), emissions, create_graph=True)
    assert torch.autograd.grad(first.square().sum(), emissions)[0].any()


def test_potentials_far_apart_run_as_logarithms():
    """Where float64 would lose the way to the best path, the result is that of logarithms."""
    transitions = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]], dtype=torch.float64)
    # The first tag is 1e4 ahead, then 2e4 behind, and there is no way from it to the second.
    emissions = torch.tensor([[[1e4, 0.0], [0.0, 0.0], [0.0, 2e4]]], dtype=torch.float64)
    mask = torch.ones(1, 3, dtype=torch.bool)
    zero = torch.zeros(2, dtype=torch.float64)
    assert steps(emissions, transitions, zero, zero, mask) == 0
    total = crf_log_partition(emissions, transitions)
    _, values = enumerate_row(emissions[0], transitions, zero, zero, mask[0])
    torch.testing.assert_close(total[0], values.logsumexp(0))
    torch.testing.assert_close(crf_decode(emissions, transitions)[1][0], values.max())


@pytest.mark.parametrize("spread", [20.0, 60.0, 120.0, 1e3, 1e4])
@pytest.mark.parametrize("constrained", [False, True])
def test_wide_scores(form, spread, constrained):
    """Whatever the range, fast or not, values and gradients are those of the readable form."""
    emissions, transitions, start, end = scores(3, 40, 4, spread=1.0)
    emissions = emissions * spread / 6
    if constrained:
        transitions = transitions.masked_fill(
            torch.rand(4, 4, generator=torch.Generator().manual_seed(1)) < 0.4, -torch.inf
        )
        transitions[0] = transitions[:, 0] = 0.0
        start = start.masked_fill(torch.tensor([False, True, False, True]), -torch.inf)
    mask = holes(3, 40)
    got = crf_marginals(emissions, transitions, mask, start, end)
    total, of_tags, of_pairs = naive_marginals(emissions, transitions, start, end, mask)
    torch.testing.assert_close(got.log_partition, total)
    torch.testing.assert_close(got.tags, of_tags, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(got.transitions, of_pairs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("most", [10.0, 1e4])
def test_half_precision_is_read_exactly(form, dtype, most):
    emissions, transitions, *_ = scores(3, 50, 4, dtype=torch.float32)
    emissions = (emissions / emissions.abs().max() * most).to(dtype).requires_grad_()
    transitions = transitions.to(dtype).requires_grad_()
    labels = torch.zeros(3, 50, dtype=torch.long)
    loss = crf_loss(emissions, transitions, labels)
    assert loss.dtype == torch.float32
    assert loss.isfinite().all()
    want = crf_loss(emissions.detach().double(), transitions.detach().double(), labels)
    torch.testing.assert_close(loss, want.float(), rtol=1e-5, atol=most * 1e-5)
    loss.sum().backward()
    assert emissions.grad.dtype == transitions.grad.dtype == dtype
    assert emissions.grad.isfinite().all()
    assert transitions.grad.isfinite().all()
    path, best = crf_decode(emissions, transitions)
    torch.testing.assert_close(crf_score(emissions, transitions, path), best, rtol=1e-5, atol=1e-4)


def test_what_is_left_out_does_not_matter(form):
    """Padding may hold anything, and a token that is left out might as well not be there."""
    emissions, transitions, start, end = scores(4, 30, 3)
    mask = holes(4, 30)
    labels = torch.randint(0, 3, (4, 30), generator=torch.Generator().manual_seed(0)).masked_fill(~mask, -100)
    for rubbish in (torch.nan, -torch.inf, 1e30):
        leaves = [emissions.masked_fill(~mask.unsqueeze(2), rubbish), transitions.clone()]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        loss = crf_loss(*leaves, labels, None, start, end)
        assert loss[-1] == 0
        loss.sum().backward()
        assert leaves[0].grad[~mask].eq(0).all()
        for row in range(3):
            alone = crf_loss(
                emissions[row : row + 1, mask[row]], transitions, labels[row : row + 1, mask[row]], None, start, end
            )
            torch.testing.assert_close(loss[row], alone[0])
        clean = [emissions.clone().requires_grad_(), transitions.clone().requires_grad_()]
        crf_loss(*clean, labels, None, start, end).sum().backward()
        torch.testing.assert_close(leaves[1].grad, clean[1].grad)
        path = crf_decode(leaves[0], transitions, mask, start, end)[0]
        assert torch.equal(path, crf_decode(emissions, transitions, mask, start, end)[0])


@pytest.mark.parametrize(("batch", "length"), [(0, 3), (2, 0), (2, 3)])
def test_nothing_to_do(batch, length):
    emissions = torch.randn(batch, length, 3, requires_grad=True)
    labels = torch.full((batch, length), -100)
    transitions = torch.randn(3, 3, requires_grad=True)
    loss = crf_loss(emissions, transitions, labels)
    assert loss.tolist() == [0.0] * batch
    loss.sum().backward()
    assert not transitions.grad.any()
    paths, best = crf_decode(emissions, transitions, labels != -100)
    assert paths.shape == (batch, length)
    assert (paths == -100).all()
    assert not best.any()
    several, values = crf_nbest(emissions, transitions, 2, labels != -100)
    assert several.shape == (batch, 2, length)
    assert values.tolist() == [[0.0, -torch.inf]] * batch
    assert memm_loss(emissions, transitions, labels).shape == (batch, length)


def test_forbidden_transitions_are_never_taken():
    generator = torch.Generator().manual_seed(0)
    emissions = 100 * torch.randn(20, 30, 6, generator=generator)
    transitions = torch.randn(6, 6, generator=generator)
    forbidden = torch.rand(6, 6, generator=generator) < 0.5
    forbidden[0] = forbidden[:, 0] = False
    transitions = transitions.masked_fill(forbidden, -torch.inf)
    start = torch.zeros(6).masked_fill(torch.arange(6) > 2, -torch.inf)
    end = torch.zeros(6).masked_fill(torch.arange(6) < 3, -torch.inf)
    for paths in (
        crf_decode(emissions, transitions, None, start, end)[0],
        crf_nbest(emissions, transitions, 4, None, start, end)[0].flatten(0, 1),
    ):
        assert not forbidden[paths[:, :-1], paths[:, 1:]].any()
        assert (paths[:, 0] <= 2).all()
        assert (paths[:, -1] >= 3).all()


def test_no_sequence_is_allowed():
    emissions, transitions = torch.zeros(1, 2, 2), torch.full((2, 2), -torch.inf)
    assert crf_log_partition(emissions, transitions).tolist() == [-torch.inf]
    assert crf_decode(emissions, transitions)[1].tolist() == [-torch.inf]
    assert crf_marginals(emissions, transitions).tags.eq(0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emissions": torch.zeros(2, 3)}, r"emissions must be floats of shape \[B, L, K\].*\(2, 3\)"),
        ({"emissions": torch.zeros(2, 3, 4, dtype=torch.long)}, "emissions must be floats.*int64"),
        ({"transitions": torch.zeros(3, 3)}, r"transitions must have shape \(4, 4\).*got \(3, 3\)"),
        ({"mask": torch.ones(2, 2)}, r"mask must have shape \(2, 3\).*got \(2, 2\)"),
        ({"start": torch.ones(2)}, r"start must have shape \(4,\).*got \(2,\)"),
        ({"tags": torch.zeros(2, 4, dtype=torch.long)}, r"tags must be integers of shape \(2, 3\)"),
        ({"tags": torch.zeros(2, 3)}, "tags must be integers.*float32"),
        ({"tags": torch.tensor([[0, 1, 2], [0, 4, 0]])}, r"tags\[1, 1\] must be in \[0, 4\), or -100.*got 4"),
        ({"tags": torch.tensor([[0, 1, -1], [0, 0, 0]])}, r"tags\[0, 2\] must be in \[0, 4\).*got -1"),
        ({"transitions": torch.full((4, 4), torch.nan)}, "transitions must be numbers or -inf, got NaN"),
        ({"end": torch.full((4,), torch.inf)}, "end must be numbers or -inf"),
        (
            {"emissions": torch.zeros(2, 3, 4).index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(torch.nan))},
            r"emissions\[1, 2\] must be numbers or -inf, got NaN",
        ),
        ({"start": torch.tensor([-torch.inf, 0, 0, 0])}, r"tags\[0\] must be.*got 0 at its first token, 0,"),
        ({"end": torch.tensor([-torch.inf, 0, 0, 0])}, r"tags\[1\] must be.*got 0 at its last token, 2,"),
        (
            {"transitions": torch.zeros(4, 4).index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(-torch.inf))},
            r"tags\[0\] must be a sequence that is allowed, got 2 after 1 at token 2",
        ),
        (
            {"emissions": torch.zeros(2, 3, 4).index_put((torch.tensor(1), torch.tensor(2)), torch.tensor(-torch.inf))},
            r"tags\[1\] must be.*got 0 at token 2, whose emission is -inf",
        ),
    ],
)
def test_wrong_input_is_named(change, message):
    inputs = {
        "emissions": torch.zeros(2, 3, 4),
        "transitions": torch.zeros(4, 4),
        "tags": torch.tensor([[0, 1, 2], [0, 0, 0]]),
        "mask": None,
        "start": None,
        "end": None,
    }
    with pytest.raises(ValueError, match=message):
        crf_loss(**(inputs | change))


def test_fewer_than_one_path():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        crf_nbest(torch.zeros(1, 2, 2), torch.zeros(2, 2), 0)


@pytest.mark.parametrize("spread", [1, 3])
def test_ties(spread):
    """Of paths with the same score one is found, and its score is exactly the best."""
    generator = torch.Generator().manual_seed(spread)
    emissions, transitions = (
        torch.randint(0, spread + 1, shape, generator=generator).double() for shape in ((40, 13, 3), (3, 3))
    )
    mask, zero = holes(40, 13), torch.zeros(3, dtype=torch.float64)
    paths, best = crf_decode(emissions, transitions, mask)
    assert torch.equal(best, naive_decode(emissions, transitions, zero, zero, mask)[1])
    assert torch.equal(crf_score(emissions, transitions, paths), best)
    assert torch.equal(crf_nbest(emissions, transitions, 1, mask)[1][:, 0], best)


@pytest.mark.parametrize(
    ("length", "batch", "tags", "device", "blocks"),
    [
        (2048, 32, 9, "cuda", True),
        (65, 32, 64, "cuda", True),
        (64, 32, 9, "cuda", False),
        (2048, 32, 65, "cuda", False),
        (2048, 32, 9, "cpu", False),
        (2048, 2, 9, "cpu", True),
        (512, 2, 9, "cpu", False),
    ],
)
def test_where_blocks_are_chosen(length, batch, tags, device, blocks):
    assert partition._in_blocks(length, batch, tags, torch.device(device)) == blocks


class Calls(TorchDispatchMode):
    """Counts the operations that run."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count = getattr(self, "count", 0) + 1
        return function(*args, **(kwargs or {}))


def test_blocks_are_of_logarithmic_depth(monkeypatch):
    """Of inputs twice as long the marginals, and with them the gradients, take so many operations more, not twice."""
    monkeypatch.setattr(partition, "_LONG", 0)
    monkeypatch.setattr(partition, "_PRODUCTS_A_STEP", 10**9)
    counts = []
    for length in (257, 513, 1025, 2049, 4097):
        emissions, transitions, *_ = scores(2, length, 3)
        with Calls() as calls:
            crf_marginals(emissions, transitions)
        counts.append(calls.count)
    steps = {after - before for before, after in itertools.pairwise(counts)}
    assert len(steps) == 1
    assert steps.pop() < 100
    assert counts[-1] < 4097 // 2


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by Dynamo as well
@pytest.mark.parametrize("time_first", [False, True])
def test_compiled_without_breaks(form, time_first):
    emissions, transitions, start, end = scores(3, 9, 4, dtype=torch.float32)
    if time_first:
        emissions = emissions.transpose(0, 1).contiguous().transpose(0, 1)
    labels = torch.randint(0, 4, (3, 9), generator=torch.Generator().manual_seed(0))
    labels[1, :4] = -100

    def step(emissions, transitions):
        loss = crf_loss(emissions, transitions, labels, None, start, end).sum()
        return loss, crf_decode(emissions, transitions, labels != -100, start, end)[0]

    results = []
    torch.compiler.reset()
    for function in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        leaves = emissions.clone().requires_grad_(), transitions.clone().requires_grad_()
        loss, path = function(*leaves)
        loss.backward()
        results.append((loss.detach(), path, leaves[0].grad, leaves[1].grad))
    for want, got in zip(*results):
        torch.testing.assert_close(got, want)


@pytest.fixture(scope="module")
def heads(golden):
    return {name: torch.from_numpy(value) for name, value in np.load(golden / "heads" / "io.npz").items()}


@pytest.mark.parametrize(("name", "multiplier"), [("crf", 1), ("crf_lrm100", 100)])
def test_crf_of_the_original(heads, form, name, multiplier):
    stored = heads[f"{name}_stored_trans"].clone().requires_grad_()
    emissions = heads["emissions"].clone().requires_grad_()
    labels, mask = heads["labels"].long(), heads["mask"]
    torch.testing.assert_close(multiplier * stored.detach(), heads[f"{name}_trans"])
    loss = crf_loss(emissions, multiplier * stored, labels, mask)
    for kind in ("dense", "sparse"):
        torch.testing.assert_close(loss.detach(), heads[f"{name}_{kind}_loss"], rtol=1e-5, atol=0)
    loss.sum().backward()
    torch.testing.assert_close(emissions.grad, heads[f"{name}_loss_sum_grad_emissions"], rtol=0, atol=2e-5)
    of_transitions = heads[f"{name}_loss_sum_grad_stored_trans"] / multiplier
    torch.testing.assert_close(stored.grad / multiplier, of_transitions, rtol=0, atol=2e-5)
    everything = crf_loss(emissions.detach(), heads[f"{name}_trans"], labels, torch.ones_like(mask))
    torch.testing.assert_close(everything, heads[f"{name}_sparse_loss_nomask"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["crf", "crf_lrm100", "memm"])
@pytest.mark.parametrize(
    ("case", "starts", "ends"),
    [("free", range(5), range(5)), ("start0_end0", [0], [0]), ("start01_end1", [0, 1], [1])],
)
def test_viterbi_of_the_original(heads, name, case, starts, ends):
    if f"{name}_viterbi_{case}" not in heads:
        pytest.skip("not among the original's numbers")
    transitions = heads.get(f"{name}_trans", heads[f"{name}_stored_trans"])
    start, end = (
        torch.tensor([0.0 if tag in allowed else -torch.inf for tag in range(5)]) for allowed in (starts, ends)
    )
    paths, _ = crf_decode(heads["emissions"], transitions, heads["mask"], start, end)
    want = heads[f"{name}_viterbi_{case}"].long()
    assert torch.equal(paths.masked_fill(~heads["mask"], -1), want)


@pytest.mark.parametrize("name", ["memm", "memm_lrm10", "memm_lowrank", "memm_lowrank_lrm10"])
def test_memm_of_the_original(heads, name):
    multiplier = 10 if name.endswith("lrm10") else 1
    if "lowrank" in name:
        left, right = (multiplier * heads[f"{name}_stored_{side}_trans"] for side in "lr")
        transitions = left @ right.T
    else:
        transitions = multiplier * heads[f"{name}_stored_trans"]
    emissions = heads["emissions"].clone().requires_grad_()
    labels, mask = heads["labels"].long(), heads["mask"]
    count = mask.sum()
    forward, backward = (
        memm_loss(emissions, transitions, labels, mask, backward=side).sum() / count for side in (False, True)
    )
    loss = (forward + backward) / 2
    parts = {"forward_loss": forward, "backward_loss": backward, "sparse_loss": loss, "dense_loss": loss}
    for part, value in parts.items():
        torch.testing.assert_close(value.detach(), heads[f"{name}_{part}"], rtol=1e-5, atol=0)
    loss.backward()
    torch.testing.assert_close(emissions.grad, heads[f"{name}_sparse_loss_grad_emissions"], rtol=0, atol=2e-5)
    right = [
        (memm_logits(emissions, transitions, labels, mask, side)[0].argmax(-1).eq(labels) & mask).sum() / count
        for side in (False, True)
    ]
    torch.testing.assert_close(sum(right) / 2, heads[f"{name}_sparse_accuracy"])
    everything = torch.ones_like(mask)
    without = sum(memm_loss(emissions, transitions, labels, everything, side).mean() for side in (False, True)) / 2
    torch.testing.assert_close(without.detach(), heads[f"{name}_sparse_loss_nomask"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_memm_potentials_score_every_path_by_its_probability(bidirectional):
    emissions, transitions, *_ = scores(3, 4, 3)
    mask = holes(3, 4)[:2]
    emissions = emissions[:2]
    potentials = memm_potentials(emissions, transitions, mask, bidirectional)
    for row in range(2):
        for path in itertools.product(range(3), repeat=int(mask[row].sum())):
            labels = torch.full((1, 4), -100)
            labels[0, mask[row]] = torch.tensor(path)
            sides = (False, True) if bidirectional else (False,)
            own = emissions[row : row + 1]
            want = -sum(memm_loss(own, transitions, labels, backward=side).sum() for side in sides) / len(sides)
            got = crf_score(potentials[0][row : row + 1], potentials[1], labels)
            torch.testing.assert_close(got[0], want)
    if not bidirectional:
        total = crf_log_partition(*potentials, mask)
        torch.testing.assert_close(total, torch.zeros_like(total))


def test_memm_gradients():
    emissions, transitions, *_ = (x.requires_grad_() for x in scores(3, 4, 3))
    labels = torch.randint(0, 3, (3, 4), generator=torch.Generator().manual_seed(0)).masked_fill(~holes(3, 4), -100)
    for side in (False, True):
        assert torch.autograd.gradcheck(
            lambda e, t, side=side: memm_loss(e, t, labels, None, side), (emissions, transitions)
        )


def test_naive_log_partition_takes_transitions_of_each_row():
    emissions, transitions, start, end = scores(2, 3, 2)
    mask = torch.ones(2, 3, dtype=torch.bool)
    each = torch.stack((transitions, transitions))
    want = naive_log_partition(emissions, transitions, start, end, mask)
    torch.testing.assert_close(naive_log_partition(emissions, each, start, end, mask), want)
