"""`hf-ext sample`: what it writes in each of its ways, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import pipeline
from typer.testing import CliRunner

from hf_ext import UniVAEConfig, UniVAEForTextAutoencoding, build_char_tokenizer
from hf_ext.cli import app

TEXTS = ["今天天气真好", "股市又跌了"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learnt nothing, but writes something else from each code."""
    tokenizer = build_char_tokenizer(TEXTS, model_max_length=12)
    config = UniVAEConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.5,
        num_latent_layers=2,
        latent_size=4,
        half_length=12,
    )
    torch.manual_seed(0)
    model = UniVAEForTextAutoencoding(config)
    made = tmp_path_factory.mktemp("univae")
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def write(folder: Path) -> Any:
    make: Any = pipeline
    return make("text-autoencoding", model=str(folder), device="cpu")


def run(*words: Any) -> Any:
    return CliRunner().invoke(app, ["sample", *map(str, words), "--device", "cpu", "--dtype", "float32"])


def lines(*words: Any) -> list[str]:
    result = run(*words)
    assert result.exit_code == 0, result.exception
    return result.stdout.split("\n")[:-1]


def test_from_the_prior(folder: Path, write: Any) -> None:
    found = lines(folder, "--count", 3, "--seed", 1)
    assert found == write.sample(3, seed=1)
    assert len(set(found)) == 3
    assert found == lines(folder, "--count", 3, "--seed", 1)
    assert found != lines(folder, "--count", 3, "--seed", 2)
    assert len(lines(folder)) == 10
    drawn = [lines(folder, "--count", 3, "--seed", 1, "--top-p", 0.9) for _ in range(2)]
    assert drawn[0] == drawn[1] != found
    assert lines(folder, "--count", 3, "--seed", 1, "--batch-size", 1) == found


def test_from_texts(folder: Path, write: Any, tmp_path: Path) -> None:
    again = write(TEXTS)
    assert len(set(again)) == 2
    assert again == write.write(write.encode(TEXTS))
    wanted = [f"{source}\t{text}" for source, text in zip(TEXTS, again)]
    assert lines(folder, "--reconstruct", TEXTS[0], "--reconstruct", TEXTS[1]) == wanted
    file, output = tmp_path / "texts.txt", tmp_path / "out.jsonl"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    assert lines(folder, "--input", file, "--batch-size", 1) == wanted
    assert lines(folder, "--input", file, "--output", output) == []
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert records == [{"source": source, "text": text} for source, text in zip(TEXTS, again)]
    way = lines(folder, "--interpolate", *TEXTS, "--steps", 3)
    assert way == [f"{number}\t{text}" for number, text in enumerate(write.interpolate(*TEXTS, steps=3))]
    assert [way[0], way[-1]] == [f"0\t{again[0]}", f"2\t{again[1]}"]
    assert lines(folder, "--swap", *TEXTS, "--layers", "0,1") == [f"0,1\t{again[1]}"]
    each = lines(folder, "--swap", *TEXTS)
    assert each == [f"{number}\t{write.swap(*TEXTS, number)}" for number in (0, 1)]
    beams = write.write(write.encode(TEXTS[:1]), num_beams=3)
    assert lines(folder, "--reconstruct", TEXTS[0], "--num-beams", 3) == [f"{TEXTS[0]}\t{beams[0]}"]


def test_special_tokens_are_not_written(write: Any) -> None:
    written = write.sample(20, seed=0)
    assert not any(token in text for text in written for token in ("[UNK]", "[CLS]", "[PAD]", "[MASK]"))
    assert write([]) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reconstruct", "天" * 11], "a text must have at most half_length=12 tokens, got 13 in '天天"),
        (["--steps", 3], "steps goes with interpolate, got 3 without"),
        (["--layers", "0"], "layers goes with swap, got 0 without"),
        (["--swap", *TEXTS, "--layers", "2"], r"layers must be numbers in \[-2, 2\), got \[2\]"),
        (["--interpolate", *TEXTS, "--steps", 1], "steps must be at least 2"),
        (["--count", 0], "count must be at least 1, got 0"),
        (["--batch-size", 0], "batch_size must be at least 1, got 0"),
        (["--num-beams", 2, "--top-p", 0.5], "top_p has no effect with num_beams"),
        (["--top-p", 1.5], r"top_p must be in \(0, 1\]"),
        (["--reconstruct", "天", "--seed", 1], "seed has no effect where nothing is drawn"),
        (["--output", "nowhere/out.jsonl"], "must be in a folder that exists"),
    ],
)
def test_what_is_refused(folder: Path, words: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raise run(folder, *words).exception


def test_what_is_typed_wrong(folder: Path) -> None:
    for words in (["--count", 1, "--reconstruct", "天"], ["--swap", *TEXTS, "--layers", "x"]):
        assert run(folder, *words).exit_code == 2


def test_a_model_of_another_task(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig(architectures=["BertForMaskedLM"]).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"model must have a trained head, \.\.\.ForTextAutoencoding, got BertForMaskedLM"
    ):
        raise run(tmp_path).exception  # type: ignore[misc]


def test_pipelines_take_texts_alone(write: Any) -> None:
    with pytest.raises(TypeError, match="inputs must be texts, got int"):
        write(3)
    with pytest.raises(ValueError, match="texts must be at least one, got none"):
        write.encode([])
