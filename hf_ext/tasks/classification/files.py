"""The files of texts, or of pairs of texts, with a class or several."""

from collections.abc import Mapping
from typing import Any

from hf_ext.data.labelled_texts import (
    label_names as label_names,
    labels_of as labels_of,
    read_labelled_texts as read_labelled_texts,
)
from hf_ext.tasks.base.task_files import TaskFiles


def _shared(example: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: example[name] for name in ("text", "text2") if name in example}
    return {**texts, "labels": list(labels_of(example))}


FILES = TaskFiles("classification", read_labelled_texts, "classes", _shared)
