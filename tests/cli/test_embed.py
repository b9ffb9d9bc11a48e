"""`hf-ext embed`, and the files of vectors."""

import io
import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from saved_tiny import saved
from transformers import pipeline
from typer.testing import CliRunner

import hf_ext
from hf_ext.cli import app
from hf_ext.tasks.similarity import pipeline as embedding
from hf_ext.tasks.similarity.vector_file import write_jsonl, write_npy

TEXTS = ["天气", "今天的天气真不错，我们去公园吧", "好", "北京大学附属医院", "你好"]


def run(*arguments, **options):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    fields = {"attention_mode": "unilm", "pooler_activation": "linear", "initializer_range": 0.3}
    folder = tmp_path_factory.mktemp("sim")
    return saved(folder, hf_ext.RoFormerModel, TEXTS, config_class=hf_ext.RoFormerConfig, **fields)


@pytest.fixture(scope="module")
def vectors(folder):
    return pipeline("text-embedding", model=str(folder))(TEXTS)


def test_files_hold_the_vectors_in_the_order_of_the_texts(folder, vectors, tmp_path, monkeypatch):
    # Several parts, the last of them smaller.
    monkeypatch.setattr(embedding, "SORTED_TEXTS", 2)
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(TEXTS) + "\n\n", encoding="utf-8")
    result = run("embed", folder, "--input", source, "--output", tmp_path / "v.npy", "--tokens-per-batch", 20)
    assert result.exit_code == 0, result.output
    array = np.load(tmp_path / "v.npy")
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, vectors, atol=1e-6)

    source.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in TEXTS), encoding="utf-8")
    result = run("embed", folder, "--input", source, "--output", tmp_path / "v.jsonl", "--normalize")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["text"] for record in records] == TEXTS
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    np.testing.assert_allclose([record["embedding"] for record in records], unit, atol=1e-6)


def test_a_carriage_return_is_part_of_a_text(folder, tmp_path):
    source, output = tmp_path / "texts.txt", tmp_path / "v.jsonl"
    source.write_bytes("天气\r你好\r\n\n好\n".encode())
    for options in (("--input", source), ()):
        result = run("embed", folder, *options, "--output", output, input=source.read_bytes())
        assert result.exit_code == 0, result.output
        texts = [json.loads(line)["text"] for line in output.read_text(encoding="utf-8").splitlines()]
        assert texts == ["天气\r你好", "好"]


def test_standard_input_and_no_text_leaves_the_old_output(folder, vectors, tmp_path):
    output = tmp_path / "v.npy"
    assert run("embed", folder, "--output", output, input="\n".join(TEXTS)).exit_code == 0
    np.testing.assert_allclose(np.load(output), vectors, atol=1e-6)
    done = run("embed", folder, "--output", output, input="")
    assert str(done.exception) == "standard input must have at least one text, got none"
    np.testing.assert_allclose(np.load(output), vectors, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", "a", "output must end in .npy or .jsonl"),
        ("missing/v.npy", "a", "must be in a folder that exists"),
        ("v.npy", '{"text": "a"}\n{"tex": "b"}', r"in\.txt:2: a JSON line must be an object"),
        ("v.jsonl", '{"text": "a"}\n{"text": 1}', r"in\.txt:2: text must be a string"),
        ("v.npy", b"\xff", "must be UTF-8"),
    ],
)
def test_what_cannot_be_used_leaves_no_file(folder, tmp_path, name, content, message):
    source = tmp_path / "in.txt"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = run("embed", folder, "--input", source, "--output", tmp_path / name)
    with pytest.raises(ValueError, match=message):
        raise result.exception
    assert [file.name for file in tmp_path.iterdir()] == ["in.txt"]


@pytest.mark.parametrize("name", ["v.npy", "v.jsonl"])
def test_a_run_that_was_cut_off_goes_on_where_it_was(folder, tmp_path, monkeypatch, name):
    monkeypatch.setattr(embedding, "SORTED_TEXTS", 2)
    source, whole, output = (tmp_path / part for part in ("in.txt", f"whole-{name}", name))
    source.write_text("\n".join(TEXTS), encoding="utf-8")
    assert run("embed", folder, "--input", source, "--output", whole).exit_code == 0
    computed = []
    forward = embedding.EmbeddingPipeline.forward

    def failing(self, rows, **options):
        computed.append(len(rows["input_ids"]))
        if sum(computed) > limit:
            raise KeyboardInterrupt
        return forward(self, rows, **options)

    monkeypatch.setattr(embedding.EmbeddingPipeline, "forward", failing)

    def embed(most, *options):
        nonlocal limit
        limit = most
        computed.clear()
        result = run("embed", folder, "--input", source, "--output", output, *options)
        return result.exit_code == 0, sum(computed)

    limit = 0
    assert embed(4) == (False, 5)
    assert not output.exists()
    # Other settings and other texts do not count.
    assert embed(0, "--resume", "--normalize")[0] is False
    assert embed(9, "--resume") == (True, 1)
    assert output.read_bytes() == whole.read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"in.txt", whole.name, name}

    assert embed(4) == (False, 5)
    source.write_text("\n".join([*TEXTS[:2], "天", *TEXTS[3:]]), encoding="utf-8")
    assert embed(9, "--resume") == (True, 3)
    assert output.read_bytes() != whole.read_bytes()
    assert embed(9) == (True, 5)


def test_a_fingerprint_tells_what_vectors_come_from(folder, tmp_path):
    extract = pipeline("text-embedding", model=str(folder))
    options = {"pooling": "mean", "normalize": True, "max_length": 8, "tokens_per_batch": 99}
    prints = {extract.fingerprint(), *(extract.fingerprint(**{name: value}) for name, value in options.items())}
    hf_ext.Whitening(torch.zeros(16), torch.eye(16)).save_pretrained(tmp_path)
    prints.add(extract.fingerprint(whitening=str(tmp_path)))
    hf_ext.Whitening(torch.ones(16), torch.eye(16)).save_pretrained(tmp_path)
    prints.add(extract.fingerprint(whitening=str(tmp_path)))
    assert extract.fingerprint() == pipeline("text-embedding", model=str(folder)).fingerprint()
    with torch.no_grad():
        next(extract.model.parameters()).view(-1)[0].add_(1)
    prints.add(extract.fingerprint())
    assert len(prints) == 8


@pytest.mark.parametrize("rows", [[], [1], [3, 0, 4], [100] * 30])
def test_arrays_grow_with_their_parts(rows, tmp_path):
    parts = [np.random.default_rng(i).standard_normal((n, 3)).astype(np.float32) for i, n in enumerate(rows)]
    assert write_npy(tmp_path / "a.npy", iter(parts), 3) == sum(rows)
    wanted = np.concatenate([np.zeros((0, 3), np.float32), *parts])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), wanted)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", mmap_mode="r") if len(wanted) else wanted, wanted)


def test_lines_hold_the_same_float32(tmp_path):
    vector = np.array([0.1, 1 / 3, 1e-30, -16777216.0], np.float32)
    assert write_jsonl(tmp_path / "a.jsonl", [("天", vector)]) == 1
    line = (tmp_path / "a.jsonl").read_text(encoding="utf-8")
    assert '"天"' in line
    assert "0.1," in line
    np.testing.assert_array_equal(np.array(json.loads(line)["embedding"], np.float32), vector)


def test_parts_of_another_width_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\[n, 3\], got \[2, 4\]"):
        write_npy(tmp_path / "a.npy", [np.zeros((2, 4), np.float32)], 3)
    assert not list(tmp_path.iterdir())


def test_a_whitening_is_fitted_and_applied(folder, vectors, tmp_path):
    source, lines = tmp_path / "texts.txt", tmp_path / "texts.jsonl"
    source.write_text("\n".join(TEXTS), encoding="utf-8")
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    fitted = hf_ext.Whitening.fit([torch.from_numpy(vectors)], 3)
    for name, given in (("a", {"--input": source}), ("b", {"--input": lines}), ("c", {})):
        output, text = tmp_path / name, None if given else "\n".join(TEXTS)
        result = run("whiten", folder, "--output-dir", output, "--size", 3, *chain(*given.items()), input=text)
        assert result.exit_code == 0, result.output
        assert f"16 to 3 numbers in {output}" in result.stderr
        loaded = hf_ext.Whitening.from_pretrained(output)
        torch.testing.assert_close(loaded.mean, fitted.mean, atol=1e-5, rtol=0)

        result = run("embed", folder, "--input", source, "--output", tmp_path / "v.npy", "--whitening", output)
        assert result.exit_code == 0, result.output
        array = np.load(tmp_path / "v.npy")
        np.testing.assert_allclose(array, loaded(torch.from_numpy(vectors)), atol=1e-4)
        np.testing.assert_allclose(array.mean(0), np.zeros(3), atol=1e-4)
        np.testing.assert_allclose(np.cov(array.T), np.eye(3), atol=1e-3)
    result = run(
        "embed", folder, "--input", source, "--output", tmp_path / "v.jsonl", "--whitening", output, "--normalize"
    )
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()]
    unit = array / np.linalg.norm(array, axis=-1, keepdims=True)
    np.testing.assert_allclose([record["embedding"] for record in records], unit, atol=1e-5)


def test_a_whitening_is_fitted_to_both_texts_of_pairs(folder, tmp_path):
    """Of several files, by any pooling; and not to a line as one text."""
    files = [tmp_path / "a.tsv", tmp_path / "b.tsv"]
    for file, first in zip(files, (0, 1)):
        file.write_text(
            "".join(f"{one}\t{other}\t1\n" for one, other in zip(TEXTS[first::2], TEXTS[2:])), encoding="utf-8"
        )
    texts = [text for pair in [*zip(TEXTS[0::2], TEXTS[2:]), *zip(TEXTS[1::2], TEXTS[2:])] for text in pair]
    vectors = pipeline("text-embedding", model=str(folder))(texts, pooling="first_last")
    fitted = hf_ext.Whitening.fit([torch.from_numpy(vectors)], 3)
    given = ["--pairs", files[0], "--pairs", files[1], "--size", 3, "--pooling", "first_last"]
    result = run("whiten", folder, "--output-dir", tmp_path / "whitening", *given)
    assert result.exit_code == 0, result.output
    loaded = hf_ext.Whitening.from_pretrained(tmp_path / "whitening")
    torch.testing.assert_close(loaded.mean, fitted.mean, atol=1e-5, rtol=0)
    result = run("whiten", folder, "--output-dir", tmp_path / "other", *given, "--input", files[0])
    assert "input must be left out with pairs" in str(result.exception)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("command", "options", "content", "message"),
    [
        ("whiten", {"--size": 17}, "天气\n你好", "size"),
        ("whiten", {"--size": 0}, "天气\n你好", "size"),
        ("whiten", {}, "", "must have at least one text"),
        ("whiten", {}, "天气", "at least two"),
        ("whiten", {"--pooling": "max"}, "天气\n你好", "pooling"),
        ("whiten", {}, b"\xff", "must be UTF-8"),
        ("embed", {"--whitening": "missing"}, "天气", r"whitening\.safetensors must exist"),
    ],
)
def test_a_whitening_that_cannot_be_is_refused(command, options, content, message, folder, tmp_path):
    source, output = tmp_path / "in.txt", tmp_path / "out.npy"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    target = {"--output-dir": tmp_path / "whitening"} if command == "whiten" else {"--output": output}
    result = run(command, folder, *chain(*({"--input": source} | target | options).items()))
    assert isinstance(result.exception, (ValueError, OSError))
    with pytest.raises(type(result.exception), match=message):
        raise result.exception
    assert [file.name for file in tmp_path.iterdir()] == ["in.txt"]


@pytest.mark.slow
def test_what_is_no_file_gets_the_vectors(folder, vectors, tmp_path):
    (tmp_path / "out.npy").symlink_to("/dev/stdout")
    command = [sys.executable, "-m", "hf_ext.cli", "embed", str(folder), "--output", str(tmp_path / "out.npy")]
    text = "\n".join(TEXTS).encode()
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True)
    np.testing.assert_allclose(np.load(io.BytesIO(done.stdout)), vectors, atol=1e-6)
    assert [each.name for each in tmp_path.iterdir()] == ["out.npy"]
    (tmp_path / "null.npy").symlink_to("/dev/null")
    result = run("embed", folder, "--output", tmp_path / "null.npy", "--resume", input=text)
    assert str(result.exception).startswith("resume needs a file to write")
    assert not Path("/dev/.null.parts").exists()


def test_texts_are_not_replaced(folder, tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "好"}\n', encoding="utf-8")
    result = run("embed", folder, "--input", texts, "--output", texts)
    assert "output must not be the file of the texts" in str(result.exception)
    assert texts.read_text(encoding="utf-8") == '{"text": "好"}\n'


def test_vectors_are_made_in_float32_unless_asked_for(folder, vectors, tmp_path):
    made = {}
    for words in ((), ("--dtype", "float32"), ("--dtype", "bfloat16")):
        source = tmp_path / "texts.txt"
        source.write_text("\n".join(TEXTS), encoding="utf-8")
        result = run("embed", folder, "--input", source, "--output", tmp_path / "v.npy", *words)
        assert result.exit_code == 0, result.output
        made[words] = np.load(tmp_path / "v.npy")
    first, second, rounded = made.values()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, vectors, atol=1e-6)
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - first).max() < 0.05 * np.abs(first).max()
