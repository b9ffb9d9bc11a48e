"""Training classifiers in Python and on the command line, their scores, and prediction with Transformers' pipeline."""

import json
from itertools import chain

import numpy as np
import pytest
import torch
from saved_tiny import saved
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertModel,
    EvalPrediction,
    TrainingArguments,
    pipeline,
)
from typer.testing import CliRunner

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.cli import app
from hf_ext.losses.table import MULTI_LABEL_LOSSES, SINGLE_LABEL_LOSSES
from hf_ext.tasks.classification import ClassificationPipeline
from hf_ext.tasks.classification.job import ClassificationJob, encode_labelled_texts
from hf_ext.tasks.classification.metrics import (
    classification_compute_metrics,
    classification_scores,
    predicted_classes,
    scores_of_prediction,
)

WORDS = {"fruit": "苹梨桃杏", "metal": "金银铜铁", "water": "江河湖海"}
SINGLE = [{"text": f"这里有{c}{d}", "label": name} for name, cs in WORDS.items() for c in cs for d in "的了也"]
PAIRS = [
    {"text": f"有{a}", "text2": f"要{b}", "label": int(b in WORDS["fruit"])}
    for a in "苹梨金银江"
    for b in "桃杏铜铁湖梨"
]
MULTI = [
    {"text": f"我看见{a}和{b}", "labels": sorted({name for name, cs in WORDS.items() if a in cs or b in cs})}
    for a in "苹金江好梨银河"
    for b in "桃铜湖的杏铁海"
]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, rows in (("single", SINGLE), ("pairs", PAIRS), ("multi", MULTI)):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(content, encoding="utf-8")
    return {name: folder / f"{name}.jsonl" for name in ("single", "pairs", "multi")}


def options(file, output, **more):
    given = {"--train-file": file, "--validation-file": file, "--output-dir": output, "--max-length": 24}
    given |= {"--eval-strategy": "no", "--save-strategy": "no", "--load-best-model-at-end": "False", "--seed": 0}
    return (*chain(*(given | more).items()), "--use-cpu")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "steps", "least"), [("single", 60, 0.9), ("pairs", 40, 0.9), ("multi", 60, 0.8)], ids=str
)
def test_a_model_from_scratch_learns_and_the_pipeline_predicts(kind, steps, least, files, tmp_path):
    output = tmp_path / "model"
    result = run(
        "train",
        "classification",
        *options(files[kind], output, **{"--config": "tiny", "--max-steps": steps, "--learning-rate": 3e-3}),
    )
    assert result.exit_code == 0, result.output
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert f"accuracy {scores['accuracy']:.4f}" in result.output
    assert scores["accuracy"] > least
    assert (output / "curves.png").is_file()
    config = AutoConfig.from_pretrained(output)
    assert config.architectures == ["RoFormerForSequenceClassification"]
    names = ["0", "1"] if kind == "pairs" else ["fruit", "metal", "water"]
    assert list(config.id2label.values()) == names
    assert config.label2id == {name: index for index, name in enumerate(names)}

    # What a user runs in another process gives the scores of the file.
    classify = pipeline("text-classification", model=str(output))
    rows = {"single": SINGLE, "pairs": PAIRS, "multi": MULTI}[kind]
    inputs = [
        {"text": row["text"], "text_pair": row["text2"]} if "text2" in row else {"text": row["text"]} for row in rows
    ]
    found = [classify(one, top_k=None) for one in inputs]
    if kind == "multi":
        predicted = [[one["label"] for one in each if one["score"] > 0.5] for each in found]
        true = [row["labels"] for row in rows]
    else:
        predicted, true = [[each[0]["label"]] for each in found], [[str(row["label"])] for row in rows]
        assert all(sum(one["score"] for one in each) == pytest.approx(1) for each in found)
    own = pipeline("classification", model=str(output))
    assert isinstance(own, ClassificationPipeline)
    texts = [{name: row[name] for name in ("text", "text2")} if "text2" in row else row["text"] for row in rows]
    assert [[one["label"] for one in each] for each in own(texts)] == predicted
    again = classification_scores(predicted, true, names)
    assert again["accuracy"] == pytest.approx(scores["accuracy"])
    assert again["macro_f1"] == pytest.approx(scores["macro_f1"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "loss"),
    [*(("single", name) for name in SINGLE_LABEL_LOSSES), *(("multi", name) for name in MULTI_LABEL_LOSSES)],
)
def test_every_loss_trains_any_encoder(kind, loss, files, tmp_path):
    texts = (row["text"] for row in SINGLE + MULTI)
    bert = BertModel.from_pretrained(saved(tmp_path / "bert", BertModel, texts))
    arguments = TrainingArguments(
        str(tmp_path / "model"), max_steps=2, per_device_train_batch_size=8, use_cpu=True, report_to="none",
        disable_tqdm=True, eval_strategy="steps", eval_steps=1, gradient_accumulation_steps=2,
        dataloader_pin_memory=False,
    )  # fmt: skip
    job = ClassificationJob(files[kind], files[kind], model=str(tmp_path / "bert"), max_length=24, loss=loss)
    scores = job.run(arguments)
    assert 0 <= scores["accuracy"] <= 1
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    wanted = "multi_label_classification" if kind == "multi" else "single_label_classification"
    assert model.config.problem_type == wanted
    moved = (model.bert.encoder.layer[0].output.dense.weight - bert.encoder.layer[0].output.dense.weight).abs().max()
    assert 0 < moved < 1e-2


def test_options_of_a_loss_reach_it(files, tmp_path):
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 0, 1])
    job = ClassificationJob(files["single"], files["single"], config="tiny", loss="focal", loss_options={"gamma": 0.5})
    loss = job.training_loss(SINGLE, list(WORDS))
    torch.testing.assert_close(loss({"logits": logits}, labels), hf_ext.losses.focal_loss(logits, labels, gamma=0.5))
    examples = [{"label": label} for label in "aaabbc"]
    job = ClassificationJob(files["single"], files["single"], config="tiny", loss="logit_adjusted")
    loss = job.training_loss(examples, ["b", "a", "c"])
    wanted = hf_ext.losses.logit_adjusted_loss(logits, labels, prior=[2, 3, 1])
    torch.testing.assert_close(loss({"logits": logits}, labels), wanted)
    more = {"--config": "tiny", "--max-steps": 1, "--loss": "focal", "--loss-option": "gamma"}
    result = run("train", "classification", *options(files["single"], tmp_path, **more))
    assert result.exit_code != 0
    assert "must be NAME=VALUE" in result.output
    more["--loss-option"] = "beta=1"
    result = run("train", "classification", *options(files["single"], tmp_path, **more))
    assert "options of 'focal' must be among" in str(result.exception)


def test_training_goes_on_with_a_trained_head_that_has_the_classes(files, tmp_path):
    names = ["water", "fruit", "metal"]
    fields = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    classes = {"make": hf_ext.RoFormerForSequenceClassification, "config_class": hf_ext.RoFormerConfig}
    saved(tmp_path / "trained", texts=(row["text"] for row in SINGLE), **classes, **fields)
    job = ClassificationJob(files["single"], files["single"], model=str(tmp_path / "trained"))
    suffix = "ForSequenceClassification"
    assert job.head_labels(sorted(names), suffix) == job.head_labels(["fruit", "metal"], suffix) == names
    assert job.head_labels(["0", "1"], "ForSpanExtraction") == ["0", "1"]
    with pytest.raises(ValueError, match="head for the labels fruit, metal, water, which train_file's 0 are not among"):
        job.head_labels(["0", "metal"], suffix)


def test_classes_that_are_named_need_not_be_in_the_training_file(tmp_path):
    """Whatever their order is there or in the alphabet, and also those of the validation file alone."""
    (tmp_path / "train.tsv").write_text("金\tmetal\n苹\tfruit\n", encoding="utf-8")
    (tmp_path / "dev.tsv").write_text("江\twater\n", encoding="utf-8")
    given = {"train_file": tmp_path / "train.tsv", "validation_file": tmp_path / "dev.tsv"}
    names = ["water", "metal", "stone", "fruit"]
    job = ClassificationJob(**given, config="tiny", labels=names)
    assert job.labels_are_named
    assert not ClassificationJob(**given, config="tiny").labels_are_named
    files = job.read()
    assert files.labels == names
    tokenizer = job.load_tokenizer("金苹江")
    model = job.load_model(tokenizer, files)
    assert model.config.id2label == dict(enumerate(names))
    assert job.encode(files.train, tokenizer, model)["labels"] == [1, 3]
    with pytest.raises(ValueError, match=r"dev\.tsv:1: label must be one of fruit, metal, got 'water'"):
        ClassificationJob(**given, config="tiny").read()
    with pytest.raises(ValueError, match=r"train\.tsv:2: label must be one of water, metal, got 'fruit'"):
        ClassificationJob(**given, config="tiny", labels=names[:2]).read()
    many = ["metal", *map(str, range(20))]
    with pytest.raises(ValueError, match=r"one of metal, 0, 1, 2, 3, 4, 5, 6, \.\.\. \(21 in all\), got 'fruit'"):
        ClassificationJob(**given, config="tiny", labels=many).read()
    wanted = "train_file must have all classes for the loss 'logit_adjusted', or its prior be given, got none of water"
    with pytest.raises(ValueError, match=wanted):
        ClassificationJob(**given, config="tiny", labels=names, loss="logit_adjusted").read()
    prior = {"prior": [1, 2, 3, 4]}
    ClassificationJob(**given, config="tiny", labels=names, loss="logit_adjusted", loss_options=prior).read()


@pytest.mark.parametrize("labels", [[], ["a", "a"], ["a", " "], [1, 2]], ids=str)
def test_classes_are_named_by_different_strings(labels):
    with pytest.raises(ValueError, match="labels must be the names of one class or more, all different, got"):
        ClassificationJob("a", "b", config="tiny", labels=labels)


def test_a_trained_head_keeps_its_order_if_it_has_the_classes_that_are_named(files, tmp_path):
    names = ["water", "fruit", "metal"]
    fields = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    classes = {"make": hf_ext.RoFormerForSequenceClassification, "config_class": hf_ext.RoFormerConfig}
    saved(tmp_path / "trained", texts=(row["text"] for row in SINGLE), **classes, **fields)
    given = {"train_file": files["single"], "validation_file": files["single"], "model": str(tmp_path / "trained")}
    assert ClassificationJob(**given, labels=sorted(names)).read().labels == names
    wanted = "labels must be those of the head that model has, water, fruit, metal, got fruit, metal, stone, water"
    with pytest.raises(ValueError, match=wanted):
        ClassificationJob(**given, labels=sorted([*names, "stone"])).read()
    # A head of another kind is not looked at.
    assert ClassificationJob(**given, labels=sorted(names), head="mean").read().labels == sorted(names)


def test_a_checkpoint_with_labels_in_another_order_is_not_gone_on_from(files, tmp_path):
    """Its weights would be taken for those of other labels."""

    def run_of(labels, steps, **more):
        job = ClassificationJob(files["single"], files["single"], config="tiny", max_length=8, labels=labels)
        job.keep_checkpoints = True
        given = {"eval_strategy": "no", "load_best_model_at_end": False, "save_strategy": "steps", "save_steps": 1}
        given |= {"max_steps": steps, "use_cpu": True, "disable_tqdm": True, **more}
        job.run(job.training_arguments(tmp_path / "model", **given))

    run_of(["fruit", "metal", "water"], 1)
    resumed = {"resume_from_checkpoint": "True"}
    for labels in (["fruit", "water", "metal"], ["fruit", "stone", "metal", "water"]):
        with pytest.raises(ValueError, match=f"got 'metal' for '{labels[1]}' as the label 1 in .*checkpoint-1"):
            run_of(labels, 2, **resumed)
    run_of(["fruit", "metal", "water"], 2, **resumed)
    assert (tmp_path / "model" / "checkpoint-2").is_dir()


def test_labels_are_in_the_order_of_the_head():
    tokenizer = build_char_tokenizer(["好"])
    label2id = {"b": 0, "a": 1, "c": 2}
    rows = [{"text": "好", "labels": ["a", "c"]}, {"text": "好好", "labels": []}]
    assert encode_labelled_texts(rows, tokenizer, label2id, 8)["labels"] == [[0, 1, 1], [0, 0, 0]]
    assert encode_labelled_texts([{"text": "好", "label": "c"}], tokenizer, label2id, 8)["labels"] == [2]
    row = encode_labelled_texts([{"text": "好" * 9, "text2": "好好", "label": "c"}], tokenizer, label2id, 8)[0]
    assert len(row["input_ids"]) == 8
    assert sum(row["token_type_ids"]) == 3


def test_scores_are_those_of_scikit_learn():
    from sklearn import metrics

    rng, names = np.random.default_rng(0), ["a", "b", "c", "d"]
    true, logits = rng.integers(0, 3, 50), rng.standard_normal((50, 4))
    scores = scores_of_prediction(EvalPrediction(logits, true), dict(enumerate(names)), False)
    found = logits.argmax(-1)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(true, found))
    assert scores["f1"] == pytest.approx(scores["accuracy"])
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(true, found, average="macro"))
    each = metrics.f1_score(true, found, average=None, labels=range(4), zero_division=0)
    assert [scores["per_type"][name]["f1"] for name in names] == pytest.approx(each)

    true = (rng.random((50, 4)) > 0.6).astype(int)
    scores = scores_of_prediction(EvalPrediction(logits, true), dict(enumerate(names)), True)
    found = (logits > 0).astype(int)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(true, found))
    for average, key in (("micro", "f1"), ("macro", "macro_f1")):
        assert scores[key] == pytest.approx(metrics.f1_score(true, found, average=average))
    short = classification_compute_metrics(dict(enumerate(names)), True)(EvalPrediction(logits, true))
    assert short == {name: scores[name] for name in ("accuracy", "precision", "recall", "f1", "macro_f1")}


def test_scores_of_wrong_input_are_refused():
    with pytest.raises(ValueError, match="got 1 and 2"):
        classification_scores([["a"]], [["a"], ["b"]])
    with pytest.raises(ValueError, match="got 0 and 0"):
        classification_scores([], [])
    with pytest.raises(ValueError, match=r"logits must have shape \[N, 2\], got \[3, 4\]"):
        predicted_classes(np.zeros((3, 4)), {0: "a", 1: "b"}, False)


@pytest.mark.parametrize(
    ("train", "validation", "settings", "message"),
    [
        ("", "a\tx", {}, r"train_file must have texts, got none in .*train\.txt"),
        ("a\tx\nb\ty", "", {}, r"validation_file must have texts, got none in .*validation\.txt"),
        ("a\tx\nb\tx", "a\tx", {}, r"at least two classes, got \['x'\]"),
        ('{"text": "a", "labels": []}', '{"text": "a", "labels": []}', {}, r"at least a class, got \[\]"),
        ("a\tx\nb\ty", "c\tz", {}, r"validation\.txt:1: label must be one of x, y, got 'z'"),
        ("a\tx\nb\ty", "c\td\tx", {}, "rows of one kind, got text, label and text, text2, label"),
        ("a\tx\nb\ty", "c\tx", {"loss": "binary_focal"}, "loss must be one of cross_entropy, .* with one class"),
        ('{"text": "a", "labels": ["x"]}', '{"text": "a", "labels": []}', {"loss": "dice"}, "any number of classes"),
        ("a\tx\nb\ty", "c\tx", {"config": "huge"}, "config must be a folder or one of the sizes"),
    ],
)  # fmt: skip
def test_jobs_that_cannot_be_done_are_refused(train, validation, settings, message, tmp_path):
    for name, content in (("train", train), ("validation", validation)):
        (tmp_path / f"{name}.txt").write_text(content)
    job = ClassificationJob(tmp_path / "train.txt", tmp_path / "validation.txt", **{"config": "tiny", **settings})
    with pytest.raises(ValueError, match=message):
        job.run(TrainingArguments(tmp_path, use_cpu=True))


@pytest.mark.parametrize(("settings", "got"), [({}, "neither"), ({"model": "a", "config": "b"}, "both")])
def test_a_start_is_needed(settings, got, files):
    with pytest.raises(ValueError, match=f"got {got}"):
        ClassificationJob(files["single"], files["single"], **settings)


def job_of(files, kind="single", **options):
    return ClassificationJob(files[kind], files[kind], config="tiny", **options)


def test_weights_of_classes(files):
    rows = [{"text": "a", "label": name} for name in "xxxxyyz"]
    assert job_of(files).weights_of_classes(rows, "xyz") is None
    # In the ratio of the inverse counts, 1 on average.
    inverse = np.array([1 / 4, 1 / 2, 1])
    balanced = job_of(files, balance_classes=True).weights_of_classes(rows, "xyz")
    assert balanced == pytest.approx(3 * inverse / inverse.sum())
    assert job_of(files, class_weights={"y": 3, "z": 0.5}).weights_of_classes(rows, "xyz") == [1.0, 3.0, 0.5]


@pytest.mark.parametrize("loss", [None, "focal"])
def test_weights_weigh_the_loss(loss, files):
    names, logits, labels = sorted(WORDS), torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    plain, weighted = (
        job_of(files, loss=loss, class_weights=weights).training_loss(SINGLE, names)
        for weights in ({}, {"metal": 5.0, "water": 0})
    )

    def each(function):
        rows = [{"logits": logits[row : row + 1]} for row in range(6)]
        return [float(function(row, labels[at : at + 1])) for at, row in enumerate(rows)]

    factors = {"metal": 5.0, "water": 0.0}
    wanted = [factors.get(names[label], 1.0) * value for label, value in zip(labels.tolist(), each(plain))]
    assert each(weighted) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("single", {"balance_classes": True, "class_weights": {"metal": 1}}, "either balance_classes or class_weights"),
        ("single", {"class_weights": {"stone": 1}}, "class_weights must be of fruit, metal, water, got one of 'stone'"),
        ("single", {"class_weights": {"metal": -1}}, "class_weights must be numbers of at least 0, got -1 for 'metal'"),
        ("single", {"class_weights": {"metal": "much"}}, "must be numbers of at least 0, got 'much' for 'metal'"),
        ("single", {"balance_classes": True, "loss": "dice"}, "one of cross_entropy, focal, got 'dice'"),
        ("single", {"balance_classes": True, "loss_options": {"weight": [1, 1, 1]}}, "must be given once"),
        ("multi", {"balance_classes": True}, "left out for texts with any number of classes, got 'multilabel_softmax'"),
    ],
)
def test_weights_without_effect_are_refused(kind, given, message, files):
    rows = SINGLE if kind == "single" else MULTI
    with pytest.raises(ValueError, match=message):
        job_of(files, kind, **given).training_loss(rows, sorted(WORDS))
