"""All that is worth measuring on one GPU, in eight minutes: correctness first, then speed, a part after the other.

    python benchmarks/gpu.py                             # or: make gpu
    python benchmarks/gpu.py --only kernels roformer
    python benchmarks/gpu.py --table                     # the table for docs/benchmarks.md, from the CSV
    python benchmarks/gpu.py --device cpu --small        # the same code on tiny sizes, whose times say nothing

A part, or a side of a case, that fails is reported and the others go on. A part stops when its seconds are over. What a
part measured replaces what results/gpu.csv has of it. Needs nothing but what the package needs, and pytest for "tests";
peers run where they are installed. Training steps are forward, backward and AdamW with dropout under bfloat16 autocast,
on float32 weights. The share of the peak is that of the products that the model's definition asks for, so that padding
and recomputation count for nothing.

parts:
"""

import argparse
import copy
import csv
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

import crf
import flash
import gau_alpha
import global_pointer
import harness
import peers
import roformer
import triton_kernels

ROOT = Path(__file__).resolve().parents[1]
RESULTS = harness.RESULTS / "gpu.csv"
COLUMNS = ("part", "case", "side", "least_ms", "median_ms", "tokens_per_s", "peak_share", "peak_mb", "note")
Row = dict[str, str]
Calls = Mapping[str, Callable[[], Any]]

# Dense bfloat16 operations a second, by a part of the card's name, as their makers state them.
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12}


class OutOfTimeError(BaseException):
    """A part has used its seconds up; not an error that anything on the way may catch."""


@dataclass(frozen=True)
class Run:
    """How a part is to run: on which device, and whether on sizes that only show that the code runs."""

    device: str
    small: bool
    rounds: int

    @property
    def peak(self) -> float:
        """Operations a second of the card; 0 if unknown."""
        name = torch.cuda.get_device_name() if self.device == "cuda" else ""
        return next((peak for part, peak in PEAKS.items() if part in name), 0.0)

    def half(self, call: roformer.Call) -> roformer.Call:
        """The call under bfloat16 autocast."""

        def run(ids: Tensor) -> Tensor:
            with torch.autocast(self.device, torch.bfloat16):
                return call(ids)

        return run

    def compiled(self, model: nn.Module) -> Any:
        """The model compiled; the small sizes without code generation, which takes a minute on a CPU."""
        return torch.compile(model, dynamic=False, backend="eager" if self.small else "inductor")

    def measure(self, case: str, calls: Calls, tokens: int = 0, flops: float = 0.0) -> Iterator[Row]:
        """Rows of the sides of a case, of which those that fail say so.

        Args:
            tokens: real tokens of a call.
            flops: operations that its products ask for.
        """
        works = {}
        for side, call in calls.items():
            try:
                call()
                works[side] = call
            except Exception as error:
                yield row(case, side, note=f"failed: {told(error)}")
        if not works:
            return
        for side, found in harness.compare(works, self.rounds, device=self.device, warm_up=False).items():
            yield row(
                case,
                side,
                least_ms=f"{found.least * 1e3:.3f}",
                median_ms=f"{found.median * 1e3:.3f}",
                tokens_per_s=f"{tokens / found.least:.0f}" if tokens else "",
                peak_share=f"{flops / found.least / self.peak:.3f}" if flops and self.peak else "",
                peak_mb=f"{found.peak_bytes / 2**20:.0f}",
            )


def main(arguments: list[str] | None = None) -> None:
    listed = "\n".join(f"  {name:12} {(part.__doc__ or '').splitlines()[0]}" for name, (part, _) in PARTS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=list(PARTS), metavar="PART")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--rounds", type=int, default=5, help="timings of each side")
    parser.add_argument("--table", action="store_true", help="print the CSV as a table, and measure nothing")
    parser.add_argument("--output", type=Path, default=None, help="other than results/gpu.csv")
    options = parser.parse_args(arguments)
    if options.table:
        print(table(read(options.output or RESULTS)), end="")
        return
    if options.output is None and (options.small or options.device != "cuda"):
        parser.error("without a GPU, or with --small, --output must name a file: those times are no results")
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    run = Run(options.device, options.small, options.rounds)
    started, failed = time.perf_counter(), []
    for name in options.only:
        rows, reason = run_part(name, run)
        failed += [name] if reason or any(r["note"].startswith("failed") for r in rows) else []
        write(options.output or RESULTS, name, rows, options.device)
        print(f"{name}: {reason or 'done'} after {time.perf_counter() - started:.0f} s in all", flush=True)
    if failed:
        raise SystemExit(f"not everything ran: {', '.join(failed)}")


def run_part(name: str, run: Run) -> tuple[list[Row], str]:
    """The rows of a part, as far as it got, and why it stopped early."""
    part, seconds = PARTS[name]
    # Small sizes show that everything runs, on a machine however slow.
    seconds *= 20 if run.small else 1
    print(f"== {name}, at most {seconds} s", flush=True)
    rows: list[Row] = []

    def ring(*_: Any) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    reason = ""
    try:
        for found in part(run):
            rows.append({"part": name, **found})
            print("  ", *filter(None, found.values()), flush=True)
    except OutOfTimeError:
        reason = f"stopped after its {seconds} s"
    except (Exception, SystemExit) as error:
        reason = f"failed: {told(error)}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if reason:
        rows.append({"part": name, **row("", "", note=reason)})
    if run.device == "cuda":
        torch.cuda.empty_cache()
    return rows, reason


def tests(run: Run) -> Iterator[Row]:
    """The tests that need a GPU."""
    if not peers.installed("pytest"):
        yield row("marked gpu", "pytest", note="failed: pytest is not installed")
        return
    files = sorted(str(file) for file in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in file.read_text("utf-8"))
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    command += ["--collect-only", files[0]] if run.small else files
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-2000:], sep="\n", flush=True)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "no output"
    yield row("marked gpu", "pytest", note=f"{'failed: ' if done.returncode else ''}{last}")


def kernels(run: Run) -> Iterator[Row]:
    """Both Triton kernels against their twins, values and gradients, then their speed."""
    # On a CPU they run in the interpreter only, in a process of their own: tests do that.
    for case in triton_kernels.CASES if run.device == "cuda" else ():
        try:
            found = triton_kernels.errors(case, run.device)
        except Exception as error:
            yield row(case.name, "triton", note=f"failed: {told(error)}")
            continue
        name, (off, limit) = max(found.items(), key=lambda item: item[1][0] / item[1][1])
        verdict = "" if triton_kernels.right(found) else "failed: "
        yield row(case.name, "triton", note=f"{verdict}{name} is off by {off:.1e} of at most {limit:.1e}")
    for name, calls in triton_kernels.timed(run.device, run.small).items():
        yield from run.measure(name, calls)


def roformer_step(run: Run) -> Iterator[Row]:
    """Training steps of RoFormer under each way to attend, of Transformers' RoFormer and of BERT."""
    layers, hidden, length = (1, 64, 12) if run.small else (12, 768, 512)
    built = roformer.build(["hf_ext", "transformers"], layers, run.device, hidden)
    ids = roformer.batch([length, length // 2]).to(run.device)
    roformer.check(built, ids)
    ours: Any = built["hf_ext"][0]

    def own(back_end: str, unpad: bool = False) -> Any:
        model: Any = copy.deepcopy(ours)
        model.config.unpad = unpad
        model.set_attn_implementation(back_end)
        return model

    plain: dict[str, Callable[[], Any]] = {
        "sdpa": lambda: own("sdpa"),
        "sdpa unpadded": lambda: own("sdpa", unpad=True),
        "Transformers' RoFormer": lambda: built["transformers"][0],
        "BERT, sdpa": lambda: bert(ours.config).to(run.device),
    }
    if run.device == "cuda" and peers.installed("flash_attn"):
        plain["flash_attention_2"] = lambda: own("flash_attention_2")
        plain["flash_attention_2 unpadded"] = lambda: own("flash_attention_2", unpad=True)
    # What compiles comes last, so that the seconds it takes are not the others'.
    groups = [plain, {"sdpa compiled": lambda: run.compiled(own("sdpa"))}]
    if run.device == "cuda":
        # Which trains on a GPU only.
        groups.append({"flex_attention": lambda: own("flex_attention")})
    rows = 2 if run.small else 16
    # Lengths from short to full, so that about half is padding.
    ragged = torch.linspace(length // 16 + 1, length, rows).long().tolist()
    for makers in groups:
        models = {}
        for side, make in makers.items():
            try:
                models[side] = make()
            except Exception as error:
                yield row("", side, note=f"failed: {told(error)}")
        for case, lengths in ((f"full {rows}x{length}", [length] * rows), (f"ragged {rows}x{length}", ragged)):
            ids = roformer.batch(lengths).to(run.device)
            calls = {
                side: roformer.work(model, run.half(partial(roformer.call_transformers, model)), ids, "train")
                for side, model in models.items()
                if "unpadded" not in side or case.startswith("ragged")
            }
            yield from run.measure(case, calls, sum(lengths), training_flops(ours, lengths))


def bert(config: Any) -> nn.Module:
    """BERT of the size of our RoFormer, with sdpa."""
    same = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    settings = transformers.BertConfig(**{name: getattr(config, name) for name in same})
    return transformers.BertModel._from_config(settings, attn_implementation="sdpa")


def training_flops(model: Any, lengths: list[int]) -> float:
    """Operations of the products of a training step: two a weight and token, twice that again in the backward pass."""
    weights = sum(p.numel() for p in model.encoder.parameters() if p.dim() == 2)
    attention = 4 * model.config.num_hidden_layers * model.config.hidden_size * sum(n**2 for n in lengths)
    return float(3 * (2 * weights * sum(lengths) + attention))


def gau_alpha_step(run: Run) -> Iterator[Row]:
    """GAU-alpha's training steps beside its bare products and a RoFormer of as many parameters."""
    layers, hidden = (2, 64) if run.small else (24, 768)
    names = ["hf_ext", "hf_ext RoFormer", *(["bert4torch"] if peers.installed("bert4torch", "httpx") else [])]
    sides = gau_alpha.build(names, layers, run.device, hidden)
    config: Any = sides["hf_ext"][0].config
    for lengths in [[12] * 2, [5, 12]] if run.small else [[512] * 16, [2048] * 4, list(range(32, 513, 32))]:
        ids = roformer.batch(lengths).to(run.device)
        calls = {side: roformer.work(model, run.half(call), ids, "train") for side, (model, call) in sides.items()}
        calls["products"] = gau_alpha.products(config, lengths, True, run.device, torch.bfloat16)
        kind = "full" if len(set(lengths)) == 1 else "ragged"
        yield from run.measure(f"{kind} {len(lengths)}x{max(lengths)}", calls, sum(lengths))


def flash_lengths(run: Run) -> Iterator[Row]:
    """FLASH's training steps and steps of generation on long texts, beside RoFormer."""
    flash.check()
    hidden, chunk, lengths = (64, 8, [20]) if run.small else (768, 256, [1024, 4096, 16384, 65536])
    models = flash.build(["flash", "roformer"], hidden, chunk)
    models = {side: model.to(run.device, torch.bfloat16) for side, model in models.items()}
    for length in lengths:
        ids = torch.randint(1, flash.VOCABULARY, (1, length), device=run.device)
        for name, make, tokens in (("train", flash.train, length), ("step", flash.step, 1)):
            yield from run.measure(f"{name} {length}", {side: make(m, ids) for side, m in models.items()}, tokens)


def losses(run: Run) -> Iterator[Row]:
    """CRF and GlobalPointer: losses with their gradients, and decoding, beside the peers that are installed."""
    names = ["ours", "dense", *(["bert4torch"] if peers.installed("bert4torch", "httpx") else [])]
    global_pointer.check(names)
    for rows, length, types in [(1, 20, 2)] if run.small else [(8, 128, 10), (8, 512, 10), (2, 2048, 50)]:
        hidden, labels = (x.to(run.device) for x in global_pointer.batch(rows, length, types, 10))
        for head in global_pointer.HEADS:
            modules = {name: m.to(run.device) for name, m in global_pointer.build(names, head, types).items()}
            for work, make in (("loss", global_pointer.train), ("decoding", global_pointer.decode)):
                calls = {name: make(name, module, hidden, labels) for name, module in modules.items()}
                yield from run.measure(f"{head} {work}, {types} types, {rows}x{length}", calls, rows * length)
    for tags, length in [(3, 9)] if run.small else [(9, 128), (31, 512), (31, 2048)]:
        generator = torch.Generator().manual_seed(0)
        rows = 8 if run.small else 32
        emissions = torch.randn(rows, length, tags, generator=generator).to(run.device).requires_grad_()
        transitions = nn.Parameter(torch.randn(tags, tags, generator=generator).to(run.device))
        labels = torch.randint(0, tags, (rows, length), generator=generator).to(run.device)
        mask = torch.arange(length) < torch.linspace(length // 2, length, rows).long()[:, None]
        mask = mask.to(run.device)
        crf.check(emissions, transitions, labels, mask)
        sides, decoders = crf.sides(transitions)
        training = {side: partial(crf.step, loss, emissions, transitions, labels, mask) for side, loss in sides.items()}
        yield from run.measure(f"CRF loss, {tags} tags x {length}", training, int(mask.sum()))
        decoding = {side: partial(decode, emissions.detach(), mask) for side, decode in decoders.items()}
        yield from run.measure(f"CRF decoding, {tags} tags x {length}", decoding, int(mask.sum()))


def generation(run: Run) -> Iterator[Row]:
    """T5-PEGASUS writes: eager, and with a static cache as it is and compiled."""
    from hf_ext.models.t5_pegasus import T5PegasusConfig, T5PegasusForConditionalGeneration

    sizes = {"vocab_size": 200, "d_model": 32, "d_ff": 64, "num_layers": 1, "num_heads": 2} if run.small else {}
    rows, length, new = (2, 7, 3) if run.small else (8, 256, 64)
    torch.manual_seed(0)
    model = T5PegasusForConditionalGeneration(T5PegasusConfig(**sizes)).eval().to(run.device, torch.bfloat16)
    ids = torch.randint(110, model.config.vocab_size, (rows, length), device=run.device)
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def generate(**settings: Any) -> Tensor:
        # Without an end every row is written to the last token.
        return model.generate(**given, max_new_tokens=new, do_sample=False, eos_token_id=None, **settings)

    case = f"greedy, {rows}x{length}, {new} new tokens"
    eager = {"eager": generate, "static cache": partial(generate, cache_implementation="static", disable_compile=True)}
    yield from run.measure(case, eager, rows * new)
    # On a GPU the library compiles the step by itself where the cache is static.
    compiled = {"static cache, compiled": partial(generate, cache_implementation="static")}
    yield from run.measure(case, compiled, rows * new)


# What runs, and for how many seconds at most.
PARTS: dict[str, tuple[Callable[[Run], Iterator[Row]], int]] = {
    "tests": (tests, 75),
    "kernels": (kernels, 45),
    "roformer": (roformer_step, 130),
    "gau_alpha": (gau_alpha_step, 60),
    "flash": (flash_lengths, 50),
    "losses": (losses, 50),
    "generation": (generation, 70),
}


def row(case: str, side: str, **measured: str) -> Row:
    """A row without its part; what was not measured is empty."""
    return {**dict.fromkeys(COLUMNS[1:], ""), "case": case, "side": side, **measured}


def told(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def read(path: Path) -> list[Row]:
    """The rows of the CSV; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, part: str, rows: list[Row], device: str) -> None:
    """Replace the rows of a part in the CSV."""
    where = harness.machine(device) | {"transformers": transformers.__version__}
    kept = [old for old in read(path) if old["part"] != part]
    path.unlink(missing_ok=True)
    if rows := [*kept, *({**new, **where} for new in rows)]:
        harness.append_rows(path, sorted(rows, key=lambda one: list(PARTS).index(one["part"])))


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown, under where they come from."""
    if not rows:
        return ""
    lines = []
    names = ("machine", "torch", "transformers", "date")
    for where in dict.fromkeys(tuple(one[name] for name in names) for one in rows):
        machine, torch_version, version, day = where
        lines += [f"{machine}; torch {torch_version}, Transformers {version}; {day}.", ""]
        lines += ["| part | case | side | ms | tokens a second | of peak | MB | |", "|---|---|---|---|---|---|---|---|"]
        for one in (one for one in rows if tuple(one[name] for name in names) == where):
            tokens = f"{int(one['tokens_per_s']):,}" if one["tokens_per_s"] else ""
            cells = (one["part"], one["case"], one["side"], one["least_ms"], tokens, one["peak_share"], one["peak_mb"])
            lines.append(f"| {' | '.join((*cells, one['note'].replace('|', '/')))} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
