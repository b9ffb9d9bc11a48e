"""The command as a user types it."""

import json
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file
from saved_tiny import saved
from transformers import AutoModel, AutoTokenizer, BertForMaskedLM, TrainingArguments
from typer.testing import CliRunner

import hf_ext
import hf_ext_cli
from hf_ext import build_char_tokenizer, generate_samples
from hf_ext.cli import app, main
from hf_ext.models.roformer.sizes_roformer import config_of_size
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.dialogue import DialogueJob
from hf_ext.tasks.entities import SequenceLabelingJob, SpanExtractionJob, write_entities
from hf_ext.tasks.entities.span_head import AutoModelForSpanExtraction
from hf_ext.tasks.events import EventExtractionJob
from hf_ext.tasks.image_classification import ImageClassificationJob
from hf_ext.tasks.paraphrase import ParaphraseJob
from hf_ext.tasks.reading_comprehension import ReadingComprehensionJob
from hf_ext.tasks.relations import RelationExtractionJob
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.tasks.summarization import SummarizationJob


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    examples = generate_samples(40, seed=0)
    write_entities(folder / "train.jsonl", examples[:30])
    # Ten of the training texts, so that no label is missing there.
    write_entities(folder / "validation.jsonl", examples[:10])
    return folder


def train_options(files, output):
    return (
        "--config", "tiny", "--train-file", files / "train.jsonl", "--validation-file", files / "validation.jsonl",
        "--output-dir", output, "--max-length", 64, "--stride", 16, "--use-cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    output = tmp_path_factory.mktemp("trained")
    options = {"--max-steps": 2, "--eval-strategy": "no", "--save-strategy": "no", "--load_best_model_at_end": "False"}
    result = run("train", "ner", *train_options(files, output), *chain(*options.items()))
    assert result.exit_code == 0, result.output
    return output, result


def test_train_writes_model_scores_and_curves(trained, files):
    output, result = trained
    assert {"config.json", "model.safetensors", "scores.json", "curves.png"} <= set(os.listdir(output))
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    references = [json.loads(line) for line in (files / "validation.jsonl").read_text(encoding="utf-8").splitlines()]
    assert scores["support"] == sum(len(example["entities"]) for example in references)
    assert "micro" in result.output
    config = json.loads((output / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForSpanExtraction"]
    # The pipeline then reads windows of the length of training.
    assert AutoTokenizer.from_pretrained(output).model_max_length == 64


def test_train_fine_tunes_any_encoder(files, tmp_path):
    texts = [json.loads(line)["text"] for line in (files / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    encoder = BertForMaskedLM.from_pretrained(saved(tmp_path / "bert", BertForMaskedLM, texts))
    arguments = dict(zip(*[iter(train_options(files, tmp_path / "model")[:-1])] * 2))
    del arguments["--config"]
    options = {"--model": tmp_path / "bert", "--max-steps": 2, "--head": "global_pointer", "--span-head-size": 8}
    result = run("train", "ner", *chain(*(arguments | options).items()), "--use-cpu")
    assert result.exit_code == 0, result.output
    model = AutoModelForSpanExtraction.from_pretrained(tmp_path / "model")
    assert type(model).__name__ == "BertForSpanExtraction"
    assert (model.config.span_head, model.config.span_head_size) == ("global_pointer", 8)
    # It began with the encoder's weights, which two steps hardly move.
    trained, given = model.bert.embeddings.word_embeddings.weight, encoder.bert.embeddings.word_embeddings.weight
    assert (trained - given).abs().max() < 1e-3


def test_the_seed_draws_the_weights_of_a_new_model(files, tmp_path):
    arguments = dict(zip(*[iter(train_options(files, tmp_path / "model")[:-1])] * 2))
    still = {"--max-steps": 1, "--learning-rate": 0, "--warmup-steps": 0}
    weights = []
    for seed in (1, 2, 1):
        options = arguments | still | {"--seed": seed, "--output-dir": tmp_path / "model"}
        result = run("train", "ner", *chain(*options.items()), "--use-cpu", "--overwrite")
        assert result.exit_code == 0, result.output
        saved = load_file(tmp_path / "model" / "model.safetensors")
        weights.append(torch.cat([saved[name].flatten() for name in sorted(saved)]))
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])


def test_train_goes_on_with_a_trained_head_that_has_the_labels(trained, files, tmp_path):
    arguments = dict(zip(*[iter(train_options(files, tmp_path / "model")[:-1])] * 2))
    del arguments["--config"]
    arguments |= {"--model": trained[0], "--max-steps": 1, "--learning-rate": 0, "--warmup-steps": 0}
    result = run("train", "ner", *chain(*arguments.items()), "--use-cpu")
    assert result.exit_code == 0, result.output
    before, after = (load_file(folder / "model.safetensors") for folder in (trained[0], tmp_path / "model"))
    assert all(torch.equal(before[name], after[name]) for name in before)

    other = [{"text": "甲乙", "entities": [{"start": 0, "end": 1, "label": "x"}]}]
    write_entities(tmp_path / "other.jsonl", other)
    arguments |= {"--train-file": tmp_path / "other.jsonl", "--validation-file": tmp_path / "other.jsonl"}
    result = run("train", "ner", *chain(*arguments.items()), "--use-cpu", "--overwrite")
    assert "labels organization, person, place, position, time, work, which train_file's x are" in str(result.exception)


def test_predict_refuses_a_model_without_a_trained_head(trained, tmp_path):
    AutoModel.from_pretrained(trained[0]).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(trained[0]).save_pretrained(tmp_path)
    result = run("predict", tmp_path, "甲")
    assert "RoFormerModel" in str(result.exception)


def test_sizes_need_our_roformer(monkeypatch):
    monkeypatch.setenv("HF_EXT_KEEP_ROFORMER", "1")
    with pytest.raises(ValueError, match="HF_EXT_KEEP_ROFORMER"):
        config_of_size("small")


def test_predict_takes_texts_a_file_and_standard_input(trained, tmp_path):
    model = trained[0]
    texts = ["张三在北京大学工作。", "今天天气很好。"]
    wanted = run("predict", model, *texts, "--threshold", 0.0001).stdout
    documents = [json.loads(line) for line in wanted.splitlines()]
    assert [document["text"] for document in documents] == texts
    for document in documents:
        for entity in document["entities"]:
            assert document["text"][entity["start"] : entity["end"]] == entity["text"]

    plain, lines, output = tmp_path / "a.txt", tmp_path / "a.jsonl", tmp_path / "found.jsonl"
    plain.write_text("\ufeff" + "\r\n".join(texts), encoding="utf-8")
    lines.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in texts), encoding="utf-8")
    for file in (plain, lines):
        result = run("predict", model, "--file", file, "--output", output, "--threshold", 0.0001)
        assert result.exit_code == 0, result.output
        assert output.read_text(encoding="utf-8") == wanted
    page = tmp_path / "page.html"
    result = run("predict", model, "--threshold", 0.0001, "--html", page, input="\n".join(texts))
    assert result.stdout == wanted
    assert page.is_file()


def test_predict_reads_arrays_and_bytes_and_counts_each_text(trained, tmp_path):
    texts = ["张三在北京大学工作。", "今天\r天气\u2028很好。", "好"]
    lines = "".join(json.dumps({"text": text, "id": 1}, ensure_ascii=False) + "\n" for text in texts)
    array = tmp_path / "a.json"
    array.write_text(json.dumps([{"text": text} for text in texts], indent=1), encoding="utf-8")
    for options in ({"input": ("\ufeff" + lines).encode()}, {"input": ("\ufeff" + "\n".join(texts)).encode()}, {}):
        result = run("predict", trained[0], *(() if options else ("--file", array)), **options)
        assert result.exit_code == 0, result.output
        assert [json.loads(line)["text"] for line in result.stdout.split("\n") if line] == texts
        assert "100%" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("广州\n王小明去了广州\n".encode("gbk"), "1: the file must be UTF-8"),
        ("广州\n".encode() + "王小明".encode("gbk"), "2: the file must be UTF-8"),
        (b'{"text": "a"}\n{"text": "a\\ud83d"}\n', "2: a text must be valid Unicode"),
        (b'{"text": "a"}\n{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "2: the line must be JSON"),
        (b'[{"text": "a"},\n{"text": 1}]', "2: text must be a string"),
    ],
)
def test_predict_and_whiten_name_the_line_that_cannot_be_read(trained, tmp_path, content, message):
    file = tmp_path / "posts.jsonl"
    file.write_bytes(content)
    commands = {
        f"{file}:{message}": run("predict", trained[0], "--file", file),
        f"standard input:{message}": run("predict", trained[0], input=content),
        f"{file}:{message} ": run("whiten", trained[0], "--output-dir", tmp_path / "w", "--input", file),
    }
    for wanted, result in commands.items():
        with pytest.raises(ValueError, match=re.escape(wanted.strip())):
            raise result.exception


def test_predict_refuses_an_argument_that_is_not_unicode(trained):
    with pytest.raises(ValueError, match="texts: a text must be valid Unicode"):
        raise run("predict", trained[0], "甲", "乙\udcff").exception


def test_predict_takes_a_long_document_whole(trained, tmp_path):
    document = tmp_path / "long.txt"
    text = "张三在北京大学工作。\n" * 100
    document.write_text(text, encoding="utf-8")
    result = run("predict", trained[0], "--file", document, "--whole", "--threshold", 0.0001)
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["text"] == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "a"], "both"),
        (["--train-file", "missing.json"], "missing.json"),
        (["--no-such-option", "1"], "no-such-option"),
        (["--learning-rat", "1"], 'did you mean "--learning-rate"?'),
        (["--tag-scheme", "BIO"], "--tag-scheme goes with --head crf, memm or softmax"),
        (["--learning-rate", "much"], "much"),
        (["--config", "enormous"], "enormous"),
        (["--stride", "64"], "stride"),
    ],
)
def test_train_refuses_in_one_line(files, tmp_path, arguments, message):
    command = ["train", "ner", *train_options(files, tmp_path / "out"), *arguments]
    result = run(*command)
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)


def test_errors_are_one_line_without_a_traceback(files, tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "甲", "entities": [{"start": 0, "end": 9, "label": "x"}]}\n', encoding="utf-8")
    line = error_of(monkeypatch, capsys, *train_options(files, tmp_path / "out"), "--train-file", broken)
    assert "broken.jsonl:1" in line
    assert not (tmp_path / "out" / "config.json").exists()


def error_of(monkeypatch, capsys, *options):
    """The one line of an error with which `hf-ext train ner` ends."""
    monkeypatch.setattr(sys, "argv", ["hf-ext", "train", "ner", *map(str, options)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    # Behind what a run has said of its files.
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def _written(path, content):
    path.write_bytes(content)
    return path


def _cut(path):
    torch.save(torch.zeros(2), path)
    os.truncate(path, 300)
    return path


@pytest.mark.parametrize(
    "action",
    [
        lambda folder: load_file(_written(folder / "a", b"\xff" * 99)),
        lambda folder: save_file({"a": torch.zeros(2)}, folder / "no" / "a"),
        lambda folder: torch.load(_written(folder / "a", b"noise")),
        lambda folder: torch.load(_written(folder / "a", b"")),
        lambda folder: torch.load(_written(folder / "a", b"PK\3\4" + b"0" * 99)),
        lambda folder: (
            torch.save(torch.zeros(2), folder / "a"),
            os.truncate(folder / "a", 300),
            torch.load(folder / "a"),
        ),
        lambda folder: torch.save(torch.zeros(2), folder / "no" / "a"),
        lambda folder: torch.save(torch.zeros(2), folder),
        lambda folder: torch.save(torch.zeros(1 << 20), "/dev/full"),
    ],
)
def test_a_file_of_weights_that_cannot_be_used_is_one_line(action, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(hf_ext_cli, "app", lambda: action(tmp_path))
    error_of(monkeypatch, capsys)


def test_a_model_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, capsys):
    folder = config_of_size("tiny", vocab_size=9)
    hf_ext.RoFormerModel(folder).save_pretrained(tmp_path)
    build_char_tokenizer(["甲"]).save_pretrained(tmp_path)
    os.truncate(tmp_path / "model.safetensors", 100)
    monkeypatch.setattr(sys, "argv", ["hf-ext", "embed", str(tmp_path), "--output", str(tmp_path / "v.npy")])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(hf_ext_cli, "app", lambda: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        main()


def test_predict_refuses_before_it_loads_a_model(tmp_path):
    result = run("predict", "no-model", "甲", "--output", tmp_path / "no-folder" / "found.jsonl")
    assert re.search(r"found\.jsonl must be in a folder that exists", str(result.exception))
    text = tmp_path / "text.txt"
    text.write_bytes("甲".encode("gb18030"))
    # There are no weights.
    fields = {"vocab_size": 9, "architectures": ["RoFormerForSpanExtraction"]}
    config_of_size("tiny", **fields).save_pretrained(tmp_path / "config-alone")
    result = run("predict", tmp_path / "config-alone", "--file", text)
    assert re.search(r"text\.txt:1: the file must be UTF-8, got", str(result.exception))


def test_a_config_that_is_not_understood_is_refused_in_one_line(files, tmp_path, monkeypatch, capsys):
    (tmp_path / "config.json").write_text('{"model_type": "roformer", "hierarchical_position": true}')
    options = ("--config", tmp_path, *train_options(files, tmp_path / "out")[2:])
    assert "hierarchical_position must be False" in error_of(monkeypatch, capsys, *options)


@pytest.mark.slow
def test_demo_makes_everything(tmp_path):
    # Too little to learn from; that it learns is what `make demo` shows.
    result = run("demo", "--output-dir", tmp_path, "--texts", 60, "--epochs", 1)
    assert result.exit_code == 0, result.output
    for name in ("entities.html", "curves.png", "predictions.jsonl", "model/model.safetensors", "model/scores.json"):
        assert (tmp_path / name).stat().st_size > 0
    assert len((tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()) == 12
    sentences = (tmp_path / "train.jsonl").read_bytes()
    again = run("demo", "--output-dir", tmp_path, "--texts", 60, "--epochs", 1, "--seed", 2)
    assert again.exit_code == 1
    assert "unless overwrite is given" in str(again.exception)
    assert (tmp_path / "train.jsonl").read_bytes() == sentences
    again = run("demo", "--output-dir", tmp_path, "--texts", 60, "--epochs", 1, "--seed", 2, "--overwrite")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "train.jsonl").read_bytes() != sentences


def test_train_takes_a_file_of_options(files, tmp_path, monkeypatch):
    # Paths are relative to the working directory, not to the file.
    monkeypatch.chdir(files)
    (tmp_path / "options.yaml").write_text(
        "train-file: train.jsonl\nvalidation_file: validation.jsonl\nconfig: tiny\nmax-length: 64\nstride: 16\n"
        "head: softmax\ntag_scheme: BMES\nuse_cpu: true\nmax_steps: 9\neval_strategy: no\nsave_strategy: no\n"
        "load-best-model-at-end: false\n"
    )
    result = run("train", "ner", tmp_path / "options.yaml", "--output-dir", tmp_path / "model", "--max-steps", 1)
    assert result.exit_code == 0, result.output
    assert "saved to" in result.output
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert (config["sequence_head"], config["tag_scheme"]) == ("softmax", "BMES")
    state = json.loads((tmp_path / "model" / "trainer_state.json").read_text(encoding="utf-8"))
    assert state["global_step"] == 1


ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "calibrate",
    "chat",
    "convert",
    "convert-data",
    "demo",
    "embed",
    "enlarge",
    "evaluate",
    "export",
    "export-release",
    "predict",
    "probe",
    "push",
    "sample",
    "score",
    "serve",
    "tokenize",
    "whiten",
)


def test_version_and_help():
    from hf_ext.version import __version__

    assert run("--version").output.strip() == __version__
    group = typer.main.get_command(app)
    suites = {"clue", "fewclue", "lic2020", "similarity-suite", "suite"}
    assert group.commands.keys() == {*COMMANDS, "analyze", "check", "export", "pretrain", "train", *suites}
    for name in COMMANDS:
        shown = run(name, "--help", env={"COLUMNS": "200", "LINES": "100"})
        assert shown.exit_code == 0, shown.output
        # The help of the group is that of the command, though nothing of it is imported.
        first = (group.commands[name].help or "").partition("\n")[0]
        assert first
        assert first in shown.output


@pytest.mark.parametrize(
    "words", ["--help", "--version", "train --help", "check --help", "analyze --help", "clue --help", "", "predcit x"]
)
def test_what_needs_no_model_imports_no_model(words):
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*[one for one in ('torch', 'transformers', 'hf_ext') if one in sys.modules]))\n"
        f"sys.argv = ['hf-ext', *{words.split()}]\n"
        "from hf_ext_cli import main\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == (0 if words.startswith(("-", "train", "check", "analyze", "clue")) else 2)
    assert done.stdout.splitlines()[-1] == ""
    assert "Did you mean 'predict'?" in done.stderr or words != "predcit x"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("hf-ext tr", ["train"]),
        ("hf-ext train n", ["ner"]),
        ("hf-ext check n", ["ner"]),
        ("hf-ext check ner --test-", ["--test-file", "--test-split"]),
        ("hf-ext train ner --tag-", ["--tag-scheme"]),
        ("hf-ext train ner --head g", ["global_pointer"]),
        ("hf-ext train ner --learning-r", ["--learning-rate-multipliers", "--learning-rate"]),
    ],
)
def test_completion_knows_commands_options_and_choices(words, found):
    environment = {
        "_HF_EXT_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = CliRunner().invoke(app, [], prog_name="hf-ext", env=environment)
    assert result.output.split() == found


@pytest.mark.parametrize("job", [SpanExtractionJob, SequenceLabelingJob])
def test_jobs_run_in_python(job, files, tmp_path):
    arguments = TrainingArguments(
        str(tmp_path), max_steps=1, use_cpu=True, report_to="none", disable_tqdm=True, dataloader_pin_memory=False
    )
    given = job(files / "train.jsonl", files / "validation.jsonl", config="tiny", max_length=64, stride=16)
    scores = given.run(arguments)
    assert scores == json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["support"] > 0
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(("tag", "f1"), [("B-地", 0.0), ("I-人", 0.5)])
def test_trained_tags_beyond_those_of_the_training_file(side, tag, f1, tmp_path):
    examples = [
        {"text": "张三在北京", "entities": [{"start": 0, "end": 2, "label": "人"}]},
        {"text": "李四", "entities": [{"start": 0, "end": 2, "label": "人"}]},
    ]
    write_entities(tmp_path / "some.jsonl", examples)
    tokenizer = hf_ext.build_char_tokenizer([example["text"] for example in examples], padding_side=side)
    tags = dict(enumerate(["O", "B-地", "I-地", "B-人", "I-人"]))
    config = config_of_size("tiny", vocab_size=len(tokenizer), id2label=tags)
    model = hf_ext.AutoModelForSequenceLabeling.from_config(config, sequence_head="softmax")
    # The head has learnt one tag for all tokens, which makes one entity of each text or of each token.
    torch.nn.init.zeros_(model.classifier.dense.weight)
    model.classifier.dense.bias.data = torch.tensor([9.0 * (one == tag) for one in tags.values()])
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    job = SequenceLabelingJob(*[tmp_path / "some.jsonl"] * 2, model=str(tmp_path / "model"), max_length=16, stride=2)
    arguments = TrainingArguments(
        str(tmp_path / "out"),
        max_steps=1,
        learning_rate=1e-6,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    scores = job.run(arguments)
    assert scores["f1"] == f1
    assert scores["per_type"].keys() == {"人", "地"}


@pytest.mark.parametrize(
    "job",
    [
        ClassificationJob, DialogueJob, EventExtractionJob, ImageClassificationJob, ParaphraseJob,
        ReadingComprehensionJob, RelationExtractionJob, SequenceLabelingJob, SimilarityJob, SpanExtractionJob,
        SummarizationJob,
    ],
)  # fmt: skip
def test_every_job_needs_a_start(job):
    with pytest.raises(ValueError, match=r"give either model .* or config .*, got neither"):
        job("train.jsonl", "validation.jsonl")
