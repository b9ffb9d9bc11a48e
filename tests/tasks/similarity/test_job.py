"""Training sentence embeddings in Python and on the command line; the losses in sentence-transformers."""

import json
from itertools import chain

import numpy as np
import pytest
import torch
from saved_tiny import saved
from transformers import AutoConfig, AutoModel, BertModel, TrainingArguments, pipeline
from typer.testing import CliRunner

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.cli import app
from hf_ext.hub.sentence_transformers_losses import SentenceCoSENTLoss, SentenceSimCSELoss
from hf_ext.losses import cosent_pair_loss, simcse_loss
from hf_ext.ops.pooling import POOLINGS
from hf_ext.tasks.similarity.collator import DataCollatorForSimilarity
from hf_ext.tasks.similarity.files import read_text_pairs
from hf_ext.tasks.similarity.job import SimilarityJob, dropouts_of
from hf_ext.tasks.similarity.metrics import spearman
from hf_ext.tasks.similarity.trainer import SimilarityTrainer

GROUPS = ("苹梨桃杏", "金银铜铁", "江河湖海")
PAIRS = [
    {"text1": f"这里有{a}", "text2": f"我要{b}了", "score": float(g is h) + float(a == b)}
    for g in GROUPS
    for h in GROUPS
    for a in g
    for b in h
]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    file.write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    texts = (text for pair in PAIRS for text in (pair["text1"], pair["text2"]))
    return saved(tmp_path_factory.mktemp("bert"), BertModel, texts, initializer_range=0.2)


def options(file, output, **more):
    given = {"--train-file": file, "--validation-file": file, "--output-dir": output, "--max-length": 16}
    given |= {"--eval-strategy": "no", "--save-strategy": "no", "--load-best-model-at-end": "False", "--seed": 0}
    return (*chain(*(given | more).items()), "--use-cpu")


@pytest.mark.parametrize(("loss", "pooling", "chunk_size"), [("cosent", "mean", 20), ("cosent", "cls", None)], ids=str)
def test_a_model_from_scratch_learns_and_the_pipeline_embeds(loss, pooling, chunk_size, file, tmp_path):
    output = tmp_path / "model"
    # The first token has to learn first where to look, for which there is no time here.
    steps = 40 if pooling == "mean" else 2
    more = {"--config": "tiny", "--max-steps": steps, "--loss": loss, "--pooling": pooling, "--learning-rate": 2e-3}
    more |= {} if chunk_size is None else {"--chunk-size": chunk_size}
    result = run("train", "similarity", *options(file, output, **more))
    assert result.exit_code == 0, result.output
    scores = json.loads((output / "scores.json").read_text(encoding="utf-8"))
    assert f"Spearman {scores['spearman']:.4f}, before training {scores['spearman_before']:.4f}" in result.output
    if pooling == "mean":
        assert scores["spearman"] > max(0.6, scores["spearman_before"] + 0.2)
    assert (output / "curves.png").is_file()
    config = AutoConfig.from_pretrained(output)
    assert (config.architectures, config.embedding_pooling) == (["RoFormerModel"], pooling)

    # In another process the vectors are those that the scores are of.
    embed = pipeline("text-embedding", model=str(output))
    sides = [embed([pair[name] for pair in PAIRS], normalize=True) for name in ("text1", "text2")]
    again = spearman((sides[0] * sides[1]).sum(-1), [pair["score"] for pair in PAIRS])
    assert again == pytest.approx(scores["spearman"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("loss", ["cosent", "simcse"])
def test_any_encoder_is_fine_tuned(loss, pooling, file, bert, tmp_path):
    more = {"--model": bert, "--max-steps": 2, "--loss": loss, "--pooling": pooling, "--dropout": 0.2}
    result = run("train", "similarity", *options(file, tmp_path / "model", **more))
    assert result.exit_code == 0, result.output
    before, after = (AutoModel.from_pretrained(folder) for folder in (bert, tmp_path / "model"))
    moved = (before.embeddings.word_embeddings.weight - after.embeddings.word_embeddings.weight).abs().max()
    assert 0 < moved < 1e-3
    assert after.config.hidden_dropout_prob == 0.2


def trainer(bert, output, examples=PAIRS, dropout=0.0, batch=24, **more):
    settings = {name: more.pop(name) for name in ("pooling", "scale", "chunk_size") if name in more}
    arguments = TrainingArguments(
        str(output), per_device_train_batch_size=batch, use_cpu=True, report_to="none", disable_tqdm=True,
        learning_rate=0.1, optim="sgd", max_grad_norm=0, lr_scheduler_type="constant", save_strategy="no",
        dataloader_pin_memory=False, **{"max_steps": 1, **more},
    )  # fmt: skip
    fields = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    model = AutoModel.from_pretrained(bert, **fields)
    tokenizer = pipeline("text-embedding", model=str(bert)).tokenizer
    return SimilarityTrainer(
        model=model, args=arguments, train_dataset=examples, eval_dataset=examples,
        data_collator=DataCollatorForSimilarity(tokenizer, 16), **settings,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("examples", [PAIRS, [{"text1": p["text1"], "text2": p["text2"]} for p in PAIRS]])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_chunks_make_the_same_step(examples, accumulation, bert, tmp_path):
    weights = []
    for chunk_size in (None, 7):
        one = trainer(bert, tmp_path, examples, chunk_size=chunk_size, gradient_accumulation_steps=accumulation)
        loss = one.train().training_loss
        weights.append((loss, {name: value.clone() for name, value in one.model.state_dict().items()}))
    (first_loss, first), (second_loss, second) = weights
    assert first_loss == pytest.approx(second_loss, rel=1e-5)
    start = AutoModel.from_pretrained(bert).state_dict()
    assert any((first[name] - start[name]).abs().max() > 1e-3 for name in first)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-5)


def test_accumulation_averages_the_losses_of_micro_batches(bert, tmp_path):
    one = trainer(bert, tmp_path, PAIRS[:48], gradient_accumulation_steps=2)
    batches = list(one.get_train_dataloader())
    model = AutoModel.from_pretrained(bert).eval()
    losses = []
    for batch in batches:
        labels = batch.pop("labels")
        hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        losses.append(cosent_pair_loss((hidden * mask).sum(1) / mask.sum(1), labels))
    sum(losses).div(len(losses)).backward()
    wanted = model.embeddings.word_embeddings.weight - 0.1 * model.embeddings.word_embeddings.weight.grad
    one.train()
    torch.testing.assert_close(one.model.embeddings.word_embeddings.weight, wanted, rtol=1e-4, atol=1e-5)


def test_simcse_draws_two_dropout_masks(bert, tmp_path):
    texts = [{"text1": text, "text2": text} for text in ("这里有苹", "我要金了", "江河", "铁")]
    one = trainer(bert, tmp_path, texts, dropout=0.3, batch=4)
    batch = next(iter(one.get_train_dataloader()))
    one.model.train()
    loss, outputs = one.compute_loss(one.model, batch, return_outputs=True)
    vectors = outputs["embeddings"]
    assert (vectors[0::2] - vectors[1::2]).abs().min(-1).values.max() > 1e-4
    torch.testing.assert_close(loss, simcse_loss(vectors))


def test_rows_of_a_batch_are_pairs(bert, tmp_path):
    tokenizer = build_char_tokenizer(["甲乙丙丁"])
    batch = DataCollatorForSimilarity(tokenizer, 4)([
        {"text1": "甲", "text2": "乙乙乙乙", "score": 3},
        {"text1": "丙", "text2": "丁", "score": 0.5},
    ])  # fmt: skip
    assert tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True) == ["甲", "乙 乙", "丙", "丁"]
    assert batch["labels"].tolist() == [3, 0.5]
    assert "labels" not in DataCollatorForSimilarity(tokenizer)([{"text1": "甲", "text2": "乙"}])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, "pooling must be one of pooler, cls, mean, pooler_dense, first_last, got 'max'"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message, bert, tmp_path):
    with pytest.raises(ValueError, match=message):
        trainer(bert, tmp_path, **settings)


def test_texts_are_drawn_by_the_seed(tmp_path, file, monkeypatch):
    """At most so many, each once, others with another seed; and all where there are fewer."""
    seen = []

    def told(trainer, metric):
        seen.append([example["text1"] for example in trainer.train_dataset])
        trainer.train()

    monkeypatch.setattr("hf_ext.tasks.base.job.train_with_progress", told)
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    texts = dict.fromkeys(text for pair in PAIRS for text in (pair["text1"], pair["text2"]))
    more = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False, "max_steps": 1}
    for seed, count in ((0, 5), (0, 5), (1, 5), (0, 99)):
        job = SimilarityJob(file, file, config="tiny", loss="simcse", max_texts=count, max_length=16, overwrite=True)
        job.run(job.training_arguments(tmp_path / "model", use_cpu=True, disable_tqdm=True, seed=seed, **more))
    first, again, other, whole = seen
    assert len({*first}) == 5
    assert {*first} < {*texts}
    assert first == again != other
    assert whole == [*texts]


def test_texts_are_those_of_training_or_of_all_files(tmp_path):
    """A text that occurs twice is learnt once, whichever file has it."""
    files = {}
    for name, line in (("train", "a\tb\t1\na\tc\t0"), ("validation", "d\ta\t1\nd\te\t0"), ("test", "f\tb\t1\n")):
        files[f"{name}_file"] = tmp_path / name
        files[f"{name}_file"].write_text(line)
    for texts_of, wanted in (("train", "abc"), ("all", "abcdef")):
        job = SimilarityJob(config="tiny", loss="simcse", texts_of=texts_of, **files)
        assert [one["text1"] for one in job.read().train] == [*wanted]
    del files["test_file"]
    job = SimilarityJob(config="tiny", loss="simcse", texts_of="all", **files)
    assert [one["text1"] for one in job.read().train] == [*"abcde"]


@pytest.mark.parametrize(
    ("kind", "fields", "wanted"),
    [
        ("bert", {"classifier_dropout": 0.1}, ["hidden_dropout_prob", "attention_probs_dropout_prob"]),
        ("roformer", {}, ["hidden_dropout_prob", "attention_probs_dropout_prob"]),
        ("distilbert", {}, ["dropout", "attention_dropout"]),
        ("modernbert", {}, ["embedding_dropout", "mlp_dropout", "attention_dropout"]),
        ("electra", {"summary_last_dropout": 0.1}, ["hidden_dropout_prob", "attention_probs_dropout_prob"]),
    ],
)
def test_dropout_is_that_of_every_part_of_an_encoder(kind, fields, wanted):
    assert sorted(dropouts_of(AutoConfig.for_model(kind, **fields))) == sorted(wanted)


def test_dropout_goes_into_the_model(tmp_path, file, bert):
    """In attention too, also for an encoder that calls it otherwise; and refused where there is none."""
    tokenizer = build_char_tokenizer(text for pair in PAIRS for text in (pair["text1"], pair["text2"]))
    config = AutoConfig.for_model("distilbert", vocab_size=len(tokenizer), dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    for folder in (tmp_path, bert):
        job = SimilarityJob(file, file, model=str(folder), loss="simcse", dropout=0.3, max_length=16)
        model = job.load_model(tokenizer, None)
        rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
        assert rates
        assert set(rates) == {0.3}
    without = AutoConfig.for_model("rwkv", vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1)
    without.save_pretrained(tmp_path / "other")
    job = SimilarityJob(file, file, model=str(tmp_path / "other"), dropout=0.3)
    with pytest.raises(
        ValueError, match=r"dropout must be left out for a model whose config has none, got 0\.3 for rwkv"
    ):
        job.load_model(tokenizer, None)


def test_jobs_that_cannot_be_done_are_refused(file, tmp_path):
    with pytest.raises(ValueError, match="loss must be one of cosent, simcse, got 'dice'"):
        SimilarityJob(file, file, config="tiny", loss="dice")
    with pytest.raises(ValueError, match="max_texts goes with loss=simcse, got 5 with cosent"):
        SimilarityJob(file, file, config="tiny", max_texts=5)
    with pytest.raises(ValueError, match="max_texts must be at least 2, got 1"):
        SimilarityJob(file, file, config="tiny", loss="simcse", max_texts=1)
    with pytest.raises(ValueError, match="texts_of goes with loss=simcse, got all with cosent"):
        SimilarityJob(file, file, config="tiny", texts_of="all")
    with pytest.raises(ValueError, match="texts_of must be one of train, all, got 'test'"):
        SimilarityJob(file, file, config="tiny", loss="simcse", texts_of="test")
    empty, same = tmp_path / "empty", tmp_path / "same"
    empty.write_text("")
    same.write_text("a\tb\t1\nc\td\t1\n")
    with pytest.raises(ValueError, match="train_file must have texts, got none"):
        SimilarityJob(empty, file, config="tiny").run(TrainingArguments(output_dir=str(tmp_path / "model")))
    with pytest.raises(ValueError, match="validation_file must have texts, got none"):
        SimilarityJob(file, empty, config="tiny").run(TrainingArguments(output_dir=str(tmp_path / "model")))
    with pytest.raises(ValueError, match="validation_file must have at least two different scores, got one"):
        SimilarityJob(file, same, config="tiny", loss="simcse").run(
            TrainingArguments(output_dir=str(tmp_path / "model"))
        )


def test_rank_correlation_is_that_of_scipy():
    from scipy import stats

    rng = np.random.default_rng(0)
    for levels in (2, 5, 1000):
        first, second = rng.integers(0, levels, 60), rng.standard_normal(60)
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
    assert spearman([1, 2, 3], [10, 20, 40]) == 1
    assert spearman([1, 2, 3], [3, 2, 1]) == -1
    for wrong in ([], [1.0], [2.0, 2.0]):
        assert np.isnan(spearman(wrong, wrong))
    assert np.isnan(spearman([1, np.nan, 3], [1, 2, 3]))
    with pytest.raises(ValueError, match=r"\[2\] and \[3\]"):
        spearman([1, 2], [1, 2, 3])


@pytest.fixture(scope="module")
def sentence_model(bert):
    import sentence_transformers

    model = sentence_transformers.SentenceTransformer(str(bert), device="cpu").eval()
    return model


def test_cosent_is_that_of_sentence_transformers(sentence_model):
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    features = [sentence_model.preprocess([pair[name] for pair in PAIRS[::5]]) for name in ("text1", "text2")]
    labels = torch.tensor([pair["score"] for pair in PAIRS[::5]])
    values = []
    for loss in (SentenceCoSENTLoss(sentence_model), CoSENTLoss(sentence_model)):
        sentence_model.zero_grad()
        value = loss([dict(each) for each in features], labels)
        value.backward()
        values.append((value.detach(), [p.grad.clone() for p in sentence_model.parameters() if p.grad is not None]))
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-6)
    assert values[0][0] > 0.1


def test_simcse_takes_one_column_or_two(sentence_model):
    texts = [pair["text1"] for pair in PAIRS[::13]]
    features = sentence_model.preprocess(texts)
    loss = SentenceSimCSELoss(sentence_model, scale=5.0)
    vectors = torch.from_numpy(sentence_model.encode(texts))
    wanted = simcse_loss(vectors.repeat_interleave(2, 0), 5.0)
    torch.testing.assert_close(loss([features]), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss([features, features]), wanted, rtol=1e-4, atol=1e-5)
    assert loss.get_config_dict() == {"scale": 5.0}
    with pytest.raises(ValueError, match="one or two columns of texts, got 3"):
        loss([features] * 3)
    with pytest.raises(ValueError, match="two columns of texts, got 1"):
        SentenceCoSENTLoss(sentence_model)([features], torch.zeros(len(texts)))


def test_published_pairs_are_read_as_training_data(shared):
    pairs = read_text_pairs(shared / "data" / "stsb_zh" / "STS-B.valid.data")[:20]
    tokenizer = build_char_tokenizer(text for pair in pairs for text in (pair["text1"], pair["text2"]))
    batch = DataCollatorForSimilarity(tokenizer)(pairs)
    assert len(batch["input_ids"]) == 40
    assert hf_ext.losses.cosent_pair_loss(torch.randn(40, 4), batch["labels"]) > 0
