"""The cloze job: what it trains and saves with each kind of option, and what it refuses before it starts."""

import json
import logging
import re

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertForMaskedLM, BertModel, pipeline

from hf_ext import build_char_tokenizer
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.cloze import ClozeJob, ClozePattern, read_cloze_texts
from hf_ext.tasks.cloze.trainer import ClozeTrainer

WORDS = {"好评": "很", "差评": "不"}
ROWS = [
    {"text": f"{place}{'好' if good else '坏'}", "label": ("差评", "好评")[good]}
    for place in "甲乙丙"
    for good in (0, 1)
]
OPTIONS = {"pattern": "{mask}满意。{text}", "verbalizer": WORDS, "max_length": 32}
SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
UNUSED = [f"[unused{number}]" for number in range(1, 9)]


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "train.jsonl", ROWS), write(tmp_path / "validation.jsonl", ROWS[:4])


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A model to begin with."""
    folder = tmp_path_factory.mktemp("start")
    tokenizer = build_char_tokenizer(["很不满意。甲乙丙丁好坏真"])
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), initializer_range=0.3, max_position_embeddings=32, **SHAPE)
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(job, folder, **arguments):
    settings = {"use_cpu": True, "disable_tqdm": True, "max_steps": 2, "save_strategy": "no", "eval_strategy": "no"}
    settings |= {"load_best_model_at_end": False}
    return job.run(job.training_arguments(folder, **settings | arguments))


def test_a_run_begins_with_what_is_known_without_training(files, start, tmp_path):
    scores = run(ClozeJob(*files, model=str(start), **OPTIONS), tmp_path / "out")
    before = pipeline("cloze", model=str(start), pattern=ClozePattern(OPTIONS["pattern"], WORDS), device="cpu")

    def accuracy(classify, rows):
        return sum(classify(row["text"])[0]["label"] == row["label"] for row in rows) / len(rows)

    assert scores["accuracy_before"] == accuracy(before, ROWS[:4])
    assert scores["train_accuracy_before"] == pytest.approx(accuracy(before, ROWS))
    after = pipeline("cloze", model=str(tmp_path / "out"), device="cpu")
    assert scores["accuracy"] == accuracy(after, ROWS[:4])
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["BertForMaskedLM"]
    assert config["cloze"] == {"pattern": "{mask}满意。{text}", "verbalizer": [["好评", ["很"]], ["差评", ["不"]]]}
    assert config["id2label"] == {"0": "好评", "1": "差评"}


def test_it_learns(files, start, tmp_path):
    for predicts, more in (("words", {"mlm_probability": 0.0}), ("labels", {})):
        job = ClozeJob(*files, model=str(start), predicts=predicts, **more, **OPTIONS)
        scores = run(job, tmp_path / predicts, max_steps=60, learning_rate=1e-2, warmup_steps=0)
        assert scores["accuracy"] == 1.0 > scores["accuracy_before"]


def test_a_trained_model_is_trained_on_and_evaluated_by_its_own_pattern(files, start, tmp_path):
    run(ClozeJob(*files, model=str(start), **OPTIONS), tmp_path / "one")
    job = ClozeJob(*files, model=str(tmp_path / "one"), max_length=32)
    scores = run(job, tmp_path / "two")
    measured = job_of_model(str(tmp_path / "two")).evaluate(files[1], job.training_arguments(tmp_path, use_cpu=True))
    assert measured["accuracy"] == scores["accuracy"]
    with pytest.raises(ValueError, match=r"verbalizer goes with a pattern, got .* with that of the model"):
        run(ClozeJob(*files, model=str(tmp_path / "one"), verbalizer=WORDS), tmp_path / "three")


@pytest.mark.parametrize("predicts", ["words", "labels"])
@pytest.mark.parametrize("form", ["lines", "json"])
def test_unlabelled_texts_are_learnt_too(files, start, predicts, form, tmp_path, monkeypatch):
    texts = ["丁真好", "丁真坏", "真丁"] * 3
    lines = texts if form == "lines" else [json.dumps({"sentence": text}) for text in texts]
    (tmp_path / "more").write_text("\n".join(lines), encoding="utf-8")
    seen = []
    own = ClozeTrainer.compute_loss

    def compute_loss(self, model, inputs, *rest, **kwargs):
        if model.training:
            seen.append({name: values.clone() for name, values in inputs.items()})
        return own(self, model, inputs, *rest, **kwargs)

    monkeypatch.setattr(ClozeTrainer, "compute_loss", compute_loss)
    job = ClozeJob(*files, model=str(start), unlabelled_file=tmp_path / "more", predicts=predicts, **OPTIONS)
    arguments = {"max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 3}
    run(job, tmp_path / "out", **arguments)
    ids = build_char_tokenizer(["很不满意。甲乙丙丁好坏真"]).convert_tokens_to_ids(["真"])[0]
    assert any((batch["input_ids"] == ids).any() for batch in seen)
    if predicts == "words":
        # An epoch has all of both.
        assert len(seen) == 2 * 5
    else:
        assert len(seen) == 2 * 2
        assert all(len(batch["labels"]) == 6 and "token_labels" in batch for batch in seen)


@pytest.mark.parametrize("predicts", ["words", "labels"])
def test_two_passes_that_agree_are_one(files, predicts, tmp_path):
    """R-Drop without dropout; of two micro-batches, with unlabelled texts among them."""
    tokenizer = build_char_tokenizer(["很不满意。甲乙丙丁好坏真"])
    torch.manual_seed(0)
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3}
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **SHAPE, **off)).save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    (tmp_path / "more").write_text("丁真好\n丁真坏\n", encoding="utf-8")
    options = {"unlabelled_file": tmp_path / "more", "predicts": predicts, **OPTIONS}
    # Adam would make steps of what is rounding alone, as of the biases of keys.
    arguments = {
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 3,
        "learning_rate": 1e-2,
        "optim": "sgd",
    }
    for name, r_drop in (("plain", None), ("twice", 4.0)):
        run(ClozeJob(*files, model=str(tmp_path / "start"), r_drop=r_drop, **options), tmp_path / name, **arguments)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "twice"))
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unused", [True, False])
def test_soft_tokens_alone_are_trained_and_saved_in_the_model(files, unused, tmp_path):
    folder = tmp_path / "start"
    tokenizer = build_char_tokenizer(["很不满意。甲乙丙丁好坏真"])
    if unused:
        known = tokenizer.get_vocab()
        names = ["[PAD]", *UNUSED, *sorted(known, key=lambda one: known[one])[1:]]
        tokenizer = type(tokenizer)(vocab={one: index for index, one in enumerate(names)})
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), initializer_range=0.3, **SHAPE)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    options = {"pattern": "{mask}{text}", "verbalizer": WORDS, "max_length": 32, "soft_tokens": 8}
    job = ClozeJob(*files, model=str(folder), **options)
    scores = run(job, tmp_path / "out")
    assert job.training_arguments(tmp_path, use_cpu=True).learning_rate == 6e-4
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    assert before.keys() == after.keys()
    name = "bert.embeddings.word_embeddings.weight"
    size = len(before[name])
    assert len(after[name]) == size + (0 if unused else 8)
    soft = slice(1, 9) if unused else slice(size, size + 8)
    assert all(before[key].equal(after[key]) for key in before if key not in (name, "cls.predictions.bias"))
    assert after["cls.predictions.bias"][:size].equal(before["cls.predictions.bias"])
    if unused:
        changed = (before[name] != after[name]).any(-1)
        assert changed.nonzero().flatten().tolist() == [*range(soft.start, soft.stop)]
    else:
        assert before[name].equal(after[name][:size])
    classify = pipeline("cloze", model=str(tmp_path / "out"), device="cpu")
    assert classify.encoders[0].soft_ids == [*range(soft.start, soft.stop)]
    right = [classify(row["text"])[0]["label"] == row["label"] for row in ROWS[:4]]
    assert scores["accuracy"] == sum(right) / 4
    run(ClozeJob(*files, model=str(folder), tune_all=True, **options), tmp_path / "all")
    assert not load_file(tmp_path / "all" / "model.safetensors")["cls.predictions.transform.dense.weight"].equal(
        before["cls.predictions.transform.dense.weight"]
    )


def test_soft_tokens_are_trained_by_methods_too(files, start, tmp_path):
    methods = {
        "plain": {},
        "r_drop": {"r_drop": 4.0},
        "fgm": {"adversarial": "fgm", "adversarial_epsilon": 5.0},
        "averages": {"ema_decay": 0.5},
        "rates": {"layer_decay": 0.5},
    }
    found = {}
    for name, method in methods.items():
        job = ClozeJob(*files, model=str(start), soft_tokens=4, **method, **OPTIONS)
        run(job, tmp_path / name, learning_rate=0.1, warmup_steps=0)
        found[name] = load_file(tmp_path / name / "model.safetensors")
        moved = [key for key, value in found[name].items() if not value.equal(found["plain"][key])]
        assert moved == ([] if name == "plain" else ["bert.embeddings.word_embeddings.weight"]), name
    job = ClozeJob(*files, model=str(start), soft_tokens=4, compress_to=1, **OPTIONS)
    with pytest.raises(ValueError, match="compress_to goes with tune_all where a pattern has soft tokens"):
        run(job, tmp_path / "small")


@pytest.mark.parametrize(
    "options", [{"soft_tokens": 2}, {"unlabelled": True}, {"unlabelled": True, "predicts": "labels"}], ids=str
)
def test_a_run_goes_on_after_a_break(files, start, options, tmp_path):
    """In the same order, with the same tokens masked."""
    options = {**options}
    if options.pop("unlabelled", False):
        (tmp_path / "more").write_text("丁真好\n丁真坏\n", encoding="utf-8")
        options["unlabelled_file"] = tmp_path / "more"
    options |= {"pattern": "{mask}{text}", "verbalizer": WORDS, "max_length": 32}
    saving = {"save_strategy": "steps", "save_steps": 1, "max_steps": 4, "per_device_train_batch_size": 2}
    run(
        ClozeJob(*files, model=str(start), keep_checkpoints=True, **options),
        tmp_path / "whole",
        **saving,
        save_total_limit=9,
    )
    run(
        ClozeJob(*files, model=str(start), **options),
        tmp_path / "resumed",
        **saving,
        resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"),
    )
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_candidates_of_each_text(start, tmp_path):
    rows = [
        {"content": f"{one}#，好", "candidates": ["很真", "不坏", "满意"], "answer": n % 3}
        for n, one in enumerate("甲乙丙丁")
    ]
    (tmp_path / "p.json").write_text('{"pattern": "{content}", "blank": "#", "candidates": "candidates"}')
    file = write(tmp_path / "rows.jsonl", rows)
    job = ClozeJob(file, file, model=str(start), pattern=str(tmp_path / "p.json"), max_length=32, predicts="labels")
    scores = run(job, tmp_path / "out", max_steps=60, learning_rate=1e-2, warmup_steps=0)
    assert scores["accuracy"] == 1.0
    classify = pipeline("cloze", model=str(tmp_path / "out"), device="cpu")
    assert [classify(row)[0]["label"] for row in rows] == [row["candidates"][row["answer"]] for row in rows]


def test_the_benchmarks_files_are_trained_on(shared, tmp_path):
    folder = shared / "data" / "fewclue" / "csl"
    for name in ("train_0", "dev_0"):
        lines = (folder / f"{name}.json").read_text(encoding="utf-8").splitlines()[:6]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    job = ClozeJob(tmp_path / "train_0", tmp_path / "dev_0", config="tiny", pattern="fewclue/csl", max_length=64)
    run(job, tmp_path / "out", max_steps=1)
    examples = read_cloze_texts(tmp_path / "dev_0", ClozePattern.load("fewclue/csl"))
    found = pipeline("cloze", model=str(tmp_path / "out"), device="cpu")(examples)
    assert {one[0]["label"] for one in found} <= {"0", "1"}


def test_a_new_head_is_warned_of(files, tmp_path, caplog):
    tokenizer = build_char_tokenizer(["很不满意。甲乙丙丁好坏真"])
    BertModel(BertConfig(vocab_size=len(tokenizer), **SHAPE)).save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    with caplog.at_level(logging.WARNING, "hf_ext.tasks.cloze.masked_model"):
        run(ClozeJob(*files, model=str(tmp_path / "start"), **OPTIONS), tmp_path / "out")
    assert "has no head over the vocabulary" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": None}, "pattern must be given, unless the model was trained with one, got none"),
        ({"pattern": "fewclue/tnews"}, "verbalizer must be left out where the pattern has one"),
        ({"verbalizer": {}}, "verbalizer must be given, with the word of each label"),
        ({"verbalizer": {"好评": "很", "差评": "很"}}, "got '很' of '好评' and '差评', whose scores would always tie"),
        ({"verbalizer": {"好评": "很", "差评": 3}}, "the words of a label must be texts"),
        ({"verbalizer": {"好评": "很", "中评": "不"}}, "label must be one of 好评, 中评, got '差评'"),
        ({"verbalizer": {"好评": "很", "差评": ["不", "坏"]}}, "a label must have one word to be predicted as such"),
        ({"verbalizer": {"好评": "很", "差评": "不真"}}, "as many tokens as the first word's 1, got 2"),
        ({"predicts": "tokens"}, "predicts must be one of words, labels, got 'tokens'"),
        ({"tune_all": True}, "tune_all goes with soft tokens, of which the pattern has none"),
        (
            {"predicts": "labels", "mlm_probability": 0.1},
            "mlm_probability has no effect with predicts=labels and without",
        ),
        ({"mlm_weight": 0.1}, "mlm_weight goes with predicts=labels and an unlabelled_file, got 0.1 without them"),
        ({"max_length": 40}, "max_length must be at most the model's 32 positions, got 40"),
        ({"max_length": 5}, "max_length must leave room for the pattern, which has 6 tokens, got 5"),
    ],
)
def test_what_cannot_be_trained_is_refused(files, start, options, message, tmp_path):
    job = ClozeJob(*files, model=str(start), **{**OPTIONS, **options})
    with pytest.raises(ValueError, match=re.escape(message)):
        run(job, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unlabelled_files_without_texts_or_effect_are_refused(files, start, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "some").write_text("甲\n", encoding="utf-8")
    with pytest.raises(ValueError, match="unlabelled_file must have texts, got none in"):
        run(ClozeJob(*files, model=str(start), unlabelled_file=tmp_path / "empty", **OPTIONS), tmp_path / "out")
    job = ClozeJob(*files, model=str(start), unlabelled_file=tmp_path / "some", mlm_probability=0.0, **OPTIONS)
    with pytest.raises(ValueError, match="mlm_probability must be above 0 to learn from an unlabelled_file, got 0"):
        run(job, tmp_path / "out")
