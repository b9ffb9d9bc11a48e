"""The benchmark harness: memory against known allocations, ratios, and CSV files that refuse other columns."""

import csv

import harness
import pytest
import torch

MEGABYTE = 2**20
FLOATS = MEGABYTE // 4


def overlapping() -> None:
    a = torch.empty(10 * FLOATS)
    b = torch.empty(20 * FLOATS)
    del a
    c = torch.empty(5 * FLOATS)
    del b, c


def one_after_another() -> None:
    x = torch.ones(4 * FLOATS)
    for _ in range(5):
        x = x * 2.0


def nothing() -> None:
    pass


@pytest.mark.parametrize(("call", "megabytes"), [(overlapping, 30), (one_after_another, 8), (nothing, 0)])
def test_peak_bytes_are_those_alive_at_once(call, megabytes):
    assert harness.peak_bytes(call) == pytest.approx(megabytes * MEGABYTE, abs=4096)


def test_compare_times_every_side_in_every_round():
    seen = []
    sides = harness.compare({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, rounds=3, repeats=2)
    assert [len(side.seconds) for side in sides.values()] == [3, 3]
    # Warm-up and memory first, then rounds in which the sides take turns at being first.
    assert "".join(seen) == "aabb" + "aabb" + "bbaa" + "aabb"


def test_report_gives_ratios_to_our_side(tmp_path):
    ours, peer = harness.Side([2.0, 1.0], 100 * MEGABYTE), harness.Side([3.0, 4.0], 50 * MEGABYTE)
    path = tmp_path / "results" / "case.csv"
    harness.report("case", {"case": "x"}, {"ours": ours, "peer": peer}, "ours", path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["side"]: row for row in csv.DictReader(file)}
    assert (float(rows["peer"]["time_ratio"]), float(rows["peer"]["memory_ratio"])) == (3.0, 0.5)
    assert float(rows["ours"]["median_s"]) == 1.5
    assert rows["ours"]["machine"]


def test_append_rows_keeps_the_columns_of_a_file(tmp_path):
    path = tmp_path / "rows.csv"
    harness.append_rows(path, [{"a": 1, "b": "x, y"}])
    harness.append_rows(path, [{"a": 2, "b": "z"}])
    assert path.read_text(encoding="utf-8") == 'a,b\n1,"x, y"\n2,z\n'
    with pytest.raises(ValueError, match="columns"):
        harness.append_rows(path, [{"a": 3, "c": "z"}])
