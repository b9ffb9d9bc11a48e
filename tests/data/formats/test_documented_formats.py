"""docs/formats.md has a sample of each format, and the tasks that it names read it."""

import re
import shutil
from pathlib import Path

import pytest

from hf_ext.data.formats.registry import format_of, formats
from hf_ext.data.formats.source import Source
from hf_ext.tasks.base.task_files import task_files

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "formats.md").read_text(encoding="utf-8")
IMAGE = DOCS / "images" / "pointer_growth.png"
SAMPLES = re.findall(r"^Tasks: ([\w, -]+)\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("tasks", "sample"), SAMPLES)
def test_samples_are_read(tasks, sample, tmp_path):
    path = tmp_path / "sample"
    path.write_text(sample, encoding="utf-8")
    for image in re.findall(r'"image": "(.*?)"', sample):
        (tmp_path / image).parent.mkdir()
        shutil.copyfile(IMAGE, tmp_path / image)
    for task in tasks.split(", "):
        assert task_files()[task].read(path)


def test_the_sample_of_brat_is_read(tmp_path):
    (sample,) = re.findall(r"^```text\n(T1.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "a.ann").write_text(sample, encoding="utf-8")
    (tmp_path / "a.txt").write_text("小林在南山大学教书。", encoding="utf-8")
    counts = {
        task: len(task_files()[task].read(tmp_path)[0][key])
        for task, key in (("ner", "entities"), ("relations", "relations"), ("events", "events"))
    }
    assert counts == {"ner": 2, "relations": 1, "events": 1}


def test_each_shared_format_and_each_task_has_a_sample(tmp_path):
    found = set()
    for _, sample in SAMPLES:
        path = tmp_path / "sample"
        path.write_text(sample, encoding="utf-8")
        form = format_of(Source(path))
        found.add(form and form.name)
    # A sample of which is two files.
    assert found - {None} == formats().keys() - {"brat"}
    assert {task for tasks, _ in SAMPLES for task in tasks.split(", ")} == task_files().keys()
