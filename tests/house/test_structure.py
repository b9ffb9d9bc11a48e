"""The house rules: imports go one way, files are small and named after what they hold."""

import ast
import re
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import fresh_process
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "hf_ext"
FILES = sorted(PACKAGE.rglob("*.py"))

# A part may import its own level and those before it. A module beside the parts, as registration is, is at the bottom.
LEVELS = (
    ("ops",),
    ("tokenization", "losses", "modules"),
    ("models", "heads"),
    ("data", "metrics", "training", "pipelines", "conversion", "hub", "analysis"),
    ("cli",),
)
LEVEL = {part: level for level, parts in enumerate(LEVELS) for part in parts}
BOTTOM = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__"}

# Same level, yet strangers: a family knows no head, and a head knows encoders through AutoModel only.
STRANGERS = {("models", "heads"), ("heads", "models")}

IMPORTED_WHEN_USED = (
    "datasets",
    "evaluate",
    "jieba",
    "jinja2",
    "matplotlib",
    "peft",
    "rich",
    "rjieba",
    "tensorflow",
    "transformers.pipelines",
    "transformers.trainer",
    "typer",
)


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(file: Path) -> Iterator[str]:
    """The package's own modules that a file imports, anywhere in it; `hf_ext` itself for the root package."""
    package = module_name(file) if file.name == "__init__.py" else module_name(file).rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            target = resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            # `from hf_ext import data` imports a part; `from hf_ext import SpanEncoder` the root package.
            parts = [f"hf_ext.{alias.name}" for alias in node.names if alias.name in LEVEL or alias.name in BOTTOM]
            targets = parts or [target] if target == "hf_ext" else [target]
        else:
            continue
        yield from (target for target in targets if target.partition(".")[0] == "hf_ext")


def part(module: str) -> str:
    return [*module.split("."), ""][1]


def allowed(importer: str, imported: str) -> bool:
    if importer == imported or imported in BOTTOM:
        return True
    if imported == "":
        # The root package registers: only a program imports it.
        return importer == "cli"
    if importer in BOTTOM or (importer, imported) in STRANGERS:
        return False
    return LEVEL[imported] <= LEVEL[importer]


def test_every_part_has_a_level():
    parts = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert parts <= LEVEL.keys()


@pytest.mark.parametrize("file", [file for file in FILES if file != PACKAGE / "__init__.py"], ids=relative)
def test_imports_go_one_way(file):
    importer = part(module_name(file))
    assert [module for module in imports(file) if not allowed(importer, part(module))] == []


def test_parts_import_each_other_without_a_cycle():
    graph: dict[str, set[str]] = {}
    for file in FILES:
        importer = part(module_name(file))
        if importer in LEVEL:
            graph.setdefault(importer, set()).update({part(module) for module in imports(file)} - {importer, ""})
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("ops", "ops", True),
        ("ops", "version", True),
        ("ops", "losses", False),
        ("registration", "import_hooks", True),
        ("registration", "ops", False),
        ("losses", "modules", True),
        ("models", "heads", False),
        ("heads", "models", False),
        ("models", "conversion", False),
        ("training", "models", True),
        ("data", "", False),
        ("cli", "", True),
        ("data", "cli", False),
    ],
)
def test_rule_of_imports(importer, imported, expected):
    assert allowed(importer, imported) is expected


def test_import_is_cheap():
    """Libraries that only some uses need are not imported by `import hf_ext`."""
    loaded = []
    for statement in ("import hf_ext", "from transformers import AutoModel, PreTrainedModel"):
        code = f"import sys; {statement}; print(*[name for name in {IMPORTED_WHEN_USED} if name in sys.modules])"
        done = fresh_process.run(code, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        loaded.append(set(done.stdout.split()))
    ours, theirs = loaded
    assert ours <= theirs


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_every_module_says_what_it_holds(file):
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=relative)
def test_init_only_registers_and_exports(file):
    body = ast.parse(file.read_text(encoding="utf-8")).body
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    assert defined <= {"__getattr__", "__dir__"}


@pytest.mark.parametrize("file", [file for file in FILES if part(module_name(file)) == "ops"], ids=relative)
def test_ops_are_functions_of_tensors(file):
    bases = [
        ast.unparse(base)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    ]
    assert [base for base in bases if base.endswith("Module")] == []


def test_files_are_small_and_named_after_a_concept():
    sources = [
        file
        for folder in ("hf_ext", "tests", "benchmarks", "examples", "studies")
        for file in (ROOT / folder).rglob("*.py")
    ]
    too_long = {relative(file): n for file in sources if (n := len(file.read_text("utf-8").splitlines())) > 600}
    assert too_long == {}
    assert [relative(f) for f in sources if re.fullmatch(r"utils?|common|misc|helpers?", f.stem)] == []


def test_tracked_files_name_no_place_on_one_machine():
    """No absolute path below somebody's home or work folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    place = re.compile(rb"(?<![\w.:/-])/(?:home|root|work|Users|mnt|opt)/\w")
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        lines = file.read_bytes().splitlines() if file.is_file() else []
        found |= {f"{name}:{number}": line for number, line in enumerate(lines, 1) if place.search(line)}
    assert found == {}
