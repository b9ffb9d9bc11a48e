"""The sequence labelling head over any encoder: outputs, masks, saving, adapters, training."""

import copy
import pickle

import pytest
import torch
from transformers import AutoConfig, AutoModel, DataCollatorForTokenClassification, Trainer, TrainingArguments

import hf_ext
from hf_ext.metrics import tag_compute_metrics
from hf_ext.tasks.base.head import head_class
from hf_ext.tasks.base.tag_head import SEQUENCE_HEADS
from hf_ext.tasks.entities import tag_head as module
from hf_ext.tasks.entities.tag_head import AutoModelForSequenceLabeling, SequenceLabeling
from hf_ext.training.parameter_groups import head_optimizer, parameter_groups

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
FAMILIES = {
    "bert": {},
    "roformer": {"embedding_size": 16},
    "modernbert": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
}
TAGS = dict(enumerate(["O", "B-a", "I-a", "B-b", "I-b"]))
families = pytest.mark.parametrize("family", FAMILIES)
kinds = pytest.mark.parametrize("kind", SEQUENCE_HEADS)


def config_of(family="bert", **options):
    config = AutoConfig.for_model(family, **SMALL, **FAMILIES[family])
    config.id2label = TAGS
    config.label2id = {tag: number for number, tag in TAGS.items()}
    for name, value in options.items():
        setattr(config, name, value)
    return config


def model_of(family="bert", **options):
    torch.manual_seed(0)
    return AutoModelForSequenceLabeling.from_config(config_of(family, **options)).eval()


def batch(length=7):
    """Rows of which [CLS], [SEP], a continuation piece and padding are left out; the last has no label at all."""
    generator = torch.Generator().manual_seed(length)
    mask = torch.ones(3, length, dtype=torch.long)
    mask[1, -2:] = 0
    labels = torch.randint(0, 2, (3, length), generator=generator)
    labels[:, 0] = labels[0, -1] = labels[1, 2] = -100
    labels[1, -3:] = labels[2] = -100
    return {
        "input_ids": torch.randint(3, 40, (3, length), generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.zeros(3, length, dtype=torch.long),
        "labels": labels,
    }


@families
@kinds
def test_output_in_training_and_evaluation(family, kind):
    model = model_of(family, sequence_head=kind)
    inputs = batch()
    full = model(**inputs, output_logits=True)
    assert list(full) == ["loss", "logits", "tags"]
    assert full.logits.shape == (3, 7, 5)
    assert torch.equal(full.tags == -100, inputs["labels"] == -100)
    assert list(model(**inputs)) == ["loss", "tags"]
    # Tokens that are left out might as well not be there.
    chain, parts = model.classifier.chain, []
    for row in range(2):
        kept = inputs["labels"][row] != -100
        emissions, labels = full.logits[row : row + 1, kept], inputs["labels"][row : row + 1, kept]
        assert torch.equal(chain.decode(emissions)[0][0], full.tags[row, kept])
        parts.append(chain(emissions, labels) * (1 if kind == "crf" else kept.sum()))
    count = 3 if kind == "crf" else (inputs["labels"] != -100).sum()
    torch.testing.assert_close(full.loss, sum(parts) / count)
    model.train()
    assert list(model(**inputs)) == ["loss"]
    model(**inputs).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    labels = inputs.pop("labels")
    assert list(model(**inputs)) == ["logits"]
    assert labels.shape == model(**inputs).logits.shape[:2]


@kinds
@pytest.mark.parametrize("padded_with", [0, 4, 99, -1])
def test_labels_on_padding_are_not_read(kind, padded_with):
    model, inputs = model_of(sequence_head=kind), batch()
    expected = model(**inputs)
    inputs["labels"] = inputs["labels"].masked_fill(inputs["attention_mask"] == 0, padded_with)
    found = model(**inputs)
    assert torch.equal(found.loss, expected.loss)
    assert torch.equal(found.tags, expected.tags)


def test_which_tokens_get_a_tag():
    model = model_of(untagged_token_ids=[1, 2])
    ids, mask = torch.tensor([[1, 5, 6, 2, 0]]), torch.tensor([[1, 1, 1, 1, 0]])
    tagged = model(ids, attention_mask=mask).tags != -100
    assert tagged.tolist() == [[False, True, True, False, False]]
    special = torch.tensor([[0, 1, 0, 0, 1]])
    assert (model(ids, attention_mask=mask, special_tokens_mask=special).tags != -100).tolist() == [
        [True, False, True, True, False]
    ]
    assert (model_of()(ids).tags != -100).all()


@families
@kinds
def test_save_reload_and_pickle(family, kind, tmp_path):
    model = model_of(family, sequence_head=kind, constrained_transitions=True)
    model.save_pretrained(tmp_path)
    again, info = AutoModelForSequenceLabeling.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert type(again) is type(model)
    assert again.config.sequence_head == kind
    inputs = batch()
    want = model(**inputs, output_logits=True)
    for other in (again.eval(), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        got = other(**inputs, output_logits=True)
        assert torch.equal(got.logits, want.logits)
        assert torch.equal(got.tags, want.tags)
        assert torch.equal(got.loss, want.loss)


def test_encoder_to_head_and_back(tmp_path):
    encoder = AutoModel.from_config(config_of()).eval()
    encoder.save_pretrained(tmp_path / "encoder")
    head, info = AutoModelForSequenceLabeling.from_pretrained(
        tmp_path / "encoder", constrained_transitions=True, output_loading_info=True
    )
    assert {name.partition(".")[0] for name in info["missing_keys"]} == {"classifier"}
    # Made on the meta device: transitions and rules must not be what memory held.
    transitions = head.classifier.chain.transitions
    assert 0 < transitions.abs().max() <= (6 / 10) ** 0.5
    assert head.classifier.chain.rule_transitions.unique().tolist() == [-torch.inf, 0.0]
    assert head.classifier.chain.rule_start.tolist() == [0.0, 0.0, -torch.inf, 0.0, -torch.inf]
    head.save_pretrained(tmp_path / "head")
    back = AutoModel.from_pretrained(tmp_path / "head")
    assert torch.equal(back.embeddings.word_embeddings.weight, encoder.embeddings.word_embeddings.weight)


def test_constrained_tags_follow_the_scheme():
    rules = hf_ext.ops.tag_rules.tag_rules(list(TAGS.values()))
    for kind in SEQUENCE_HEADS:
        model = model_of(sequence_head=kind, constrained_transitions=True, initializer_range=2.0)
        tags = model(torch.randint(3, 40, (20, 9), generator=torch.Generator().manual_seed(0))).tags
        assert tags.unique().numel() > 1
        assert (rules.transitions[tags[:, :-1], tags[:, 1:]] == 0).all()
        assert (rules.start[tags[:, 0]] == 0).all()


def test_classes_by_name():
    cls = module.BertForSequenceLabeling
    assert cls is head_class(type(AutoConfig.for_model("bert")), SequenceLabeling)
    assert cls.__module__ == module.__name__
    with pytest.raises(AttributeError, match="NobodyForSequenceLabeling"):
        module.NobodyForSequenceLabeling  # noqa: B018


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    model = model_of(constrained_transitions=True).to(dtype).train()
    inputs = batch()
    inputs["labels"] = inputs["labels"].clamp(max=1)
    loss = model(**inputs).loss
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_head": "hmm"}, "sequence_head must be one of crf, memm, softmax, got 'hmm'"),
        ({"head_lr_multiplier": 0}, "head_lr_multiplier must be positive, got 0"),
        ({"tag_scheme": "XYZ"}, "tag_scheme must be one of .*got 'XYZ'"),
        ({"tag_scheme": "BMES"}, "id2label must give the tags of a scheme: .*got 'I-a'"),
    ],
)
def test_wrong_settings(options, message):
    with pytest.raises(ValueError, match=message):
        model_of(**options)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"labels": torch.zeros(1, 3)}, r"labels must be integers of shape \(1, 4\), got torch.float32"),
        ({"labels": torch.tensor([[0, 5, 0, 0]])}, r"tags\[0, 1\] must be in \[0, 5\)"),
        ({"special_tokens_mask": torch.zeros(1, 3)}, r"special_tokens_mask must have shape \(1, 4\), got \(1, 3\)"),
        ({"labels": torch.tensor([[0, 2, 0, 0]])}, r"tags\[0\].*got 2 after 0 at token 1"),
    ],
)
def test_wrong_input(inputs, message):
    with pytest.raises(ValueError, match=message):
        model_of(constrained_transitions=True)(torch.arange(4)[None], **inputs)


def test_lora_trains_and_saves_the_head(tmp_path):
    import peft

    base = tmp_path / "base"
    model_of().save_pretrained(base)
    settings = peft.LoraConfig(task_type="TOKEN_CLS", r=2, target_modules=["query", "value"])
    model = peft.get_peft_model(AutoModelForSequenceLabeling.from_pretrained(base), settings)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert any("transitions" in name for name in trained)
    inputs = batch()
    arguments = TrainingArguments(str(tmp_path), learning_rate=0.01, report_to=[], use_cpu=True)
    kind, options = head_optimizer(model, arguments, 10.0)
    optimizer = kind(**options)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(trained)
    before = model.base_model.model.classifier.chain.transitions.detach().clone()
    model(**inputs).loss.backward()
    optimizer.step()
    assert not torch.equal(model.base_model.model.classifier.chain.transitions, before)
    want = model.eval()(**inputs).loss
    model.save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(AutoModelForSequenceLabeling.from_pretrained(base), tmp_path / "adapter")
    torch.testing.assert_close(again.eval()(**inputs).loss, want)


class Rows(torch.utils.data.Dataset):
    """Eight rows of three to six tokens, each with a label at every token but the first."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        ids = torch.randint(3, 40, (3 + index % 4,), generator=torch.Generator().manual_seed(index)).tolist()
        return {"input_ids": ids, "labels": [-100] + [token % 2 for token in ids[1:]]}


def trainer_of(model, tmp_path, **options):
    settings = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "save_strategy": "no", "logging_strategy": "no"}
    arguments = TrainingArguments(str(tmp_path), **settings, **{k: v for k, v in options.items() if k != "multiplier"})
    chosen = head_optimizer(model, arguments, options["multiplier"]) if "multiplier" in options else None
    tokenizer = hf_ext.build_char_tokenizer(["一二三"])
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return Trainer(
        model,
        arguments,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        train_dataset=Rows(),
        eval_dataset=Rows(),
        optimizer_cls_and_kwargs=chosen,
        compute_metrics=tag_compute_metrics(TAGS),
    )


def test_trainer_evaluates(tmp_path):
    trainer = trainer_of(model_of(), tmp_path, per_device_eval_batch_size=3)
    metrics = trainer.evaluate()
    assert 0 <= metrics["eval_f1"] <= 1
    predictions = trainer.predict(Rows()).predictions
    assert predictions.shape == (8, 6)
    assert (predictions[:, 0] == -100).all()


@pytest.mark.parametrize("steps", [1, 4])
def test_accumulation_and_the_rate_of_transitions(tmp_path, steps):
    """A step of plain gradient descent is the whole batch's gradient, for transitions times the multiplier."""
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = model_of(**quiet)
    start = copy.deepcopy(model)
    rows = [Rows()[index] for index in range(8)]
    options = {"learning_rate": 0.5, "optim": "sgd", "max_grad_norm": 0.0, "lr_scheduler_type": "constant"}
    trainer = trainer_of(
        model,
        tmp_path,
        multiplier=20.0,
        max_steps=1,
        per_device_train_batch_size=8 // steps,
        gradient_accumulation_steps=steps,
        **options,
    )
    start.train()(**trainer.data_collator(rows)).loss.backward()
    trainer.train()
    for (name, before), after in zip(start.named_parameters(), model.parameters()):
        rate = 10.0 if name.endswith("transitions") else 0.5
        torch.testing.assert_close(before - after, rate * before.grad, rtol=1e-3, atol=1e-5)


def test_groups_keep_trainers_weight_decay(tmp_path):
    model = model_of()
    trainer = trainer_of(copy.deepcopy(model), tmp_path, weight_decay=0.1)
    ours = parameter_groups(model, [id(model.classifier.chain.transitions)], 1e-3, 0.1, 100.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    theirs = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    decay = {names[id(p)]: group["weight_decay"] for group in ours for p in group["params"]}
    want = {theirs[id(p)]: g["weight_decay"] for g in trainer.create_optimizer().param_groups for p in g["params"]}
    assert decay == want
    rates = {names[id(p)]: group["lr"] for group in ours for p in group["params"]}
    assert {name for name, rate in rates.items() if rate == 0.1} == {"classifier.chain.transitions"}


def test_optimizers_that_cannot_have_groups(tmp_path):
    arguments = TrainingArguments(str(tmp_path), report_to=[], use_cpu=True)
    with pytest.raises(ValueError, match="multiplier must be positive, got 0"):
        head_optimizer(model_of(), arguments, 0)
    with pytest.raises(ValueError, match="model must have transitions"):
        head_optimizer(model_of(sequence_head="softmax"), arguments)
