"""Half pointers on relations: what is drawn, encoded, found and joined, against the original's loops."""

import random

import pytest
import torch
from transformers import BertConfig

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.tasks.relations import (
    DataCollatorForHalfPointers,
    HalfPointerEncoder,
    draw_subject,
    join_by_subject,
)
from hf_ext.tasks.relations.pointer_job import half_pointer_divergence

LABELS = 3


def model_of(seed=0, **fields):
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=40, num_labels=LABELS, initializer_range=0.5, **sizes)
    model = hf_ext.AutoModelForHalfPointerRelations.from_config(config, **fields).double().eval()
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.copy_(0.6 * torch.randn_like(parameter))
    return model


def batch(lengths=(9, 6, 1)):
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(1, 40, real.shape, generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids * real, "attention_mask": real.long()}


@torch.no_grad()
def found_by_loops(model, inputs, threshold):
    """The original's two steps on probabilities, text by text."""
    rows = []
    for ids, mask in zip(*inputs.values()):
        hidden = model.base_model(input_ids=ids[None, mask.bool()]).last_hidden_state
        head = model.classifier
        subject = head.subject(hidden)[0].sigmoid() ** 2
        length = hidden.shape[1]
        starts = [i for i in range(length) if subject[i, 0] > threshold]
        ends = [i for i in range(length) if subject[i, 1] > threshold]
        found = {}
        for i in starts:
            after = [j for j in ends if j >= i]
            if not after:
                continue
            first, last = i, after[0]
            condition = torch.cat((hidden[:, first], hidden[:, last]), -1)
            objects = head.object(head.norm(hidden, condition))[0].sigmoid() ** 4
            objects = objects.reshape(length, LABELS, 2)
            for start in range(length):
                for label in range(LABELS):
                    if objects[start, label, 0] <= threshold:
                        continue
                    for end in range(start, length):
                        if objects[end, label, 1] > threshold:
                            four = (
                                subject[first, 0],
                                subject[last, 1],
                                objects[start, label, 0],
                                objects[end, label, 1],
                            )
                            found[label, first, last, start, end] = float(min(four))
                            break
        rows.append(found)
    return rows


@pytest.mark.parametrize("threshold", [0.2, 0.4])
def test_relations_are_those_of_the_originals_loops(threshold):
    total = 0
    for seed in range(4):
        model, inputs = model_of(seed, score_threshold=threshold), batch()
        predictions = model(**inputs).predictions
        assert (predictions.shape, predictions.dtype) == ((3, 256, 6), torch.float32)
        for own, wanted in zip(predictions, found_by_loops(model, inputs, threshold)):
            found = {tuple(int(value) for value in row[:5]): float(row[5].sigmoid()) for row in own if row[0] >= 0}
            assert found == pytest.approx(wanted, abs=1e-5)
            scores = own[own[:, 0] >= 0, 5].tolist()
            assert scores == sorted(scores, reverse=True)
            total += len(found)
    assert total > 10
    few = model_of(3, score_threshold=0.2, span_top_k=2)
    every = model_of(3, score_threshold=0.2)(**inputs).predictions
    assert few(**inputs).predictions.shape == (3, 2, 6)
    # The best subjects give the best relations.
    assert few(**inputs).predictions[0, 0, 5] <= every[0, 0, 5]


def test_the_subject_is_the_given_one_the_first_or_the_best():
    model, inputs = model_of(), batch((7, 4))
    labels = torch.tensor([[[0, 2, 3, 0, 1], [1, 4, 5, 6, 6]], [[-100] * 5, [-100] * 5]])
    hidden = model.base_model(**inputs).last_hidden_state
    for subject, wanted in ((None, [[2, 3], [0, 0]]), (torch.tensor([[4, 5], [-100, -100]]), [[4, 5], [0, 0]])):
        out = model(**inputs, labels=labels, subject=subject, output_logits=True)
        objects = model.classifier.objects(hidden, torch.tensor(wanted))
        torch.testing.assert_close(out.logits[1][0], objects[0])
        assert out.logits[1][1, 4:].eq(-torch.inf).all()
        assert out.loss.requires_grad
    starts, ends = model(**inputs, output_logits=True).logits[0][0].unbind(-1)
    first = int(starts.argmax())
    last = first + int(ends[first:].argmax())
    torch.testing.assert_close(
        model(**inputs, output_logits=True).logits[1][0],
        model.classifier.objects(hidden, torch.tensor([[first, last]] * 2))[0],
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": torch.zeros(2, 1, 4, dtype=torch.long)}, r"labels must have shape \[2, M, 5\]"),
        ({"labels": torch.tensor([[[0, 0, 0, 0, 7]], [[0] * 5]])}, "got"),
        ({"subject": torch.zeros(2), "output_logits": True}, r"subject must be integers of shape \[2, 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(more, message):
    with pytest.raises(ValueError, match=message):
        model_of()(**batch((7, 4)), **more)


def test_subjects_are_drawn_as_in_the_original():
    row = {"labels": [[0, 1, 2, 9, 9], [1, 1, 2, 8, 8], [0, 5, 6, 9, 9], [2, 5, 5, 9, 9]]}
    drawn = [tuple(draw_subject(row, random.Random(seed))["subject"]) for seed in range(300)]
    # Any start, with any end that is not before it.
    assert {*drawn} == {(1, 2), (1, 6), (1, 5), (5, 6), (5, 5)}
    # Of three subjects, two begin at the second place.
    assert 0.5 < sum(first == 5 for first, _ in drawn) / 300 < 0.8
    assert draw_subject({"labels": []}, random.Random(0))["subject"] == [-100, -100]


TEXT = "甲和乙在丙演丁，也演戊。"
TOKENIZER = build_char_tokenizer([TEXT])


def span(text):
    return {"start": TEXT.index(text), "end": TEXT.index(text) + len(text), "text": text}


def relation(subject, value, **slots):
    return {
        "predicate": "演",
        "subject": span(subject),
        "object": span(value),
        "slots": [{"name": name, **span(text)} for name, text in slots.items()],
    }


def test_slots_hang_on_the_subject_and_come_back_with_its_first_object():
    relations = [relation("甲", "丁", 地="丙"), relation("甲", "戊"), relation("乙", "戊", 地="丙")]
    encoder = HalfPointerEncoder(TOKENIZER, {"演": 0, "演|地": 1})
    columns = encoder({"text": [TEXT], "relations": [relations]}, [0])
    at = {one: TEXT.index(one) + 1 for one in "甲乙丙丁戊"}
    assert columns["labels"][0] == [
        [0, at["甲"], at["甲"], at["丁"], at["丁"]],
        [1, at["甲"], at["甲"], at["丙"], at["丙"]],
        [0, at["甲"], at["甲"], at["戊"], at["戊"]],
        [0, at["乙"], at["乙"], at["戊"], at["戊"]],
        [1, at["乙"], at["乙"], at["丙"], at["丙"]],
    ]
    assert columns["lost_entities"] == [0]
    # The slot of the second object goes to the first.
    lost = encoder({"text": [TEXT], "relations": [[relation("甲", "丁"), relation("甲", "戊", 地="丙")]]}, [0])
    assert lost["lost_entities"] == [2]
    rows = [{name: values[0] for name, values in columns.items()}]
    assert "subject" not in DataCollatorForHalfPointers(TOKENIZER)(rows)
    drawn = DataCollatorForHalfPointers(TOKENIZER)([draw_subject(rows[0], random.Random(0))])
    assert drawn["subject"].shape == (1, 2)


def link(predicate, subject, value, score):
    return {"predicate": predicate, "subject": span(subject), "object": span(value), "score": score}


def test_links_are_joined_by_their_subject():
    links = [
        link("演", "甲", "戊", 0.9),
        link("演", "甲", "丁", 0.8),
        link("演|地", "甲", "丙", 0.5),
        link("演|地", "甲", "乙", 0.7),
        link("演", "乙", "丁", 0.6),
        link("演|地", "丙", "丁", 0.9),
    ]
    found = [
        (one["subject"]["text"], one["object"]["text"], [slot["text"] for slot in one["slots"]], one["score"])
        for one in join_by_subject(links)
    ]
    # One value of a slot for each object, the best; none where the subject has no object.
    assert sorted(found) == [("乙", "丁", [], 0.6), ("甲", "丁", ["乙"], 0.7), ("甲", "戊", [], 0.9)]
    assert join_by_subject([]) == []


@torch.no_grad()
def test_divergence_of_two_passes():
    inputs = batch((7, 4))
    one, other = (
        model_of(seed)(**inputs, subject=torch.zeros(2, 2).long(), output_logits=True).logits for seed in (0, 1)
    )
    assert float(half_pointer_divergence(one, one)) == 0.0
    divergence = half_pointer_divergence(one, other)
    wanted = 0.0
    for first, second in zip(one, other):
        real = first.isfinite()
        gap = (first[real] - second[real]) * (first[real].sigmoid() - second[real].sigmoid())
        wanted = wanted + gap.sum() / (2 if first.dim() == 3 else 2 * LABELS)
    torch.testing.assert_close(divergence, wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_large_scores_is_finite(dtype):
    model = model_of().to(dtype)
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.mul_(50)
    labels = torch.tensor([[[0, 2, 3, 0, 1]], [[1, 0, 0, 3, 3]]])
    out = model(**batch((7, 4)), labels=labels, output_logits=True)
    assert out.loss.dtype == out.predictions.dtype == torch.float32
    assert out.loss.isfinite()
    out.loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert not any(scores.isnan().any() for scores in out.logits)
    assert out.predictions[..., 5].isfinite().all()
