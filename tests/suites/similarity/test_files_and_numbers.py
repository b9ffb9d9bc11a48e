"""What the suite knows without a model: its files line by line, its tasks, and the published numbers."""

import logging

import pytest

from hf_ext.suites.similarity.published import POOLINGS, PUBLISHED
from hf_ext.suites.similarity.rows import pair_rows, read_pair_file
from hf_ext.suites.similarity.settings import SIMCSE
from hf_ext.suites.similarity.suite import SUITE
from hf_ext.tasks.similarity import SimilarityJob


def written(folder, text, name="ATEC.train.data"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_lines_of_three_fields_alone_are_read(tmp_path, caplog):
    lines = [
        "a\tb\t1",
        "a\tb",
        "",
        "  c \td\t0.5  ",
        "a\tb\tc\t1",
        "a\tb\t1\t",
        "\ta\tb",
        "a\t \t1",
        "e，“f”\tg\u2028h\t-2",
    ]
    file = written(tmp_path, "\ufeff" + "\r\n".join(lines))
    pairs, skipped = read_pair_file(file)
    assert [pair for _, pair in pairs] == [
        {"text1": "a", "text2": "b", "score": 1.0},
        {"text1": "c", "text2": "d", "score": 0.5},
        {"text1": "a", "text2": "b", "score": 1.0},
        {"text1": "e，“f”", "text2": "g\u2028h", "score": -2.0},
    ]
    assert [where.number for where, _ in pairs] == [1, 4, 6, 9]
    assert [where.number for where in skipped] == [2, 5, 7, 8]
    other = written(tmp_path, "x\ty\t3\n", "ATEC.valid.data")
    with caplog.at_level(logging.WARNING, "hf_ext"):
        rows = [*pair_rows([file, other])]
    assert [number for _, number, _ in rows] == [0, 1, 2, 3, 4]
    assert rows[4][2] == {"text1": "x", "text2": "y", "score": 3.0}
    assert str(rows[4][0]) == f"{other}:1"
    assert [record.getMessage() for record in caplog.records] == [
        f"4 of 8 lines of {file} have not three fields, and are left out; the first is line 2"
    ]


@pytest.mark.parametrize("score", ["much", "nan", "inf", "1,5"])
def test_a_score_that_is_none_is_an_error_with_its_line(tmp_path, score):
    file = written(tmp_path, f"a\tb\t1\nc\td\t{score}\n")
    with pytest.raises(ValueError, match=rf"data:2: score must be a finite number, got '{score}'"):
        read_pair_file(file)


def test_an_empty_file_has_nothing(tmp_path):
    assert read_pair_file(written(tmp_path, "")) == ([], [])


def test_published_files_are_read(shared):
    counts = {"stsb_zh/STS-B.train.data": 5231, "stsb_zh/STS-B.valid.data": 1458, "pawsx_zh/PAWSX.valid.data": 2000}
    for name, count in counts.items():
        pairs, skipped = read_pair_file(shared / "data" / name)
        assert (len(pairs), len(skipped)) == (count, 0)


def test_tasks_are_those_of_the_articles(tmp_path):
    simcse = {task.name: task.settings("simcse") for task in SUITE.tasks}
    assert {name: (one["max_length"], one.get("max_texts")) for name, one in simcse.items()} == {
        "ATEC": (64, 10_000), "BQ": (64, 10_000), "LCQMC": (64, 10_000), "PAWSX": (128, None), "STS-B": (64, 10_000),
    }  # fmt: skip
    assert SUITE.chosen(["STS-B"])[0].files == {
        "train": "STS-B.train.data", "validation": "STS-B.valid.data", "test": "STS-B.test.data",
    }  # fmt: skip
    for settings in simcse.values():
        own = {name: value for name, value in settings.items() if name in SimilarityJob.__dataclass_fields__}
        job = SimilarityJob(tmp_path / "a", tmp_path / "b", model="x", **own)
        assert (job.max_texts, job.max_length, job.dropout) == (settings.get("max_texts"), settings["max_length"], 0.3)
        arguments = job.training_arguments(
            tmp_path, use_cpu=True, **{k: v for k, v in settings.items() if k not in own}
        )
        wanted = {name: value for name, value in SIMCSE.items() if name not in own}
        assert {name: getattr(arguments, name) for name in wanted} == wanted


def test_published_numbers_are_those_of_the_table(shared):
    """Row by row as they are printed."""
    text = (shared / "data" / "PUBLISHED_RESULTS_SIMILARITY.md").read_text(encoding="utf-8")
    names, printed = [], {}
    for line in text.splitlines():
        first, *cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if first == "model":
            names = cells
        model, _, number = first.partition("-")
        if number in POOLINGS and len(cells) == 5:
            size = 128 if model in ("SimBERT_small", "SimBERT_tiny") else 256
            ways = (("plain", None), ("whitening", None), ("whitening", size), ("simcse", None))
            for way, scores in zip(ways, zip(*[map(float, cell.split("/")) for cell in cells])):
                printed[model, POOLINGS[number], *way] = dict(zip(names, scores))
    assert len(printed) == 120
    assert {
        (one.name.partition("-")[0], one.of["pooling"], one.of["preset"], one.of.get("whitened_size")): one.scores
        for one in PUBLISHED
    } == printed
    assert {one.part for one in PUBLISHED} == {"test"}
