"""A successor that stands in for parts of its predecessor: the article's numbers, gradients, draws, what is refused."""

import copy
from collections import Counter

import peft
import pytest
import torch
from models_tiny import one_of_each
from theseus_runs import bert_pair, classifier, golden_case, rows
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    DistilBertConfig,
    RobertaConfig,
    ViTConfig,
)

from hf_ext.training import Theseus, attach_successor
from hf_ext.training.theseus import theseus_of

SIZES = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "initializer_range": 0.3,
}
BATCH = {
    "input_ids": torch.stack([row["input_ids"] for row in rows(3)]),
    "labels": torch.tensor([row["labels"] for row in rows(3)]),
}


@pytest.fixture(scope="module")
def case(golden):
    return golden_case(golden / "theseus")


@pytest.fixture
def pair(case):
    """The predecessor of the golden case with a successor attached, and its data."""
    data, meta = case
    predecessor, successor = bert_pair(data, meta["sizes"])
    return attach_successor(predecessor, meta["sizes"]["successor"], successor, embeddings=True), data


def states_and_logits(model, data):
    found = model(data["ids"], data["mask"], data["segments"], output_hidden_states=True)
    logits = found.last_hidden_state[:, 0] @ data["head_kernel"] + data["head_bias"]
    return torch.stack(found.hidden_states), logits


@pytest.mark.parametrize("training", [True, False])
def test_every_choice_of_modules_is_golden(pair, case, training):
    theseus, data = pair
    theseus.model.train(training)
    tolerance, real = case[1]["tolerance"]["float64"], data["mask"].bool()
    for number, replaced in enumerate(data["replaced"]):
        with theseus.choosing(replaced):
            states, logits = states_and_logits(theseus.model, data)
        # Of the embeddings and each module, though the predecessor has twice as many.
        assert states.shape == data["states"][number].shape
        torch.testing.assert_close(states[:, real], data["states"][number][:, real], rtol=0, atol=tolerance)
        torch.testing.assert_close(logits, data["logits"][number], rtol=0, atol=tolerance)


def test_float32_is_golden(pair, case):
    theseus, data = pair
    theseus.model.float()
    data = {name: value.float() if value.is_floating_point() else value for name, value in data.items()}
    for number, replaced in enumerate(data["replaced"]):
        with theseus.choosing(replaced):
            _, logits = states_and_logits(theseus.model, data)
        torch.testing.assert_close(logits, data["logits"][number], rtol=0, atol=case[1]["tolerance"]["float32"])


def test_rates_at_the_ends_are_the_two_models(pair, case):
    theseus, data = pair
    predecessor, successor = bert_pair(data, case[1]["sizes"])
    for rate, alone in ((1.0, successor), (1e-12, predecessor)):
        theseus.rate = rate
        _, logits = states_and_logits(theseus.model.train(), data)
        assert torch.equal(logits, states_and_logits(alone, data)[1])
    # Outside of training no rate counts.
    assert torch.equal(states_and_logits(theseus.model.eval(), data)[1], states_and_logits(successor, data)[1])


def test_the_mean_over_draws(pair):
    """Passes draw each for itself, all choices with the same probability."""
    theseus, data = pair
    theseus.model.train()
    seen = Counter()
    for _ in range(1000):
        theseus.model(data["ids"][:1, :2])
        seen[theseus.replaced] += 1
    shares = torch.tensor([seen[tuple(map(bool, one))] / 1000 for one in data["replaced"]], dtype=torch.float64)
    assert shares.sum() == 1
    mean = torch.einsum("r,rbc->bc", shares, data["logits"].softmax(-1))
    # Three standard deviations of a share.
    torch.testing.assert_close(mean, data["mean_probabilities_p_half"], rtol=0, atol=0.03)
    theseus.rate = 0.2
    again = [theseus.draw(number) for number in range(1000)]
    assert sum(map(sum, again)) / 3000 == pytest.approx(0.2, abs=0.03)
    assert again == [theseus.draw(number) for number in range(1000)]
    theseus.seed = 1
    assert again != [theseus.draw(number) for number in range(1000)]


def test_gradients_reach_the_chosen_modules_alone(pair):
    theseus, data = pair
    model = theseus.model.train()
    parts = [model.embeddings, *model.encoder.layer]
    for replaced in data["replaced"]:
        model.zero_grad()
        with theseus.choosing(replaced):
            states_and_logits(model, data)[1].square().sum().backward()
        for part, chosen in zip(parts, replaced):
            norms = [float(parameter.grad.norm()) for parameter in part.parameters()]
            # A gradient of 0, not none: other processes wait for it.
            assert any(norms) == bool(chosen)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {
        f"{start}.{name}"
        for start, part in zip(("embeddings", "encoder.layer.0", "encoder.layer.1"), parts)
        for name, _ in part.named_parameters()
    }


def test_one_draw_for_all_passes_over_a_batch():
    theseus = attach_successor(classifier(), 4)
    theseus.model.train()
    drawn = theseus.draw(3, 1)
    for _ in range(5):
        theseus.model(**BATCH)
        assert theseus.replaced == drawn
    theseus.draw_each_pass()
    seen = set()
    for _ in range(20):
        theseus.model(**BATCH)
        seen.add(theseus.replaced)
    assert len(seen) > 5


def test_checkpointing_runs_what_was_drawn_again():
    """Two passes of other draws, and then their backward pass, which would meet the second draw."""
    found = []
    for checkpointing in (False, True):
        model = classifier(dropout=0.3).train()
        theseus = attach_successor(model, 2)
        if checkpointing:
            model.activation_checkpointing_enable()
        torch.manual_seed(1)
        loss = 0.0
        for replaced in ((True, False), (False, True), (False, False)):
            with theseus.choosing(replaced):
                loss = loss + model(**BATCH).loss
        loss.backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    assert found[0].keys() == found[1].keys() != set()
    torch.testing.assert_close(found[1], found[0])
    # The predecessor's layers are not kept either.
    chain = theseus._modules[0].predecessor
    assert all(layer.gradient_checkpointing for layer in chain.layers)


@pytest.mark.parametrize("case", one_of_each(images=True))
def test_every_family(case, tmp_path):
    """Refused with a reason, or: without any module the predecessor, with all the model that is saved."""
    model = case.make(num_hidden_layers=4)
    batch = case.batch([5, 3])
    before = model(**batch)[0]
    if case.family.paired or "univae" in type(model).__name__.lower():
        with pytest.raises(ValueError, match=r"model must .* to get a successor, got a"):
            attach_successor(model, 2)
        assert torch.equal(model(**batch)[0], before)
        return
    theseus = attach_successor(model, 2)
    with theseus.choosing([False, False]):
        torch.testing.assert_close(model(**batch)[0], before, rtol=1e-9, atol=1e-9)
    model.train()
    with theseus.choosing([False, True]):
        found = model(**batch, output_hidden_states=True)
    assert len(found.hidden_states) == 3
    assert found[0].requires_grad
    model.eval().save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert again.config.num_hidden_layers == 2
    assert again.state_dict().keys() == model.state_dict().keys()
    torch.testing.assert_close(model(**batch)[0], again(**batch)[0], rtol=1e-9, atol=1e-9)


OTHERS = [
    RobertaConfig(**SIZES),
    AutoConfig.for_model("electra", **SIZES),
    DistilBertConfig(vocab_size=20, dim=8, n_layers=4, n_heads=2, hidden_dim=12),
    AutoConfig.for_model("deberta-v2", **SIZES),
    ViTConfig(**{name: value for name, value in SIZES.items() if name != "vocab_size"}, image_size=8, patch_size=4),
    AutoConfig.for_model("gpt2", vocab_size=20, n_embd=8, n_layer=4, n_head=2),
]


@pytest.mark.parametrize("config", OTHERS, ids=lambda config: config.model_type)
def test_encoders_of_transformers(config, tmp_path):
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    inputs = {"input_ids": BATCH["input_ids"]}
    if config.model_type == "vit":
        inputs = {"pixel_values": torch.rand(2, 3, 8, 8)}
    before = model(**inputs, output_hidden_states=True)[0]
    theseus = attach_successor(model, 2)
    with theseus.choosing([False, False]):
        found = model(**inputs, output_hidden_states=True)
        torch.testing.assert_close(found[0], before)
        assert len(found.hidden_states) == 3
    plain = theseus.successor()
    plain.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(**inputs)[0], plain(**inputs)[0])
    assert len(again(**inputs, output_hidden_states=True).hidden_states) == 3


CANNOT = {
    "albert": ("one stack of blocks, as many as num_hidden_layers=4, got none in a AlbertModel", {}),
    "modernbert": (
        "no settings of single layers .* with layer_types=",
        dict.fromkeys(("pad_token_id", "eos_token_id", "bos_token_id"), 0),
    ),
    "bart": (
        "one stack of blocks, .* got encoder.layers with 4, decoder.layers with 4",
        {"encoder_layers": 4, "decoder_layers": 4, "encoder_attention_heads": 2, "decoder_attention_heads": 2},
    ),
    "deberta-v2": ("outputs are others when its layers are run in groups", {"conv_kernel_size": 3}),
    "roformer": ("full_attention_layers=", {"attention_window": 5, "full_attention_layers": [-1]}),
    "linear_roformer": (
        "layers differ in attention.self.random_features",
        {"attention_kernel": "favor", "feature_size": 16},
    ),
    "longformer": ("any number of layers .*`len.config.attention_window.`", {"attention_window": [4, 4, 4, 4]}),
    "rope_vit": ("in its layers alone .* with freqs", {"rope_kind": "mixed", "image_size": 8, "patch_size": 4}),
}


@pytest.mark.parametrize("family", CANNOT)
def test_models_that_cannot_be_cut(family):
    reason, fields = CANNOT[family]
    model = AutoModel.from_config(AutoConfig.for_model(family, **SIZES | fields))
    names = [name for name, _ in model.named_parameters()]
    with pytest.raises(ValueError, match=f"model must .*{reason}"):
        attach_successor(model, 2)
    # Nothing has changed.
    assert [name for name, _ in model.named_parameters()] == names
    assert model.config.num_hidden_layers == 4
    assert all(parameter.requires_grad for parameter in model.parameters() if parameter.is_floating_point())


@pytest.mark.parametrize("number", [0, 3, 5, 8, 2.0, True])
def test_a_number_of_layers_that_does_not_divide(number):
    with pytest.raises(ValueError, match=f"num_layers must divide the 4 layers of the model, got {number}"):
        attach_successor(classifier(), number)


def test_wrong_use():
    theseus = attach_successor(classifier(), 2)
    with pytest.raises(ValueError, match="model must be without a successor"):
        attach_successor(theseus.model, 1)
    for rate in (0, -0.1, 1.1):
        with pytest.raises(ValueError, match=f"rate must be above 0 and at most 1, got {rate}"):
            theseus.rate = rate
    with pytest.raises(ValueError, match=r"replaced must have an entry for each of 2 modules, got \[1\]"):
        theseus.choosing([1]).__enter__()
    adapted = peft.get_peft_model(classifier(), peft.LoraConfig(target_modules=["query"]))
    for model in (adapted, adapted.get_base_model()):
        with pytest.raises(ValueError, match="model must be without an adapter"):
            attach_successor(model, 2)
    with pytest.raises(ValueError, match="start must have layers like those of the model"):
        attach_successor(classifier(), 2, AutoModel.from_config(OTHERS[2]))
    with pytest.raises(ValueError, match="start must have at least 2 layers, got 1"):
        attach_successor(classifier(), 2, classifier(layers=1))
    tied = AutoModelForMaskedLM.from_config(AutoConfig.for_model("bert", **SIZES))
    with pytest.raises(ValueError, match="embeddings must be False where the head's matrix is theirs"):
        attach_successor(tied, 2, embeddings=True)


def test_a_cache_is_not_for_training():
    config = AutoConfig.for_model("gpt2", vocab_size=20, n_embd=8, n_layer=4, n_head=2)
    theseus = attach_successor(AutoModel.from_config(config).train(), 2)
    theseus.rate = 1e-9
    assert theseus.model(BATCH["input_ids"], use_cache=True).past_key_values is None
    kept = theseus.model.eval()(BATCH["input_ids"], use_cache=True).past_key_values
    assert len(kept) == 2
    with pytest.raises(ValueError, match="cache must be None while a successor is trained"):
        theseus.model.train()(BATCH["input_ids"], past_key_values=kept)


def test_the_successor_is_a_plain_model(tmp_path):
    """As a checkpoint of S layers, which its Auto class opens, and as a model that learns again as a whole."""
    model = classifier()
    model.bert.embeddings.requires_grad_(False)
    learning = {name for name, p in classifier(layers=2).named_parameters() if "embeddings" not in name}
    theseus = attach_successor(model, 2)
    assert theseus_of(torch.nn.ModuleList([model])) is theseus
    model.save_pretrained(tmp_path / "while it is trained")
    assert theseus.successor() is model
    assert theseus_of(model) is None
    assert {name for name, p in model.named_parameters() if p.requires_grad} == learning
    model.save_pretrained(tmp_path / "afterwards")
    for folder in tmp_path.iterdir():
        again = AutoModelForSequenceClassification.from_pretrained(folder)
        assert again.config.num_hidden_layers == 2
        assert torch.equal(again(**BATCH).logits, model.eval()(**BATCH).logits)
    # Training runs it alone.
    assert torch.equal(again.train()(**BATCH).logits, model.train()(**BATCH).logits)
    attach_successor(model, 1)


def test_a_copy_is_its_own():
    theseus = attach_successor(classifier(), 2)
    other = copy.deepcopy(theseus.model)
    twin = theseus_of(other)
    assert isinstance(twin, Theseus)
    assert twin is not theseus
    with torch.no_grad():
        for parameter in theseus.model.parameters():
            parameter.zero_()
    with twin.choosing([True, False]):
        assert other(**BATCH).logits.abs().sum() > 0
    assert twin.model is other
    twin.successor()
    assert theseus_of(theseus.model) is theseus


def test_an_adapter_over_the_successor():
    """It learns alone, takes part where its module does, and merges into a plain model."""
    model = classifier().train()
    model.name_or_path = "predecessor"
    theseus = attach_successor(model, 2)
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["query"], init_lora_weights=False))
    # It must not be taken for one over the predecessor.
    assert not adapted.peft_config["default"].base_model_name_or_path
    for replaced in ((True, False), (False, True), (False, False)):
        adapted.zero_grad()
        with theseus.choosing(replaced):
            adapted(**BATCH).loss.backward()
        for number, chosen in enumerate(replaced):
            layer = model.bert.encoder.layer[number]
            grads = [p.grad for p in layer.parameters() if p.requires_grad]
            assert len(grads) == 2
            assert any(grad.any() for grad in grads) == chosen
    wanted = adapted.eval()(**BATCH).logits
    plain = adapted.merge_and_unload()
    theseus.successor()
    torch.testing.assert_close(plain.eval()(**BATCH).logits, wanted)
    assert "lora" not in " ".join(plain.state_dict())


def test_precisions():
    """Weights that are cast take the predecessor's with them, and autocast runs either."""
    theseus = attach_successor(classifier(), 2)
    model = theseus.model.train()
    with torch.autocast("cpu", torch.bfloat16), theseus.choosing([False, True]):
        model(**BATCH).loss.backward()
    assert model.bert.encoder.layer[1].attention.self.query.weight.grad.any()
    with theseus.choosing([False, False]):
        assert model.to(torch.bfloat16)(**BATCH).logits.dtype == torch.bfloat16


def test_compiled_graphs_are_refused():
    theseus = attach_successor(classifier().train(), 2)
    compiled = torch.compile(theseus.model, backend="eager", fullgraph=True)
    with pytest.raises(Exception, match=r"torch\.compile must be left out"):
        compiled(**BATCH)


def test_replicas_are_refused():
    theseus = attach_successor(classifier().train(), 2)
    theseus.model.bert._is_replica = True
    with pytest.raises(RuntimeError, match="one process a device, got a DataParallel over several"):
        theseus.model(**BATCH)


def test_where_start_and_embeddings_come_from():
    other = classifier()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    model = classifier()
    attach_successor(model, 2, other, embeddings=True)
    for name, parameter in model.bert.named_parameters():
        if name.startswith(("embeddings", "encoder")):
            assert torch.equal(parameter, other.bert.get_parameter(name))
    assert torch.equal(model.classifier.weight, classifier().classifier.weight)
