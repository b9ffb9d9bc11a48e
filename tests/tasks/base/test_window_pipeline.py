"""What the pipelines share: the mode of the model, the side of padding, and the length of windows."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, pipeline

from hf_ext import (
    AutoModelForEventExtraction,
    AutoModelForReadingComprehension,
    AutoModelForRelationExtraction,
    AutoModelForSequenceLabeling,
    AutoModelForSpanExtraction,
    build_char_tokenizer,
)

TEXTS = ["王小明去了广州", "小明", "王去了广州王去了广州"]
CASES = {
    "span-extraction": (AutoModelForSpanExtraction, ["a", "b"], {"threshold": 0.3}),
    "sequence-labeling": (AutoModelForSequenceLabeling, ["O", "B-a", "I-a"], {}),
    "relation-extraction": (AutoModelForRelationExtraction, ["p", "q"], {"threshold": 0.3}),
    "event-extraction": (AutoModelForEventExtraction, ["t|x", "t|y"], {"threshold": 0.4}),
    "reading-comprehension": (AutoModelForReadingComprehension, ["a"], {"top_k": 3}),
    "text-embedding": (AutoModel, ["a"], {}),
}
FOUND = {
    "span-extraction": "entities",
    "sequence-labeling": "entities",
    "relation-extraction": "relations",
    "event-extraction": "events",
    "reading-comprehension": "answers",
    "text-embedding": "vectors",
}


def made(task, **options):
    auto_class, labels, _ = CASES[task]
    tokenizer = build_char_tokenizer(TEXTS, **options)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=24,
        hidden_dropout_prob=0.5,
        initializer_range=0.3,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    torch.manual_seed(0)
    return pipeline(task, model=auto_class.from_config(config), tokenizer=tokenizer, device="cpu")


def run(pipe, task, texts, **options):
    if task == "reading-comprehension":
        return list(pipe([{"question": "去了", "context": text} for text in texts], **CASES[task][2], **options))
    return list(pipe(texts, **CASES[task][2], **options))


def close(value):
    if isinstance(value, dict):
        return {name: close(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return pytest.approx(value, abs=1e-5)
    if isinstance(value, list):
        return [close(part) for part in value]
    return pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value


@pytest.mark.parametrize("task", CASES)
def test_a_model_in_training_runs_as_in_evaluation_and_stays_in_training(task):
    pipe = made(task)
    pipe.model.eval()
    want = run(pipe, task, TEXTS)
    assert any(len(one) for one in want)
    pipe.model.train()
    frozen = next(module for module in pipe.model.modules() if isinstance(module, torch.nn.Dropout))
    frozen.eval()
    assert run(pipe, task, TEXTS) == close(want)
    assert pipe.model.training
    assert not frozen.training
    assert pipe.found == FOUND[task]


@pytest.mark.parametrize("task", CASES)
def test_texts_beside_a_text_change_nothing_whichever_side_is_padded(task):
    """BERT reads absolute positions, which padding on the left would move."""
    right, left = made(task), made(task, padding_side="left")
    options = {} if task == "text-embedding" else {"batch_size": 3}
    for pipe in (right, left):
        pipe.model.eval()
    want = [run(right, task, [text])[0] for text in TEXTS]
    assert run(right, task, TEXTS, **options) == close(want)
    assert run(left, task, TEXTS, **options) == close(want)


@pytest.mark.parametrize("task", [task for task in CASES if task != "text-embedding"])
def test_windows_are_no_longer_than_the_model_takes(task):
    pipe = made(task)
    pipe.model.eval()
    assert len(run(pipe, task, ["王小明去了广州" * 9])) == 1
    name = "max_seq_len" if task == "reading-comprehension" else "max_length"
    with pytest.raises(ValueError, match=f"{name} must be at most the model's 24 positions, got 25"):
        run(pipe, task, TEXTS, **{name: 25})


@pytest.mark.parametrize("task", [task for task in CASES if task != "text-embedding"])
def test_a_wrapped_model_is_taken_and_another_head_is_not(task):
    pipe = made(task)

    class Wrapper(torch.nn.Module):
        """As PEFT's, which gives what it does not have from the model inside."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            return super().__getattr__(name) if name in ("inner", "_modules") else getattr(self.inner, name)

        def forward(self, *args, **kwargs):
            return self.inner(*args, **kwargs)

    wrapped = type(pipe)(model=Wrapper(pipe.model), tokenizer=pipe.tokenizer, device="cpu")
    assert run(wrapped, task, TEXTS[:1]) == close(run(pipe, task, TEXTS[:1]))
    other = made(next(name for name in CASES if name not in (task, "text-embedding")))
    with pytest.raises(ValueError, match=f"model must be one of {CASES[task][0].__name__}, got Bert"):
        type(pipe)(model=other.model, tokenizer=pipe.tokenizer)
