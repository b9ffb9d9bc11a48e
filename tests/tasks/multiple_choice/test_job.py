"""Training on questions with choices by the command line, and what a model says of others."""

import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, pipeline
from typer.testing import CliRunner

from hf_ext import build_char_tokenizer
from hf_ext.cli import app
from hf_ext.tasks.multiple_choice import (
    ChoiceEncoder,
    MultipleChoiceJob,
    MultipleChoicePipeline,
    MultipleChoiceTrainer,
    decode_assignment,
    read_choices,
)

IDIOMS = ["画蛇添足", "不约而同", "本末倒置", "急功近利"]


def lines_of_chid(count, seed, first):
    """A blank of each line names its idiom beside it."""
    rng, lines, answers = random.Random(seed), [], {}
    for _ in range(count):
        candidates = rng.sample(IDIOMS, 4)
        right = rng.sample(range(4), 2)
        blanks = [f"#idiom{first + len(answers) + number:06}#" for number in range(2)]
        answers |= dict(zip(blanks, right))
        passages = [f"他{candidates[index]}是{blank}。" for index, blank in zip(right, blanks)]
        lines.append({"candidates": candidates, "content": passages})
    return lines, answers


@pytest.fixture(scope="module")
def chid(tmp_path_factory):
    """Files of ChID, and the folder."""
    folder = tmp_path_factory.mktemp("chid")
    for name, count, seed in (("train", 40, 0), ("dev", 6, 1)):
        lines, answers = lines_of_chid(count, seed, 1000 * seed)
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.json").write_text(content, encoding="utf-8")
        (folder / f"{name}_answer.json").write_text(json.dumps(answers), encoding="utf-8")
    lines, _ = lines_of_chid(3, 2, 5000)
    (folder / "test.json").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return folder


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def trained(chid):
    words = ("--train-file", chid / "train.json", "--validation-file", chid / "dev.json", "--max-length", 32)
    config = BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    config.save_pretrained(chid / "config")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
        done = run(
            *("train", "multiple-choice", *words, "--config", chid / "config", "--output-dir", chid / "model"),
            *("--max-steps", 3, "--use-cpu", "--seed", 1, "--gradient-checkpointing"),
        )
    assert done.exit_code == 0, done.output
    return chid / "model", done.output


def test_a_run_says_its_head_and_its_decoding(trained):
    folder, printed = trained
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert {name: scores[name] for name in ("head", "decoding")} == {"head": "first_token", "decoding": "assignment"}
    ways = ", ".join(f"{way} {scores[f'accuracy_{way}']:.4f}" for way in ("argmax", "greedy", "assignment"))
    assert f"accuracy {scores['accuracy']:.4f} (head first_token, by assignment; {ways})" in " ".join(printed.split())
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["BertForLinearChoice"]
    card = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    assert "| head | first_token |" in card
    assert "one linear layer over the first token" in card


def test_evaluations_may_decode_otherwise(trained, chid, tmp_path):
    folder, _ = trained
    done = run("evaluate", folder, "--file", chid / "dev.json", "--use-cpu", "--output", tmp_path / "scores.json")
    assert done.exit_code == 0, done.output
    kept = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert json.loads((tmp_path / "scores.json").read_text(encoding="utf-8")) == pytest.approx(kept)


def test_predictions_have_the_choice_and_the_logits_of_those_that_are_there():
    """Two questions of a group, and one of two choices alone."""
    examples = [{"text": "a", "choices": ["b", "c", "d"], "group": 0}] * 2 + [{"text": "a", "choices": ["b", "c"]}]
    found = np.array([[9.0, 8.0, 0.0], [8.5, 1.0, 0.0], [1.0, 2.0, -np.inf]])
    wanted = {None: [1, 0, 1], "argmax": [0, 0, 1], "greedy": [0, 1, 1]}
    for decoding, labels in wanted.items():
        job = MultipleChoiceJob("a", "b", config="tiny", decoding=decoding)
        assert job.predictions(found, examples, None) == [
            {"label": labels[0], "logits": [9.0, 8.0, 0.0]},
            {"label": labels[1], "logits": [8.5, 1.0, 0.0]},
            {"label": labels[2], "logits": [1.0, 2.0]},
        ]


def test_predictions_are_those_of_each_row_alone(trained, chid, tmp_path):
    """By the model itself, a row at a time; then decoded line by line."""
    folder, _ = trained
    questions = read_choices(chid / "test.json")
    pick: Any = pipeline("multiple-choice", model=str(folder), device="cpu")
    assert isinstance(pick, MultipleChoicePipeline)
    encoder, logits = pick.collator.encoder, []
    for question in questions:
        rows = encoder([question])[0]
        with torch.no_grad():
            logits.append([float(pick.model(input_ids=torch.tensor([[row]])).logits) for row in rows])
    np.testing.assert_allclose(np.stack(pick.score_choices(questions, batch_size=4)), logits, atol=1e-5)
    wanted = decode_assignment(logits, [one["group"] for one in questions]).tolist()
    for found in (pick(questions), pick(iter(questions), batch_size=1), pick(questions, decoding="assignment")):
        assert [one[0]["index"] for one in found] == wanted
    assert [one[0]["index"] for one in pick(questions, decoding="argmax")] == np.argmax(logits, -1).tolist()
    (best, *others) = pick(questions, top_k=9)[0]
    probabilities = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert best["choice"] == questions[0]["choices"][wanted[0]]
    assert {one["index"]: one["score"] for one in (best, *others)} == pytest.approx(dict(enumerate(probabilities)))
    assert [one["score"] for one in others] == sorted((one["score"] for one in others), reverse=True)

    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in questions), encoding="utf-8")
    done = run("predict", folder, "--file", file, "--device", "cpu", "--dtype", "float32")
    assert done.exit_code == 0, done.output
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["answers"][0]["index"] for one in printed] == wanted
    assert [{name: one[name] for name in questions[0]} for one in printed] == questions


def test_what_cannot_be_answered_is_refused(trained):
    pick: Any = pipeline("multiple-choice", model=str(trained[0]), device="cpu")
    question = {"text": "好#idiom1#", "blank": "#idiom1#", "choices": IDIOMS}
    assert len(pick({**question, "choices": IDIOMS[:1]})) == 1
    for wrong, error, message in (
        ("好", TypeError, "a question must be a mapping with text and choices, got str"),
        ({"text": "好"}, ValueError, "a question must have text and choices, got text"),
        ({**question, "choices": "一二"}, ValueError, "choices must be a list of strings, got '一二'"),
        ({**question, "choices": [3]}, TypeError, "texts and choices must be strings, got int"),
        ({**question, "blank": "#idiom2#"}, ValueError, "blank must stand in the text once, got '#idiom2#'"),
    ):
        with pytest.raises(error, match=message):
            pick([wrong])
    one, other = {**question, "group": 1}, {**question, "group": 2}
    with pytest.raises(ValueError, match="questions of a group must stand together, got group 1 a second time"):
        pick([one, other, one])
    with pytest.raises(ValueError, match="questions of a group must have the same choices, got others in group 1"):
        pick([one, {**one, "choices": IDIOMS[:2]}])
    for options, message in (({"decoding": "best"}, "decoding must be one of"), ({"top_k": 0}, "top_k must be at")):
        with pytest.raises(ValueError, match=message):
            pick([question], **options)


LINE = {"text": "今天", "question": "谁", "choices": ["甲", "乙", "丙"], "label": 1}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([LINE], {"decoding": "greedy"}, "decoding=greedy needs questions with a group, got none in"),
        (
            [{**LINE, "label": 2}],
            {"num_choices": 2, "padding_choice": "无"},
            "num_choices must take in every right choice, the one of number 3 too that is in .*, got 2",
        ),
        ([{**LINE, "label": None}], {}, "train_file must have label, got a file to be predicted"),
        ([], {}, "train_file must have questions, got none in"),
    ],
)
def test_files_and_options_that_do_not_fit(rows, options, message, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    job = MultipleChoiceJob(file, file, config="tiny", **options)
    with pytest.raises(ValueError, match=message):
        job.run(job.training_arguments(tmp_path / "out", use_cpu=True))


def small(folder, **options):
    """A job on a few questions of two and three choices, and its folder's encoder."""
    rows = [LINE, {**LINE, "choices": ["甲", "乙"]}, {**LINE, "text": "去年", "label": 2}, {**LINE, "label": 0}]
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tokenizer = build_char_tokenizer(["今天去年谁甲乙丙无"])
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    AutoModel.from_config(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    return MultipleChoiceJob(file, file, model=str(folder / "encoder"), max_length=16, **options)


def test_choices_beyond_the_number_are_left_out_where_none_is_right(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(LINE) + "\n", encoding="utf-8")
    job = MultipleChoiceJob(file, file, config="tiny", num_choices=2, padding_choice="无")
    examples = job.read_evaluation(file, [])
    tokenizer = build_char_tokenizer(["今天谁甲乙丙无"])
    encoder = ChoiceEncoder(tokenizer, 16, job.num_choices, job.padding_choice)
    assert encoder.choices_of(examples[0]) == ["甲", "乙"]
    assert [len(row) for row in encoder(examples)] == [2]


@pytest.mark.parametrize(
    "options",
    [{"head": "own"}, {"padding_choice": "无", "num_choices": 4}],
    ids=["own", "padded"],
)
def test_other_ways_of_missing_choices(options, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    job = small(tmp_path, **options)
    arguments = job.training_arguments(tmp_path / "out", use_cpu=True, max_steps=1, disable_tqdm=True)
    scores = job.run(arguments)
    assert scores["head"] == options.get("head", "first_token")
    pick: Any = pipeline("multiple-choice", model=str(tmp_path / "out"), device="cpu")
    rows = read_choices(tmp_path / "rows.jsonl")
    found = [len(one) for one in pick(rows, top_k=9)]
    assert found == ([4] * 4 if "num_choices" in options else [3, 2, 3, 3])
    right = np.mean([one[0]["index"] == row["label"] for one, row in zip(pick(rows), rows)])
    assert scores["accuracy"] == pytest.approx(right)


def test_adapters_keep_the_head(tmp_path):
    """LoRA trains the new head as a whole, and a pipeline opens what is saved."""
    from peft import LoraConfig, get_peft_model

    job = small(tmp_path)
    tokenizer = job.load_tokenizer(())
    model = job.load_model(tokenizer, job.read())
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2))
    names = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert any("classifier.modules_to_save" in name for name in names)
    options = job.evaluation_options(tokenizer, adapted, None)  # type: ignore[arg-type]
    arguments = job.training_arguments(
        tmp_path / "out",
        use_cpu=True,
        max_steps=1,
        eval_strategy="no",
        save_strategy="no",
        load_best_model_at_end=False,
    )
    trainer = MultipleChoiceTrainer(adapted, arguments, train_dataset=job.read().train, **options)
    trainer.train()
    adapted.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    pick: Any = pipeline("multiple-choice", model=str(tmp_path / "adapter"), device="cpu")
    rows = read_choices(tmp_path / "rows.jsonl")
    trainer.args.per_device_eval_batch_size = 2
    wanted = trainer.predict(rows).predictions
    found = pick.score_choices(rows)
    assert [len(one) for one in found] == [3, 2, 3, 3]
    for own, row in zip(found, wanted):
        np.testing.assert_allclose(own, row[: len(own)], atol=1e-5)
