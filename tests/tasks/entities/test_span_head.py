import copy
import pickle

import fresh_process
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, Trainer, TrainingArguments

import hf_ext
from hf_ext.losses import span_loss
from hf_ext.modules.global_pointer import EfficientGlobalPointer, GlobalPointer
from hf_ext.ops.pointer import top_spans
from hf_ext.tasks.base.head import head_class
from hf_ext.tasks.entities import span_head as module
from hf_ext.tasks.entities.span_head import AutoModelForSpanExtraction, SpanExtraction

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
FAMILIES = {
    "bert": {},
    "roberta": {"max_position_embeddings": 40, "pad_token_id": 1},
    "roformer": {"embedding_size": 16},
    "electra": {"embedding_size": 8},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "modernbert": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "distilbert": {"dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 2},
}
families = pytest.mark.parametrize("family", FAMILIES)


def config_of(family, **options):
    own = {} if family == "distilbert" else SMALL
    config = AutoConfig.for_model(family, **{"vocab_size": 40, **own, **FAMILIES[family]})
    config.id2label = {0: "person", 1: "place", 2: "time"}
    for name, value in {"span_head_size": 8, "span_top_k": 12, **options}.items():
        setattr(config, name, value)
    return config


def model_of(family, **options):
    torch.manual_seed(0)
    return AutoModelForSpanExtraction.from_config(config_of(family, **options)).eval()


def batch(length=9, left=False):
    generator = torch.Generator().manual_seed(length)
    mask = torch.ones(3, length, dtype=torch.long)
    mask[1, -length // 3 :] = 0
    if left:
        mask = mask.flip(1)
    first = int(left) * (length - 3)
    labels = torch.tensor([[[0, 0, 2], [2, 1, 1]], [[1, first, first + 1], [-100] * 3], [[-100] * 3] * 2])
    return {
        "input_ids": torch.randint(3, 40, (3, length), generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.zeros(3, length, dtype=torch.long),
        "labels": labels,
    }


@families
@pytest.mark.parametrize("head", ["efficient_global_pointer", "global_pointer"])
def test_output_in_training_and_evaluation(family, head):
    model = model_of(family, span_head=head)
    assert type(model).__name__.endswith("ForSpanExtraction")
    assert isinstance(model.classifier, EfficientGlobalPointer if head.startswith("e") else GlobalPointer)
    inputs = batch()
    full = model(**inputs, output_logits=True)
    assert list(full) == ["loss", "logits", "spans"]
    assert full.logits.shape == (3, 3, 9, 9)
    assert full.spans.shape == (3, 12, 4)
    allowed = torch.ones(9, 9).triu().bool() & inputs["attention_mask"].bool()[:, None, :, None]
    allowed = allowed & inputs["attention_mask"].bool()[:, None, None]
    assert torch.equal(full.logits > -torch.inf, allowed.expand(3, 3, 9, 9))
    torch.testing.assert_close(full.loss, span_loss(full.logits, inputs["labels"]))
    assert list(model(**inputs)) == ["loss", "spans"]
    model.train()
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    trained = model(**inputs)
    assert list(trained) == ["loss"]
    torch.testing.assert_close(trained.loss, full.loss, rtol=1e-5, atol=1e-5)
    labels = inputs.pop("labels")
    torch.testing.assert_close(span_loss(model(**inputs).logits, labels), full.loss, rtol=1e-5, atol=1e-5)


@families
def test_every_parameter_of_the_head_and_the_encoder_learns(family):
    model = model_of(family).train()
    model(**batch()).loss.backward()
    lazy = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert lazy == []
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.classifier.parameters())


@families
def test_save_reload_and_pickle(family, tmp_path):
    model = model_of(family, span_head="global_pointer", span_rope=False)
    model.save_pretrained(tmp_path)
    again, info = AutoModelForSpanExtraction.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert type(again) is type(model)
    assert type(again.config) is type(model.config)
    assert again.config.architectures == [type(model).__name__]
    for field, value in {"span_head": "global_pointer", "span_head_size": 8, "span_rope": False}.items():
        assert getattr(again.config, field) == value
    inputs = batch()
    want = model(**inputs, output_logits=True)
    for other in (again.eval(), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        got = other(**inputs, output_logits=True)
        assert torch.equal(got.logits, want.logits)
        assert torch.equal(got.loss, want.loss)


@families
def test_encoder_to_head_and_back(family, tmp_path):
    torch.manual_seed(1)
    encoder = AutoModel.from_config(config_of(family)).eval()
    encoder.save_pretrained(tmp_path / "encoder")
    head, info = AutoModelForSpanExtraction.from_pretrained(
        tmp_path / "encoder", num_labels=4, span_head_size=6, output_loading_info=True
    )
    assert info["missing_keys"]
    assert all(name.startswith("classifier.") for name in info["missing_keys"])
    assert not info["unexpected_keys"]
    assert head.config.span_head_size == 6
    assert head.classifier.num_labels == 4
    assert all(parameter.isfinite().all() for parameter in head.parameters())
    head.save_pretrained(tmp_path / "head")
    back, info = AutoModel.from_pretrained(tmp_path / "head", output_loading_info=True)
    assert type(back) is type(encoder)
    assert all("pooler" in name for name in info["missing_keys"])
    inputs = batch()
    inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    want = encoder(**inputs).last_hidden_state
    torch.testing.assert_close(back.eval()(**inputs).last_hidden_state, want)
    torch.testing.assert_close(head.eval().base_model(**inputs).last_hidden_state, want)


@pytest.mark.parametrize("family", ["bert", "roformer", "modernbert"])
def test_masked_language_model_to_head(family, tmp_path):
    model = AutoModelForMaskedLM.from_config(config_of(family))
    model.save_pretrained(tmp_path)
    head, info = AutoModelForSpanExtraction.from_pretrained(tmp_path, output_loading_info=True)
    assert all(name.startswith("classifier.") for name in info["missing_keys"])
    assert torch.equal(head.get_input_embeddings().weight, model.get_input_embeddings().weight)


def test_new_layers_begin_as_in_the_original(tmp_path):
    config = config_of("bert", hidden_size=256, span_head_size=64)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    for model in (
        AutoModelForSpanExtraction.from_config(config),
        AutoModelForSpanExtraction.from_pretrained(tmp_path),
    ):
        assert model.classifier.p_dense.weight.std().item() == pytest.approx(256**-0.5, rel=0.1)
        assert (model.classifier.p_dense.bias == 0).all()
        assert model.base_model.embeddings.word_embeddings.weight.std().item() == pytest.approx(0.02, rel=0.1)
    model.save_pretrained(tmp_path / "head")
    again = AutoModelForSpanExtraction.from_pretrained(tmp_path / "head")
    assert torch.equal(again.classifier.p_dense.weight, model.classifier.p_dense.weight)


@pytest.mark.slow
def test_pickle_is_read_by_a_fresh_process(tmp_path):
    model = model_of("bert")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    code = "import pickle, sys; print(type(pickle.load(open(sys.argv[1], 'rb'))))"
    done = fresh_process.run(code, str(tmp_path / "model.pkl"))
    assert "BertForSpanExtraction" in done.stdout, done.stderr


def test_classes_by_name():
    cls = module.BertForSpanExtraction
    assert cls is head_class(AutoConfig.for_model("bert").__class__, SpanExtraction)
    assert cls.__module__ == module.__name__
    assert cls.config_class is AutoConfig.for_model("bert").__class__
    assert module.RoFormerForSpanExtraction.config_class.__module__.startswith("hf_ext.")
    for name in ("NobodyForSpanExtraction", "BertForEverything", "anything"):
        with pytest.raises(AttributeError, match=name):
            getattr(module, name)


@pytest.mark.parametrize("family", ["qwen3", "roformer", "modernbert", "deberta-v2"])
def test_padding_changes_nothing(family):
    """Rows padded on the left (where positions are counted among real tokens) and on the right give the same spans."""
    model = model_of(family).double()
    ids = torch.arange(5, 11)[None]
    want = model(ids, attention_mask=torch.ones(1, 6), output_logits=True).logits
    pad = torch.zeros(1, 3, dtype=torch.long)
    sides = {"right": (torch.cat((ids, pad), 1), slice(0, 6)), "left": (torch.cat((pad, ids), 1), slice(3, 9))}
    if family == "deberta-v2":
        sides.pop("left")
    for padded, real in sides.values():
        mask = torch.zeros(1, 9)
        mask[:, real] = 1
        positions = (mask.cumsum(-1) - 1).clamp(min=0).long()
        extra = {} if family == "deberta-v2" else {"position_ids": positions}
        got = model(padded, attention_mask=mask, output_logits=True, **extra).logits
        torch.testing.assert_close(got[..., real, real], want, rtol=1e-5, atol=1e-5)
        assert (got == -torch.inf).sum() == got.numel() - 3 * 21


@pytest.mark.parametrize("head", ["efficient_global_pointer", "global_pointer"])
@pytest.mark.parametrize("left", [False, True])
def test_loss_spans_and_gradients_are_those_of_the_dense_scores(head, left):
    """At an odd size; left-padded too, and with one real token."""
    model = model_of("bert", span_head=head, span_top_k=40).double()
    inputs = batch(left=left)
    inputs["attention_mask"][2] = 0
    inputs["attention_mask"][2, 4] = 1
    inputs["labels"][2, 0] = torch.tensor([1, 4, 4])
    full = model(**inputs, output_logits=True)
    want = span_loss(full.logits, inputs["labels"])
    torch.testing.assert_close(full.loss, want)
    torch.testing.assert_close(full.spans, top_spans(full.logits, 40), rtol=1e-5, atol=1e-6)
    parameters = list(model.classifier.parameters())
    gradients = torch.autograd.grad(full.loss, parameters, retain_graph=True)
    for got, wanted in zip(gradients, torch.autograd.grad(want, parameters)):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("head", ["efficient_global_pointer", "global_pointer"])
def test_scores_are_made_only_where_they_are_returned(head, monkeypatch):
    model = model_of("bert", span_head=head)

    def refuse(*arguments):
        raise AssertionError("scores were made")

    monkeypatch.setattr(type(model.classifier), "score", staticmethod(refuse))
    assert list(model(**batch())) == ["loss", "spans"]
    assert list(model.train()(**batch())) == ["loss"]
    with pytest.raises(AssertionError, match="scores were made"):
        model(**batch(), output_logits=True)


def test_labels_on_left_padded_rows():
    model = model_of("qwen3").train()
    inputs = batch(left=True)
    loss = model(**inputs).loss
    loss.backward()
    assert loss.isfinite()
    inputs["labels"][1, 0] = torch.tensor([1, 2, 4])
    with pytest.raises(ValueError, match=r"labels\[1, 0\].*6 real tokens of 9"):
        model(**inputs)


@families
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(family, dtype):
    model = model_of(family).to(dtype).train()
    output = model(**batch())
    assert output.loss.dtype == torch.float32
    assert output.loss.isfinite()
    output.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    evaluated = model.eval()(**batch(), output_logits=True)
    assert evaluated.spans.dtype == torch.float32
    assert not evaluated.logits.isnan().any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 1]], "shape"),
        ([[[3, 0, 1]]], r"label in \[0, 3\).*got \(3, 0, 1\)"),
        ([[[-1, 0, 1]]], r"got \(-1, 0, 1\)"),
        ([[[0, 2, 1]]], r"start <= end.*got \(0, 2, 1\)"),
        ([[[-100, 0, 0], [0, 0, 6]]], r"labels\[0, 1\].*4 real tokens of 6.*got \(0, 0, 6\)"),
        ([[[0, -1, 2]]], r"got \(0, -1, 2\)"),
        ([[[0, 3, 4]]], r"real tokens.*got \(0, 3, 4\)"),
        ([[[0.0, 1.0, 1.0]]], "integers"),
        ([[[0, 1, 1]], [[0, 1, 1]]], r"shape \[1, M, 3\]"),
    ],
)
def test_wrong_labels_are_named(labels, message):
    model = model_of("bert").train()
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]])
    with pytest.raises(ValueError, match=message):
        model(torch.arange(6)[None], attention_mask=mask, labels=torch.tensor(labels))


@pytest.mark.parametrize(
    ("family", "options", "error", "message"),
    [
        ("bert", {"span_head": "crf"}, ValueError, "span_head must be one of .*got 'crf'"),
        ("bert", {"span_head_size": 7}, ValueError, "got 7"),
        ("bert", {"span_top_k": 0}, ValueError, "span_top_k.*got 0"),
        ("bert", {"span_size": 8}, TypeError, "span_head_size.*got the keyword 'span_size'"),
    ],
)
def test_wrong_settings(family, options, error, message):
    with pytest.raises(error, match=message):
        AutoModelForSpanExtraction.from_config(config_of(family), **options)


def test_encoder_decoder_and_masks_that_do_not_fit():
    with pytest.raises(ValueError, match="encoder or a decoder, got the pair T5Config"):
        AutoModelForSpanExtraction.from_config(AutoConfig.for_model("t5"))
    with pytest.raises(ValueError, match=r"attention_mask must have shape \[B, L\]"):
        model_of("bert")(torch.arange(4)[None], attention_mask=torch.ones(1, 1, 4, 4))


def test_other_inputs():
    model = model_of("bert")
    ids = torch.arange(5)[None]
    want = model(ids, output_logits=True, output_hidden_states=True)
    assert len(want.hidden_states) == 3
    embedded = model(inputs_embeds=model.get_input_embeddings()(ids), output_logits=True)
    assert torch.equal(embedded.logits, want.logits)
    loss_and_spans = model(ids, labels=torch.tensor([[[0, 1, 1]]]), return_dict=False)
    assert [part.ndim for part in loss_and_spans] == [0, 3]
    assert model(ids[:, :1]).spans.shape == (1, 12, 4)
    torch.testing.assert_close(
        model(ids, labels=torch.full((1, 1, 3), -100)).loss, model_loss_without_spans(want.logits)
    )


def model_loss_without_spans(logits):
    return torch.log1p(logits.flatten(2).exp().sum(-1)).mean()


def test_resized_embeddings_stay_with_the_encoder():
    model = model_of("bert")
    model.resize_token_embeddings(50)
    assert model.base_model.embeddings.word_embeddings.num_embeddings == 50
    assert model.config.vocab_size == 50


@pytest.mark.slow
def test_compiled_training_step():
    model = model_of("bert", span_head="efficient_global_pointer")
    inputs = batch()
    want = model(**inputs, output_logits=True).loss
    head = torch.compile(
        lambda hidden, labels: span_loss(model.classifier(hidden, inputs["attention_mask"]), labels),
        backend="eager",
        fullgraph=True,
    )
    hidden = model.base_model(
        **{name: inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    ).last_hidden_state
    torch.testing.assert_close(head(hidden, inputs["labels"]), want)
    compiled = torch.compile(model.train(), backend="eager")
    assert compiled(**inputs).loss.isfinite()


def test_lora_trains_and_saves_the_head(tmp_path):
    import peft

    base = tmp_path / "base"
    model_of("bert").save_pretrained(base)
    settings = peft.LoraConfig(task_type="TOKEN_CLS", r=2, target_modules=["query", "value"])
    model = peft.get_peft_model(AutoModelForSpanExtraction.from_pretrained(base), settings)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert any("classifier" in name for name in trained)
    assert any("lora_" in name for name in trained)
    assert all("classifier" in name or "lora_" in name for name in trained)
    inputs = batch()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    model(**inputs).loss.backward()
    optimizer.step()
    want = model.eval()(**inputs, output_logits=True).logits
    model.save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(AutoModelForSpanExtraction.from_pretrained(base), tmp_path / "adapter")
    torch.testing.assert_close(again.eval()(**inputs, output_logits=True).logits, want)
    merged = again.merge_and_unload()
    assert type(merged).__name__ == "BertForSpanExtraction"
    torch.testing.assert_close(merged(**inputs, output_logits=True).logits, want, rtol=1e-4, atol=1e-5)


def collate(rows):
    length = max(len(row["input_ids"]) for row in rows)
    most = max(len(row["labels"]) for row in rows)
    return {
        "input_ids": torch.tensor([row["input_ids"] + [0] * (length - len(row["input_ids"])) for row in rows]),
        "attention_mask": torch.tensor(
            [[1] * len(row["input_ids"]) + [0] * (length - len(row["input_ids"])) for row in rows]
        ),
        "labels": torch.tensor([row["labels"] + [[-100] * 3] * (most - len(row["labels"])) for row in rows]),
    }


def rows_of(count):
    generator = torch.Generator().manual_seed(0)
    rows = []
    for number in range(count):
        length = 3 + number % 5
        ids = torch.randint(3, 40, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [[number % 3, 0, 1], [1, 2, 2]][: 1 + number % 2]})
    return rows


def trainer_of(model, tmp_path, **options):
    settings = {"report_to": [], "disable_tqdm": True, "use_cpu": True, "save_strategy": "no", "logging_strategy": "no"}
    names = {"compute_metrics", "train_dataset", "eval_dataset"}
    own = {name: options.pop(name) for name in names & options.keys()}
    arguments = TrainingArguments(str(tmp_path), **settings, **options)
    return Trainer(model, arguments, data_collator=collate, **own)


def test_trainer_gives_metrics_the_spans(tmp_path):
    """Nothing but ``compute_metrics`` is needed, though L and M differ from batch to batch."""
    seen = {}
    model = model_of("bert")
    trainer = trainer_of(
        model,
        tmp_path,
        per_device_eval_batch_size=3,
        eval_dataset=rows_of(7),
        compute_metrics=lambda prediction: seen.update(p=prediction.predictions, y=prediction.label_ids) or {},
    )
    metrics = trainer.evaluate()
    assert metrics["eval_loss"] > 0
    assert seen["p"].shape == (7, 12, 4)
    assert seen["y"].shape == (7, 2, 3)
    single = [model(**{k: v for k, v in collate([row]).items() if k != "labels"}).spans for row in rows_of(7)]
    torch.testing.assert_close(torch.tensor(seen["p"]), torch.cat(single).detach(), rtol=1e-4, atol=1e-5)
    assert trainer.predict(rows_of(7)).predictions.shape == (7, 12, 4)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_accumulation_gives_the_same_gradients(tmp_path, steps):
    """With equal micro-batches the step is that of the whole batch."""
    torch.manual_seed(0)
    config = config_of("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0)
    model = AutoModelForSpanExtraction.from_config(config)
    start = copy.deepcopy(model)
    rows = rows_of(8)
    start.train()(**collate(rows)).loss.backward()
    trainer = trainer_of(
        model,
        tmp_path,
        train_dataset=rows,
        per_device_train_batch_size=8 // steps,
        gradient_accumulation_steps=steps,
        max_steps=1,
        learning_rate=1.0,
        optim="sgd",
        max_grad_norm=0.0,
        lr_scheduler_type="constant",
    )
    trainer.train()
    for (name, before), after in zip(start.named_parameters(), model.parameters()):
        torch.testing.assert_close(before - after, before.grad, rtol=1e-3, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_packed_documents_are_refused():
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = hf_ext.RoFormerConfig(vocab_size=20, num_labels=2, **size)
    model = AutoModelForSpanExtraction.from_config(config).eval()
    ids = torch.arange(1, 7)[None]
    with pytest.raises(ValueError, match="position_ids"):
        model(ids, position_ids=torch.tensor([[0, 1, 2, 0, 1, 2]]))
    shifted = model(ids, position_ids=torch.arange(6)[None] + 5)
    torch.testing.assert_close(shifted.spans, model(ids).spans)
