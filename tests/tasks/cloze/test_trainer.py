"""Both ways of learning a cloze against brute force, and the embeddings that P-tuning trains."""

import copy
import re

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F
from trainer_runs import descent
from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM, Trainer

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.tasks.cloze import (
    ClozeEncoder,
    ClozePattern,
    ClozeRows,
    ClozeTrainer,
    DataCollatorForCloze,
    add_soft_tokens,
    encode_cloze,
    encode_unlabelled,
    tune_tokens,
)

TOKENIZER = build_char_tokenizer(["去北京上海很不，甲乙丙丁戊己庚辛"])
PATTERN = ClozePattern("去{mask}，{text}", {"a": "北京", "b": "上海", "c": "丙丁"})
SEVERAL = ClozePattern("去{mask}，{text}", {"a": ["北", "京"], "b": "上"})
EXAMPLES = [{"text": "甲乙丙丁"[:number], "label": "abc"[number % 2]} for number in (4, 1, 2, 3)]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
OFF = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3}
FAMILIES = {
    "bert": (BertConfig, BertForMaskedLM, {}),
    "roberta": (RobertaConfig, RobertaForMaskedLM, {"pad_token_id": 0, "type_vocab_size": 2}),
    "roformer": (hf_ext.RoFormerConfig, hf_ext.RoFormerForMaskedLM, {}),
}


def model(family="bert"):
    torch.manual_seed(0)
    config, kind, more = FAMILIES[family]
    return kind(config(vocab_size=len(TOKENIZER), **SHAPE, **OFF, **more))


def trained(own, rows, collator, folder, words=None, **options):
    """The gradients that one step of gradient descent went along."""
    before = copy.deepcopy(own)
    settings = {name: options.pop(name) for name in ("gradient_accumulation_steps",) if name in options}
    arguments = descent(
        folder, max_steps=1, learning_rate=1.0, per_device_train_batch_size=len(rows), max_grad_norm=0.0, **settings
    )
    trainer = ClozeTrainer(own, arguments, train_dataset=rows, data_collator=collator, words=words, **options)
    trainer.train()
    return {
        name: old.detach() - new.detach().cpu() for (name, old), new in zip(before.named_parameters(), own.parameters())
    }


def assert_gradients(found, before, loss):
    before.zero_grad()
    loss.backward()
    for name, parameter in before.named_parameters():
        wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(found[name], wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_words_are_learnt_among_the_whole_vocabulary(family, tmp_path):
    """Without random masking: the mean over both tokens of all words."""
    own = model(family)
    before = copy.deepcopy(own).train()
    rows = encode_cloze(EXAMPLES, PATTERN, TOKENIZER, 64)
    encoder = ClozeEncoder(PATTERN, TOKENIZER, 64)
    collator = DataCollatorForCloze(TOKENIZER, encoder.words, mlm_probability=0.0)
    found = trained(own, rows, collator, tmp_path, encoder.words)
    losses = []
    for row in rows:
        inputs = {name: torch.tensor([row[name]]) for name in TOKENIZER.model_input_names}
        logits = before(**inputs).logits[0, row["mask_places"]]
        losses.append(F.cross_entropy(logits, torch.from_numpy(encoder.words)[row["labels"], 0], reduction="none"))
    assert_gradients(found, before, torch.cat(losses).mean())


def test_tokens_masked_at_random_are_learnt_with_them_also_by_a_plain_trainer(tmp_path):
    """The sum over all targets by their number; unlabelled texts have no others than those masked at random."""
    rows = [
        *encode_cloze(EXAMPLES, PATTERN, TOKENIZER, 64),
        *encode_unlabelled([{"text": "己庚辛甲"}], PATTERN, TOKENIZER),
    ]
    words = ClozeEncoder(PATTERN, TOKENIZER, 64).words

    def collator():
        return DataCollatorForCloze(TOKENIZER, words, mlm_probability=0.5, generator=torch.Generator().manual_seed(3))

    own, plain = model(), model()
    before = copy.deepcopy(own).train()
    found = trained(own, rows, collator(), tmp_path, words)
    arguments = descent(
        tmp_path, max_steps=1, learning_rate=1.0, per_device_train_batch_size=5, max_grad_norm=0.0,
        remove_unused_columns=False,
    )  # fmt: skip
    Trainer(plain, arguments, train_dataset=rows, data_collator=collator()).train()
    for one, other in zip(own.parameters(), plain.parameters()):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    # The batch that was drawn.
    trainer = ClozeTrainer(copy.deepcopy(before), arguments, train_dataset=rows, data_collator=collator(), words=words)
    trainer.data_collator.masking.generator.manual_seed(3)
    drawn = next(iter(trainer.get_train_dataloader()))
    drawn = {name: values.cpu() for name, values in drawn.items()}
    labels = drawn.pop("labels")
    assert (labels != -100).sum() > 8
    logits = before(**drawn).logits
    assert_gradients(found, before, F.cross_entropy(logits.flatten(0, 1), labels.flatten()))


@pytest.mark.parametrize("pattern", [PATTERN, SEVERAL], ids=["two tokens", "two words"])
@pytest.mark.parametrize("asks_places", [True, False])
def test_labels_are_learnt_by_a_softmax_over_them(pattern, asks_places, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.tasks.cloze.trainer.predicts_by_place", lambda model: asks_places)
    own = model()
    before = copy.deepcopy(own).train()
    rows = encode_cloze(EXAMPLES, pattern, TOKENIZER, 64)
    words = ClozeEncoder(pattern, TOKENIZER, 64).words
    found = trained(own, rows, DataCollatorForCloze(TOKENIZER, predicts="labels"), tmp_path, words)
    losses = []
    for row in rows:
        inputs = {name: torch.tensor([row[name]]) for name in TOKENIZER.model_input_names}
        logits = before(**inputs).logits[0, row["mask_places"]]
        scores = []
        for label in words.tolist():
            there = [word for word in label if -1 not in word]
            scores.append(
                torch.stack([sum(logits[mask, token] for mask, token in enumerate(word)) for word in there]).mean()
            )
        losses.append(F.cross_entropy(torch.stack(scores)[None], torch.tensor([row["labels"]])))
    assert_gradients(found, before, torch.stack(losses).mean())


def test_unlabelled_texts_are_learnt_beside_labels_by_their_weight(tmp_path):
    own = model()
    before = copy.deepcopy(own).train()
    labelled = encode_cloze(EXAMPLES, PATTERN, TOKENIZER, 64)
    unlabelled = encode_unlabelled([{"text": "己庚辛甲"}], PATTERN, TOKENIZER)
    words = ClozeEncoder(PATTERN, TOKENIZER, 64).words
    # All are masked, but for those that stay, or become others.
    collator = DataCollatorForCloze(
        TOKENIZER, predicts="labels", mlm_probability=1.0, mask_replace_prob=1.0, random_replace_prob=0.0
    )
    rows = ClozeRows(labelled, unlabelled, paired=True)
    found = trained(own, rows, collator, tmp_path, words, mlm_weight=0.25)
    made = collator([rows[number] for number in range(4)])
    logits = before(**{name: made[name] for name in TOKENIZER.model_input_names}).logits
    scores = torch.stack(
        [logits[:4, 2, words[label, 0, 0]] + logits[:4, 3, words[label, 0, 1]] for label in range(3)], -1
    )
    of_labels = F.cross_entropy(scores, made["labels"][:4])
    of_tokens = F.cross_entropy(logits.flatten(0, 1), made["token_labels"].flatten())
    assert_gradients(found, before, 0.75 * of_labels + 0.25 * of_tokens)


def test_an_evaluation_masks_nothing_and_gives_scores_of_labels(tmp_path):
    own = model()
    rows = encode_cloze(EXAMPLES, PATTERN, TOKENIZER, 64)
    words = ClozeEncoder(PATTERN, TOKENIZER, 64).words
    collator = DataCollatorForCloze(TOKENIZER, words, mlm_probability=1.0)
    arguments = descent(tmp_path, per_device_eval_batch_size=3)
    trainer = ClozeTrainer(own, arguments, eval_dataset=rows, data_collator=collator, words=words, weighed_by=rows)
    found = trainer.predict(rows)
    assert found.predictions.shape == (4, 3)
    own.eval()
    for row, scores in zip(rows, found.predictions):
        inputs = {name: torch.tensor([row[name]]) for name in TOKENIZER.model_input_names}
        with torch.no_grad():
            logits = own(**inputs).logits[0, row["mask_places"]].log_softmax(-1)
        wanted = [float(logits[0, words[label, 0, 0]] + logits[1, words[label, 0, 1]]) for label in range(3)]
        assert scores.tolist() == pytest.approx(wanted, rel=1e-4)
    assert trainer.data_collator is collator
    loss = F.cross_entropy(torch.from_numpy(found.predictions), torch.tensor(rows["labels"]))
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(loss), rel=1e-3)


def test_a_model_weighs_what_it_could_before_training(tmp_path):
    own = model()
    rows = encode_cloze(EXAMPLES, PATTERN, TOKENIZER, 64)
    words = ClozeEncoder(PATTERN, TOKENIZER, 64).words
    collator = DataCollatorForCloze(TOKENIZER, words, mlm_probability=0.0)
    arguments = descent(tmp_path, max_steps=20, learning_rate=0.5)
    trainer = ClozeTrainer(own, arguments, train_dataset=rows, data_collator=collator, words=words, weighed_by=rows)
    before = trainer.predict(rows)
    trainer.train()
    assert trainer.weight == (before.predictions.argmax(-1) == before.label_ids).mean()
    after = trainer.predict(rows)
    assert abs(after.predictions - before.predictions).max() > 0.1


def test_what_a_trainer_cannot_use_is_refused(tmp_path):
    collator = DataCollatorForCloze(TOKENIZER, predicts="labels")
    rows = encode_cloze(EXAMPLES, PATTERN, TOKENIZER, 64)
    with pytest.raises(ValueError, match="mlm_weight must be at least 0 and below 1, got 1"):
        ClozeTrainer(model(), descent(tmp_path), data_collator=collator, mlm_weight=1)
    with pytest.raises(ValueError, match="data_collator must be a DataCollatorForCloze"):
        ClozeTrainer(model(), descent(tmp_path), data_collator=lambda rows: rows)
    with pytest.raises(ValueError, match="words must be given, the tokens of the labels' words"):
        ClozeTrainer(model(), descent(tmp_path, max_steps=1), train_dataset=rows, data_collator=collator).train()


def test_unlabelled_rows_come_all_before_one_comes_again():
    labelled = encode_cloze(EXAMPLES[:3], PATTERN, TOKENIZER, 64)
    unlabelled = encode_unlabelled([{"text": one} for one in "甲乙丙丁"], PATTERN, TOKENIZER)
    rows = ClozeRows(labelled, unlabelled, paired=True, seed=1)

    def drawn(epoch):
        rows.set_epoch(epoch)
        return [tuple(rows[number]["unlabelled"]["input_ids"]) for number in range(len(rows))]

    epochs = [drawn(epoch) for epoch in range(4)]
    in_order = [one for epoch in epochs for one in epoch]
    for start in (0, 4, 8):
        assert len({*in_order[start : start + 4]}) == 4
    # An epoch is the same whatever came before.
    assert drawn(2) == epochs[2]
    assert rows[0]["labels"] == labelled[0]["labels"]


def test_what_is_masked_depends_on_seed_epoch_and_row_alone():
    labelled = encode_cloze(
        [{"text": "甲乙丙丁戊己庚辛" * many, "label": "a"} for many in (4, 4, 2)], PATTERN, TOKENIZER, 64
    )
    unlabelled = encode_unlabelled([{"text": "己庚辛甲" * 8}] * 2, PATTERN, TOKENIZER)
    collate = DataCollatorForCloze(TOKENIZER, ClozeEncoder(PATTERN, TOKENIZER, 64).words, mlm_probability=0.3)

    def masked(seed, epoch, numbers):
        rows = ClozeRows(labelled, unlabelled, seed=seed)
        assert len(rows) == 5
        rows.set_epoch(epoch)
        batch = collate([rows[number] for number in numbers])
        lengths = batch["attention_mask"].sum(-1).tolist()
        columns = zip(batch["labels"].tolist(), batch["input_ids"].tolist())
        return {number: [one[:length] for one in own] for number, own, length in zip(numbers, columns, lengths)}

    whole = masked(0, 1, [0, 1, 2, 3, 4])
    for number in range(3):
        assert masked(0, 1, [number])[number] == whole[number]
    assert whole[0] != whole[1]
    assert whole[0] != masked(0, 0, [0])[0]
    assert whole[0] != masked(1, 1, [0])[0]
    with pytest.raises(IndexError):
        ClozeRows(labelled, unlabelled)[5]


@pytest.mark.parametrize("predicts", ["words", "labels"])
def test_adapters_lower_precision_and_checkpointing(predicts, tmp_path):
    """An adapter learns alone, the way is the same under bf16, and checkpointing changes nothing."""
    rows = encode_cloze(EXAMPLES, PATTERN, TOKENIZER, 64)
    words = ClozeEncoder(PATTERN, TOKENIZER, 64).words

    def step(own, **arguments):
        before = {name: one.detach().clone() for name, one in own.named_parameters()}
        collator = DataCollatorForCloze(TOKENIZER, words, predicts, mlm_probability=0.0)
        settings = descent(tmp_path, max_steps=2, per_device_train_batch_size=4, **arguments)
        ClozeTrainer(own, settings, train_dataset=rows, data_collator=collator, words=words).train()
        return {name: one.detach() - before[name] for name, one in own.named_parameters()}

    plain = step(model())
    for name, value in step(model(), gradient_checkpointing=True).items():
        torch.testing.assert_close(value, plain[name], rtol=1e-5, atol=1e-6)
    wanted, found = (
        torch.cat([one.flatten() for one in every.values()]) for every in (plain, step(model(), bf16=True))
    )
    assert wanted.norm() > 1e-2
    assert F.cosine_similarity(found, wanted, dim=0) > 0.99
    adapted = step(get_peft_model(model(), LoraConfig(r=2, target_modules=["query", "value"])))
    moved = {name for name, value in adapted.items() if value.any()}
    assert moved
    assert all("lora_" in name for name in moved)


@pytest.mark.parametrize("family", FAMILIES)
def test_tuned_tokens_alone_are_trained_and_change_nothing_at_first(family, tmp_path):
    """Neither what the model computes, nor, after a step, any other row; input and output rows stay one."""
    tokenizer = build_char_tokenizer(["去北京上海很不，甲乙丙丁戊己庚辛"])
    own = model(family)
    pattern = ClozePattern("{mask}{text}", {"a": "北", "b": "上"}).with_soft_tokens(4)
    ids = add_soft_tokens(tokenizer, own, 4)
    before = copy.deepcopy(own).eval()
    rows = encode_cloze(EXAMPLES, pattern, tokenizer, 64)
    inputs = {name: torch.tensor([rows[0][name]]) for name in tokenizer.model_input_names}
    tuned = tune_tokens(own, ids)
    with torch.no_grad():
        torch.testing.assert_close(tuned.eval()(**inputs).logits, before(**inputs).logits, rtol=0, atol=1e-6)
    trainable = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    assert [parameter.shape for parameter in trainable] == [(4, 16)]
    words = ClozeEncoder(pattern, tokenizer, 64).words
    collator = DataCollatorForCloze(tokenizer, words, mlm_probability=0.0)
    arguments = descent(tmp_path, max_steps=1, learning_rate=1.0, per_device_train_batch_size=4, max_grad_norm=0.0)
    ClozeTrainer(tuned, arguments, train_dataset=rows, data_collator=collator, words=words).train()
    merged = tuned.merge_and_unload()
    assert type(merged) is type(before)
    # What all weights would have been told, the rows of these tokens were.
    reference = copy.deepcopy(before).train()
    made = collator([*rows])
    reference(**made).loss.backward()
    embedding = reference.get_input_embeddings().weight
    step = before.get_input_embeddings().weight - merged.get_input_embeddings().weight
    torch.testing.assert_close(step[ids], embedding.grad[ids], rtol=1e-3, atol=1e-5)
    assert step[ids].abs().max() > 1e-4
    others = torch.ones(len(step), dtype=torch.bool)
    others[ids] = False
    assert not step[others].any()
    assert merged.get_output_embeddings().weight is merged.get_input_embeddings().weight
    changed = [
        name for (name, one), other in zip(merged.named_parameters(), before.parameters()) if not one.equal(other)
    ]
    assert len(changed) == 1


def test_tokens_to_tune_must_be_some():
    with pytest.raises(ValueError, match=re.escape("token_ids must be at least one, got none")):
        tune_tokens(model(), [])
