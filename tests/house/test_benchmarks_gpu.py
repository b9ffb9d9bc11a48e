"""The benchmark of one GPU: each part runs on tiny sizes on a CPU, failures stay apart, the document has the CSV."""

import time
from collections.abc import Iterator
from pathlib import Path

import gpu
import pytest
import torch

pytestmark = pytest.mark.slow

DOCUMENT = Path(gpu.__file__).resolve().parents[1] / "docs" / "benchmarks.md"

# The cases of each part on tiny sizes, and the sides that run wherever the package does.
EXPECTED = {
    "tests": (1, {"pytest"}),
    "kernels": (2, {"without", "twin"}),
    "roformer": (2, {"sdpa", "sdpa unpadded", "sdpa compiled", "Transformers' RoFormer", "BERT, sdpa"}),
    "gau_alpha": (2, {"hf_ext", "hf_ext RoFormer", "products"}),
    "flash": (2, {"flash", "roformer"}),
    "losses": (6, {"hf_ext", "ours", "dense"}),
    "generation": (1, {"eager", "static cache", "static cache, compiled"}),
}


def small(*arguments: str) -> None:
    gpu.main(["--device", "cpu", "--small", "--rounds", "1", *arguments])


# Of the profiler, when tensors older than it are freed.
@pytest.mark.filterwarnings("ignore:.*profil:UserWarning")
@pytest.mark.parametrize("part", gpu.PARTS)
def test_part_runs(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without peers, which are not among what tests require."""
    monkeypatch.setattr(gpu.peers, "installed", lambda *modules: modules == ("pytest",))
    torch._dynamo.reset()
    small("--only", part, "--output", str(tmp_path / "gpu.csv"))
    rows = gpu.read(tmp_path / "gpu.csv")
    cases, sides = EXPECTED[part]
    assert len({row["case"] for row in rows}) == cases
    assert {row["side"] for row in rows} >= sides
    assert [row["note"] for row in rows if "failed" in row["note"]] == []
    assert all(row["least_ms"] for row in rows) or part == "tests"
    assert {row["transformers"] for row in rows} == {gpu.transformers.__version__}


def test_every_part_is_expected() -> None:
    assert EXPECTED.keys() == gpu.PARTS.keys()
    # Eight minutes are what there is.
    assert sum(seconds for _, seconds in gpu.PARTS.values()) <= 480


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main([])
    assert capsys.readouterr().out == "no GPU here: nothing measured\n"


def test_small_times_are_no_results(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        small()
    assert "--output must name a file" in capsys.readouterr().err


def test_help_lists_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--help"])
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in gpu.PARTS)


def broken(run: gpu.Run) -> Iterator[gpu.Row]:
    """Stops in the middle."""
    yield gpu.row("case", "before", least_ms="1.0")
    raise ValueError("of no use\nsecond line")


def endless(run: gpu.Run) -> Iterator[gpu.Row]:
    """Never ends."""
    yield gpu.row("case", "before", least_ms="1.0")
    try:
        time.sleep(60)
    except Exception:
        time.sleep(60)


def one_side(run: gpu.Run) -> Iterator[gpu.Row]:
    """Has a side that works and one that does not."""

    def fail() -> None:
        raise RuntimeError("no such kernel")

    yield from run.measure("case", {"bad": fail, "good": lambda: torch.ones(3)}, tokens=3)


def test_one_failure_does_not_lose_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"broken": (broken, 5), "endless": (endless, 0.01), "one_side": (one_side, 5)}
    monkeypatch.setattr(gpu, "PARTS", parts)
    output = tmp_path / "gpu.csv"
    with pytest.raises(SystemExit, match="not everything ran: broken, endless, one_side"):
        small("--output", str(output))
    found = [(row["part"], row["side"], bool(row["least_ms"]), row["note"]) for row in gpu.read(output)]
    assert found == [
        ("broken", "before", True, ""),
        ("broken", "", False, "failed: ValueError: of no use"),
        ("endless", "before", True, ""),
        ("endless", "", False, "stopped after its 0.2 s"),
        ("one_side", "bad", False, "failed: RuntimeError: no such kernel"),
        ("one_side", "good", True, ""),
    ]
    # A part that runs again replaces its own rows only.
    monkeypatch.setitem(parts, "broken", (one_side, 5))
    with pytest.raises(SystemExit):
        small("--only", "broken", "--output", str(output))
    assert [row["part"] for row in gpu.read(output)] == ["broken"] * 2 + ["endless"] * 2 + ["one_side"] * 2


def test_operations_of_a_training_step() -> None:
    """Counted by PyTorch, of a forward and a backward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    model = gpu.roformer.build(["hf_ext"], 2, "cpu", 64)["hf_ext"][0]
    model.set_attn_implementation("eager")
    ids = gpu.roformer.batch([20, 20])
    with FlopCounterMode(display=False) as counter:
        gpu.roformer.call_transformers(model, ids).sum().backward()
    # The first layer's input has a gradient too, that of the embeddings, so that nothing is spared.
    assert gpu.training_flops(model, [20, 20]) == counter.get_total_flops()


def test_document_has_the_table_of_the_csv() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    _, begin, rest = text.partition("<!-- benchmarks/gpu.py --table -->\n")
    drawn, end, _ = rest.partition("<!-- end of the table -->")
    assert begin
    assert end
    assert drawn.strip() == (gpu.table(gpu.read(gpu.RESULTS)).strip() or "Not measured yet.")


def test_table() -> None:
    where = {"machine": "card", "torch": "2", "transformers": "5", "date": "2026-01-01"}
    rows = [
        {"part": "flash", **gpu.row("train 20", "flash", least_ms="1.5", tokens_per_s="12000"), **where},
        {"part": "tests", **gpu.row("marked gpu", "pytest", note="3 passed | 1"), **where, "date": "2026-01-02"},
    ]
    assert gpu.table(rows).splitlines() == [
        "card; torch 2, Transformers 5; 2026-01-01.",
        "",
        "| part | case | side | ms | tokens a second | of peak | MB | |",
        "|---|---|---|---|---|---|---|---|",
        "| flash | train 20 | flash | 1.5 | 12,000 |  |  |  |",
        "",
        "card; torch 2, Transformers 5; 2026-01-02.",
        "",
        "| part | case | side | ms | tokens a second | of peak | MB | |",
        "|---|---|---|---|---|---|---|---|",
        "| tests | marked gpu | pytest |  |  |  |  | 3 passed / 1 |",
    ]
