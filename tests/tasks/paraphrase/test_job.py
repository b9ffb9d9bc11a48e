"""Training paraphrase models, in Python and on the command line; the retrieval metric."""

import json
import math
from itertools import chain

import numpy as np
import pytest
import torch
from transformers import AutoConfig, BertConfig, BertModel, EvalPrediction, TrainingArguments, pipeline
from typer.testing import CliRunner

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.cli import app
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.paraphrase import DataCollatorForParaphrase
from hf_ext.tasks.paraphrase.job import ParaphraseJob, pair_metrics, pair_outputs
from hf_ext.tasks.paraphrase.metrics import paraphrase_retrieval_accuracy

NO_FILES = Files((), ())
WORDS = ["天气", "公园", "医院", "大学", "电影", "音乐", "咖啡", "火车", "雪山", "河流", "手机", "花园"]
EXAMPLES = [{"text": f"我喜欢{word}", "synonyms": [f"{word}让我高兴", f"{word}我很爱"]} for word in WORDS]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    file.write_text("".join(json.dumps(example) + "\n" for example in EXAMPLES), encoding="utf-8")
    return file


def options(file, output, **more):
    given = {"--train-file": file, "--validation-file": file, "--output-dir": output, "--max-length": 32, **more}
    return (*chain(*given.items()), "--use-cpu")


@pytest.fixture(scope="module")
def trained(file, tmp_path_factory):
    output = tmp_path_factory.mktemp("trained")
    more = {"--config": "tiny", "--max-steps": 100, "--per-device-train-batch-size": 12, "--seed": 0}
    more |= {"--eval-strategy": "no", "--save-strategy": "no", "--load-best-model-at-end": "False"}
    result = run("train", "paraphrase", *options(file, output, **more))
    assert result.exit_code == 0, result.output
    return output, result


def test_a_model_from_scratch_learns_to_find_and_to_write(trained):
    output, result = trained
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert f"retrieval accuracy {scores['retrieval_accuracy']:.3f}" in result.output
    # By chance one of 23 is found, and each of about 60 tokens is as likely as any other.
    assert scores["retrieval_accuracy"] > 0.3
    assert scores["lm_loss"] < 3.5
    assert (output / "curves.png").is_file()
    config = AutoConfig.from_pretrained(output)
    assert config.architectures == ["RoFormerForParaphrase"]
    assert (config.attention_mode, config.pooler_activation) == ("unilm", "linear")
    assert pipeline("text-embedding", model=str(output))(["你好"]).shape == (1, 128)
    assert isinstance(pipeline("paraphrase-generation", model=str(output))("我喜欢天气", num_samples=3), list)


def test_scores_are_those_of_all_pairs_at_once(trained, file):
    output, _ = trained
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    sides = [[example["text"] for example in EXAMPLES], [example["synonyms"][0] for example in EXAMPLES]]
    embed = pipeline("text-embedding", model=str(output))
    vectors = np.stack([embed(side) for side in sides], axis=1)
    assert scores["retrieval_accuracy"] == pytest.approx(paraphrase_retrieval_accuracy(vectors))
    model = hf_ext.RoFormerForParaphrase.from_pretrained(output).eval()
    with torch.no_grad():
        outputs = model(**DataCollatorForParaphrase(embed.tokenizer, 32)(list(zip(*sides))))
    assert scores["lm_loss"] == pytest.approx(outputs.lm_loss.item(), rel=1e-4)


def test_bert_is_fine_tuned_with_the_scale_asked_for(file, tmp_path):
    tokenizer = build_char_tokenizer(text for example in EXAMPLES for text in (example["text"], *example["synonyms"]))
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    bert = BertModel(BertConfig(vocab_size=len(tokenizer), **size))
    for part in (bert, tokenizer):
        part.save_pretrained(tmp_path / "bert")
    more = {"--model": tmp_path / "bert", "--max-steps": 1, "--similarity-scale": 12.5}
    result = run("train", "paraphrase", *options(file, tmp_path / "model", **more))
    assert result.exit_code == 0, result.output
    model = hf_ext.UniLMBertForParaphrase.from_pretrained(tmp_path / "model")
    difference = model.bert.pooler.dense.weight - bert.pooler.dense.weight
    assert difference.abs().max() < 1e-3
    job = ParaphraseJob(file, file, model=str(tmp_path / "model"), similarity_scale=12.5, max_length=32)
    assert job.load_model(tokenizer, NO_FILES).similarity_scale == 12.5
    with pytest.raises(ValueError, match="max_length must be at most the model's 512 positions, got 600"):
        ParaphraseJob(file, file, model=str(tmp_path / "model"), max_length=600).load_model(tokenizer, NO_FILES)


def test_metric_is_a_count_of_nearest_neighbours():
    generator = np.random.default_rng(0)
    pairs = generator.standard_normal((40, 2, 3))
    rows = pairs.reshape(-1, 3)
    found = 0
    for i, a in enumerate(rows):
        cosines = [-math.inf if i == j else a @ b / math.sqrt((a @ a) * (b @ b)) for j, b in enumerate(rows)]
        found += int(np.argmax(cosines) == (i + 1 if i % 2 == 0 else i - 1))
    assert 0 < found < 80
    assert paraphrase_retrieval_accuracy(pairs) == found / 80
    assert paraphrase_retrieval_accuracy(pairs[:1]) == 1
    assert math.isnan(paraphrase_retrieval_accuracy(pairs[:0]))
    with pytest.raises(ValueError, match=r"\[N, 2, H\], got \[40, 3\]"):
        paraphrase_retrieval_accuracy(pairs[:, 0])


def test_metric_of_many_rows_is_that_of_one_block(monkeypatch):
    pairs = np.random.default_rng(0).standard_normal((25, 2, 3))
    wanted = paraphrase_retrieval_accuracy(pairs)
    monkeypatch.setattr("hf_ext.tasks.paraphrase.metrics._ROWS", 7)
    assert paraphrase_retrieval_accuracy(pairs) == wanted


def test_an_evaluation_keeps_a_row_for_each_pair():
    losses, vectors = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.randn(4, 5)
    labels = torch.tensor([[-100, -100, 3], [-100, 3, 4], [-100, -100, 5], [-100, -100, 6]])
    embeddings, sums = pair_outputs((losses.mean(), losses, vectors), labels)
    assert torch.equal(embeddings, torch.stack((vectors[:2], vectors[2:])))
    assert sums.tolist() == [[3, 3], [7, 2]]
    metrics = pair_metrics(EvalPrediction((embeddings.numpy(), sums.numpy()), labels.numpy()))
    assert metrics["lm_loss"] == pytest.approx(10 / 5)
    assert metrics["retrieval_accuracy"] == paraphrase_retrieval_accuracy(embeddings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give either model .* got neither"),
        ({"model": "a", "config": "b"}, "got both"),
        ({"config": "tiny", "similarity_scale": 0.0}, "similarity_scale must be above 0"),
    ],
)
def test_jobs_that_make_no_sense_are_refused(settings, message, file):
    with pytest.raises(ValueError, match=message):
        ParaphraseJob(file, file, **settings)


def test_other_families_and_empty_files_are_refused(file, tmp_path):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    hf_ext.NezhaConfig(vocab_size=20, **size).save_pretrained(tmp_path / "nezha")
    tokenizer = build_char_tokenizer(["好"])
    with pytest.raises(ValueError, match="model must be one of bert, roformer, unilm_bert, got nezha"):
        ParaphraseJob(file, file, config=str(tmp_path / "nezha")).load_model(tokenizer, NO_FILES)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(ValueError, match=r"validation_file must have sentences, got none in .*empty\.jsonl"):
        ParaphraseJob(file, empty, config="tiny").run(TrainingArguments(output_dir=str(tmp_path / "model")))
