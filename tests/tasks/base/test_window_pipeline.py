"""What the pipelines share: the mode of the model, the side of padding, and the length of windows."""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, pipeline
from transformers.modeling_outputs import BaseModelOutput

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


def found(results):
    """All that was found, each with its score."""
    return {str({**one, "score": None}): one["score"] for one in results}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("task", CASES)
def test_the_encoder_runs_in_half_precision_and_the_head_does_not(task, dtype, monkeypatch):
    pipe, other, half = made(task), made(task), made(task).encoder.to(getattr(torch, dtype)).eval()
    assert pipe.run_in(dtype) is pipe
    assert {parameter.dtype for parameter in pipe.encoder.parameters()} == {getattr(torch, dtype)}
    got = run(pipe, task, TEXTS)
    assert any(len(one) for one in got)
    if task == "text-embedding":
        assert np.asarray(got).dtype == np.float32
        np.testing.assert_allclose(got, run(other, task, TEXTS), atol=0.05)
        return

    def encode(input_ids, attention_mask, token_type_ids, inputs_embeds, **kwargs):
        outputs = half(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        return BaseModelOutput(last_hidden_state=outputs.last_hidden_state.float())

    monkeypatch.setattr(other.model, "encode", encode)
    assert got == close(run(other, task, TEXTS))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("task", [task for task in CASES if task != "text-embedding"])
def test_scores_beyond_half_precision_stay_numbers(task, dtype):
    pipe = made(task).run_in(dtype)
    with torch.no_grad():
        for parameter in pipe.model.classifier.parameters():
            parameter.mul_(1e5)
    scores = [score for one in run(pipe, task, TEXTS) for score in found(one).values()]
    assert scores
    assert all(0 <= score <= 1 for score in scores)


def test_vectors_and_classes_that_are_no_numbers_are_refused():
    pipe = made("text-embedding")
    with torch.no_grad():
        pipe.model.embeddings.LayerNorm.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="vectors must be finite numbers, got NaN or infinity"):
        pipe(TEXTS)
    model = AutoModelForSequenceClassification.from_config(pipe.model.config)
    classify = pipeline("classification", model=model, tokenizer=pipe.tokenizer, device="cpu")
    assert classify(TEXTS[0])
    with torch.no_grad():
        model.classifier.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="scores of classes must be numbers, got NaN"):
        classify(TEXTS[0])


def test_a_generator_is_read_ahead_by_some_batches_and_not_at_all_one_by_one():
    pipe, taken = made("span-extraction"), []

    def texts():
        for number in range(100):
            taken.append(number)
            yield TEXTS[number % len(TEXTS)]

    # Transformers looks at the first itself.
    found_one_by_one = pipe(texts(), threshold=0.3)
    next(found_one_by_one)
    assert len(taken) == 1
    in_order = [next(found_one_by_one) for _ in range(50)]
    taken.clear()
    in_batches = pipe(texts(), threshold=0.3, batch_size=2)
    first = next(in_batches)
    assert len(taken) == 32
    assert [first, *in_batches][1:51] == close(in_order)
