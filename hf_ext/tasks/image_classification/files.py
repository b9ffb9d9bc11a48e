"""Reads images with their classes: a folder a class, or JSON lines."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_ext.atomic_file import atomic_write
from hf_ext.data.text_lines import FileLine, TextFileError, fail, json_records, read_lines, text_value
from hf_ext.extras import extra
from hf_ext.tasks.base.task_files import TaskFiles

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""How the names of files of images end, in small letters or capitals."""

# So many images take seconds to look at.
_MANY = 5000


def read_labelled_images(path: str | os.PathLike[str], labels: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Read images with their classes.

    Args:
        path: a folder with a folder for each class, as the data set ``imagefolder`` has them; what lies deeper belongs
            to the class too. Or a file of JSON lines ``{"image", "label"}`` with paths from where that file lies.
        labels: the only classes that there may be; None: any.

    Returns:
        Dicts ``{"image", "label"}``: the whole path and the name of the class, by the order of their names or lines.

    Raises:
        ValueError: naming the file, if it is no image or has no class, or another than ``labels``.
    """
    from rich.console import Console
    from rich.progress import track

    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} must be a folder with a folder for each class, or a file of JSON lines, got neither")
    examples = []
    found: list[tuple[FileLine | str, Path, str]] = [*(_of_folder(path) if path.is_dir() else _of_lines(path))]
    console = Console(stderr=True)
    shown = track(
        found,
        f"looking at the images of {path}",
        console=console,
        transient=True,
        disable=not console.is_terminal or len(found) < _MANY,
    )
    for where, image, label in shown:
        if labels is not None and label not in labels:
            fail(where, f"the class must be one of {', '.join(labels)}", label)
        _check_image(image, where)
        # Whole, as they are read from elsewhere too, when they have been written to a file.
        examples.append({"image": str(image.absolute()), "label": label})
    return examples


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The images of a folder and of those in it, by the order of their names.

    Raises:
        ValueError: naming the file, if one that is not hidden is no image by its name, or there are none.
    """
    found = []
    for file in sorted(Path(folder).rglob("*")):
        if file.is_dir() or any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        if file.suffix.lower() not in ENDINGS:
            fail(str(file), f"a file of a folder of images must end in one of {', '.join(ENDINGS)}", file.name)
        found.append(file)
    if not found:
        fail(str(folder), "a folder must have images", "none")
    return found


def image_to_load(image: Any) -> Any:
    """What Transformers' ``load_image`` reads: the path of ``{"image": path}``, of which there must be a file.

    Raises:
        ValueError: if there is none.
    """
    if not isinstance(image, Mapping):
        return image
    path = image["image"]
    if not path.startswith(("http://", "https://")) and not Path(path).is_file():
        raise ValueError(f"an image must be there, got {path}: no such file")
    return path


def digest(image: str | os.PathLike[str]) -> str:
    """What tells a file from others by its content alone."""
    with open(image, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_image(image: Any) -> Path:
    """Write an image of a data set into the cache of ``datasets``, where it has the name of its content.

    Args:
        image: of Pillow.
    """
    import datasets

    picture = image.convert("RGB")
    name = hashlib.sha256(f"{picture.size} ".encode() + picture.tobytes()).hexdigest()
    file = Path(datasets.config.HF_DATASETS_CACHE) / "hf_ext" / "images" / name[:2] / f"{name}.png"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, "wb") as stream:
            picture.save(stream, "PNG")
    return file


def _of_folder(folder: Path) -> Iterator[tuple[FileLine | str, Path, str]]:
    """Place, image and class."""
    for file in image_files(folder):
        label, *rest = file.relative_to(folder).parts
        if not rest:
            fail(str(file), "an image must lie in the folder of its class", f"one beside those, in {folder}")
        yield str(file), file, label


def _of_lines(path: Path) -> Iterator[tuple[FileLine | str, Path, str]]:
    for where, record in json_records(read_lines(path)):
        if not isinstance(record, Mapping):
            fail(where, "a line must be a JSON object with image and label", record)
        image, label = (text_value(record.get(name), name, where) for name in ("image", "label"))
        yield where, path.parent / image, label


def _check_image(image: Path, where: FileLine | str) -> None:
    """See to it that a file is an image, by its beginning."""
    with extra("images", "reading images"):
        from PIL import Image
    try:
        with Image.open(image):
            pass
    # Pillow's error of what is no image is an OSError too.
    except (OSError, ValueError) as error:
        raise TextFileError(where, f"an image must be there that can be read, got {image}: {error}") from error


FILES = TaskFiles("image-classification", read_labelled_images)
