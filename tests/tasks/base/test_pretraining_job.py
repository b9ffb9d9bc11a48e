"""Pre-training: every objective from texts to a model that loads; the same run over a break; held-out loss by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertTokenizer,
    pipeline,
)
from typer.testing import CliRunner

import hf_ext
from hf_ext import TTAConfig
from hf_ext.cli import app
from hf_ext.tasks.base.command import jobs_of_command
from hf_ext.tasks.base.job_parser import JobParser, OptionError
from hf_ext.tasks.paraphrase import SimBERTPretrainingJob
from hf_ext.tasks.pretraining import (
    AllTokensJob,
    CausalLanguageModelingJob,
    DocumentEncoder,
    MaskedLanguageModelingJob,
    PseudoSummaryJob,
    WholeWordMaskingJob,
)

JOBS = {
    "mlm": MaskedLanguageModelingJob,
    "wwm": WholeWordMaskingJob,
    "lm": CausalLanguageModelingJob,
    "t-ta": AllTokensJob,
    "pegasus": PseudoSummaryJob,
    "simbert": SimBERTPretrainingJob,
}
SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
PLACES = ["北京", "上海城", "天津", "南京", "公园"]


def document(number: int) -> str:
    return "".join(f"今天{'很' * (number % 4)}好，我们去{PLACES[(number + n) % 5]}。" for n in range(1 + number % 5))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """No curves, which take longer than the training; and a RoFormer stands in for a model that is blind to itself."""
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    monkeypatch.setattr("hf_ext.training.stream_trainer.matmul_peak", lambda *_: 1e12)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 40 documents, and of sentences with synonyms; configs."""
    folder = tmp_path_factory.mktemp("texts")
    numbers = range(40)
    (folder / "texts.txt").write_text("".join(f"{document(n)}\n" for n in numbers), encoding="utf-8")
    rows = [{"text": document(n)[:9], "synonyms": [f"{PLACES[n % 5]}{n}", f"去{PLACES[n % 5]}"]} for n in numbers]
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "pairs.jsonl").write_text("".join(lines), encoding="utf-8")
    dropout = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2, "initializer_range": 0.2}
    hf_ext.RoFormerConfig(**SIZE, **dropout).save_pretrained(folder / "roformer")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    hf_ext.T5PegasusConfig(**sizes, dropout_rate=0.2).save_pretrained(folder / "pegasus")
    return folder


def make(name: str, texts: Path, **more: Any) -> Any:
    config = texts / ("pegasus" if name == "pegasus" else "roformer")
    file = texts / ("pairs.jsonl" if name == "simbert" else "texts.txt")
    options = {"held_out": 5, "shuffle_buffer": 7, "max_length": 32, "keep_checkpoints": True}
    start = {} if "model" in more else {"config": str(config)}
    return JOBS[name](file, **{**options, **start, **more})


def train(name: str, texts: Path, output: Path, steps: int = 6, job: Any = None, **more: Any) -> dict[str, Any]:
    job = job or make(name, texts)
    settings = {"use_cpu": True, "disable_tqdm": True, "per_device_train_batch_size": 3, "logging_steps": 1}
    settings |= {"save_steps": 2, "eval_steps": 4, "max_steps": steps, "save_total_limit": None}
    scores: dict[str, Any] = job.run(job.training_arguments(output, **{**settings, **more}))
    return scores


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RoFormer in place of a model that does not see its own tokens."""
    monkeypatch.setattr("hf_ext.tasks.pretraining.all_tokens.BLIND_TO_ITSELF", ("roformer",))


def log(folder: Path, first: int = 1) -> list[dict[str, float]]:
    entries = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return [entry for entry in entries if "loss" in entry and entry["step"] >= first]


@pytest.mark.parametrize("name", JOBS)
def test_every_objective_trains_and_goes_on_inside_an_epoch(name, texts, tmp_path, blind):
    """The break is inside the second epoch of blocks; what comes after it is what would have come without."""
    scores = train(name, texts, tmp_path / "whole", steps=14)
    train(name, texts, tmp_path / "resumed", steps=14, resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-12"))
    state = json.loads((tmp_path / "whole" / "checkpoint-12" / "trainer_state.json").read_text(encoding="utf-8"))
    place = state["stateful_callbacks"]["StreamPlace"]["attributes"]["place"]
    assert place > [0, 0, 0]
    wanted, found = log(tmp_path / "whole", 13), log(tmp_path / "resumed", 13)
    assert len(wanted) == len(found) == 2
    for one, other in zip(wanted, found):
        assert {key: other[key] for key in ("step", "epoch")} == {key: one[key] for key in ("step", "epoch")}
        assert [other[key] for key in ("loss", "grad_norm")] == pytest.approx(
            [one[key] for key in ("loss", "grad_norm")], rel=1e-4
        )
    weights = [load_file(tmp_path / run / "model.safetensors") for run in ("whole", "resumed")]
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)
    # It learns, and says how fast.
    whole = log(tmp_path / "whole")
    assert whole[0]["grad_norm"] > 1e-3
    assert all(entry["tokens_per_second"] > 0 for entry in whole)
    assert all(entry["share_of_peak"] >= 0 and entry["operations_per_token"] > 1000 for entry in whole)
    saved = json.loads((tmp_path / "whole" / "scores.json").read_text(encoding="utf-8"))
    assert saved == scores
    assert JOBS[name].metric in scores
    card = (tmp_path / "whole" / "README.md").read_text(encoding="utf-8")
    assert f"`hf-ext pretrain {name}`" in card
    assert "(held out)" in card


@pytest.mark.parametrize("name", ["wwm", "lm", "t-ta", "pegasus", "simbert"])
def test_methods_of_training_are_those_of_pre_training_too(name, texts, tmp_path, blind):
    """Many at once, and over a break."""
    options: dict[str, Any] = {"adversarial": "fgm", "initialization": "lecun", "residual_ramp": 3, "ema_decay": 0.5}
    options |= {"penalty": "weissi", "penalty_weight": 0.1, "penalty_pattern": r".*\.(value|v)\.weight"}
    if name == "pegasus":
        with pytest.raises(ValueError, match="model must have one stack of blocks"):
            train(name, texts, tmp_path / "refused", steps=4, job=make(name, texts, layer_decay=0.9))
    else:
        options["layer_decay"] = 0.9
    job = make(name, texts, **options)
    train(name, texts, tmp_path / "whole", steps=4, job=job)
    train(name, texts, tmp_path / "resumed", 4, job, resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    one, other = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "resumed"))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert all(bool(value.isfinite().all()) for value in one.values())
    assert not any("residual_alpha" in key for key in one)


def check_loss(scores: dict[str, Any], losses: list[torch.Tensor]) -> None:
    assert scores["held_out_loss"] == pytest.approx(float(torch.cat(losses).mean()), rel=1e-4)


def test_the_loss_of_next_tokens_is_that_of_each_text_alone(texts, tmp_path):
    scores = train("lm", texts, tmp_path / "lm")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "lm").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "lm")
    losses = []
    with torch.no_grad():
        for ids in DocumentEncoder(tokenizer, 32, whole_words=False)(document(n) for n in range(5))["input_ids"]:
            logits = model(torch.tensor([ids])).logits[0]
            losses.append(cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none"))
    check_loss(scores, losses)


def test_the_loss_of_all_tokens_is_that_of_each_text_alone(texts, tmp_path, blind):
    scores = train("t-ta", texts, tmp_path / "t-ta")
    model: Any = AutoModelForMaskedLM.from_pretrained(tmp_path / "t-ta").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "t-ta")
    losses = []
    with torch.no_grad():
        for ids in DocumentEncoder(tokenizer, 32, whole_words=False)(document(n) for n in range(5))["input_ids"]:
            losses.append(cross_entropy(model(torch.tensor([ids])).logits[0], torch.tensor(ids), reduction="none"))
    check_loss(scores, losses)


@pytest.fixture
def other_order(texts: Path, tmp_path: Path) -> str:
    """A folder with a tokenizer whose special tokens are last, in another order than in a released T-TA."""
    found = hf_ext.build_char_tokenizer(document(n) for n in range(40)).get_vocab()
    entries = [entry for entry in sorted(found, key=lambda entry: found[entry]) if not entry.startswith("[")]
    entries += ["[MASK]", "[SEP]", "[CLS]", "[UNK]", "[PAD]"]
    folder = tmp_path / "other"
    BertTokenizer({entry: number for number, entry in enumerate(entries)}).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("more", [{}, {"words": 5}, {"tokenizer": "other"}, {"config": "folder"}], ids=str)
def test_t_ta_is_made_to_be_scored_with(more, texts, tmp_path, other_order):
    """Its tokenizer gives what it takes, and its queries are of the mask token, whatever number that has."""
    if "config" in more:
        TTAConfig(**SIZE, max_position_embeddings=32).save_pretrained(tmp_path / "config")
        more = {"config": str(tmp_path / "config"), "tokenizer": other_order}
    elif "tokenizer" in more:
        more = {"tokenizer": other_order}
    job = make("t-ta", texts, **{"config": "tiny", **more})
    train("t-ta", texts, tmp_path / "out", steps=2, job=job)
    model: Any = AutoModelForMaskedLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.model_input_names == ["input_ids", "attention_mask"]
    ids = model.config.mask_token_id, model.config.bos_token_id, model.config.eos_token_id
    assert ids == (tokenizer.mask_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
    text = document(3)[:20]
    inputs = tokenizer(text, return_tensors="pt")
    found = pipeline("text-scoring", model=str(tmp_path / "out"), special_tokens=True)(text)
    assert found["score"] == pytest.approx(float(model.score(**inputs)), rel=1e-5)


@pytest.mark.parametrize("name", ["mlm", "wwm"])
def test_masks_of_an_evaluation_are_always_the_same_and_those_of_training_are_not(name, texts):
    job = make(name, texts)
    files = job.read()
    tokenizer = job.load_tokenizer(text for example in files.train for text in job.texts(example))
    model = job.load_model(tokenizer, files)
    rows = job.encode(files.validation, tokenizer, model)
    assert rows == job.encode(files.validation, tokenizer, model)
    for row in rows:
        asked = [place for place, label in enumerate(row["labels"]) if label != -100]
        assert asked
        words = {row["word_ids"][place] for place in asked}
        # All of a word or none.
        assert asked == [place for place, word in enumerate(row["word_ids"]) if word in words]
    arguments = job.training_arguments("never", max_steps=9, use_cpu=True, per_device_train_batch_size=2)
    batches = iter(job.trainer_options(tokenizer, model, files, arguments)["train_dataset"])
    found = [next(batches) for _ in range(30)]
    assert len({batch["labels"].tolist().__str__() for batch in found}) == 30
    share = sum(int((batch["labels"] != -100).sum()) for batch in found) / sum(b["labels"].numel() for b in found)
    assert 0.08 < share < 0.3


def test_held_out_documents_are_not_trained_on(texts):
    files = make("mlm", texts).read()
    assert [example["text"] for example in files.validation] == [document(n) for n in range(5)]
    assert [example["text"] for example in files.train.stream] == [document(n) for n in range(5, 40)]
    own = make("mlm", texts, validation_file=texts / "texts.txt", held_out=2).read()
    assert [example["text"] for example in own.validation] == [document(n) for n in range(2)]
    assert len(list(own.train.stream)) == 40


def test_words_are_tokens_from_scratch_and_of_a_model_that_goes_on(texts, tmp_path):
    characters = hf_ext.build_char_tokenizer([document(n) for n in range(40)])
    config = BertConfig(**SIZE, vocab_size=len(characters))
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    characters.save_pretrained(tmp_path / "bert")
    scratch = make("wwm", texts, words=3)
    train("wwm", texts, tmp_path / "scratch", job=scratch, steps=2)
    further = make("wwm", texts, words=3, model=str(tmp_path / "bert"))
    train("wwm", texts, tmp_path / "further", job=further, steps=2, learning_rate=0.0, weight_decay=0.0)
    for run in ("scratch", "further"):
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / run)
        assert isinstance(tokenizer, hf_ext.JiebaWordPieceTokenizer)
        assert tokenizer.tokenize("今天我们") == ["今天", "我们"]
        model: Any = AutoModelForMaskedLM.from_pretrained(tmp_path / run)
        assert model.config.vocab_size == len(tokenizer)
    table = model.get_input_embeddings().weight
    word, *pieces = (tokenizer.convert_tokens_to_ids(entry) for entry in ("今天", "今", "天"))
    torch.testing.assert_close(table[word], table[pieces].mean(0))


def test_a_table_and_a_data_set_are_read_as_they_come(texts, tmp_path):
    rows = Dataset.from_dict({"body": [document(n) for n in range(40)]})
    rows.to_parquet(str(tmp_path / "texts.parquet"))
    (tmp_path / "hub").mkdir()
    rows.to_parquet(str(tmp_path / "hub" / "train.parquet"))
    columns, start = {"text": "body"}, {"config": str(texts / "roformer"), "held_out": 5}
    for job in (
        MaskedLanguageModelingJob(tmp_path / "texts.parquet", columns=columns, **start),
        MaskedLanguageModelingJob(dataset=str(tmp_path / "hub"), columns=columns, **start),
        MaskedLanguageModelingJob(dataset=str(tmp_path / "hub"), columns=columns, streaming=False, **start),
    ):
        files = job.read()
        assert [example["text"] for example in files.train.stream] == [document(n) for n in range(5, 40)]
    split = MaskedLanguageModelingJob(
        dataset=str(tmp_path / "hub"), columns=columns, validation_split="train[:3]", test_split="train[3:5]", **start
    ).read()
    assert (len(split.validation), len(split.test), len(list(split.train.stream))) == (3, 2, 40)


@pytest.mark.parametrize("packing", ["apart", "together", "none"])
def test_documents_share_rows_as_they_are_told(packing, texts):
    job = make("lm", texts, packing=packing)
    files = job.read()
    tokenizer = job.load_tokenizer(text for example in files.train for text in job.texts(example))
    objective = job.objective(tokenizer, job.load_model(tokenizer, files), training=True)
    rows = objective.encode([{"text": document(n)} for n in range(9)])
    batch = objective.collate([objective.make(row, number) for number, row in enumerate(rows)])
    shared = [row for row in rows if "position_ids" in row and row["position_ids"].count(0) > 1]
    assert bool(shared) == (packing != "none")
    assert ("attention_mask" in batch) == (packing != "apart")
    assert (batch["input_ids"].shape[0] == 1) == (packing == "apart")
    # No document is asked for its first token by the one before it.
    assert not (batch["labels"] == tokenizer.cls_token_id).any()


def test_a_recipe_gives_what_is_not_given(texts):
    job = make("wwm", texts, recipe="wobert", max_length=None)
    arguments = job.training_arguments("out", use_cpu=True)
    assert (job.length, arguments.max_steps, arguments.learning_rate) == (512, 62_500, 5e-6)
    assert arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps == 256
    other = make("wwm", texts, recipe="roformer", max_length=64)
    assert (other.length, other.training_arguments("out", use_cpu=True, max_steps=7).max_steps) == (64, 7)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlm", {"held_out": 0}, "held_out must be at least 1, got 0"),
        ("mlm", {"held_out": 40}, "documents to train on, got none beside the 40 that are held out of held_out=40"),
        ("mlm", {"words": 0}, "words must be at least 1"),
        ("mlm", {"words": 5, "tokenizer": "a"}, "words has no effect on a tokenizer that is given"),
        ("mlm", {"mlm_probability": 1.0}, "mlm_probability must be between 0 and 1"),
        ("mlm", {"max_length": 2}, "max_length must be at least 3"),
        ("mlm", {"packing": "tight"}, "packing must be apart, together or none"),
        ("mlm", {"recipe": "soup"}, "recipe must be one of wobert, wobert-plus, roformer, got 'soup'"),
        ("mlm", {"family": "nezha"}, "family goes with a config by the name of its size"),
        ("mlm", {"family": "unheard", "config": "tiny"}, "family must be the model type of a config"),
        ("mlm", {"columns": {"text": "body"}}, "columns go with files of Parquet or Arrow"),
        ("mlm", {"validation_split": "dev"}, "validation_split goes with a dataset"),
        ("mlm", {"dataset": "a/b"}, "give either train_file or dataset"),
        ("t-ta", {}, "output does not see its own token"),
        ("pegasus", {"config": "roformer"}, "must be an encoder-decoder"),
        ("pegasus", {"ratio": 0.0}, "ratio must be between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(name, options, message, texts, tmp_path):
    if options.get("config") == "roformer":
        options = {"config": str(texts / "roformer")}
    with pytest.raises(ValueError, match=message):
        train(name, texts, tmp_path / "out", job=make(name, texts, **options))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_steps": -1}, "max_steps must be given"),
        ({"dataloader_num_workers": 2}, "dataloader_num_workers must be 0 or 1"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size must be False"),
    ],
)
def test_arguments_that_do_not_suit_a_stream_are_refused(settings, message, texts, tmp_path):
    with pytest.raises(ValueError, match=message):
        train("mlm", texts, tmp_path / "out", **settings)


def test_families_are_configs_of_a_size(texts):
    for family in ("roformer", "gau_alpha", "nezha", "flash", "bert"):
        job = make("mlm", texts, config="tiny", family=family)
        tokenizer = hf_ext.build_char_tokenizer(["一二三四五六七八"])
        model = job.load_model(tokenizer, job.read())
        assert (model.config.model_type, model.config.hidden_size) == (family, 128)
        assert job.objective(tokenizer, model, training=True)


@pytest.mark.parametrize("name", JOBS)
def test_the_command_is_that_of_the_job(name, tmp_path):
    assert jobs_of_command(name, "pretrain") == [JOBS[name]]
    assert jobs_of_command(name) == []
    words = ["--train-file=a", f"--output-dir={tmp_path}", "--config=tiny", "--max-steps=3", "--use-cpu"]
    job, arguments = JobParser([JOBS[name]]).job_and_arguments(words)
    assert (type(job), str(job.train_file), job.validation_file, arguments.max_steps) == (JOBS[name], "a", None, 3)
    with pytest.raises(OptionError, match="--train-file must be given"):
        JobParser([JOBS[name]]).job_and_arguments(words[1:])
    options = JobParser([JOBS[name]]).options.values()
    own = {field.name for job in (JOBS[name],) for field in job.__dataclass_fields__.values()}
    assert all(option.help.endswith(".") and option.group != "Training" for option in options if option.name in own)


def test_the_command_line_pretrains(texts, tmp_path):
    words = ["--train-file", texts / "texts.txt", "--config", "tiny", "--max-steps", 3, "--max-length", 32]
    words += ["--held-out", 5, "--output-dir", tmp_path / "out", "--use-cpu", "--per-device-train-batch-size", 2]
    result = CliRunner().invoke(app, ["pretrain", "wwm", *map(str, words)])
    assert result.exit_code == 0, result.output
    assert "loss of a token" in result.output
    assert "documents in" in result.output
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not list((tmp_path / "out").glob("checkpoint-*"))
    again = CliRunner().invoke(app, ["pretrain", "wwm", *map(str, words)])
    assert "output_dir must not hold a trained model" in str(again.exception)


def test_pegasus_needs_documents_of_two_sentences(texts, tmp_path):
    (tmp_path / "one.txt").write_text("一句\n" * 9, encoding="utf-8")
    job = PseudoSummaryJob(tmp_path / "one.txt", config=str(texts / "pegasus"), held_out=3)
    with pytest.raises(ValueError, match="must have one of two sentences"):
        train("pegasus", texts, tmp_path / "out", job=job)


def test_a_pseudo_summary_model_is_one_of_its_class(texts, tmp_path):
    train("pegasus", texts, tmp_path / "out", steps=2)
    assert isinstance(AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out"), hf_ext.T5PegasusForConditionalGeneration)


@pytest.mark.slow
def test_two_processes_under_accelerate_are_one(texts, tmp_path):
    """Losses and weights of the same rows of a step, and a process goes on with what two began."""
    config = hf_ext.RoFormerConfig(**SIZE, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config.save_pretrained(tmp_path / "config")
    start: list[Any] = ["pretrain", "wwm", "--config", tmp_path / "config", "--train-file", texts / "texts.txt"]
    start += ["--held-out", 5, "--use-cpu", "--max-length", 32, "--max-steps", 6, "--save-steps", 4]
    start += ["--save-total-limit", 9, "--logging-steps", 1, "--shuffle-buffer", 7, "--disable-tqdm"]
    start += ["--lr-scheduler-type", "constant", "--optim", "sgd", "--learning-rate", 0.1]
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", 1, "-m"]
    words = [sys.executable, *launch, "hf_ext.cli", *start, "--output-dir", tmp_path / "two"]
    words += ["--per-device-train-batch-size", 2]
    root = str(Path(hf_ext.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    # The first process alone says what came of it.
    assert done.stdout.count("loss of a token") == 1
    for name, more in (("one", []), ("on", ["--resume-from-checkpoint", tmp_path / "two" / "checkpoint-4"])):
        words = [*start, "--output-dir", tmp_path / name, "--per-device-train-batch-size", 4, *more]
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code == 0, result.output
    for name, first in (("two", 1), ("on", 5)):
        for found, wanted in zip(log(tmp_path / name, first), log(tmp_path / "one", first), strict=True):
            assert [found[key] for key in ("step", "loss", "grad_norm")] == pytest.approx(
                [wanted[key] for key in ("step", "loss", "grad_norm")], rel=1e-4
            )
        weights = [load_file(tmp_path / run / "model.safetensors") for run in (name, "one")]
        torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)
