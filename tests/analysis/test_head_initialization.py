"""Heads that begin where a closed form ends."""

import pytest
import torch
from models_tiny import Case, cases
from torch import nn

from hf_ext.analysis import AnalyticClassifier, initialize_head_

TEXTS = cases("AutoModelForSequenceClassification", once=True)
TOKENS = cases("AutoModelForTokenClassification", once=True)


def batches(case: Case, count: int = 6):
    for seed in range(count):
        batch = case.batch([7, 5, 6, 3], seed=seed)
        if case.auto == "AutoModelForSequenceClassification":
            yield batch | {"labels": batch["input_ids"][:, 0] % 3}
        else:
            yield batch | case.labels(batch)


@pytest.mark.parametrize("case", [*TEXTS, *TOKENS])
def test_the_last_layer_is_the_closed_form_of_what_comes_in(case: Case):
    model = case.make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layer = [one for one in model.modules() if isinstance(one, nn.Linear) and one.out_features == 3][-1]
    seen, labels = [], []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, -2)))
    model.train()
    with torch.no_grad():
        for batch in batches(case):
            labels.append(batch.pop("labels").flatten())
            model.eval()(**batch)
    hook.remove()
    model.train()
    assert initialize_head_(model, batches(case), shrinkage=0.1) is model
    assert model.training
    vectors = torch.cat(seen).detach()
    expected = AnalyticClassifier.fit([(vectors, torch.cat(labels))], 3, shrinkage=0.1)
    torch.testing.assert_close(layer(vectors), expected(vectors), rtol=1e-6, atol=1e-6)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert len(changed) == 2


def test_a_class_without_examples_begins_unlikely_but_not_lost():
    case = TEXTS[0].values[0]
    model = case.make(num_labels=4)
    initialize_head_(model, batches(case))
    layer = [one for one in model.modules() if isinstance(one, nn.Linear) and one.out_features == 4][-1]
    assert not layer.weight[3].any()
    # Half of one of 24 examples.
    assert layer.bias[3].exp().item() == pytest.approx(1 / 48)


def test_what_is_no_head_over_classes_is_refused():
    case = TEXTS[0].values[0]
    plain = next(iter(batches(case)))
    for fields, told in (
        ({"num_labels": 1}, "num_labels must be at least 2"),
        ({"problem_type": "multi_label_classification"}, "with one class each"),
    ):
        with pytest.raises(ValueError, match=told):
            initialize_head_(case.make(**fields), [plain])
    with pytest.raises(ValueError, match="dataset must have at least one batch"):
        initialize_head_(case.make(), [])
    without = {name: value for name, value in plain.items() if name != "labels"}
    with pytest.raises(ValueError, match="dataset must be batches with labels, got input_ids"):
        initialize_head_(case.make(), [without])
    with pytest.raises(ValueError, match=r"labels must fit what comes into the layer, got \[4, 2\]"):
        initialize_head_(case.make(), [without | {"labels": torch.zeros(4, 2)}])
    with pytest.raises(ValueError, match="must have a linear layer of 3 outputs"):
        initialize_head_(case._replace(auto="AutoModel").make(), [plain])
