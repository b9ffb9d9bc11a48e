"""Classifiers of images, in Python and on the command line: they learn, and predict as the library's pipeline does."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTConfig, pipeline
from typer.testing import CliRunner

import hf_ext
from hf_ext.cli import app
from hf_ext.tasks.image_classification import (
    ImageClassesPipeline,
    ImageClassificationJob,
    ImageDataset,
    read_labelled_images,
)

SIZE: dict[str, Any] = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "image_size": 16, "patch_size": 4, "layer_scale_init_value": 1.0,
}  # fmt: skip


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def draw(file: Path, upright: bool, seed: int) -> None:
    """A bar on a dark ground somewhere, upright and red or lying and blue."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 40, (16, 16, 3), dtype=np.uint8)
    at = int(rng.integers(1, 12))
    cut = (slice(None), slice(at, at + 3)) if upright else (slice(at, at + 3), slice(None))
    pixels[(*cut, 0 if upright else 2)] += 180
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(file)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of three parts."""
    folder = tmp_path_factory.mktemp("bars")
    for start, (part, number) in enumerate((("train", 24), ("dev", 8), ("test", 8))):
        for index in range(number):
            name = ("lying", "upright")[index % 2]
            draw(folder / part / name / f"{index}.png", index % 2 == 1, 100 * start + index)
    hf_ext.RoPEViTConfig(**SIZE).save_pretrained(folder / "config")
    return folder


def options(data: Path, output: Path, **more: Any) -> list[Any]:
    given = {
        "--train-file": data / "train", "--validation-file": data / "dev", "--output-dir": output,
        "--per-device-train-batch-size": 8, "--eval-strategy": "no", "--save-strategy": "no",
        "--load-best-model-at-end": "False", "--seed": 0,
    }  # fmt: skip
    return [*chain(*(given | more).items()), "--use-cpu"]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "model"
    more = {"--config": data / "config", "--test-file": data / "test", "--max-steps": 20, "--learning-rate": 3e-3}
    result = run("train", "image-classification", *options(data, output, **more), "--mirror")
    assert result.exit_code == 0, result.output
    assert "accuracy" in result.output
    return output


def test_what_a_run_learns_and_writes(trained: Path) -> None:
    scores = json.loads((trained / "scores.json").read_text(encoding="utf-8"))
    assert scores["accuracy"] >= 0.9
    assert scores["test"]["per_type"].keys() == {"lying", "upright"}
    files = {"README.md", "config.json", "model.safetensors", "preprocessor_config.json", "report.json", "report.html"}
    assert files <= {file.name for file in trained.iterdir()}
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: image-classification" in card
    assert "lying, upright" in card


def test_predict(trained: Path, data: Path, tmp_path: Path) -> None:
    """Paths, a folder or JSON lines, with what the library's own pipeline gives."""
    classify = pipeline("image-classification", model=str(trained), device="cpu")
    images = [one["image"] for one in read_labelled_images(data / "test")]
    wanted = [{"image": image, "classes": classify(image)} for image in images]
    lines = tmp_path / "images.jsonl"
    lines.write_text("".join(json.dumps({"image": image}) + "\n" for image in images), encoding="utf-8")
    for given in (images, ["--file", data / "test"], ["--file", lines]):
        result = run("predict", trained, *given, "--dtype", "float32", "--device", "cpu", "--output", tmp_path / "out")
        assert result.exit_code == 0, result.output
        found = [json.loads(line) for line in (tmp_path / "out").read_text(encoding="utf-8").splitlines()]
        assert [one["image"] for one in found] == images
        for one, other in zip(found, wanted):
            assert [c["label"] for c in one["classes"]] == [c["label"] for c in other["classes"]]
            for mine, theirs in zip(one["classes"], other["classes"]):
                assert mine["score"] == pytest.approx(theirs["score"], abs=1e-6)
    result = run("predict", trained, images[0], "--top-k", 1, "--device", "cpu")
    assert len(json.loads(result.stdout.splitlines()[-1])["classes"]) == 1


def test_pipeline(trained: Path, data: Path) -> None:
    """That of `hf-ext predict` takes what the library's takes, and runs the model as in evaluation."""
    classify: Any = pipeline("image-classes", model=str(trained), device="cpu")
    assert type(classify) is ImageClassesPipeline
    assert classify.labels(classify.model.config) == ["lying", "upright"]
    image = read_labelled_images(data / "dev")[0]["image"]
    classify.model.train()
    wanted = classify(image)
    assert classify.model.training
    assert classify({"image": image}) == classify(PIL.Image.open(image)) == wanted
    assert classify([image, image], batch_size=2, top_k=1) == [wanted[:1]] * 2


def test_predict_refuses_what_is_no_image(trained: Path, tmp_path: Path) -> None:
    for given, message in (
        ([tmp_path / "none.png"], "an image must be there, got .*none.png: no such file"),
        (["--file", tmp_path], "a folder must have images, got 'none'"),
        (["--threshold", 0.5, "x.png"], "threshold has no effect with a model that finds classes"),
    ):
        with pytest.raises(ValueError, match=message):
            CliRunner().invoke(app, ["predict", str(trained), *map(str, given)], catch_exceptions=False)


def test_evaluate(trained: Path, data: Path, tmp_path: Path) -> None:
    scores = json.loads((trained / "scores.json").read_text(encoding="utf-8"))["test"]
    result = run("evaluate", trained, "--file", data / "test", "--output", tmp_path / "scores.json", "--use-cpu")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "scores.json").read_text(encoding="utf-8")) == scores


def test_other_sizes_at_test(trained: Path, data: Path, tmp_path: Path) -> None:
    """The model is scored on larger images as it is, which need not be a multiple of those of training."""
    job = ImageClassificationJob(model=str(trained), image_size=24)
    arguments = job.training_arguments(tmp_path, use_cpu=True, disable_tqdm=True)
    scores = job.evaluate(data / "test", arguments)
    assert scores["support"] == 8
    rows = job.encode(read_labelled_images(data / "test"), job.load_tokenizer(()), job.open_trained())
    assert rows[0]["pixel_values"].shape == (3, 24, 24)
    with pytest.raises(ValueError, match="multiples of patch_size=4, got 18 and 18"):
        ImageClassificationJob(model=str(trained), image_size=18).evaluate(data / "test", arguments)


def test_a_new_head(trained: Path, data: Path, tmp_path: Path) -> None:
    """Other classes need a new head, which has to be asked for; the same ones go on from the old."""
    for name in ("a", "b", "c"):
        draw(tmp_path / "data" / "train" / name / "1.png", True, 1)
        draw(tmp_path / "data" / "dev" / name / "1.png", True, 2)
    given = {"--model": trained, "--max-steps": 1, "--image-size": 24}
    result = run("train", "image-classification", *options(tmp_path / "data", tmp_path / "new", **given))
    assert result.exit_code != 0
    assert "new_head must be given to put another head on the model" in str(result.exception)
    result = run("train", "image-classification", *options(tmp_path / "data", tmp_path / "new", **given), "--new-head")
    assert result.exit_code == 0, result.output
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "new")
    assert list(model.config.label2id) == ["a", "b", "c"]
    assert AutoImageProcessor.from_pretrained(tmp_path / "new").size.height == 24
    result = run("train", "image-classification", *options(data, tmp_path / "again", **given | {"--max-steps": 1}))
    assert result.exit_code == 0, result.output


def test_a_new_head_for_as_many_classes_begins_anew(trained: Path, data: Path) -> None:
    for new in (False, True):
        job = ImageClassificationJob(data / "train", data / "dev", model=str(trained), new_head=new)
        model = job.load_model(None, job.read())
        old = AutoModelForImageClassification.from_pretrained(trained)
        for name, value in old.state_dict().items():
            assert torch.equal(model.state_dict()[name], value) == (not new or name.startswith(old.base_model_prefix))


def test_a_model_of_another_family(data: Path, tmp_path: Path) -> None:
    """Transformers' ViT, from the folder of its config."""
    fields = {name: value for name, value in SIZE.items() if not name.startswith("layer_scale")}
    ViTConfig(**fields).save_pretrained(tmp_path / "config")
    given = {"--config": tmp_path / "config", "--max-steps": 1}
    result = run("train", "image-classification", *options(data, tmp_path / "model", **given))
    assert result.exit_code == 0, result.output
    assert type(AutoModelForImageClassification.from_pretrained(tmp_path / "model")).__name__.startswith("ViT")


def test_a_data_set(data: Path, tmp_path: Path) -> None:
    """A folder with a folder for each split, as `datasets` reads it, with its own names of splits."""
    given = {"--config": data / "config", "--max-steps": 1, "--dataset": data, "--test-split": "test"}
    words = options(data, tmp_path / "model", **given)
    for name in ("--train-file", "--validation-file"):
        at = words.index(name)
        del words[at : at + 2]
    result = run("train", "image-classification", *words)
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "model" / "scores.json").read_text(encoding="utf-8"))
    assert scores["support"] == scores["test"]["support"] == 8


def test_check(data: Path, tmp_path: Path) -> None:
    """Images that are the same are found by their content, in one folder and in two, under other names."""
    for part in ("train", "dev"):
        for index in range(6):
            draw(tmp_path / part / ("a", "b")[index % 2] / f"{index}.png", index % 2 == 1, index + 50 * (part == "dev"))
    (tmp_path / "dev" / "a" / "same.png").write_bytes((tmp_path / "train" / "a" / "0.png").read_bytes())
    (tmp_path / "train" / "b" / "other.png").write_bytes((tmp_path / "train" / "a" / "2.png").read_bytes())
    given = ["--train-file", tmp_path / "train", "--validation-file", tmp_path / "dev"]
    result = run("check", "image-classification", *given, "--json")
    assert result.exit_code == 3, result.output
    found = json.loads(result.stdout)
    assert found["labels"]["a"] == {"train": 3, "validation": 4}
    assert {"leak", "conflict"} <= {one["kind"] for one in found["findings"]}, found["findings"]


def test_images_are_mirrored_by_epoch_and_seed(data: Path) -> None:
    """Half of them, others in another epoch, and the same again in the same one."""
    examples = read_labelled_images(data / "train")
    job = ImageClassificationJob(config=str(data / "config"))
    plain, mirrored, other = (
        ImageDataset(examples, job.load_tokenizer(()), {"lying": 0, "upright": 1}, mirror, seed)
        for mirror, seed in ((False, 0), (True, 0), (True, 1))
    )

    def turned(rows: ImageDataset, epoch: int) -> list[bool]:
        rows.set_epoch(epoch)
        found = []
        for one, own in zip(plain, rows):
            assert torch.equal(own["pixel_values"], one["pixel_values"]) or torch.equal(
                own["pixel_values"], one["pixel_values"].flip(-1)
            )
            found.append(not torch.equal(own["pixel_values"], one["pixel_values"]))
        return found

    first = turned(mirrored, 0)
    assert 4 < sum(first) < 20
    assert turned(mirrored, 1) != first
    assert turned(other, 0) != first
    assert turned(mirrored, 0) == first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train_file": "dev/upright"}, "an image must lie in the folder of its class"),
        ({"validation_file": "train/none"}, "must be a folder with a folder for each class"),
        ({"config": "huge"}, "config must be a folder or one of the sizes tiny, small, base, large, got 'huge'"),
    ],
)
def test_what_cannot_be_trained_is_refused(fields: dict[str, str], message: str, data: Path, tmp_path: Path) -> None:
    given = {"train_file": data / "train", "validation_file": data / "dev", "config": str(data / "config")}
    given |= {name: data / value if name.endswith("file") else value for name, value in fields.items()}
    job = ImageClassificationJob(**given)
    with pytest.raises(ValueError, match=message):
        job.run(job.training_arguments(tmp_path / "out", use_cpu=True, disable_tqdm=True))
    assert not (tmp_path / "out" / "config.json").exists()


def test_images_of_one_colour_are_no_input(data: Path, tmp_path: Path) -> None:
    hf_ext.RoPEViTConfig(**SIZE, num_channels=1).save_pretrained(tmp_path / "config")
    job = ImageClassificationJob(data / "train", data / "dev", config=str(tmp_path / "config"))
    with pytest.raises(ValueError, match="num_channels must be 3, red, green and blue, got 1"):
        job.run(job.training_arguments(tmp_path / "out", use_cpu=True, disable_tqdm=True))


def test_an_image_that_breaks_off(data: Path, tmp_path: Path) -> None:
    """Whose beginning is right, so that it is found when it is read to its end, and named."""
    whole = next((data / "train" / "lying").iterdir()).read_bytes()
    file = tmp_path / "half.png"
    file.write_bytes(whole[: len(whole) // 2])
    job = ImageClassificationJob(config=str(data / "config"))
    rows = ImageDataset([{"image": str(file), "label": "x"}], job.load_tokenizer(()), {"x": 0})
    with pytest.raises(ValueError, match=r"half\.png must be an image that can be read"):
        rows[0]
