"""A data set of the Hub, of a folder or of a table as a file of lines, which the readers of files read."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ext.atomic_file import atomic_write

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

# How a file of a table begins: Parquet, and Arrow's file and stream.
_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
_ROWS = re.compile(r"(\w+)\[(\d*):(\d*)\]")
VALIDATION_SPLITS = ("validation", "valid", "dev")
"""What the split to evaluate on is called where nobody names it, the first that there is."""


def dataset_file(
    source: str | os.PathLike[str],
    split: str = "train",
    config: str | None = None,
    columns: Mapping[str, str] | None = None,
    streaming: bool = False,
    lines: Callable[[Mapping[str, Any]], Iterable[str]] | None = None,
) -> Path:
    """Write the rows of a data set as JSON lines, which any reader of files reads, into the cache of ``datasets``.

    Row i is line i, so that errors name the row. A class that the data set has as a number stands under its name.

    Args:
        source: a name on the Hub, a folder with files of data, one that ``save_to_disk`` wrote, or a file of Parquet or
            Arrow, whose only split is ``train``.
        split: its name, or a part of it: ``train[:90%]``, ``train[1000:2000]``.
        config: which of several data sets of that name.
        columns: from the names that a reader knows to those that the data set has, ``{"text": "review"}``. Other
            columns keep their names.
        streaming: read rows as they come, and no more than ``split`` asks for, instead of loading all files first. A
            part of a split is then one of rows, not of percent.
        lines: makes lines of a row; None: one of JSON.

    Returns:
        The file; what it held before is replaced.

    Raises:
        ValueError: if there is no such data set, split or column, or a class has no name.
    """
    from rich.console import Console
    from rich.progress import track

    columns = dict(columns or {})
    rows = open_rows(source, split, config, columns, streaming)
    console = Console(stderr=True)
    shown = track(
        renamed_rows(rows, f"{source} ({split})", columns),
        f"reading {source} ({split})",
        total=None if streaming else len(rows),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with atomic_write(_path(source, split, config, columns)) as file:
        for row in shown:
            for line in [_json(row)] if lines is None else lines(row):
                file.write(f"{line}\n")
    return _path(source, split, config, columns)


def open_rows(
    source: str | os.PathLike[str],
    split: str = "train",
    config: str | None = None,
    columns: Mapping[str, str] | None = None,
    streaming: bool = False,
) -> "Dataset | IterableDataset":
    """The rows of a data set under its own names; the arguments are those of :func:`dataset_file`.

    Raises:
        ValueError: if there is no such data set, split or column.
    """
    rows = _rows(str(source), split, config, streaming)
    known = list(rows.features or ())
    for ours, theirs in (columns or {}).items():
        if known and theirs not in known:
            raise ValueError(f"columns must name columns of {source}, {', '.join(known)}, got {theirs!r} for {ours!r}")
    return rows


def renamed_rows(rows: Any, where: str, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a data set with the names that readers know, and the names of classes in place of their numbers."""
    for row in _named(rows, where):
        renamed = {name: value for name, value in row.items() if name not in columns.values()}
        yield renamed | {ours: row[theirs] for ours, theirs in columns.items()}


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one of Parquet or Arrow, by its beginning."""
    return _kind(Path(path)) is not None


def is_saved(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is one that ``save_to_disk`` wrote."""
    return any(Path(folder, name).is_file() for name in ("dataset_dict.json", "state.json"))


def validation_split(source: str, config: str | None = None) -> str:
    """The name of the split to evaluate on.

    Raises:
        ValueError: if there is no such data set, or none of its splits is called so.
    """
    names = _split_names(source, config)
    for name in VALIDATION_SPLITS:
        if name in names:
            return name
    raise ValueError(
        f"dataset must have a split {' or '.join(VALIDATION_SPLITS)}, got {', '.join(names)} in {source}; name one by "
        "validation_split, or part one: train_split='train[:90%]' and validation_split='train[90%:]'"
    )


def _split_names(source: str, config: str | None) -> list[str]:
    import datasets

    if _kind(Path(source)) is not None:
        return ["train"]
    if is_saved(source):
        saved = datasets.load_from_disk(source)
        return list(saved) if isinstance(saved, datasets.DatasetDict) else ["train"]
    return _from_hub(source, lambda: list(datasets.get_dataset_split_names(source, config)))


def _rows(source: str, split: str, config: str | None, streaming: bool) -> "Dataset | IterableDataset":
    import datasets

    kind = _kind(Path(source))
    if kind is None and is_saved(source):
        if streaming:
            raise ValueError(
                f"streaming has no effect on a data set that save_to_disk wrote, got {source}; leave it out"
            )
        if config is not None:
            raise ValueError(f"dataset_config has no effect on what save_to_disk wrote, got {config!r}")
        return _part_of_saved(datasets.load_from_disk(source), source, split)
    if kind is not None and config is not None:
        raise ValueError(f"dataset_config has no effect on a file, got {config!r} with {source}")
    files = {} if kind is None else {"data_files": source}
    part = _ROWS.fullmatch(split) if streaming else None
    if streaming and part is None and "[" in split:
        raise ValueError(f"split must be a name or rows of one, as train[:1000], with streaming, got {split!r}")
    name = split if part is None else part[1]

    def load() -> Any:
        return datasets.load_dataset(kind or source, config, split=name, streaming=streaming, **files)

    rows: Any = _from_hub(source, load)
    if part is not None:
        first = int(part[2] or 0)
        rows = rows.skip(first)
        rows = rows.take(max(0, int(part[3]) - first)) if part[3] else rows
    return rows


def _from_hub(source: str, load: Callable[[], Any]) -> Any:
    """What ``load`` gives; its errors say what could not be had."""
    try:
        return load()
    # An error of loading is of many classes; a data set of a script is a RuntimeError.
    except (OSError, RuntimeError, ValueError) as error:
        from huggingface_hub.constants import HF_HUB_OFFLINE

        reason = str(error).partition("\n")[0]
        is_there = Path(source).exists()
        where = "" if is_there else " (no file or folder here, and offline, as HF_HUB_OFFLINE says)" * HF_HUB_OFFLINE
        raise ValueError(f"dataset {source} cannot be read{where}: {reason}") from error


def _part_of_saved(saved: Any, source: str, split: str) -> "Dataset":
    import datasets

    parts = saved if isinstance(saved, datasets.DatasetDict) else {"train": saved}
    try:
        found = datasets.ReadInstruction.from_spec(split).to_absolute({name: len(part) for name, part in parts.items()})
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"split must be one of {', '.join(parts)} or a part of it, got {split!r} in {source}"
        ) from error
    return datasets.concatenate_datasets([parts[one.splitname].select(range(one.from_, one.to)) for one in found])


def _named(rows: Any, where: str) -> Iterator[dict[str, Any]]:
    """Rows whose classes have their names."""
    features = rows.features
    for number, row in enumerate(rows, start=1):
        try:
            yield {
                name: value if features is None or name not in features else _with_names(features[name], value)
                for name, value in row.items()
            }
        except ValueError as error:
            raise ValueError(f"{where}, row {number}: {error}") from error


def _with_names(feature: Any, value: Any) -> Any:
    """A value of a column, in which numbers of classes are their names."""
    from datasets import ClassLabel, LargeList, List

    if value is None:
        return None
    if isinstance(feature, ClassLabel):
        if not 0 <= value < feature.num_classes:
            raise ValueError(
                f"a class must be in [0, {feature.num_classes}), got {value}, as where labels are kept back"
            )
        return feature.int2str(value)
    if isinstance(feature, dict):
        return {name: _with_names(feature.get(name), one) for name, one in value.items()}
    if isinstance(feature, List | LargeList):
        return [_with_names(feature.feature, one) for one in value]
    return value


def _json(row: Mapping[str, Any]) -> str:
    # Dates and the like, which no reader asks for.
    return json.dumps(row, ensure_ascii=False, default=str)


def _path(source: str | os.PathLike[str], split: str, config: str | None, columns: Mapping[str, str]) -> Path:
    import datasets

    said = json.dumps(
        [os.path.abspath(source) if os.path.exists(source) else str(source), split, config, dict(columns)]
    )
    name = "-".join(part for part in re.split(r"\W+", f"{Path(source).name} {split}") if part)
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "hf_ext"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.jsonl"


def _kind(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(max(map(len, _MAGIC)))
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
