"""The autoencoder job's own: batches, diagnostics, the warm-up, what it starts from and what it refuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from models_tiny import FAMILIES, make
from torch.nn import functional as F

from hf_ext import RoFormerConfig, RoFormerForMaskedLM, UniVAEConfig, UniVAEForTextAutoencoding, build_char_tokenizer
from hf_ext.extras import MissingExtraError
from hf_ext.metrics import latent_table, plot_latents
from hf_ext.metrics.latent_report import per_latent
from hf_ext.tasks.autoencoding import (
    AutoencoderJob,
    DataCollatorForTextAutoencoding,
    KLWarmUp,
    TextAutoencodingPipeline,
    diagnose,
    read_texts,
)

TEXTS = ["今天天气真好", "股市又跌了", "好", "小猫在花园里", "跌了又好"]
LATENTS: dict[str, dict[str, Any]] = {
    "points": {"latent": "none"},
    "sphere": {"latent": "vmf"},
    "gaussian": {"latent": "gaussian"},
}
each_latent = pytest.mark.parametrize("fields", LATENTS.values(), ids=LATENTS)


def tiny(**fields: Any) -> Any:
    settings = FAMILIES["univae"].fields | {"num_hidden_layers": 3, "num_latent_layers": 2, "latent_size": 5}
    return make(UniVAEForTextAutoencoding, UniVAEConfig(**(settings | fields)))


def rows_and_collator() -> tuple[list[dict[str, Any]], DataCollatorForTextAutoencoding]:
    tokenizer = build_char_tokenizer([])
    ids = [[2, *(5 + (len(text) * place) % 50 for place, _ in enumerate(text)), 3] for text in TEXTS]
    return [{"input_ids": one} for one in ids], DataCollatorForTextAutoencoding(tokenizer, 16)


def test_batches() -> None:
    rows, collate = rows_and_collator()
    batch = collate(rows)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    for row, ids, mask, labels in zip(
        rows, *(batch[name].tolist() for name in ("input_ids", "attention_mask", "labels"))
    ):
        own = row["input_ids"]
        rest = [0] * (len(ids) - len(own))
        assert ids == own + rest
        assert mask == [1] * len(own) + rest
        assert labels == [-100, *own[1:], *(-100 for _ in rest)]
    collate.pad_to_multiple_of = 5
    assert collate(rows)["input_ids"].shape == (5, 10)
    # Not beyond the half.
    collate.pad_to_multiple_of = 20
    assert collate(rows)["input_ids"].shape == (5, 8)
    with pytest.raises(ValueError, match="a text must have at most half_length=16 tokens, got 17"):
        collate([{"input_ids": list(range(17))}])
    with pytest.raises(ValueError, match="a text must have a token behind its first one"):
        collate([{"input_ids": [2]}])


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text(" 甲 \n\n乙\n", encoding="utf-8")
    assert read_texts(file) == [{"text": "甲"}, {"text": "乙"}]
    file.write_text('[{"text": "甲", "id": 1}, "乙", " "]', encoding="utf-8")
    assert read_texts(file) == [{"text": "甲"}, {"text": "乙"}]


@each_latent
def test_diagnostics(fields: dict[str, Any], tmp_path: Path) -> None:
    """The losses text by text, the same whatever is run at a time; and what is told of each latent."""
    model, (rows, collate) = tiny(**fields), rows_and_collator()
    report = diagnose(model, rows, collate, batch_size=2)
    losses, means, count = [], [], 0
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row["input_ids"]])
            means.append(model.encode(ids))
            logits = model.decode(means[-1], ids)[0, :-1]
            losses.append(F.cross_entropy(logits, ids[0, 1:], reduction="sum"))
            count += ids.shape[1] - 1
    # The sums are in float32.
    assert report["reconstruction"]["mean"] == pytest.approx(float(sum(losses)) / count, rel=1e-6)
    assert report["reconstruction"]["permuted"] != pytest.approx(report["reconstruction"]["mean"], rel=1e-4)
    drawn = report["reconstruction"]["sampled"] != pytest.approx(report["reconstruction"]["mean"], rel=1e-6)
    assert drawn == (fields["latent"] != "none")
    assert report["reconstruction"] == diagnose(model, rows, collate, batch_size=2)["reconstruction"]
    whole = diagnose(model, rows, collate)
    for name in ("mean", "permuted"):
        assert whole["reconstruction"][name] == pytest.approx(report["reconstruction"][name], rel=1e-6)
    assert (report["texts"], report["num_latents"], report["latent_size"]) == (5, 2, 5)
    assert not model.training
    each = per_latent(report)
    assert list(each) == ["0", "1"]
    if fields["latent"] != "none":
        assert sum(row["kl"] for row in each.values()) == pytest.approx(report["latents"]["kl"])
    json.dumps(report)
    table = latent_table(each, "title")
    assert [len(list(column.cells)) for column in table.columns] == [2] * len(table.columns)
    plot_latents(report, tmp_path / "latents.png")
    assert (tmp_path / "latents.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="rows must be at least one text"):
        diagnose(model, [], collate)


def test_one_text_alone(tmp_path: Path) -> None:
    rows, collate = rows_and_collator()
    for fields in LATENTS.values():
        report = diagnose(tiny(**fields), rows[:1], collate)
        assert report["reconstruction"]["permuted"] == report["reconstruction"]["mean"]
        latent_table(per_latent(report))
        plot_latents(report, tmp_path / "one.png")


def test_the_picture_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Left out with a warning, and that of a run before with it."""

    def missing(*_: Any) -> None:
        raise MissingExtraError("drawing the latents needs matplotlib")

    monkeypatch.setattr("hf_ext.tasks.autoencoding.job.plot_latents", missing)
    (tmp_path / "latents.png").write_bytes(b"")
    job = AutoencoderJob(Path("a"), Path("b"), config="tiny")
    job.write((None, {}), [], tiny(), tmp_path)
    assert not (tmp_path / "latents.png").exists()
    assert "latents.png is left out: drawing the latents needs matplotlib" in caplog.text


def test_the_warm_up() -> None:
    callback, model = KLWarmUp(4), SimpleNamespace(kl_factor=1.0)
    found = []
    for step in range(6):
        callback.on_step_begin(None, SimpleNamespace(global_step=step), None, model=model)
        found.append(model.kl_factor)
    assert found == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    model.kl_factor = 0.5
    callback.on_train_end(None, None, None, model=model)
    assert model.kl_factor == 1.0
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        KLWarmUp(0)


def job(folder: Path, **options: Any) -> AutoencoderJob:
    for name in ("train", "validation"):
        (folder / f"{name}.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    start = {} if "model" in options else {"config": "tiny"}
    return AutoencoderJob(folder / "train.txt", folder / "validation.txt", **start, **options)


def load(made: AutoencoderJob, tokenizer: Any) -> Any:
    return made.load_model(tokenizer, made.read())


def test_what_it_starts_from(tmp_path: Path) -> None:
    """A size, a config, a RoFormer and a UniVAE; options give the latents."""
    tokenizer = build_char_tokenizer(TEXTS)
    made = load(job(tmp_path, max_length=20, latent="gaussian", latent_size=7, kl_weight=0.5), tokenizer)
    config = made.config
    assert (config.half_length, config.latent, config.latent_size, config.kl_weight) == (20, "gaussian", 7, 0.5)
    assert (config.num_hidden_layers, config.num_latent_layers, config.unpad) == (2, 1, True)
    assert (config.bos_token_id, config.eos_token_id) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    RoFormerForMaskedLM(RoFormerConfig(**sizes)).save_pretrained(tmp_path / "roformer")
    tokenizer.save_pretrained(tmp_path / "roformer")
    made = load(job(tmp_path, model=str(tmp_path / "roformer"), max_length=24), tokenizer)
    assert (made.config.half_length, made.config.num_latent_layers, made.config.latent) == (24, 2, "vmf")
    assert made.config.bos_token_id == tokenizer.cls_token_id
    written = made.generate(tokenizer(TEXTS[:1], return_tensors="pt")["input_ids"])
    assert int(written[0, 0]) == tokenizer.cls_token_id
    made.save_pretrained(tmp_path / "univae")
    again = load(job(tmp_path, model=str(tmp_path / "univae"), max_length=16), tokenizer)
    assert again.config.half_length == 24
    assert torch.equal(again.roformer.encoder.latents[1].mean.weight, made.roformer.encoder.latents[1].mean.weight)
    with pytest.raises(ValueError, match="max_length must be at most the model's 24 positions, got 32"):
        load(job(tmp_path, model=str(tmp_path / "univae")), tokenizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kl_warmup_steps": -1}, "kl_warmup_steps must be at least 0, got -1"),
        ({"kl_warmup_steps": 5}, "kl_warmup_steps goes with latent=gaussian, got 5 with vmf"),
        ({"kappa": 3.0, "latent": "gaussian"}, "kappa goes with latent=vmf, got 3.0 with gaussian"),
        ({"latent_size": 2}, "latent_size must be at least 3 on a sphere"),
        ({"num_latent_layers": 3}, "num_latent_layers must be in"),
        ({"latent_norm": "batch"}, 'latent_norm goes with latent="gaussian"'),
        ({"max_length": 1}, "half_length must be at least 2"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, StrictDataclassError), match=message):
        load(job(tmp_path, **options), build_char_tokenizer(TEXTS))


def test_a_model_without_latents(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model must be one of roformer, univae, got bert"):
        load(job(tmp_path, model=str(tmp_path)), build_char_tokenizer(TEXTS))


def test_the_pipeline_is_of_the_job() -> None:
    assert TextAutoencodingPipeline.command == AutoencoderJob.command


def test_a_short_run(tmp_path: Path) -> None:
    """It learns, with a warm-up and a picture, and what was cut off is said."""
    made = job(tmp_path, latent="gaussian", kl_warmup_steps=10, max_length=6)
    arguments = made.training_arguments(
        tmp_path / "model", max_steps=40, learning_rate=5e-3, use_cpu=True, disable_tqdm=True, eval_strategy="no",
        save_strategy="no", load_best_model_at_end=False,
    )  # fmt: skip
    scores = made.run(arguments)
    assert scores["perplexity"] < 10
    assert {"loss_mean", "loss_sampled", "loss_permuted", "kl", "mutual_information", "per_latent"} <= scores.keys()
    assert (tmp_path / "model" / "latents.png").is_file()
    shown = made.show(scores, "validation")
    assert "of another text" in shown[2]
