"""Folders of images and JSON lines: what is read, in which order, and what is refused by name."""

import json
from pathlib import Path
from unittest import mock

import numpy as np
import PIL.Image
import pytest

from hf_ext.extras import MissingExtraError
from hf_ext.tasks.image_classification import read_labelled_images
from hf_ext.tasks.image_classification.files import digest, image_files, keep_image


def draw(file: Path, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    PIL.Image.fromarray(rng.integers(0, 255, (6, 5, 3), dtype=np.uint8)).save(file)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, of which one has a folder within, and files that systems leave."""
    for name in ("dog/b.png", "dog/A.JPG", "cat/old/c.bmp", "cat/d.webp"):
        draw(tmp_path / "images" / name)
    (tmp_path / "images" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "images" / "dog" / ".thumbs").mkdir()
    (tmp_path / "images" / "dog" / ".thumbs" / "b.png").write_bytes(b"x")
    return tmp_path / "images"


def test_a_folder_a_class(folder: Path) -> None:
    found = [(Path(one["image"]).name, one["label"]) for one in read_labelled_images(folder)]
    assert found == [("d.webp", "cat"), ("c.bmp", "cat"), ("A.JPG", "dog"), ("b.png", "dog")]


def test_the_same_as_the_data_set_imagefolder(folder: Path, tmp_path: Path) -> None:
    """Where there are no folders within those of classes, which it takes for classes of their own."""
    from datasets import load_dataset

    (folder / "cat" / "old" / "c.bmp").unlink()
    rows = load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    theirs = sorted((digest(row["image"].filename), rows.features["label"].int2str(row["label"])) for row in rows)
    assert theirs == sorted((digest(one["image"]), one["label"]) for one in read_labelled_images(folder))


def test_json_lines(folder: Path) -> None:
    """Paths are those from where the file lies."""
    file = folder.parent / "train.jsonl"
    lines = [{"image": "images/dog/b.png", "label": "x"}, {"image": str(folder / "cat" / "d.webp"), "label": "y"}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = read_labelled_images(file)
    assert found == [
        {"image": str(folder / "dog" / "b.png"), "label": "x"},
        {"image": str(folder / "cat" / "d.webp"), "label": "y"},
    ]
    file.write_text(json.dumps(lines), encoding="utf-8")
    assert read_labelled_images(file) == found


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: draw(folder / "e.png"), "e.png: an image must lie in the folder of its class"),
        (lambda folder: (folder / "dog" / "notes.txt").write_text("x"), r"notes.txt: a file .* must end in one of"),
        (lambda folder: (folder / "dog" / "bad.png").write_bytes(b"x"), "bad.png: an image must be there that can be"),
        (lambda folder: (folder / "dog" / "no.png").write_bytes(b""), "no.png: an image must be there that can be"),
        (lambda folder: draw(folder / "cow" / "f.png"), "f.png: the class must be one of cat, dog, got 'cow'"),
    ],
)
def test_what_is_no_image_of_a_class_is_refused(make, message, folder: Path) -> None:
    make(folder)
    with pytest.raises(ValueError, match=message):
        read_labelled_images(folder, ["cat", "dog"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('["a.png", "x"]', r":1: a line must be a JSON object with image and label"),
        ('{"image": "images/dog/b.png"}', ":1: label must be a string that is not blank, got none"),
        ('{"image": " ", "label": "x"}', ":1: image must be a string"),
        ('{"image": "images/none.png", "label": "x"}', ":1: an image must be there that can be read, got .*none.png"),
    ],
)
def test_lines_that_cannot_be_read(line: str, message: str, folder: Path) -> None:
    file = folder.parent / "train.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_labelled_images(file)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none must be a folder with a folder for each class, or a file"):
        read_labelled_images(tmp_path / "none")
    with pytest.raises(ValueError, match="a folder must have images, got 'none'"):
        image_files(tmp_path)


def test_images_of_data_sets_are_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    image = PIL.Image.open(draw(tmp_path / "x.png"))
    file = keep_image(image)
    written = file.stat().st_mtime_ns
    assert keep_image(image.copy()) == file
    assert file.stat().st_mtime_ns == written
    assert np.array_equal(np.asarray(PIL.Image.open(file)), np.asarray(image))
    assert keep_image(image.transpose(PIL.Image.Transpose.ROTATE_90)) != file


def test_without_pillow(folder: Path) -> None:
    with (
        mock.patch.dict("sys.modules", {"PIL": None}),
        pytest.raises(MissingExtraError, match=r'^reading images needs PIL, .*pip install "hf-ext\[images\]"$'),
    ):
        read_labelled_images(folder)
