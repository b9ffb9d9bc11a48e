"""Files to be predicted are read, and no job trains on them or scores by them."""

import json

import pytest

from hf_ext.tasks.entities.span_job import SpanExtractionJob
from hf_ext.tasks.events.job import EventExtractionJob
from hf_ext.tasks.reading_comprehension.job import ReadingComprehensionJob
from hf_ext.tasks.relations.job import RelationExtractionJob

SPAN = {"start": 0, "end": 1}
LABELLED = {
    SpanExtractionJob: {"text": "甲", "entities": [{**SPAN, "label": "x"}]},
    RelationExtractionJob: {"text": "甲", "relations": [{"predicate": "p", "subject": SPAN, "object": SPAN}]},
    EventExtractionJob: {"text": "甲", "events": [{"type": "t", "arguments": [{"role": "r", **SPAN}]}]},
    ReadingComprehensionJob: {"question": "谁", "context": "甲", "answers": [{"text": "甲", "start": 0}]},
}


@pytest.mark.parametrize("job", LABELLED)
@pytest.mark.parametrize("unlabelled", ["train", "validation"])
def test_files_to_be_predicted_are_refused(job, unlabelled, tmp_path):
    record = LABELLED[job]
    for name in ("train", "validation"):
        kept = {key: value for key, value in record.items() if name != unlabelled or key != job.label_key}
        (tmp_path / name).write_text(json.dumps(kept))
    made = job(tmp_path / "train", tmp_path / "validation", config="tiny")
    with pytest.raises(ValueError, match=rf"{unlabelled}_file must have .*{unlabelled}"):
        made.run(made.training_arguments(tmp_path / "out", use_cpu=True))
    assert not (tmp_path / "out").exists()
