"""T5-PEGASUS under Seq2SeqTrainer, and the summarization job and command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)
from typer.testing import CliRunner

from hf_ext import T5PegasusConfig, T5PegasusForConditionalGeneration, build_char_tokenizer
from hf_ext.cli import app
from hf_ext.data import encode_summaries
from hf_ext.tasks.summarization.job import SummarizationJob

EXAMPLES = [
    {"text": f"{a}的{b}研究了{c}，结果很好。" * (1 + i % 3), "summary": f"{a}研究{c}" + "好" * (i % 4)}
    for i, (a, b, c) in enumerate(
        (a, b, c) for a in ("大学", "公司") for b in ("老师", "学生") for c in ("语言", "模型", "电脑", "天气")
    )
]


@pytest.fixture
def tokenizer():
    return build_char_tokenizer([text for example in EXAMPLES for text in example.values()])


def tiny(tokenizer, **fields):
    torch.manual_seed(0)
    ids = {"decoder_start_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    shape = {"d_model": 16, "d_ff": 24, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    return T5PegasusForConditionalGeneration(T5PegasusConfig(vocab_size=len(tokenizer), **ids, **shape, **fields))


def arguments(folder, **fields):
    settings = {
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "learning_rate": 1e-2,
        "save_strategy": "no",
    }
    return Seq2SeqTrainingArguments(str(folder), **(settings | fields))


def test_accumulation_changes_nothing(tmp_path, tokenizer):
    """Targets of different lengths: the loss is of tokens, so it must not be averaged over parts."""
    rows = encode_summaries(EXAMPLES, tokenizer, tokenizer.cls_token_id, 32, 16)
    assert len({len(row["labels"]) for row in rows}) > 2
    histories, weights = [], []
    for accumulation in (1, 4):
        model = tiny(tokenizer)
        trainer = Seq2SeqTrainer(
            model=model,
            args=arguments(
                tmp_path,
                max_steps=2,
                per_device_train_batch_size=8 // accumulation,
                gradient_accumulation_steps=accumulation,
                train_sampling_strategy="sequential",
            ),
            train_dataset=rows,
            processing_class=tokenizer,
            data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        )
        trainer.train()
        histories.append([(log["loss"], log["grad_norm"]) for log in trainer.state.log_history if "loss" in log])
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-4)
    torch.testing.assert_close(weights[0], weights[1], atol=1e-5, rtol=1e-4)


def write(folder):
    files = []
    for name, part in (("train", EXAMPLES), ("validation", EXAMPLES[::5])):
        path = folder / f"{name}.tsv"
        path.write_text("".join(f"{e['summary']}\t{e['text']}\n" for e in part), encoding="utf-8")
        files.append(path)
    return files


@pytest.mark.slow
def test_job_learns_and_its_model_writes_the_same_in_a_new_process(tmp_path):
    """From scratch on a grammar: it learns it by heart; what the folder gives elsewhere is what was scored."""
    train, validation = write(tmp_path)
    job = SummarizationJob(train, validation, config="tiny", max_source_length=48, max_target_length=12)
    fields = {
        "max_steps": 40,
        "per_device_train_batch_size": 16,
        "learning_rate": 3e-3,
        "eval_strategy": "steps",
        "eval_steps": 20,
        "save_strategy": "steps",
        "save_steps": 20,
        "load_best_model_at_end": True,
        "metric_for_best_model": "rougeL",
        "train_sampling_strategy": "group_by_length",
        "logging_steps": 30,
    }
    output = tmp_path / "out"
    scores = job.run(arguments(output, **fields))
    assert scores == json.loads((output / "scores.json").read_text())
    assert scores["rougeL"] > 0.8
    assert (output / "curves.png").stat().st_size > 1000
    lines = (output / "summaries.jsonl").read_text(encoding="utf-8").splitlines()
    written = [json.loads(line)["written"] for line in lines]
    assert [json.loads(line)["summary"] for line in lines] == [e["summary"] for e in EXAMPLES[::5]]

    code = f"""
from hf_ext.data import decode_summaries
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
tokenizer, model = (auto.from_pretrained({str(output)!r}) for auto in (AutoTokenizer, AutoModelForSeq2SeqLM))
texts = {[e["text"] for e in EXAMPLES[::5]]!r}
inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
print(type(model).__name__, *decode_summaries(tokenizer, model.generate(**inputs)), sep="\\n")
"""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["T5PegasusForConditionalGeneration", *written]


class TestJob:
    def test_needs_a_model_or_a_config(self):
        for options in ({}, {"model": "a", "config": "b"}):
            with pytest.raises(ValueError, match=r"give either model .* or config"):
                SummarizationJob(Path("a"), Path("b"), **options)

    @pytest.mark.parametrize("name", ["train_file", "validation_file"])
    def test_refuses_empty_files(self, tmp_path, name):
        files = dict(zip(("train_file", "validation_file"), write(tmp_path)))
        files[name].write_text("\n")
        with pytest.raises(ValueError, match=f"{name} must have texts with summaries"):
            SummarizationJob(**files, config="tiny").run(arguments(tmp_path / "out"))

    def test_refuses_a_tokenizer_with_more_tokens(self, tmp_path, tokenizer):
        tiny(tokenizer).save_pretrained(tmp_path / "model")
        larger = build_char_tokenizer(["甲乙丙丁戊己庚辛壬癸" + e["text"] + e["summary"] for e in EXAMPLES])
        with pytest.raises(ValueError, match=f"at most the model's {len(tokenizer)} tokens, got {len(larger)}"):
            SummarizationJob(Path("a"), Path("b"), model=str(tmp_path / "model")).load_model(larger)

    def test_any_family_from_a_config(self, tmp_path, tokenizer):
        BartConfig(
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            max_position_embeddings=40,
        ).save_pretrained(tmp_path)
        job = SummarizationJob(Path("a"), Path("b"), config=str(tmp_path), max_source_length=40)
        with pytest.raises(ValueError, match="max_target_length must be at most the model's 40 positions, got 64"):
            job.load_model(tokenizer)
        job.max_target_length = 12
        model = job.load_model(tokenizer)
        assert type(model).__name__ == "BartForConditionalGeneration"
        assert model.config.decoder_start_token_id == tokenizer.cls_token_id
        assert model.config.vocab_size == len(tokenizer)


def test_command_fine_tunes_what_it_trained(tmp_path):
    train, validation = write(tmp_path)
    common = ["train", "summarization", "--train-file", train, "--validation-file", validation]
    common += ["--max-source-length", 32, "--max-target-length", 10, "--max-steps", 2, "--use-cpu", "true"]
    first = ["--config", "tiny", "--output-dir", tmp_path / "first", "--generation-num-beams", 2]
    second = ["--model", tmp_path / "first", "--output-dir", tmp_path / "second", "--gradient-accumulation-steps", 2]
    for options in (first, second):
        result = CliRunner().invoke(app, [*map(str, common), *map(str, options)])
        assert result.exit_code == 0, result.output
        for title in ("Rouge-1", "Rouge-2", "Rouge-L", "BLEU"):
            assert title in result.output
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "second")
    assert (model.generation_config.max_length, model.generation_config.num_beams) == (11, 2)
    assert [*AutoTokenizer.from_pretrained(tmp_path / "second")("好")] == ["input_ids", "attention_mask"]


def test_command_says_what_is_wrong_with_a_file(tmp_path):
    train, validation = write(tmp_path)
    validation.write_text("没有第二列\n", encoding="utf-8")
    options = ["--train-file", train, "--validation-file", validation, "--output-dir", tmp_path / "out"]
    result = CliRunner().invoke(app, ["train", "summarization", "--config", "tiny", *map(str, options)])
    assert result.exit_code == 1
    assert f"{validation}:1: a line must be a summary, a tab and a text" in str(result.exception)
