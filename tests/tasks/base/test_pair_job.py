"""Pairs whose texts have one token type: in training, in what is saved, and refused where it has no effect."""

import json
from functools import wraps
from inspect import signature

import pytest
from transformers import AutoTokenizer, pipeline

import hf_ext
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.reading_comprehension import ReadingComprehensionJob

ROWS = {
    ClassificationJob: [{"text": f"今天{n}", "text2": "好天", "label": "ab"[n % 2]} for n in range(4)],
    ReadingComprehensionJob: [
        {"id": str(n), "question": f"哪天{n}", "context": "今天好天", "answers": [{"text": "今天", "start": 0}]}
        for n in range(4)
    ],
}


def write(folder, rows):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.command)
def test_both_texts_have_the_type_0_wherever_they_are_read(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_ext.training.run_steps.save_curves", lambda *_, **__: None)
    seen = []
    inner = hf_ext.RoFormerModel.forward

    @wraps(inner)
    def forward(model, *args, **kwargs):
        types = signature(inner).bind(model, *args, **kwargs).arguments.get("token_type_ids")
        seen.append(0 if types is None else int(types.max()))
        return inner(model, *args, **kwargs)

    monkeypatch.setattr(hf_ext.RoFormerModel, "forward", forward)
    path = write(tmp_path, ROWS[kind])
    for one_segment, wanted in ((True, {0}), (False, {1})):
        folder = tmp_path / str(one_segment)
        job = kind(path, path, config="tiny", max_length=16, one_segment=one_segment)
        seen.clear()
        job.run(job.training_arguments(folder, max_steps=1, use_cpu=True, disable_tqdm=True))
        assert {*seen} == wanted
        # A pipeline, which knows nothing of the option, reads as training did.
        seen.clear()
        read = pipeline(kind.command, model=str(folder), device="cpu")
        names = ("text", "text2") if kind is ClassificationJob else ("question", "context")
        read({name: ROWS[kind][0][name] for name in names})
        assert {*seen} == wanted
        row = AutoTokenizer.from_pretrained(folder)("今天", "好天")
        assert ("token_type_ids" in row) is not one_segment


def test_single_texts_are_refused(tmp_path):
    path = write(tmp_path, [{"text": "今天", "label": "a"}, {"text": "明天", "label": "b"}])
    with pytest.raises(ValueError, match="one_segment needs pairs of texts, got single ones in"):
        ClassificationJob(path, path, config="tiny", one_segment=True).read()
