"""Work over files on a Ray cluster of two workers gives what one process gives, whatever happens on the way."""

import json
import os
import re
from pathlib import Path

import pytest
from ray_work import FaultyPrediction
from saved_tiny import TEXT
from typer.testing import CliRunner

from hf_ext.cli import app
from hf_ext.engines import Embedding, Prediction, run_on_ray

TESTS = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    # What Ray Data warns of when it makes its own settings.
    pytest.mark.filterwarnings("ignore:`use_\\w+` is deprecated:DeprecationWarning:ray"),
]


def run(*words):
    result = CliRunner().invoke(app, [*map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def cluster():
    import ray

    # Workers do not have what pytest adds to the path.
    path = os.pathsep.join(map(str, (TESTS.parent, TESTS, os.environ.get("PYTHONPATH", ""))))
    environment = {"env_vars": {"PYTHONPATH": path}}
    options = {"include_dashboard": False, "log_to_driver": False, "object_store_memory": 100 * 2**20}
    ray.init(address="local", num_cpus=2, runtime_env=environment, **options)
    yield
    ray.shutdown()


@pytest.fixture
def texts(tmp_path):
    """More than four parts of 16 texts, of many lengths."""
    file = tmp_path / "texts.jsonl"
    lines = [json.dumps({"text": (TEXT * 9)[i % 13 : 20 + i * 37 % 90], "id": i}) for i in range(70)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def names(folder):
    return {file.name for file in folder.iterdir()}


def test_predictions_are_those_of_one_process(cluster, tagger, texts, tmp_path):
    alone, spread = tmp_path / "alone.jsonl", tmp_path / "spread.jsonl"
    given = ("predict", tagger, "--file", texts, "--batch-size", 2, "--dtype", "float32", "--threshold", 0.4)
    run(*given, "--output", alone)
    result = run(*given, "--output", spread, "--engine", "ray", "--workers", 2)
    assert "70 documents in " in result.stderr
    assert spread.read_bytes() == alone.read_bytes()
    assert any(json.loads(line)["entities"] for line in alone.read_text(encoding="utf-8").splitlines())
    assert names(tmp_path) == {texts.name, alone.name, spread.name}


def test_vectors_are_those_of_one_process(cluster, encoder, texts, tmp_path):
    texts.write_text("\n".join([TEXT[i % 9 :] for i in range(1030)]), encoding="utf-8")
    alone, spread = tmp_path / "alone.npy", tmp_path / "spread.npy"
    given = ("embed", encoder, "--input", texts, "--normalize")
    run(*given, "--output", alone)
    assert "1030 texts in " in run(*given, "--output", spread, "--engine", "ray").stderr
    assert spread.read_bytes() == alone.read_bytes()
    assert names(tmp_path) == {texts.name, alone.name, spread.name}


def prediction(classifier, texts, tmp_path, fault):
    (tmp_path / "fault").write_text(fault)
    given = {"log": tmp_path / "log", "fault": tmp_path / "fault"}
    return FaultyPrediction(str(classifier), texts, dtype="float32", batch_size=1, **given)


def test_a_worker_that_is_killed_is_replaced(cluster, classifier, texts, tmp_path):
    work, output = prediction(classifier, texts, tmp_path, "die"), tmp_path / "out.jsonl"
    assert run_on_ray(work, output, workers=2) == 70
    assert not work.fault.exists()
    assert {*work.computed()} == {0, 1, 2, 3, 4}
    assert len(work.workers()) >= 2
    run("predict", classifier, "--file", texts, "--batch-size", 1, "--dtype", "float32", "--output", tmp_path / "one")
    assert output.read_bytes() == (tmp_path / "one").read_bytes()


def test_a_run_that_was_cut_off_computes_what_is_missing(cluster, classifier, texts, tmp_path):
    """What went wrong is told as in one process, and the settings of Ray Data are left as they were."""
    from ray.data import DataContext

    work, output = prediction(classifier, texts, tmp_path, "bad"), tmp_path / "out.jsonl"
    before = DataContext.get_current().target_max_block_size
    with pytest.raises(ValueError, match="part 2 is bad") as raised:
        run_on_ray(work, output, workers=1)
    assert str(raised.value) == "part 2 is bad"
    assert DataContext.get_current().target_max_block_size == before
    assert not output.exists()
    kept = {int(file.stem) for file in (tmp_path / ".out.jsonl.parts").glob("*.part")}
    assert kept < {0, 1, 3, 4}
    work.fault.unlink()
    work.log.write_text("")

    (tmp_path / "other.jsonl").write_bytes(texts.read_bytes().replace(b'"id": 69', b'"id": 70'))
    for other, message in (
        (Prediction(str(classifier), tmp_path / "other.jsonl", dtype="float32", batch_size=1), "file"),
        (Prediction(str(classifier), texts, dtype="float32", batch_size=2), "batch_size"),
    ):
        with pytest.raises(ValueError, match=rf"resume must be of the run .*, got another {message}; without resume"):
            run_on_ray(other, output, workers=1, resume=True)
    assert run_on_ray(work, output, workers=2, resume=True) == 70
    assert work.computed() == sorted({0, 1, 2, 3, 4} - kept)
    run("predict", classifier, "--file", texts, "--batch-size", 1, "--dtype", "float32", "--output", tmp_path / "one")
    assert output.read_bytes() == (tmp_path / "one").read_bytes()
    assert not (tmp_path / ".out.jsonl.parts").exists()


def test_more_workers_than_processors_are_refused(cluster, encoder, texts, tmp_path):
    work = Embedding(str(encoder), texts)
    for device, message in ((None, "2 CPUs of the cluster, got 3"), ("cuda", "0 GPUs of the cluster, got 3")):
        with pytest.raises(ValueError, match=re.escape(f"workers must be at most the {message}")):
            run_on_ray(work, tmp_path / "v.npy", workers=3, device=device)
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        run_on_ray(work, tmp_path / "v.npy", workers=0)
