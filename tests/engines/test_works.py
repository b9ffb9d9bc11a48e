"""Work in parts, without a cluster: the parts together are what one process writes; what cannot be done is refused."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from saved_tiny import TEXT, saved
from transformers import AutoModelForMultipleChoice
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.data.text_lines import TextFileError
from hf_ext.engines import Embedding, Prediction, ray_run, run_on_ray
from hf_ext.engines.digests import file_digest, model_digest
from hf_ext.engines.file_work import parts_of
from hf_ext.engines.kept_parts import KeptParts
from hf_ext.engines.ray_cluster import ray_cluster
from hf_ext.extras import MissingExtraError


def run(*words, **options):
    return CliRunner().invoke(app, [*map(str, words)], **options)


@pytest.fixture
def texts(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join((TEXT * 9)[i % 13 : 20 + i * 37 % 90] for i in range(1030)), encoding="utf-8")
    return file


def computed(work, output):
    compute = work.open()
    work.write(output, (compute(number, part) for number, part in parts_of(work.documents(), work.part_size)))
    return output.read_bytes()


@pytest.mark.parametrize(("count", "size", "sizes"), [(0, 3, []), (1, 3, [1]), (6, 3, [3, 3]), (7, 3, [3, 3, 1])])
def test_parts_are_the_documents_in_their_order(count, size, sizes):
    parts = list(parts_of(range(count), size))
    assert [number for number, _ in parts] == list(range(len(sizes)))
    assert [len(part) for _, part in parts] == sizes
    assert [one for _, part in parts for one in part] == list(range(count))


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_parts_of_predictions_are_those_of_one_process(tagger, texts, tmp_path, batch_size):
    texts.write_text("\n".join(texts.read_text(encoding="utf-8").split("\n")[:60]), encoding="utf-8")
    output = tmp_path / "out.jsonl"
    assert run("predict", tagger, "--file", texts, "--batch-size", batch_size, "--output", output).exit_code == 0
    work = Prediction(str(tagger), texts, batch_size=batch_size)
    assert computed(work, tmp_path / "parts.jsonl") == output.read_bytes()


@pytest.mark.parametrize("name", ["v.npy", "v.jsonl"])
def test_parts_of_vectors_are_those_of_one_process(encoder, texts, tmp_path, name):
    output = tmp_path / name
    assert run("embed", encoder, "--input", texts, "--output", output, "--normalize").exit_code == 0
    options = {"normalize": True, "tokens_per_batch": 8192}
    work = Embedding(str(encoder), texts, lines=name.endswith("jsonl"), options=options)
    assert computed(work, tmp_path / f"parts-{name}") == output.read_bytes()


def test_what_is_drawn_comes_from_the_seed_and_the_part(texts, tagger, monkeypatch):
    seeds = []
    monkeypatch.setattr("transformers.set_seed", seeds.append)
    compute = Prediction(str(tagger), texts, seed=7).open()
    for number in (0, 3):
        compute(number, [{"text": TEXT}])
    assert seeds == [7, 10]


def test_parts_are_kept_for_what_they_come_from(tmp_path):
    output = tmp_path / "out.jsonl"
    source = {"file": "a", "options": {"k": (1, 2)}}
    parts = KeptParts(output, source, resume=True)
    assert parts.numbers() == frozenset()
    for number in (2, 0):
        parts.put(number, b"%d\0" % number)
    again = KeptParts(output, source, resume=True)
    assert again.numbers() == {0, 2}
    with pytest.raises(OSError, match=r"00000001\.part"):
        list(again.contents(3))
    again.put(1, b"")
    assert list(again.contents(3)) == [b"0\0", b"", b"2\0"]
    with pytest.raises(ValueError, match="got another file, options; without resume all is computed anew"):
        KeptParts(output, {"file": "b"}, resume=True)
    assert again.numbers() == {0, 1, 2}
    assert KeptParts(output, source).numbers() == frozenset()
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_parts_of_a_run_of_one_process_are_not_taken(tmp_path):
    (tmp_path / ".v.npy.parts").mkdir()
    with pytest.raises(ValueError, match="resume must be of the run whose parts are in"):
        KeptParts(tmp_path / "v.npy", {"file": "a"}, resume=True)
    with pytest.raises(ValueError, match="output must be a file, beside which parts can be kept, got /dev/null"):
        KeptParts("/dev/null", {})


def test_digests_tell_files_and_folders_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("1")
    digests = {model_digest(tmp_path)}
    (tmp_path / "a" / "b").write_text("2")
    digests.add(model_digest(tmp_path))
    (tmp_path / "a" / "b").rename(tmp_path / "a" / "c")
    digests |= {model_digest(tmp_path), file_digest(tmp_path / "a" / "c"), model_digest("no/model")}
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("predict", "{tagger}", "--workers", 2), "workers has no effect without --engine ray; leave it out"),
        (("predict", "{tagger}", "--workers", 0), "workers has no effect without --engine ray; leave it out"),
        (("predict", "{tagger}", "--resume"), "resume has no effect without --engine ray; leave it out"),
        (("embed", "{encoder}", "--output", "{out}", "--workers", 2), "workers has no effect without --engine ray"),
        (("predict", "{tagger}", TEXT, "--engine", "ray"), "text does not go with engine ray"),
        (("predict", "{tagger}", "--whole", "--engine", "ray"), "whole does not go with engine ray"),
        (("predict", "{tagger}", "--engine", "ray", "--output", "{out}"), "file must be a file with engine ray"),
        (("predict", "{tagger}", "--engine", "ray", "--file", "{texts}"), "output must be given with engine ray"),
        (("embed", "{encoder}", "--engine", "ray", "--output", "{out}"), "input must be a file with engine ray"),
    ],
)
def test_options_without_effect_are_refused(words, message, tagger, encoder, texts, tmp_path):
    places = {"tagger": tagger, "encoder": encoder, "texts": texts, "out": tmp_path / "v.npy"}
    result = run(*(str(word).format(**places) for word in words), input="")
    assert str(result.exception).startswith(message)
    assert [file.name for file in tmp_path.iterdir()] == [texts.name]


def test_a_mistake_in_the_last_line_costs_nothing(tagger, texts, tmp_path):
    texts.write_text('{"text": "好"}\n{"tex": "好"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"texts\.txt:2: "):
        run_on_ray(Prediction(str(tagger), texts), tmp_path / "out.jsonl")
    with pytest.raises(ValueError, match="output must not be the file that is read"):
        run_on_ray(Prediction(str(tagger), texts), texts)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Prediction(str(tagger), texts, batch_size=0)
    assert [file.name for file in tmp_path.iterdir()] == [texts.name]


def test_questions_of_a_group_are_refused(tmp_path):
    folder, file = saved(tmp_path / "model", AutoModelForMultipleChoice.from_config), tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"text": "何远", "choices": ["写", "了"], "group": 1}) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"answers each question alone, got one of group 1 in .*questions\.jsonl"):
        run_on_ray(Prediction(str(folder), file), tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("address", "noted", "answers", "calls"),
    [
        (None, False, False, [("object_store_memory",)]),
        (None, True, True, [("object_store_memory",), ()]),
        (None, True, False, [("object_store_memory",), (), ("address", "object_store_memory")]),
        ("10.0.0.1:6379", True, True, [()]),
        ("10.0.0.1:6379", True, False, [()]),
    ],
)
def test_the_cluster_is_that_which_is_named_or_noted_or_a_new_one(address, noted, answers, calls, monkeypatch):
    """Never the address "auto", by which a run would also be on the cluster that another one has started for itself."""
    seen, ended = [], []

    def init(**options):
        seen.append(tuple(name for name in ("address", "object_store_memory") if name in options))
        assert options.get("address") in (None, "local")
        if noted and "address" not in options:
            if "object_store_memory" in options:
                raise ValueError("object_store_memory must not be provided")
            if not answers:
                raise ConnectionError

    ray = ModuleType("ray")
    ray.init, ray.is_initialized, ray.shutdown = init, lambda: False, lambda: ended.append(True)
    ray.data = ModuleType("ray.data")
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", ray.data)
    monkeypatch.setenv("RAY_ADDRESS", address or "")
    if address and not answers:
        message = "RAY_ADDRESS must be that of a Ray cluster, got 10.0.0.1:6379, where none answers"
        with pytest.raises(ValueError, match=message), ray_cluster():
            pass
    else:
        with ray_cluster() as given:
            assert given is ray
        assert ended == [True]
    assert seen == calls


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("threshold must be in [0, 1), got 2"), ValueError, "threshold must be in [0, 1), got 2"),
        (TextFileError("a.txt:3", "text must be a string"), ValueError, "a.txt:3: text must be a string"),
        (FileNotFoundError(2, "No such file", "model"), OSError, "[Errno 2] No such file: 'model'"),
        (MissingExtraError("install hf-ext[images]"), MissingExtraError, "install hf-ext[images]"),
        (KeyError("labels"), RuntimeError, "KeyError: 'labels'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_a_worker_says_elsewhere_what_it_said_there(error, kind, message):
    def failing(number, documents):
        raise error

    worker = ray_run._Worker(SimpleNamespace(open=lambda: failing))
    (row,) = worker(ray_run._row(3, b"[]")).to_pylist()
    assert (row["number"], row["failed"]) == (3, True)
    raised = ray_run._error_of(row["content"])
    assert (type(raised), str(raised)) == (kind, message)
    assert "in failing" in raised.__notes__[0]
