"""`hf-ext analyze spans` and `hf-ext analyze attention`: their pages, and the models that they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from page_parts import Page
from transformers import pipeline
from typer.testing import CliRunner

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.analysis import attention_maps, span_score_maps
from hf_ext.cli import app

TEXT = "张三在北京"
SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
}


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["analyze", *map(str, words)])


def maps_of(page: Path) -> list[dict[str, Any]]:
    data, _ = Page(page.read_text(encoding="utf-8")).texts("script")
    return json.loads(data)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of entities, relations and events, one of tags, an encoder and decoder, a mixer, a vision transformer."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = build_char_tokenizer([TEXT], model_max_length=24)
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), **SIZE}
    labels = {"id2label": {0: "人", 1: "地"}, "label2id": {"人": 0, "地": 1}}
    encoder = hf_ext.RoFormerConfig(**size, **labels)
    mixer = {key: value for key, value in size.items() if key not in ("num_attention_heads", "max_position_embeddings")}
    t5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
    models = {
        "spans": hf_ext.AutoModelForSpanExtraction.from_config(encoder),
        "relations": hf_ext.AutoModelForRelationExtraction.from_config(encoder),
        "events": hf_ext.AutoModelForEventExtraction.from_config(encoder),
        "tags": hf_ext.AutoModelForSequenceLabeling.from_config(encoder),
        "t5": hf_ext.T5PegasusForConditionalGeneration(hf_ext.T5PegasusConfig(vocab_size=len(tokenizer), **t5)),
        "mixer": hf_ext.TokenMixerModel(hf_ext.TokenMixerConfig(**mixer)),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    hf_ext.RoPEViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2).save_pretrained(folder / "vit")
    return {name: folder / name for name in (*models, "vit")}


LINKS = [f"{label}: {end} tokens" for label in ("人", "地") for end in ("first", "last")]


@pytest.mark.parametrize(
    ("name", "expected", "of_one"),
    [
        ("spans", ["人", "地"], ["地"]),
        ("relations", ["subject", "object", *LINKS], LINKS[2:]),
        ("events", ["人", "地", "same event: first tokens", "same event: last tokens"], ["地"]),
    ],
)
def test_spans(name, expected, of_one, folders, tmp_path):
    page = tmp_path / "spans.html"
    done = run("spans", folders[name], TEXT, "--output", page)
    assert done.exit_code == 0, done.exception
    assert f"{len(expected)} maps of 7 tokens" in done.stdout
    found = maps_of(page)
    assert [one["name"] for one in found] == expected
    assert found[0]["tokens"] == ["[CLS]", *TEXT, "[SEP]"]
    task = {"spans": "span-extraction", "relations": "relation-extraction", "events": "event-extraction"}[name]
    for one, wanted in zip(found, span_score_maps(pipeline(task, model=str(folders[name])), TEXT), strict=True):
        values = torch.tensor([[torch.nan if value is None else value for value in row] for row in one["values"]])
        assert torch.allclose(values.double(), wanted.values, atol=1e-4, equal_nan=True)
        assert [*map(tuple, one["marked"])] == wanted.marked
    one = run("spans", folders[name], TEXT, "--output", page, "--label", "地")
    assert one.exit_code == 0, one.exception
    assert [one["name"] for one in maps_of(page)] == of_one
    picture = run("spans", folders[name], TEXT, "--output", tmp_path / "spans.png")
    assert picture.exit_code == 0, picture.exception
    assert (tmp_path / "spans.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", ["spans", "t5"])
def test_attention(name, folders, tmp_path):
    page = tmp_path / "attention.html"
    done = run("attention", folders[name], TEXT, "--output", page, "--layer", "0")
    assert done.exit_code == 0, done.exception
    found = maps_of(page)
    assert [one["name"] for one in found] == ["layer 0, mean of 2 heads", "layer 0, head 0", "layer 0, head 1"]
    sums = torch.tensor(found[1]["values"]).sum(-1)
    assert torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
    if name == "spans":
        model = hf_ext.RoFormerModel.from_pretrained(folders[name], attn_implementation="eager")
        (wanted,) = attention_maps(model, build_char_tokenizer([TEXT]), TEXT, layer=0, head=1)
        assert torch.allclose(torch.tensor(found[2]["values"]).double(), wanted.values, atol=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("spans", "tags", "--output", "a.html"), "model must find entities by GlobalPointer"),
        (("spans", "relations", "--output", "a.html", "--label", "物"), "among subject, object, 人, 地, got 物"),
        (("spans", "mixer", "--output", "a.html"), "model must have a trained head"),
        (("spans", "spans", "--output", "a.pdf"), "a file of maps must end in .html or .png"),
        (("spans", "spans", "--output", "nowhere/a.png"), "must be in a folder that exists"),
        (("spans", "spans", "--output", "a.html", "--label", "物"), "labels must be among 人, 地, got 物"),
        (("attention", "mixer", "--output", "a.html"), "token mixers have no attentions to show"),
        (("attention", "vit", "--output", "a.html"), "model must read tokens"),
        (("attention", "spans", "--output", "a.html", "--layer", "9"), "layer must be below the 2 of the model"),
        (("attention", "spans", "--output", "a.html", "--head", "9"), "head must be from 0 to 1, got 9"),
        (("attention", "nowhere/at/all", "--output", "a.html"), "model must be there"),
    ],
)
def test_what_cannot_be_drawn_is_refused(words, message, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command, model, *options = words
    refused = run(command, folders.get(model, model), TEXT, *options)
    assert refused.exit_code != 0
    assert message in str(refused.exception)
    assert list(tmp_path.iterdir()) == []
