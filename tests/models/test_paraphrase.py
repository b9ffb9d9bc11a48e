"""The head that learns to generate and to retrieve paraphrases."""

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, BertConfig, BertForPreTraining, Trainer, TrainingArguments
from transformers.utils import logging as transformers_logging

from hf_ext import build_char_tokenizer
from hf_ext.losses import paraphrase_similarity_loss, sequence_to_sequence_losses
from hf_ext.models.roformer import RoFormerConfig, RoFormerForCausalLM, RoFormerForParaphrase
from hf_ext.models.unilm_bert import UniLMBertConfig, UniLMBertForCausalLM, UniLMBertForParaphrase
from hf_ext.tasks.paraphrase import DataCollatorForParaphrase

SIZE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "attention_mode": "unilm",
    "pooler_activation": "linear",
}
FAMILIES = {
    "unilm_bert": (UniLMBertConfig, UniLMBertForParaphrase, UniLMBertForCausalLM),
    "roformer": (RoFormerConfig, RoFormerForParaphrase, RoFormerForCausalLM),
}


def made(family, **fields):
    config_class, model_class, _ = FAMILIES[family]
    torch.manual_seed(0)
    return model_class(config_class(**SIZE | fields)).double().eval()


def batch_of(lengths, seed=0):
    """Rows of (source, target) lengths, [CLS] and [SEP] not told from other tokens."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(map(sum, lengths))
    ids, types, mask = (torch.zeros(len(lengths), longest, dtype=torch.long) for _ in range(3))
    for row, (source, target) in enumerate(lengths):
        ids[row, : source + target] = torch.randint(1, SIZE["vocab_size"], (source + target,), generator=generator)
        types[row, source : source + target] = 1
        mask[row, : source + target] = 1
    labels = ids.masked_fill(types == 0, -100)
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask, "labels": labels}


LENGTHS = [(3, 4), (4, 3), (1, 1), (2, 5), (6, 1), (3, 2)]


@pytest.mark.parametrize("unpad", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_the_sum_of_both(family, unpad):
    model, batch = made(family, unpad=unpad), batch_of(LENGTHS)
    outputs = model(**batch)
    labels = batch.pop("labels")
    logits = model(**batch).logits
    losses = sequence_to_sequence_losses(logits, labels)
    torch.testing.assert_close(outputs.lm_losses, losses)
    torch.testing.assert_close(outputs.lm_loss, losses.sum() / (labels != -100).sum())
    # An embedding is that of the source alone, whatever follows.
    for row, (source, _) in enumerate(LENGTHS):
        alone = model.base_model(batch["input_ids"][row : row + 1, :source]).pooler_output[0]
        torch.testing.assert_close(outputs.pooler_output[row], alone)
    scale = {"unilm_bert": 30, "roformer": 20}[family]
    torch.testing.assert_close(outputs.similarity_loss, paraphrase_similarity_loss(outputs.pooler_output, scale))
    torch.testing.assert_close(outputs.loss, outputs.lm_loss + outputs.similarity_loss)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_dense_logits(family):
    model, batch = made(family), batch_of(LENGTHS)
    model(**batch).loss.backward()
    sparse = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    labels = batch.pop("labels")
    logits, pooled = model(**batch).logits, model.base_model(**batch).pooler_output
    lm_loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    (lm_loss + paraphrase_similarity_loss(pooled, model.similarity_scale)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(sparse[name], parameter.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_loss_of_a_compiled_graph_makes_all_logits(monkeypatch):
    model, batch = made("roformer"), batch_of(LENGTHS)
    wanted = model(**batch)
    monkeypatch.setattr("hf_ext.modules.paraphrase_head.in_graph", lambda: True)
    torch.testing.assert_close(model(**batch).lm_losses, wanted.lm_losses)


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpoints_load_into_each_other(family, tmp_path):
    _, paraphrase, causal = FAMILIES[family]
    model = made(family).float()
    model.save_pretrained(tmp_path / "paraphrase")
    generating, report = causal.from_pretrained(tmp_path / "paraphrase", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    generating.save_pretrained(tmp_path / "causal")
    back, report = paraphrase.from_pretrained(tmp_path / "causal", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, back.state_dict()[name]), name
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path / "paraphrase")) is causal


def test_bert_is_a_start(tmp_path):
    fields = {key: value for key, value in SIZE.items() if key not in ("attention_mode", "pooler_activation")}
    bert = BertForPreTraining(BertConfig(**fields))
    bert.save_pretrained(tmp_path)
    transformers_logging.set_verbosity_error()
    model, report = UniLMBertForParaphrase.from_pretrained(tmp_path, output_loading_info=True)
    transformers_logging.set_verbosity_warning()
    assert not report["missing_keys"]
    assert torch.equal(model.bert.pooler.dense.weight, bert.bert.pooler.dense.weight)


@pytest.mark.parametrize("family", FAMILIES)
def test_generates_as_its_causal_twin(family):
    model = made(family)
    twin = FAMILIES[family][2](model.config).double().eval()
    twin.load_state_dict(model.state_dict())
    ids = batch_of([(5, 1), (5, 1)])["input_ids"][:, :5]
    options = {"max_new_tokens": 6, "do_sample": False, "token_type_ids": torch.zeros_like(ids)}
    options |= {"attention_mask": torch.ones_like(ids), "pad_token_id": 0}
    assert torch.equal(model.generate(ids, **options), twin.generate(ids, **options))


def test_scale_belongs_to_the_model():
    model, batch = made("roformer"), batch_of(LENGTHS)
    model.similarity_scale = 5.0
    outputs = model(**batch)
    torch.testing.assert_close(outputs.similarity_loss, paraphrase_similarity_loss(outputs.pooler_output, 5))
    assert RoFormerForParaphrase.similarity_scale == 20


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_finite_in_half_precision(dtype):
    model, batch = made("roformer").to(dtype), batch_of(LENGTHS)
    outputs = model(**batch)
    assert outputs.loss.dtype == torch.float32
    outputs.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attention_mode": None}, "attention_mode must be 'unilm' in a RoFormerForParaphrase, got None"),
        ({"attention_mode": "causal"}, "attention_mode must be 'unilm'"),
        ({"pooler_activation": None}, "pooler_activation must be 'linear' or 'tanh'"),
    ],
)
def test_other_models_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        made("roformer", **fields)


def test_bad_batches_are_refused():
    model, batch = made("roformer"), batch_of(LENGTHS)
    with pytest.raises(ValueError, match="token_type_ids must tell"):
        model(**batch | {"token_type_ids": None})
    with pytest.raises(ValueError, match="two rows for each pair"):
        model(**{name: value[:5] for name, value in batch.items()})


def test_accumulated_steps_average_the_losses_of_their_batches(tmp_path):
    tokenizer = build_char_tokenizer(["天气不错你好"])
    pairs = [("天气", "天不错"), ("你好", "好"), ("不错", "错"), ("气", "气天天")]
    collate = DataCollatorForParaphrase(tokenizer)
    torch.manual_seed(0)
    model = RoFormerForParaphrase(RoFormerConfig(**SIZE | {"vocab_size": len(tokenizer)}))
    halves = [model(**collate(part)).loss for part in (pairs[:2], pairs[2:])]
    mean = sum(halves) / 2
    gradient = torch.autograd.grad(mean, model.roformer.pooler.dense.weight)[0].norm()
    arguments = TrainingArguments(
        str(tmp_path), max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=0.0,
        train_sampling_strategy="sequential", logging_steps=1, report_to="none", use_cpu=True, max_grad_norm=1e9,
        dataloader_pin_memory=False, disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    norms = []
    model.roformer.pooler.dense.weight.register_post_accumulate_grad_hook(lambda p: norms.append(p.grad.norm()))
    trainer = Trainer(model=model, args=arguments, train_dataset=pairs, data_collator=collate)
    trainer.train()
    (logged,) = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert logged == pytest.approx(mean.item(), rel=1e-4)
    torch.testing.assert_close(norms[-1], gradient, rtol=1e-4, atol=1e-6)
