"""The house rules: imports go down, no task knows another, files are small and named after what they hold."""

import ast
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import fresh_process
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "hf_ext"
FILES = sorted(PACKAGE.rglob("*.py"))
STUBS = sorted(PACKAGE.rglob("*.pyi"))

# The floors that each floor stands on: it may import these, what they stand on, and itself. All stand on the modules
# beside the folders, which are the bottom. The floor of a task's folder is "task", and that of `hf_ext.tasks` "tasks".
STANDS_ON = {
    "ops": (),
    "tokenization": ("ops",),
    "losses": ("ops",),
    "modules": ("tokenization", "losses"),
    "models": ("modules",),
    "data": ("modules",),
    "training": ("modules",),
    "metrics": ("data",),
    "tasks/base": ("models", "data", "metrics", "training"),
    "tasks": ("tasks/base",),
    "task": ("tasks/base",),
    "conversion": ("tasks/base",),
    "hub": ("tasks/base",),
    "analysis": ("tasks/base",),
    "enlargement": ("conversion", "hub"),
    "suites": ("tasks", "task"),
    "export": ("tasks", "task", "conversion"),
    "engines": ("tasks", "task"),
    "web": ("tasks", "task", "analysis"),
    "serve": ("export",),
    "cli": (
        "tasks",
        "task",
        "conversion",
        "hub",
        "analysis",
        "enlargement",
        "suites",
        "export",
        "engines",
        "web",
        "serve",
    ),
}
BOTTOM = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__"}

# What the files of a task are, from below. A file may import those of its own row, and those above it in this list.
ROLES = (
    ("labels", "example", "*_schemes", "conll", "english_words", "pattern", "recipes"),
    ("files", "samples", "vector_file", "*head", "whitening"),
    (
        "*encoding",
        "all_tokens",
        "answers",
        "collator",
        "decoding",
        "either_model",
        "likelihood",
        "masked_model",
        "packed_rows",
        "pseudo_summary",
        "reranking",
        "rows",
        "soft_tokens",
        "whole_word_masking",
    ),
    ("*metrics", "evaluate_metric"),
    ("*job", "*pipeline", "chat", "page", "*trainer"),
)

# All that a head may need, directly or not: it is what a checkpoint with code carries.
UNDER_A_HEAD = ("ops", "losses", "modules")

IMPORTED_WHEN_USED = (
    "datasets",
    "evaluate",
    "fastapi",
    "gradio",
    "h5py",
    "jieba",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "optuna",
    "peft",
    "prometheus_client",
    "rapidfuzz",
    "ray",
    "rich",
    "rjieba",
    "sacrebleu",
    "tensorflow",
    "transformers.pipelines",
    "transformers.trainer",
    "typer",
    "uvicorn",
)


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(file): file for file in FILES}


@cache
def imports(file: Path) -> frozenset[str]:
    """The package's own modules that a file imports, anywhere in it."""
    name = module_name(file)
    package = name if file.stem == "__init__" else name.rpartition(".")[0]

    def targets() -> Iterator[str]:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
                # `from hf_ext import data` imports a module; `from hf_ext.data import SpanEncoder` a name of one.
                submodules = (f"{source}.{alias.name}" for alias in node.names)
                yield from (module if module in MODULES else str(source) for module in submodules)

    return frozenset(target for target in targets() if target.partition(".")[0] == "hf_ext")


def place(module: str) -> str:
    """The folder that a module is in: ``"ops"``, ``"tasks/entities"``; of one beside the folders its name."""
    parts = module.split(".")[1:]
    return "/".join(parts[: 2 if parts[:1] == ["tasks"] else 1])


def floor(place: str) -> str:
    return "task" if place.startswith("tasks/") and place != "tasks/base" else place


def below(floor: str) -> set[str]:
    return {floor}.union(*(below(under) for under in STANDS_ON[floor]))


def allowed(importer: str, imported: str) -> bool:
    """Whether a file of one place may import one of another."""
    if importer == imported or imported in BOTTOM:
        return True
    if imported == "":
        # The root package registers: only a program imports it.
        return importer == "cli"
    if importer in BOTTOM or (floor(importer), floor(imported)) == ("task", "task"):
        return False
    return floor(imported) in below(floor(importer))


def role(stem: str) -> int:
    """The row of `ROLES` that a file's name is in."""
    rows = [row for row, patterns in enumerate(ROLES) if any(fnmatch(stem, pattern) for pattern in patterns)]
    assert len(rows) == 1, f"{stem} must be in one row of the roles, got {rows}"
    return rows[0]


def closure(module: str) -> set[str]:
    """The modules that a module needs, directly or not."""
    found, waiting = set(), {module}
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting |= imports(MODULES[one]) - found
    return found - {module}


def fits_under_a_head(head: str, module: str) -> bool:
    """Whether a head may need a module: of its own task, the form of its labels alone."""
    where, stem = place(module), module.rpartition(".")[2]
    return (
        where in BOTTOM
        or where in UNDER_A_HEAD
        or (where == "tasks/base" and stem.endswith("head"))
        or (where == place(head) and stem == "labels")
    )


TASK_FILES = [
    file for file in FILES if floor(place(module_name(file))) == "task" and file.stem not in ("__init__", "__main__")
]
HEADS = [file for file in FILES if file.stem.endswith("head") and place(module_name(file)).startswith("tasks/")]


def test_every_folder_has_a_floor():
    folders = {floor(place(module_name(file))) for file in FILES} - BOTTOM - {""}
    assert folders == STANDS_ON.keys()


def test_floors_stand_on_each_other_without_a_cycle():
    assert list(TopologicalSorter(STANDS_ON).static_order())


def test_imports_are_seen_wherever_they_stand():
    """In a function, relative, of a module and of a name in it."""
    assert {"hf_ext", "hf_ext.data.text_lines", "hf_ext.tasks.dialogue.chat"} <= imports(PACKAGE / "cli" / "chat.py")
    assert {"hf_ext.conversion", "hf_ext.tasks.relations.head"} <= imports(PACKAGE / "__init__.pyi")
    assert {"hf_ext.models", "hf_ext.tasks"} <= imports(PACKAGE / "__init__.py")


@pytest.mark.parametrize(
    "file", [file for file in (*FILES, *STUBS) if file.parent != PACKAGE or file.stem != "__init__"], ids=relative
)
def test_imports_go_down(file):
    importer = place(module_name(file))
    assert [module for module in imports(file) if not allowed(importer, place(module))] == []


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("ops", "ops", True),
        ("ops", "version", True),
        ("ops", "losses", False),
        ("registration", "import_hooks", True),
        ("registration", "ops", False),
        ("losses", "tokenization", False),
        ("losses", "modules", False),
        ("modules", "losses", True),
        ("models", "ops", True),
        ("models", "data", False),
        ("data", "models", False),
        ("data", "metrics", False),
        ("metrics", "data", True),
        ("training", "data", False),
        ("training", "models", False),
        ("models", "tasks/base", False),
        ("data", "tasks/entities", False),
        ("tasks/base", "training", True),
        ("tasks/base", "tasks/entities", False),
        ("tasks", "tasks/base", True),
        ("tasks", "tasks/entities", False),
        ("tasks/entities", "tasks/entities", True),
        ("tasks/entities", "tasks/base", True),
        ("tasks/entities", "models", True),
        ("tasks/entities", "tasks/relations", False),
        ("tasks/entities", "hub", False),
        ("conversion", "models", True),
        ("conversion", "tasks/entities", False),
        ("conversion", "hub", False),
        ("hub", "tasks/base", True),
        ("hub", "tasks/similarity", False),
        ("data", "", False),
        ("hub", "", False),
        ("cli", "", True),
        ("suites", "tasks/entities", True),
        ("suites", "hub", False),
        ("tasks/entities", "suites", False),
        ("cli", "suites", True),
        ("cli", "tasks/entities", True),
        ("data", "cli", False),
    ],
)
def test_rule_of_imports(importer, imported, expected):
    assert allowed(importer, imported) is expected


@pytest.mark.parametrize("file", TASK_FILES, ids=relative)
def test_files_of_a_task_build_on_each_other_in_one_order(file):
    module = module_name(file)
    own = {target.rpartition(".")[2] for target in imports(file) if place(target) == place(module)}
    assert {stem for stem in own if role(stem) > role(file.stem)} == set()


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("files", "labels", True),
        ("files", "example", True),
        ("span_head", "labels", True),
        ("labels", "head", False),
        ("head", "encoding", False),
        ("tag_encoding", "labels", True),
        ("encoding", "metrics", False),
        ("metrics", "answers", True),
        ("metrics", "job", False),
        ("tag_job", "span_job", True),
        ("pipeline", "encoding", True),
        ("collator", "trainer", False),
    ],
)
def test_rule_of_roles(importer, imported, expected):
    assert (role(imported) <= role(importer)) is expected


@pytest.mark.parametrize("file", HEADS, ids=relative)
def test_a_head_needs_little(file):
    head = module_name(file)
    assert [module for module in sorted(closure(head)) if not fits_under_a_head(head, module)] == []


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("hf_ext.ops.masks", True),
        ("hf_ext.losses", True),
        ("hf_ext.modules.crf", True),
        ("hf_ext.transformers_private", True),
        ("hf_ext.tasks.base.linked_span_head", True),
        ("hf_ext.tasks.events.labels", True),
        ("hf_ext.tasks.relations.labels", False),
        ("hf_ext.tasks.events.files", False),
        ("hf_ext.tasks.base.job", False),
        ("hf_ext.data.places", False),
        ("hf_ext.models.roformer", False),
    ],
)
def test_rule_of_heads(module, expected):
    assert fits_under_a_head("hf_ext.tasks.events.head", module) is expected


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
    assert ast.get_docstring(tree(file))


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=relative)
def test_init_only_registers_and_exports(file):
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    assert [node.name for node in tree(file).body if isinstance(node, kinds)] == []


@pytest.mark.parametrize("file", STUBS, ids=relative)
def test_stub_imports_each_name_as_itself(file):
    """By which type checkers take it for one that the package gives, and `lazy_loader` knows where it is."""
    assert file.with_suffix(".py").is_file()
    for node in tree(file).body:
        assert isinstance(node, ast.ImportFrom)
        assert node.level == 1
        assert [alias.name for alias in node.names if alias.asname != alias.name] == []
    modules = [node.module for node in tree(file).body]
    assert len(modules) == len(set(modules))


@pytest.mark.parametrize("file", [file for file in FILES if place(module_name(file)) == "ops"], ids=relative)
def test_ops_are_functions_of_tensors(file):
    bases = [
        ast.unparse(base) for node in ast.walk(tree(file)) if isinstance(node, ast.ClassDef) for base in node.bases
    ]
    assert [base for base in bases if base.endswith("Module")] == []


def test_files_are_small_and_named_after_a_concept():
    sources = [
        file
        for folder in ("hf_ext", "tests", "benchmarks", "examples", "studies", "docs")
        for file in (ROOT / folder).rglob("*.py")
    ]
    too_long = {relative(file): n for file in sources if (n := len(file.read_text("utf-8").splitlines())) > 600}
    assert too_long == {}
    assert [relative(f) for f in sources if re.fullmatch(r"utils?|common|misc|helpers?", f.stem)] == []


def test_tests_are_in_the_folders_of_what_they_test():
    folders = {file.parent.relative_to(ROOT / "tests") for file in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in folders - {Path("house")} if not (PACKAGE / folder).is_dir()] == []


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
