"""Data sets and tables as files of lines, against the data sets themselves."""

import json

import datasets
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from hf_ext.data import dataset_file
from hf_ext.data.dataset_file import is_table, validation_split

NAMES = ["坏", "好"]
FEATURES = Features(
    {
        "review": Value("string"),
        "label": ClassLabel(names=NAMES),
        "tags": List(ClassLabel(names=["O", "B-甲"])),
        "nested": {"kind": List({"of": ClassLabel(names=["x", "y"])})},
    }
)
ROWS = [
    {"review": f"文\u2028{i}", "label": i % 2, "tags": [0, 1][: i % 3], "nested": {"kind": [{"of": i % 2}]}}
    for i in range(10)
]
NAMED = [
    {
        "review": row["review"],
        "label": NAMES[row["label"]],
        "tags": [["O", "B-甲"][tag] for tag in row["tags"]],
        "nested": {"kind": [{"of": "xy"[one["of"]]} for one in row["nested"]["kind"]]},
    }
    for row in ROWS
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same rows, as train and as the first five to evaluate on, in every form."""
    folder = tmp_path_factory.mktemp("sets")
    train = Dataset.from_list(ROWS, features=FEATURES)
    both = DatasetDict(train=train, dev=train.select(range(5)))
    both.save_to_disk(str(folder / "saved"))
    (folder / "files").mkdir()
    train.to_parquet(str(folder / "files" / "train.parquet"))
    both["dev"].to_parquet(str(folder / "files" / "validation.parquet"))
    train.save_to_disk(str(folder / "one"))
    return folder


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.mark.parametrize(
    ("name", "split", "wanted"),
    [
        ("saved", "train", NAMED),
        ("saved", "dev", NAMED[:5]),
        ("saved", "train[:30%]+dev[4:]", [*NAMED[:3], NAMED[4]]),
        ("one", "train[8:]", NAMED[8:]),
        ("files", "train", NAMED),
        ("files", "validation", NAMED[:5]),
        ("files", "train[-20%:]", NAMED[8:]),
        ("files/train.parquet", "train", NAMED),
        ("files/train.parquet", "train[:2]", NAMED[:2]),
        ("one/data-00000-of-00001.arrow", "train", NAMED),
    ],
)
def test_rows_are_lines(name, split, wanted, folder):
    assert read(dataset_file(folder / name, split)) == wanted


@pytest.mark.parametrize(
    ("split", "wanted"),
    [("train", NAMED), ("train[:3]", NAMED[:3]), ("train[4:6]", NAMED[4:6]), ("train[9:]", NAMED[9:])],
)
@pytest.mark.parametrize("name", ["files", "files/train.parquet"])
def test_a_stream_is_read_as_far_as_asked(name, split, wanted, folder):
    assert read(dataset_file(folder / name, split, streaming=True)) == wanted


def test_columns_get_the_names_that_readers_know(folder):
    found = read(dataset_file(folder / "saved", "dev", columns={"text": "review", "labels": "tags"}))
    assert found == [
        {"label": row["label"], "nested": row["nested"], "text": row["review"], "labels": row["tags"]}
        for row in NAMED[:5]
    ]


def test_lines_of_a_row_may_be_others(folder):
    path = dataset_file(folder / "saved", "dev", lines=lambda row: (row["label"], "-"))
    assert path.read_text(encoding="utf-8").split() == [word for row in NAMED[:5] for word in (row["label"], "-")]


def test_what_is_written_is_apart(folder):
    paths = {
        dataset_file(folder / "saved", "dev"),
        dataset_file(folder / "saved", "train"),
        dataset_file(folder / "saved", "dev", columns={"text": "review"}),
        dataset_file(folder / "files", "train"),
    }
    assert len(paths) == 4
    assert dataset_file(folder / "saved", "dev") in paths


def test_a_table_is_known_by_its_content(folder, tmp_path):
    assert is_table(folder / "files" / "train.parquet")
    assert is_table(folder / "one" / "data-00000-of-00001.arrow")
    (tmp_path / "a.parquet").write_text("PAR is no table")
    assert not is_table(tmp_path / "a.parquet")
    assert not is_table(folder)
    assert not is_table(tmp_path / "missing")


def test_the_split_to_evaluate_on(folder):
    assert validation_split(str(folder / "saved")) == "dev"
    assert validation_split(str(folder / "files")) == "validation"
    for name in ("one", "files/train.parquet"):
        with pytest.raises(ValueError, match=r"must have a split validation or valid or dev, got train in .*90%"):
            validation_split(str(folder / name))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("saved", {"split": "test"}, "split must be one of train, dev or a part of it, got 'test'"),
        ("saved", {"streaming": True}, "streaming has no effect on a data set that save_to"),
        ("saved", {"config": "a"}, "dataset_config has no effect on what save_to_disk wrote, got 'a'"),
        (
            "saved",
            {"columns": {"text": "txt"}},
            "columns must name columns of .*saved, review, label.*got 'txt'",
        ),
        ("files/train.parquet", {"config": "a"}, "dataset_config has no effect on a file, got 'a'"),
        ("files", {"split": "train[:5%]", "streaming": True}, "must be a name or rows of one, .*got 'train\\[:5%\\]'"),
        ("files", {"split": "trn"}, "dataset .*files cannot be read: .*trn"),
        ("missing", {}, "dataset .*missing cannot be read.*offline, as HF_HUB_OFFLINE says"),
    ],
)
def test_what_cannot_be_read_is_refused(name, options, message, folder):
    with pytest.raises(ValueError, match=message):
        dataset_file(folder / name, **options)


def test_a_name_of_the_hub_cannot_be_had_offline():
    with pytest.raises(ValueError, match=r"nobody/nothing cannot be read \(no file or folder here, and offline"):
        dataset_file("nobody/nothing")


def test_a_class_that_is_kept_back_is_named_with_its_row(tmp_path):
    rows = Dataset.from_dict({"label": [1, -1]}, features=Features({"label": ClassLabel(names=NAMES)}))
    rows.save_to_disk(str(tmp_path / "kept"))
    with pytest.raises(ValueError, match=r"kept \(train\), row 2: a class must be in \[0, 2\), got -1"):
        dataset_file(tmp_path / "kept")
