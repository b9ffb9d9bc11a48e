"""A page of pipelines whose answers are known, and of models, as a program: its first line is the page's address."""

import sys
from types import SimpleNamespace
from typing import Any

import hf_ext  # noqa: F401  (registers the pipelines)
from hf_ext.tasks.base.saved_model import predictors
from hf_ext.web.app import page, serve
from hf_ext.web.opened_model import OpenedModel

TEXT = "林一舟是春江出版社的编辑。"
EVIL = "<script>window.hit=1</script><img src=x onerror='window.hit=1'>${window.hit=1}{{window.hit=1}}"


def place(text: str, words: str, **more: Any) -> dict[str, Any]:
    start = text.index(words)
    return {"start": start, "end": start + len(words), "text": words, **more}


class KnownPipeline:
    """A pipeline that answers by a function of the document."""

    def __init__(self, kind: Any, answer: Any) -> None:
        self.answer, self.found, self.reads = answer, kind.found, kind.reads
        self.optional, self.predict_options = kind.optional, kind.predict_options
        self.tokenizer = None
        self.model = SimpleNamespace(config=SimpleNamespace(id2label={}))

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> list[Any]:
        return [self.answer(one, **options) for one in inputs]


def raise_in_package(message: str) -> None:
    """A ``ValueError`` that a module of the package raises, as far as can be seen."""
    exec("raise ValueError(message)", {"__name__": "hf_ext.known", "message": message})


def entities(text: str, threshold: float = 0.5) -> list[dict[str, Any]]:
    if text == "broken":
        raise RuntimeError("/srv/secret")
    if not 0 <= threshold < 1:
        raise_in_package(f"threshold must be in [0, 1), got {threshold} (see /srv/models/config.json)")
    spans = [("organization", "春江出版社", 0.9), ("place", "春江", 0.8), ("person", "林一舟", 0.7)]
    found = [place(text, words, label=label, score=score) for label, words, score in spans if words in text]
    if EVIL in text:
        found.append(place(text, EVIL, label=EVIL, score=0.99))
    return [one for one in found if one["score"] > threshold]


def relations(text: str) -> list[dict[str, Any]]:
    subject, thing = place(text, "春江出版社"), place(text, "林一舟")
    return [{"predicate": "编辑", "subject": subject, "object": thing, "slots": [], "score": 0.9}]


def events(text: str) -> list[dict[str, Any]]:
    return [{"type": "任职", "arguments": [{"role": "人物", **place(text, "林一舟")}], "score": 0.9}]


def answer(one: dict[str, str], top_k: int = 1) -> dict[str, Any]:
    found = place(one["context"], "林一舟", score=0.9)
    return {"answer": found.pop("text"), **found}


ANSWERS: dict[str, Any] = {
    "span-extraction": entities,
    "relation-extraction": relations,
    "event-extraction": events,
    "classification": lambda text: [{"label": "文化", "score": 0.75}],
    "reading-comprehension": answer,
    "multiple-choice": lambda one: {"choice": one["choices"][1], "index": 1, "score": 0.9},
    "text-similarity": lambda one: 0.625,
    "paraphrase-generation": lambda text: [{"text": f"说{text}", "similarity": 0.875}],
    "dialogue-reply": lambda one: f"回{one['turns'][-1]}",
    "summary-generation": lambda text: f"总{text}",
    "image-classes": lambda one: [{"label": "猫", "score": 0.75}],
}


def main(*folders: str) -> None:
    kinds = predictors()
    known = [OpenedModel(name, f"{name} is known", KnownPipeline(kinds[name], one)) for name, one in ANSWERS.items()]
    real = [OpenedModel.open(folder, device="cpu", dtype="float32", sample=TEXT) for folder in folders]
    serve(page([*known, *real]), ready=lambda address: print(address, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
