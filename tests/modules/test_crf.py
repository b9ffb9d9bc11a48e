"""The CRF and MEMM modules: the originals' numbers, rules, precision, and how they begin."""

import itertools
import pickle

import numpy as np
import pytest
import torch

from hf_ext.modules.crf import ConditionalRandomField, IndependentTags, MaximumEntropyMarkovModel
from hf_ext.ops.tag_rules import tag_rules

TAGS = ["O", "B-a", "I-a", "B-b", "I-b"]
MODULES = {
    "crf": ConditionalRandomField,
    "memm": MaximumEntropyMarkovModel,
    "memm_one_way": lambda *a: MaximumEntropyMarkovModel(*a, bidirectional=False),
    "memm_low_rank": lambda *a: MaximumEntropyMarkovModel(*a, rank=2),
    "softmax": IndependentTags,
}
modules = pytest.mark.parametrize("name", MODULES)


@pytest.fixture(scope="module")
def heads(golden):
    return {name: torch.from_numpy(value) for name, value in np.load(golden / "heads" / "io.npz").items()}


def fill(module, heads, name):
    with torch.no_grad():
        for parameter, value in module.named_parameters():
            short = {"transitions": "trans", "left_transitions": "l_trans", "right_transitions": "r_trans"}[parameter]
            value.copy_(heads[f"{name}_stored_{short}"])
    return module


@pytest.mark.parametrize(("name", "multiplier"), [("crf", 1.0), ("crf_lrm100", 100.0)])
def test_crf_of_the_original(heads, name, multiplier):
    module = fill(ConditionalRandomField(5, lr_multiplier=multiplier), heads, name)
    labels, mask = heads["labels"].long(), heads["mask"]
    loss = module(heads["emissions"], labels, mask)
    torch.testing.assert_close(loss.detach(), heads[f"{name}_sparse_loss"].mean(), rtol=1e-5, atol=0)
    (loss * len(labels)).backward()
    want = heads[f"{name}_loss_sum_grad_stored_trans"]
    torch.testing.assert_close(module.transitions.grad / multiplier, want / multiplier, rtol=0, atol=2e-5)
    paths, _ = module.decode(heads["emissions"], mask)
    assert torch.equal(paths.masked_fill(~mask, -1), heads[f"{name}_viterbi_free"].long())


@pytest.mark.parametrize("name", ["memm", "memm_lrm10", "memm_lowrank", "memm_lowrank_lrm10"])
def test_memm_of_the_original(heads, name):
    options = {"lr_multiplier": 10.0 if name.endswith("10") else 1.0, "rank": 3 if "lowrank" in name else None}
    inputs = heads["emissions"], heads["labels"].long(), heads["mask"]
    for bidirectional, part in ((True, "sparse_loss"), (False, "forward_loss")):
        module = fill(MaximumEntropyMarkovModel(5, **options, bidirectional=bidirectional), heads, name)
        torch.testing.assert_close(module(*inputs).detach(), heads[f"{name}_{part}"], rtol=1e-5, atol=0)


@modules
@pytest.mark.parametrize("ruled", [False, True])
def test_decoding_against_enumeration(name, ruled):
    torch.manual_seed(0)
    module = MODULES[name](5, tag_rules(TAGS) if ruled else None).double()
    emissions = 3 * torch.randn(3, 3, 5, dtype=torch.float64)
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[1] = torch.tensor([True, False, True])
    mask[2] = False
    rules = tag_rules(TAGS)
    paths, _ = module.decode(emissions, mask)
    several, logs = module.nbest(emissions, 4, mask)
    marginals = module.marginals(emissions, mask)
    for row in range(3):
        kept = int(mask[row].sum())
        choices = [
            path
            for path in itertools.product(range(5), repeat=kept)
            if not (ruled and kept)
            or rules.start[path[0]] + sum(rules.transitions[pair] for pair in itertools.pairwise(path)) == 0
        ]
        labels = torch.full((len(choices), 3), -100)
        labels[:, mask[row]] = torch.tensor(choices, dtype=torch.long)
        each = torch.stack([module(emissions[row : row + 1], one[None]).detach() for one in labels])
        # Of a CRF the sum over the row, of the others the mean over its tokens.
        scores = -each if name == "crf" else -each * kept
        chances = scores.softmax(0)
        order = scores.argsort(descending=True)
        assert torch.equal(paths[row], labels[order[0]])
        for place, index in enumerate(order[:4].tolist()):
            assert torch.equal(several[row, place], labels[index])
            torch.testing.assert_close(logs[row, place].exp(), chances[index])
        of_tags = torch.zeros(3, 5, dtype=torch.float64)
        for path, chance in zip(labels, chances):
            for place in mask[row].nonzero().flatten().tolist():
                of_tags[place, path[place]] += chance
        torch.testing.assert_close(marginals.tags[row], of_tags)


@modules
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_at_extremes(name, dtype):
    torch.manual_seed(0)
    module = MODULES[name](5, tag_rules(TAGS)).to(dtype)
    emissions = (torch.randn(3, 20, 5) * 2500).clamp(-1e4, 1e4).to(dtype).requires_grad_()
    labels = torch.zeros(3, 20, dtype=torch.long)
    labels[1] = -100
    loss = module(emissions, labels)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    loss.backward()
    assert all(leaf.grad.isfinite().all() for leaf in (emissions, *module.parameters()))
    paths, _ = module.decode(emissions, labels != -100)
    rules = tag_rules(TAGS)
    assert (rules.transitions[paths[0, :-1], paths[0, 1:]] == 0).all()
    assert (paths[1] == -100).all()


@modules
def test_empty_rows_count_nothing(name):
    torch.manual_seed(0)
    module = MODULES[name](5)
    emissions = torch.randn(2, 6, 5, requires_grad=True)
    labels = torch.randint(0, 5, (2, 6))
    labels[1] = -100
    loss = module(emissions, labels)
    alone = module(emissions[:1], labels[:1])
    torch.testing.assert_close(loss, alone / 2 if name == "crf" else alone)
    loss.backward()
    assert emissions.grad[1].eq(0).all()
    assert module(emissions, torch.full((2, 6), -100)).item() == 0


@modules
def test_wrong_labels(name):
    module = MODULES[name](5)
    with pytest.raises(ValueError, match=r"tags\[0, 1\] must be in \[0, 5\).*got 5"):
        module(torch.zeros(1, 2, 5), torch.tensor([[0, 5]]))
    with pytest.raises(ValueError, match="tags must be integers"):
        module(torch.zeros(1, 2, 5), torch.zeros(1, 3, dtype=torch.long))


def test_sequences_against_the_rules():
    module = ConditionalRandomField(5, tag_rules(TAGS))
    with pytest.raises(ValueError, match=r"tags\[0\].*got 2 after 3 at token 2"):
        module(torch.zeros(1, 3, 5), torch.tensor([[0, 3, 2]]))
    with pytest.raises(ValueError, match="got 2 at its first token"):
        module(torch.zeros(1, 1, 5), torch.tensor([[2]]))


def test_beginning_is_the_original_one():
    torch.manual_seed(0)
    for multiplier in (1.0, 100.0):
        stored = ConditionalRandomField(50, lr_multiplier=multiplier).transitions * multiplier
        limit = (6 / 100) ** 0.5
        assert 0.95 * limit < stored.abs().max() <= limit
    left = MaximumEntropyMarkovModel(50, rank=10).left_transitions
    assert 0.9 * (6 / 60) ** 0.5 < left.abs().max() <= (6 / 60) ** 0.5


@modules
def test_rules_travel_with_the_module_but_not_with_its_weights(name):
    module = MODULES[name](5, tag_rules(TAGS))
    assert not any("rule" in key for key in module.state_dict())
    emissions = torch.randn(2, 5, 5)
    assert torch.equal(pickle.loads(pickle.dumps(module)).decode(emissions)[0], module.decode(emissions)[0])
    assert "constrained=True" in repr(module)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConditionalRandomField(0), "num_tags must be at least 1, got 0"),
        (lambda: ConditionalRandomField(5, lr_multiplier=0.0), "lr_multiplier must be positive, got 0"),
        (lambda: ConditionalRandomField(4, tag_rules(TAGS)), "rules must be for 4 tags, got 5"),
        (lambda: MaximumEntropyMarkovModel(5, rank=0), "rank must be at least 1.*got 0"),
    ],
)
def test_wrong_settings(call, message):
    with pytest.raises(ValueError, match=message):
        call()
