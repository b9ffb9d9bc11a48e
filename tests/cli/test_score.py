"""`hf-ext score`: texts and n-best lists, by each kind of language model, as the pipeline scores them."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from saved_tiny import saved
from transformers import pipeline
from typer.testing import CliRunner

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.cli import app
from hf_ext.tasks.scoring import rerank

TEXTS = ["天气", "今天的天气真不错，我们去公园吧", "好", "北京大学附属医院"]
SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.5,
    "max_position_embeddings": 32,
}


def run(*arguments: Any, **options: Any) -> Any:
    return CliRunner().invoke(app, ["score", *map(str, arguments)], **options)


def read(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module", params=["t-ta", "masked", "causal"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / request.param
    types = {} if request.param != "t-ta" else {"model_input_names": ["input_ids", "attention_mask"]}
    tokenizer = build_char_tokenizer(TEXTS, **types)
    torch.manual_seed(0)
    size = {"vocab_size": len(tokenizer), **SIZE}
    model: Any
    if request.param == "t-ta":
        model = hf_ext.TTAForMaskedLM(hf_ext.TTAConfig(**size, mask_token_id=tokenizer.mask_token_id))
    elif request.param == "masked":
        model = hf_ext.RoFormerForMaskedLM(hf_ext.RoFormerConfig(**size))
    else:
        model = hf_ext.RoFormerForCausalLM(hf_ext.RoFormerConfig(**size, attention_mode="causal"))
    for part in (model, tokenizer):
        part.save_pretrained(folder)
    return folder


def near(wanted: Any) -> Any:
    """The same but for the rounding of another batch."""
    if isinstance(wanted, dict):
        return {name: near(value) for name, value in wanted.items()}
    if isinstance(wanted, list):
        return [near(value) for value in wanted]
    return pytest.approx(wanted, abs=1e-4, rel=1e-5) if isinstance(wanted, float) else wanted


def test_texts_from_everywhere(folder: Path, tmp_path: Path) -> None:
    wanted = [{"text": one, **own} for one, own in zip(TEXTS, pipeline("text-scoring", model=str(folder))(TEXTS))]
    lines = tmp_path / "texts.txt"
    lines.write_text("\n\n".join(TEXTS), encoding="utf-8")
    records = tmp_path / "texts.jsonl"
    records.write_text("\n".join(json.dumps({"text": one, "id": 1}) for one in TEXTS), encoding="utf-8")
    done = run(folder, *TEXTS)
    assert read(done) == near(wanted)
    kind = {"t-ta": "in one pass", "masked": "in a pass a token", "causal": "from left to right"}[folder.name]
    assert f"4 texts, each {kind}" in done.stderr
    tokens, total = sum(one["tokens"] for one in wanted), sum(one["score"] for one in wanted)
    said = re.search(rf"^{tokens} tokens, perplexity ([\d.]+)$", done.stderr, re.MULTILINE)
    assert said is not None
    assert float(said[1]) == pytest.approx(2.718281828 ** (-total / tokens), rel=1e-3, abs=0.01)
    assert read(run(folder, "--file", lines)) == near(wanted)
    assert read(run(folder, "--file", records)) == near(wanted)
    assert read(run(folder, input="\n".join(TEXTS))) == near(wanted)
    output = tmp_path / "scores.jsonl"
    assert read(run(folder, "--file", lines, "--output", output, "--tokens-per-batch", 3)) == []
    assert [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()] == near(wanted)


def test_tokens(folder: Path) -> None:
    options = {"token_scores": True, "special_tokens": True}
    wanted = [{"text": TEXTS[1], **pipeline("text-scoring", model=str(folder))(TEXTS[1], **options)}]
    assert read(run(folder, TEXTS[1], "--token-scores", "--special-tokens")) == near(wanted)


def test_reranking(folder: Path, tmp_path: Path) -> None:
    """Lists of a file, or one of the command line, each in its new order."""
    lists = [
        {"id": 1, "candidates": [{"text": one, "score": float(number)} for number, one in enumerate(TEXTS)]},
        {"candidates": TEXTS[:2]},
    ]
    file = tmp_path / "lists.jsonl"
    file.write_text("\n".join(map(json.dumps, lists)), encoding="utf-8")
    scores = [one["score"] for one in pipeline("text-scoring", model=str(folder))(TEXTS)]
    plain = [{"text": one, "score": 0.0} for one in TEXTS]
    wanted = [
        {"id": 1, "candidates": rerank(lists[0]["candidates"], scores, 0.3)},  # type: ignore[arg-type]
        {"candidates": rerank(plain[:2], scores[:2], 0.3)},
    ]
    assert read(run(folder, "--rerank", "--weight", 0.3, "--file", file)) == near(wanted)
    assert read(run(folder, "--rerank", *TEXTS)) == near([{"candidates": rerank(plain, scores)}])
    (one,) = read(run(folder, "--rerank", "--token-scores", *TEXTS[:2]))
    assert all(
        sum(token["score"] for token in each["token_scores"]) == pytest.approx(each["lm_score"], abs=1e-4)
        for each in one["candidates"]
    )


def test_nothing_to_score(folder: Path) -> None:
    assert str(run(folder, input="\n\n").exception) == "standard input must have at least one text, got none"
    wanted = "standard input must have at least one list of candidates, got none"
    assert str(run(folder, "--rerank", input="").exception) == wanted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weight", "1", "天"], "weight has no effect without rerank, got 1.0"),
        (["--file", "texts.txt", "天"], "give either texts or --file"),
        (["--output", "absent/scores.jsonl", "天"], "must be in a folder that exists"),
        (["--rerank", "--file", "texts.txt"], r"texts.txt:1: the file must be JSON"),
        (["--file", "texts.txt", "--output", "texts.txt"], "output must not be the file of the texts"),
        (["天" * 40], "text 1 must have at most 32 tokens"),
    ],
)
def test_refusals(
    folder: Path, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("天气\n", encoding="utf-8")
    done = run(folder, *words)
    assert done.exit_code
    assert re.search(message, f"{done.stderr} {done.exception}")
    assert Path("texts.txt").read_text(encoding="utf-8") == "天气\n"


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("job", ["mlm", None])
def test_other_commands_say_what_a_language_model_is_for(
    folder: Path, command: str, job: str | None, tmp_path: Path
) -> None:
    """Pre-trained here, as job.json says, or elsewhere, where a causal model may be one of dialogues."""
    if folder.name == "causal":
        job = "lm"
    model = tmp_path / "model"
    shutil.copytree(folder, model)
    if job is not None:
        (model / "job.json").write_text(json.dumps({"command": job, "options": {}}), encoding="utf-8")
    texts = tmp_path / "texts.txt"
    texts.write_text("天气", encoding="utf-8")
    done = CliRunner().invoke(app, [command, str(model), "--file", str(texts)])
    name = re.escape(str(model))
    assert re.fullmatch(
        rf"model must be trained for a task, got \w+For(MaskedLM|CausalLM) in {name}: hf-ext score {name} says how "
        rf"likely it finds texts; hf-ext train TASK --model {name} trains it for one of autoencoder, .*",
        str(done.exception),
    )
    done = CliRunner().invoke(app, [command, str(model), "--file", str(texts), "--task", "ner"])
    assert "must have a trained head, one of ...ForSequenceLabeling, ...ForSpanExtraction, got" in str(done.exception)
    done = CliRunner().invoke(app, [command, str(model), "--file", str(texts), "--task", "mlm"])
    assert "task must be one of autoencoder, classification" in str(done.exception)


def test_a_model_without_a_head(tmp_path: Path) -> None:
    saved(tmp_path, hf_ext.RoFormerModel, TEXTS, config_class=hf_ext.RoFormerConfig)
    done = run(tmp_path, "天")
    assert re.search("model must be one of .*ForMaskedLM.*, got RoFormerModel", str(done.exception))
