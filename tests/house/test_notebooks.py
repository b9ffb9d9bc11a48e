"""The notebooks are those that the examples make, stand on their page, and run."""

import re
import runpy
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
MAKE = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "make_notebooks.py")))
MADE = MAKE.notebooks()

# Numbers of a short run, of those that are settings of an example.
SHORT = {"max_steps": 2, "steps": 2, "words": 50, "max_length": 24, "batch_size": 4}


def shortened(file):
    """A notebook with a cell more, below the settings."""
    notebook = nbformat.read(file, as_version=4)
    (place,) = (i for i, cell in enumerate(notebook.cells) if "arguments = SimpleNamespace(" in cell.source)
    known = re.findall(r"^    (\w+)=\d", notebook.cells[place].source, re.MULTILINE)
    text = "\n".join(f"arguments.{name} = {value}" for name, value in SHORT.items() if name in known)
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(text, id="short"))
    return notebook


def test_folder_has_what_is_made_and_no_more():
    assert set(MADE) == set(MAKE.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize(("file", "text"), MADE.items(), ids=lambda one: getattr(one, "stem", ""))
def test_notebook_is_made_of_its_example(file, text):
    """`python docs/make_notebooks.py` writes it."""
    assert file.read_text(encoding="utf-8") == text
    nbformat.validate(nbformat.reads(text, as_version=4))


@pytest.mark.parametrize("file", MADE, ids=lambda file: file.stem)
def test_notebook_stands_on_the_page(file):
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    assert f"(../examples/notebooks/{file.name}) | [{file.stem}.py](../examples/{file.stem}.py)" in page


@pytest.mark.slow
@pytest.mark.parametrize("file", MADE, ids=lambda file: file.stem)
def test_notebook_runs(file, tmp_path, monkeypatch):
    """In this process, cell by cell; a kernel each would spend most of its time on imports."""
    monkeypatch.chdir(tmp_path)
    printed, names = StringIO(), {"__name__": "__main__"}
    with warnings.catch_warnings(), redirect_stdout(printed):
        warnings.simplefilter("ignore")
        for cell in shortened(file).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, f"{file.name}:{cell.id}", "exec"), names)
    assert printed.getvalue()
    assert list(tmp_path.glob("*/config.json"))


@pytest.mark.slow
def test_notebook_runs_in_a_kernel(tmp_path):
    notebook = shortened(MAKE.NOTEBOOKS / "cloze.ipynb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "accuracy on the texts that it was trained on: " in "".join(outputs)
    assert (tmp_path / "cloze-model" / "config.json").is_file()


def test_an_example_becomes_cells(tmp_path, monkeypatch):
    example = tmp_path / "one.py"
    example.write_text(
        '"""One: two.\n\n    python one.py\n\nThree.\n"""\n\nimport argparse\nimport json\n\nimport hf_ext\n\n'
        "parser = argparse.ArgumentParser()\n"
        'parser.add_argument("--a-b", type=json.loads, default={"c": 1}, help="d")\n'
        'parser.add_argument("--e")\narguments = parser.parse_args()\nif arguments.e:\n    parser.error("f")\n\n'
        "# Why.\nx = [\n    1,\n\n    2,\n]\n# Else.\ny = x\n",
        encoding="utf-8",
    )
    monkeypatch.setitem(MAKE.cells.__globals__, "ROOT", tmp_path)
    introduction, *cells = MAKE.cells(example)
    assert introduction[1].startswith("# One\n\nTwo.\n\nThree.\n\nIt does what `one.py` does")
    assert cells == [
        ("code", "import hf_ext"),
        ("code", MAKE.SETTINGS.format(fields='    # d\n    a_b={"c": 1},\n    e=None,')),
        ("markdown", "Why."),
        ("code", "x = [\n    1,\n\n    2,\n]\n# Else.\ny = x"),
    ]
