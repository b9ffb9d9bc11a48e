"""The commands of the tasks: what is typed or stands in a file reaches the job and its training arguments."""

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import get_origin

import pytest
from transformers import Seq2SeqTrainingArguments, TrainingArguments
from typer.testing import CliRunner

import hf_ext.cli
from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.tasks.autoencoding import AutoencoderJob
from hf_ext.tasks.base.command import jobs_of_command, next_steps
from hf_ext.tasks.base.job_parser import JobParser, OptionError
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.cloze import ClozeJob
from hf_ext.tasks.dialogue import DialogueJob
from hf_ext.tasks.entities import SequenceLabelingJob, SpanExtractionJob
from hf_ext.tasks.entities.span_head import SpanExtraction
from hf_ext.tasks.entities.tag_head import SequenceLabeling
from hf_ext.tasks.events import EventExtractionJob, EventTaggingJob
from hf_ext.tasks.events.head import EventExtraction
from hf_ext.tasks.events.tag_head import EventTagging
from hf_ext.tasks.image_classification import ImageClassificationJob
from hf_ext.tasks.multiple_choice import MultipleChoiceJob
from hf_ext.tasks.paraphrase import ParaphraseJob
from hf_ext.tasks.reading_comprehension import ReadingComprehensionJob
from hf_ext.tasks.reading_comprehension.head import ReadingComprehension
from hf_ext.tasks.relations import HalfPointerRelationJob, RelationExtractionJob
from hf_ext.tasks.relations.head import RelationExtraction
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.tasks.summarization import SummarizationJob
from hf_ext_cli import app

JOBS = {
    "autoencoder": [AutoencoderJob],
    "classification": [ClassificationJob],
    "cloze": [ClozeJob],
    "dialogue": [DialogueJob],
    "events": [EventExtractionJob, EventTaggingJob],
    "image-classification": [ImageClassificationJob],
    "multiple-choice": [MultipleChoiceJob],
    "ner": [SpanExtractionJob, SequenceLabelingJob],
    "paraphrase": [ParaphraseJob],
    "reading-comprehension": [ReadingComprehensionJob],
    "relations": [RelationExtractionJob, HalfPointerRelationJob],
    "similarity": [SimilarityJob],
    "summarization": [SummarizationJob],
}
START = (
    "train-file validation-file test-file model config tokenizer overwrite keep-checkpoints license language patience "
    "output-dir dataset dataset-config train-split validation-split test-split columns streaming r-drop "
    "adversarial adversarial-epsilon adversarial-norm adversarial-add-clean vat-xi vat-iterations vat-weight "
    "unlabelled-file penalty penalty-weight penalty-pattern penalty-options initialization residual-ramp "
    "compress-to replacement-rate replacement-slope replacement-steps layer-decay learning-rate-multipliers ema-decay "
    "optimizer count-micro-steps lora lora-alpha search search-trials"
)
# What documents and model cards write.
OPTIONS = {
    "autoencoder": ("max-length latent num-latent-layers latent-size kappa latent-norm kl kl-weight kl-warmup-steps"),
    "classification": "labels max-length one-segment loss loss-options threshold balance-classes class-weights head",
    "cloze": (
        "max-length pattern verbalizer shared-words soft-tokens tune-all unlabelled-file predicts mlm-probability "
        "mlm-weight"
    ),
    "dialogue": "family max-length train-on",
    "events": (
        "schema-file max-length stride head span-head-size threshold tag-scheme constrained-transitions "
        "head-lr-multiplier arguments-by-string"
    ),
    "image-classification": "image-size mirror new-head",
    "multiple-choice": "max-length head decoding num-choices padding-choice",
    "ner": "threshold max-length stride head tag-scheme constrained-transitions head-lr-multiplier span-head-size",
    "paraphrase": "max-length similarity-scale",
    "reading-comprehension": (
        "max-length one-segment stride max-question-length window-step windows draw-answers ranking head head-size "
        "max-answer-tokens n-best null-threshold"
    ),
    "relations": "schema-file max-length stride head span-head-size threshold",
    "similarity": "max-length loss pooling scale chunk-size dropout max-texts texts-of",
    "summarization": "max-source-length max-target-length",
}
# What an option of a method has no effect without.
BESIDE = {
    "adversarial_epsilon": ["--adversarial=fgm"],
    "adversarial_norm": ["--adversarial=fgm"],
    "adversarial_add_clean": ["--adversarial=fgm"],
    "vat_xi": ["--adversarial=vat"],
    "vat_iterations": ["--adversarial=vat"],
    "vat_weight": ["--adversarial=vat"],
    "unlabelled_file": ["--adversarial=vat"],
    "penalty": ["--penalty-weight=1", "--penalty-pattern=x"],
    "penalty_weight": ["--penalty=soft", "--penalty-pattern=x"],
    "penalty_pattern": ["--penalty=soft", "--penalty-weight=1"],
    "penalty_options": ["--penalty=self_orthogonality", "--penalty-weight=1", "--penalty-pattern=x"],
    "compress_to": ["--model=x"],
    "replacement_rate": ["--model=x", "--compress-to=2"],
    "replacement_slope": ["--model=x", "--compress-to=2"],
    "replacement_steps": ["--model=x", "--compress-to=2"],
    "num_choices": ["--padding-choice=x"],
    "padding_choice": ["--num-choices=2"],
    "count_micro_steps": ["--optimizer=article"],
    "max_texts": ["--loss=simcse"],
    "lora": ["--model=x"],
    "lora_alpha": ["--model=x", "--lora=2"],
    "texts_of": ["--loss=simcse"],
    "search": ["--search-trials=2"],
}
FILES = {"--train-file": "a", "--validation-file": "b", "--output-dir": "c", "--use-cpu": "true"}
FIELDS = [(command, job, field) for command, jobs in JOBS.items() for job in jobs for field in dataclasses.fields(job)]


def parsed(command, *words, start="--config=tiny"):
    given = [f"{name}={value}" for name, value in FILES.items()]
    return JobParser(JOBS[command]).job_and_arguments([*given, start, *words])


def written(folder, text, suffix=".yaml"):
    file = folder / f"options{suffix}"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("command", JOBS)
def test_a_command_is_that_of_the_jobs_that_name_it(command):
    assert jobs_of_command(command) == JOBS[command]


@pytest.mark.parametrize("command", JOBS)
def test_a_job_is_given_its_files_first(command):
    for job in JOBS[command]:
        places = [field.name for field in dataclasses.fields(job) if not field.kw_only]
        assert places[:2] == ["train_file", "validation_file"]


@pytest.mark.parametrize("command", JOBS)
def test_options_keep_their_names(command):
    options = JobParser(JOBS[command]).options.values()
    arguments = {field.name for field in dataclasses.fields(JOBS[command][0].arguments_class)} - {"output_dir"}
    assert {one.flag for one in options if one.name not in arguments} == {
        f"--{name}" for name in f"{START} {OPTIONS[command]}".split()
    }
    # Nothing of a job hides a training argument.
    assert not arguments & {field.name for job in JOBS[command] for field in dataclasses.fields(job)}


@pytest.mark.parametrize(("command", "job", "field"), FIELDS, ids=lambda part: getattr(part, "name", None))
def test_every_field_of_a_job_is_given_by_its_option(command, job, field, tmp_path):
    option = JobParser(JOBS[command]).options[field.name]
    own = field.metadata.get("choices", ())
    value, word = {int: (7, "7"), float: (0.5, "0.5"), bool: (True, "true"), Path: (Path("x"), "x")}.get(
        option.kind, ("x", "x")
    )
    if field.name.endswith("threshold"):
        value = word = "best"
    elif get_origin(option.kind) is Mapping:
        value, word = {"gamma": 0.5}, "gamma=0.5"
    elif field.name == "labels":
        value = ["x"]
    elif own or option.choices:
        value = word = (own or option.choices)[-1]
    # The job is that of the head; softmax has no transitions.
    head = [f"--head={job.__dataclass_fields__['head'].metadata['choices'][0]}"] if len(JOBS[command]) > 1 else []
    beside = BESIDE.get(field.name, [])
    start = "--model=x" if "--model=x" in beside else "--config=tiny"
    if field.name in ("model", "config"):
        start = f"--{field.name}={word}"
    head += [one for one in beside if one != start]
    said = [field.name, f"{field.name}={value}"]
    for one in head:
        flag = one.removeprefix("--").replace("-", "_")
        said += [flag, flag.partition("=")[0]]
    refused = [one for one in said if one in job.refused_methods]
    if refused:
        with pytest.raises(ValueError, match=f"{refused[0].partition('=')[0]} must be left out"):
            parsed(command, *head, f"--{field.name}={word}", start=start)
        return
    for name in (field.name, field.name.replace("_", "-")):
        made, _ = parsed(command, *head, f"--{name}={word}" if field.name != "model" else start, start=start)
        assert type(made) is job
        assert getattr(made, field.name) == value
    assert option.help.endswith(".")
    assert option.group != "Training"


@pytest.mark.parametrize("command", JOBS)
@pytest.mark.parametrize("start", ["config", "model"])
def test_training_arguments_begin_with_those_of_the_job(command, start):
    # Learning rate, epochs, batches of training and of evaluation, what the best model is chosen by, sampling.
    scratch, tuned = {
        "autoencoder": ((1e-3, 20), (2e-5, 10)),
        "classification": ((1e-3, 10), (3e-5, 5)),
        "cloze": ((1e-3, 20), (1e-5, 10)),
        "dialogue": ((1e-3, 10), (5e-5, 5)),
        "events": ((1e-3, 20), (3e-5, 10)),
        "image-classification": ((1e-3, 10), (3e-5, 5)),
        "multiple-choice": ((1e-3, 10), (2e-5, 5)),
        "ner": ((1e-3, 10), (3e-5, 5)),
        "paraphrase": ((1e-3, 20), (3e-5, 5)),
        "reading-comprehension": ((1e-3, 10), (3e-5, 3)),
        "relations": ((1e-3, 20), (3e-5, 10)),
        "similarity": ((5e-4, 10), (2e-5, 5)),
        "summarization": ((1e-3, 20), (2e-4, 5)),
    }[command]
    batches, metric, sampling = {
        "autoencoder": ((128, 64), "perplexity", "group_by_length"),
        "classification": ((32, 64), "f1", "group_by_length"),
        "cloze": ((32, 64), "accuracy", "random"),
        "dialogue": ((16, 16), "perplexity", "group_by_length"),
        "image-classification": ((32, 64), "f1", "random"),
        "multiple-choice": ((8, 16), "accuracy", "random"),
        "paraphrase": ((32, 32), "loss", "random"),
        "similarity": ((64, 64), "spearman", "random"),
        "summarization": ((16, 32), "rougeL", "group_by_length"),
    }.get(command, ((16, 64), "f1", "group_by_length"))
    _, arguments = parsed(command, start=f"--{start}=tiny")
    assert (arguments.learning_rate, arguments.num_train_epochs) == (scratch if start == "config" else tuned)
    assert (arguments.per_device_train_batch_size, arguments.per_device_eval_batch_size) == batches
    assert (arguments.metric_for_best_model, arguments.train_sampling_strategy) == (metric, sampling)
    assert arguments.greater_is_better == (command not in ("autoencoder", "dialogue", "paraphrase"))
    assert (arguments.warmup_steps, arguments.weight_decay, arguments.logging_steps) == (0.1, 0.01, 20)
    assert (arguments.eval_strategy, arguments.save_strategy, arguments.save_total_limit) == ("epoch", "epoch", 1)
    assert arguments.load_best_model_at_end
    assert arguments.report_to == []
    assert type(arguments) is (Seq2SeqTrainingArguments if command == "summarization" else TrainingArguments)
    assert getattr(arguments, "predict_with_generate", True)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--learning-rate", "1e-4"], "learning_rate", 1e-4),
        (["--learning_rate=1e-4"], "learning_rate", 1e-4),
        (["--max-steps", "3", "--max-steps", "-1"], "max_steps", -1),
        (["--bf16"], "bf16", True),
        (["--load_best_model_at_end", "False"], "load_best_model_at_end", False),
        (["--no-dataloader-pin-memory"], "dataloader_pin_memory", False),
        (["--label-names", "labels", "starts"], "label_names", ["labels", "starts"]),
        (["--lr-scheduler-kwargs", '{"num_cycles": 2}'], "lr_scheduler_kwargs", {"num_cycles": 2}),
    ],
)
def test_training_arguments_are_taken(words, name, value, tmp_path):
    words = [*words, "--eval-strategy=no", "--save-strategy=no"]
    _, arguments = parsed("ner", *words, *(["--load-best-model-at-end=no"] if name != "load_best_model_at_end" else []))
    assert getattr(arguments, name) == value
    assert arguments.output_dir == "c"


@pytest.mark.parametrize(
    ("words", "job", "head"),
    [
        ([], SpanExtractionJob, {}),
        (["--head=global_pointer"], SpanExtractionJob, {"span_head": "global_pointer"}),
        (["--span-head-size=8"], SpanExtractionJob, {"span_head_size": 8}),
        (
            ["--head=crf"],
            SequenceLabelingJob,
            {"sequence_head": "crf", "tag_scheme": "BIO", "head_lr_multiplier": 10.0},
        ),
        (
            ["--head=memm", "--tag-scheme=BMES", "--constrained-transitions", "--head-lr-multiplier=3"],
            SequenceLabelingJob,
            {
                "sequence_head": "memm",
                "tag_scheme": "BMES",
                "constrained_transitions": True,
                "head_lr_multiplier": 3.0,
            },
        ),
    ],
)
def test_the_head_says_which_job_it_is(words, job, head):
    made, _ = parsed("ner", *words)
    assert type(made) is job
    options = made.head_options(build_char_tokenizer("ab"))
    options.pop("untagged_token_ids", None)
    assert options == head


@pytest.mark.parametrize(
    ("job", "head"),
    [
        (SpanExtractionJob, SpanExtraction),
        (SequenceLabelingJob, SequenceLabeling),
        (RelationExtractionJob, RelationExtraction),
        (EventExtractionJob, EventExtraction),
        (EventTaggingJob, EventTagging),
        (ReadingComprehensionJob, ReadingComprehension),
    ],
)
def test_fields_of_a_head_are_those_of_its_config(job, head):
    given = {field.metadata["config_field"] for field in dataclasses.fields(job) if "config_field" in field.metadata}
    assert given
    assert given <= head.fields.keys()


@pytest.mark.parametrize("spelling", ["train-file", "train_file"])
@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_a_file_gives_options_and_the_command_line_overrides_them(suffix, spelling, tmp_path):
    options = {
        spelling: "a.jsonl", "validation-file": "b.jsonl", "output-dir": "out", "config": "tiny", "head": "crf",
        "constrained-transitions": True, "max_length": 64, "learning-rate": 1e-05, "use_cpu": True,
        "lr_scheduler_kwargs": {"num_cycles": 2}, "label_names": ["labels"], "logging_steps": 5,
    }  # fmt: skip
    file = written(tmp_path, json.dumps(options, indent=1), suffix)
    for words in ([str(file), "--max-length", "32"], ["--max-length=32", str(file)]):
        job, arguments = JobParser(JOBS["ner"]).job_and_arguments(words)
        assert type(job) is SequenceLabelingJob
        assert (job.train_file, job.max_length, job.constrained_transitions) == (Path("a.jsonl"), 32, True)
        assert (arguments.learning_rate, arguments.logging_steps, arguments.output_dir) == (1e-5, 5, "out")
        assert (arguments.lr_scheduler_kwargs, arguments.label_names) == ({"num_cycles": 2}, ["labels"])


def test_yaml_is_read_as_it_looks(tmp_path):
    text = "train-file: a\nvalidation-file: b\noutput-dir: c\nconfig: tiny\nuse-cpu: true\n"
    text += "eval_strategy: no\nsave-strategy: no\nload_best_model_at_end: false\nlearning_rate: 1e-4\n"
    text += "loss: focal\nloss-options: {gamma: 1e-1}\ntokenizer: null\nrun_name: on\n"
    job, arguments = JobParser(JOBS["classification"]).job_and_arguments([str(written(tmp_path, text))])
    assert (job.loss_options, job.tokenizer) == ({"gamma": 0.1}, None)
    assert (arguments.eval_strategy, arguments.learning_rate, arguments.run_name) == ("no", 1e-4, "on")
    # The command line has the last word on a mapping as a whole.
    words = [str(written(tmp_path, text)), "--loss=dice", "--loss-option=smooth=1", "--loss-option", "name=x=y"]
    job, _ = JobParser(JOBS["classification"]).job_and_arguments(words)
    assert job.loss_options == {"smooth": 1, "name": "x=y"}


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("ner", ["--learning-rat", "1"], 'unknown option "--learning-rat": did you mean "--learning-rate"?'),
        ("ner", ["--learning_rat=1"], 'unknown option "--learning_rat": did you mean "--learning-rate"?'),
        ("ner", ["--max-lenght=3"], 'unknown option "--max-lenght": did you mean "--max-length"?'),
        ("ner", ["--xyzzy"], 'unknown option "--xyzzy"; --help-all shows all'),
        ("ner", ["--span-head", "crf"], 'unknown option "--span-head"'),
        # An abbreviation is no option.
        ("ner", ["--train", "a"], 'unknown option "--train"'),
        ("ner", ["--learning-rate", "much"], "--learning-rate: invalid float value: 'much'"),
        ("ner", ["--stride"], "--stride: expected one argument"),
        ("ner", ["--use-cpu", "perhaps"], "--use-cpu: Truthy value expected: got perhaps"),
        ("ner", ["--head", "lstm"], "--head: invalid choice: 'lstm' (choose from 'efficient_global_pointer'"),
        ("ner", ["--tag-scheme", "BIO"], "--tag-scheme goes with --head crf, memm or softmax, got BIO without --head"),
        (
            "ner",
            ["--constrained-transitions", "--head=global_pointer"],
            "--constrained-transitions goes with --head crf, memm or softmax, got True with --head global_pointer",
        ),
        ("ner", ["--head-lr-multiplier=2"], "--head-lr-multiplier goes with --head crf, memm or softmax"),
        (
            "ner",
            ["--span-head-size=8", "--head=crf"],
            "--span-head-size goes with --head efficient_global_pointer or global_pointer, got 8 with --head crf",
        ),
        (
            "ner",
            ["--head=softmax", "--head-lr-multiplier=2"],
            "head_lr_multiplier goes with a head that has transitions",
        ),
        ("ner", ["--model", "a"], "give either model (to fine-tune) or config (to train from scratch), got both"),
        ("ner", ["a.yaml", "b.yaml"], "at most one file of options can be given, got a.yaml and b.yaml"),
        ("ner", ["a.toml"], "a file of options ends in one of .yaml, .yml, .json, got 'a.toml'"),
        ("ner", ["missing.yaml"], "missing.yaml cannot be read"),
        ("similarity", ["--pooling=max"], "--pooling: invalid choice: 'max'"),
        ("relations", ["--threshold=worst"], "threshold must be in [0, 1) or best, got worst"),
        ("classification", ["--threshold=1.5"], "threshold must be in [0, 1) or best, got 1.5"),
        ("ner", ["--threshold=best", "--head=crf"], "--threshold goes with --head efficient_global_pointer or global"),
        ("dialogue", ["--train-on=some"], "--train-on: invalid choice: 'some'"),
        ("classification", ["--loss-option", "gamma"], "--loss-option: must be NAME=VALUE, got 'gamma'"),
        ("reading-comprehension", ["--head=start_end", "--head-size=8"], "head_size goes with a pointer, got 8"),
    ],
)
def test_what_is_typed_wrong_is_refused(command, words, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parsed(command, *words)


def test_family_needs_a_config_by_its_size(tmp_path):
    for start in ("--model=a", f"--config={tmp_path}"):
        with pytest.raises(
            ValueError, match=r"family goes with a config by the name of its size \(.*\), got 'nezha' with"
        ):
            parsed("dialogue", "--family=nezha", start=start)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning-rat: 1", 'unknown option "learning-rat": did you mean "learning-rate"?'),
        ("train_on: all", 'unknown option "train_on"'),
        ("stride: 1\nlearning_rate: 1\nlearning-rate: 2", "learning_rate is given twice, in two spellings"),
        ("learning_rate: much", "--learning-rate: invalid float value: 'much'"),
        ("stride: [1, 2]", "stride must be one value, got [1, 2]"),
        ("max_length: null", "max_length must be one value, got None"),
        ("head: {crf: 1}", "head must be one value, got {'crf': 1}"),
        ("- stride", "must hold names of options with their values, got list"),
        ("", "must hold names of options with their values, got NoneType"),
        ("stride: [", "cannot be read"),
    ],
)
def test_what_a_file_has_wrong_is_refused_with_its_name(text, message, tmp_path):
    file = written(tmp_path, text)
    with pytest.raises(OptionError, match=re.escape(str(file)) + ".*" + re.escape(message)):
        parsed("ner", str(file))


def test_what_is_missing_is_named():
    with pytest.raises(OptionError, match=r"^--train-file and --output-dir must be given$"):
        JobParser(JOBS["ner"]).job_and_arguments(["--validation-file=b", "--config=tiny"])


@pytest.mark.parametrize("command", JOBS)
def test_help_shows_choices_defaults_and_groups(command, monkeypatch):
    # Typer reads its width when it is imported, and rich believes in 80 columns unless it is told the lines too.
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 3000)

    def text(flag):
        environment = {"COLUMNS": "3000", "LINES": "100", "NO_COLOR": "1"}
        result = CliRunner().invoke(app, ["train", command, flag], env=environment)
        assert result.exit_code == 0, result.output
        return result.output

    short, long = text("--help"), text("--help-all")
    parser = JobParser(JOBS[command])
    first = parser.jobs[0]
    assert first.__doc__.partition("\n")[0] in short
    defaults = {*first.defaults, *first.defaults_from_scratch, *first.defaults_fine_tuning}
    for name, option in parser.options.items():
        (line, *more) = [line for line in long.splitlines() if re.search(rf" {option.flag}[ ,]", line)]
        assert not more
        if option.group != "Training" or name in defaults:
            assert option.flag in short
            assert f"─ {option.group} ─" in short
        for choice in option.choices:
            assert choice in line
        if option.group != "Training" and type(option.default) in (int, float, str):
            assert f"[default: {option.default}]" in line
        assert ("[required]" in line) == (name == "output_dir")
    assert "--fsdp-config" in long
    assert "--fsdp-config" not in short
    assert "[FILE]" in short
    assert "0.001 from scratch" in short or command == "similarity"


@pytest.mark.parametrize("command", JOBS)
def test_what_to_type_next(command, tmp_path):
    """Commands that there are, with the folder as a shell takes it."""
    commands = {file.stem for file in Path(hf_ext.cli.__file__).parent.glob("*.py")}
    folder = tmp_path / "my model"
    for job in JOBS[command]:
        made = job("train.json", "dev.json", config="tiny")
        lines = next_steps(made, made.training_arguments(folder, use_cpu=True))
        words = [shlex.split(line) for line in lines[1:]]
        assert lines[0] == "next:"
        assert {line[1] for line in words} <= commands
        assert [line[:3] for line in words][-1] == ["hf-ext", "push", str(folder)]
        assert all(line.count(str(folder)) == 1 for line in words)
        arguments = made.training_arguments(folder, use_cpu=True, push_to_hub=True, hub_model_id="org/name")
        assert next_steps(made, arguments) == ["uploaded to https://huggingface.co/org/name", *lines[:-1]]
