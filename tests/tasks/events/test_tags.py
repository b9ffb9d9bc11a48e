"""Events by tags: what is learnt of arguments, the first tag, and what is found, against brute force."""

import itertools

import pytest
import torch
from datasets import Dataset
from transformers import BertConfig, pipeline

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.data import tags_of_labels, tags_of_text
from hf_ext.tasks.events import (
    EventTagEncoder,
    EventTaggingJob,
    EventTaggingPipeline,
    events_of_spans,
    spans_of_events,
)
from hf_ext.tasks.events.labels import TRIGGER

TEXT = "甲公司裁员，乙公司也裁员。"
TOKENIZER = build_char_tokenizer([TEXT])
LABELS = ["裁员|方", "裁员|数", "并购|方"]
TAGS = tags_of_labels(LABELS)


def argument(role, start, end):
    return {"role": role, "start": start, "end": end, "text": TEXT[start:end]}


EVENTS = [
    {"type": "裁员", "arguments": [argument(TRIGGER, 3, 5), argument("方", 0, 3)]},
    {"type": "裁员", "arguments": [argument("方", 7, 9), argument("数", 0, 3)]},
    # The same string a second time, and inside a longer one.
    {"type": "并购", "arguments": [argument("方", 10, 12), argument("方", 6, 9)]},
]


def test_arguments_stand_at_their_places_or_where_their_string_does():
    at = [(one["start"], one["end"], one["label"]) for one in spans_of_events(TEXT, [*EVENTS, EVENTS[0]])]
    roles = [(0, 3, "裁员|方"), (7, 9, "裁员|方"), (0, 3, "裁员|数"), (10, 12, "并购|方"), (6, 9, "并购|方")]
    assert at == roles
    strings = {(one["start"], one["end"]): one["label"] for one in spans_of_events(TEXT, EVENTS, by_string=True)}
    # The role that is listed last, and the first place of 公司 and of 裁员.
    assert strings == {(0, 3): "裁员|数", (1, 3): "裁员|方", (3, 5): "并购|方", (6, 9): "并购|方"}


@pytest.mark.parametrize("by_string", [False, True])
def test_rows_have_a_tag_for_each_token_special_ones_too(by_string):
    encoder = EventTagEncoder(TOKENIZER, LABELS, tags=TAGS)
    encoder.by_string = by_string
    columns = encoder({"text": [TEXT], "events": [EVENTS]}, [0])
    tags = [TAGS[tag] for tag in columns["labels"][0]]
    assert len(tags) == len(TEXT) + 2
    assert tags[0] == tags[-1] == "O"
    wanted = ["O"] * len(TEXT)
    chosen = [(0, 3, "裁员|数"), (3, 5, "并购|方"), (6, 9, "并购|方")]
    for start, end, label in chosen if by_string else [(0, 3, "裁员|方"), (6, 9, "并购|方"), (10, 12, "并购|方")]:
        wanted[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    assert tags[1:-1] == wanted
    # 公司, inside of what is longer, and of places the second role of one.
    assert columns["lost_entities"] == [1 if by_string else 2]


def test_lost_arguments_are_counted_among_arguments(caplog):
    encoder = EventTagEncoder(TOKENIZER, LABELS, tags=TAGS)
    encoder.encode_dataset(Dataset.from_list([{"text": TEXT, "events": EVENTS}]))
    assert "2 of 5 arguments overlap a longer one" in caplog.text


def model_of(**fields):
    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: number for number, tag in enumerate(TAGS)}}
    config = BertConfig(vocab_size=len(TOKENIZER), initializer_range=1.0, **sizes, **names)
    return hf_ext.AutoModelForEventTagging.from_config(config, **fields).double().eval()


def best_by_brute_force(emissions, transitions, first):
    """The best of all sequences of tags, of those that begin as they may."""
    tags = range(emissions.shape[1])
    sequences = itertools.product(first, *[tags] * (len(emissions) - 1))

    def score(sequence):
        steps = sum(float(transitions[one, other]) for one, other in itertools.pairwise(sequence))
        return steps + sum(float(row[tag]) for row, tag in zip(emissions, sequence))

    return max(sequences, key=score)


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_first_tag_is_outside(forced, side):
    model = model_of(first_tag_outside=forced)
    ids = torch.randint(5, len(TOKENIZER), (2, 4), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0] if side == "right" else [0, 1, 1, 1]])
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask, output_logits=True)
        transitions = model.classifier.chain.potentials(out.logits).transitions
    first = [0] if forced else range(len(TAGS))
    begins = []
    for row, real in enumerate(mask.bool()):
        wanted = best_by_brute_force(out.logits[row][real], transitions, first)
        assert tuple(out.tags[row][real].tolist()) == wanted
        assert out.tags[row][~real].eq(-100).all()
        begins.append(wanted[0])
    # Else the rule would not be seen.
    assert forced or any(begins)


def test_the_loss_knows_no_rule_of_the_first_tag():
    labels = torch.tensor([[1, 2, 0, 3]])
    ids = torch.tensor([[5, 6, 7, 8]])
    losses = [model_of(first_tag_outside=forced)(input_ids=ids, labels=labels).loss for forced in (True, False)]
    assert torch.equal(*losses)
    assert losses[0].isfinite()


def test_arguments_of_one_type_are_one_event():
    spans = [
        {"start": 0, "end": 3, "label": "裁员|方", "score": 0.9, "text": "甲公司"},
        {"start": 6, "end": 9, "label": "并购|方", "score": 0.5, "text": "乙公司"},
        {"start": 10, "end": 12, "label": "裁员|数", "score": 0.7, "text": "裁员"},
    ]
    assert events_of_spans(spans) == [
        {
            "type": "裁员",
            "score": 0.7,
            "arguments": [argument("方", 0, 3), argument("数", 10, 12)],
        },
        {"type": "并购", "score": 0.5, "arguments": [argument("方", 6, 9)]},
    ]
    assert events_of_spans([]) == []


def test_a_span_does_not_reach_into_special_tokens():
    assert tags_of_text([1, 2, 2, 2, -100], [(0, 0), (0, 1), (1, 2), (0, 0)]) == [-100, 2, 2, -100]


def test_the_pipeline_gives_what_the_tags_say():
    tag = pipeline("event-tagging", model=model_of().float(), tokenizer=TOKENIZER)
    assert isinstance(tag, EventTaggingPipeline)
    found = tag(TEXT)
    with torch.no_grad():
        tags = tag.model(**TOKENIZER(TEXT, return_tensors="pt")).tags[0].tolist()
    assert tags[0] == 0
    roles = {TAGS[number][2:] for number in tags[1:-1] if number}
    assert {f"{one['type']}|{part['role']}" for one in found for part in one["arguments"]} == roles != set()
    assert all(TEXT[part["start"] : part["end"]] == part["text"] for one in found for part in one["arguments"])
    assert tag(TEXT, threshold=0.999999) == []
    assert tag.labels(tag.model.config) == ["裁员", "并购"]


def test_tokenizers_without_a_first_token_have_no_rule():
    job = EventTaggingJob("a", "b", config="tiny")
    assert job.head_options(TOKENIZER)["first_tag_outside"]
    bare = build_char_tokenizer([TEXT])
    bare.backend_tokenizer.post_processor = None
    assert not job.head_options(bare)["first_tag_outside"]
    assert job.outputs([f"裁员|{TRIGGER}", *LABELS]) == TAGS
