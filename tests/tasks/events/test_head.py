import random
from itertools import combinations

import pytest
import torch
from linked_spans_oracle import decoded, untrained

import hf_ext
from hf_ext.ops.cliques import maximal_cliques
from hf_ext.tasks.events import EventEncoder, event_scores, read_event_schema, read_events
from hf_ext.tasks.events.encoding import decode_events, merge_events, with_trigger
from hf_ext.tasks.events.head import AutoModelForEventExtraction, EventExtraction

SIZE = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
NAMES = ["x|触发词", "x|who", "y|触发词", "y|who"]


@pytest.mark.parametrize("seed", range(60))
def test_cliques_are_those_of_brute_force(seed):
    chance = random.Random(seed)
    nodes = chance.randrange(0, 9)
    links = {pair for pair in combinations(range(nodes), 2) if chance.random() < chance.choice((0.3, 0.6, 0.9))}
    neighbours = [{b for a, b in [*links, *((y, x) for x, y in links)] if a == node} for node in range(nodes)]
    subsets = [set(s) for size in range(1, nodes + 1) for s in combinations(range(nodes), size)]
    whole = [s for s in subsets if all(pair in links for pair in combinations(sorted(s), 2))]
    want = sorted(sorted(s) for s in whole if not any(s < other for other in whole))
    assert sorted(maximal_cliques(neighbours)) == want


def test_first_clique_of_many_is_found_at_once():
    # Three by three apart: 3^30 cliques.
    neighbours = [{other for other in range(90) if other // 3 != node // 3} for node in range(90)]
    assert len(next(maximal_cliques(neighbours))) == 30


def tiny():
    torch.manual_seed(0)
    config = hf_ext.RoFormerConfig(**SIZE, id2label=dict(enumerate(NAMES)))
    return AutoModelForEventExtraction.from_config(config, span_head_size=8, span_top_k=50)


def test_loss_is_that_of_the_dense_formula(tmp_path):
    model = tiny().eval()
    inputs = {"input_ids": torch.arange(1, 13).view(2, 6)}
    labels = torch.tensor([[[5, 0, 1, 1], [5, 1, 4, 5], [5, 1, 1, 1], [2, 3, 0, 0]], [[0, 2, 3, 3], *[[-100] * 4] * 3]])
    out = model(**inputs, labels=labels, output_logits=True)
    cells = [
        [[(0, 1, 1), (1, 4, 5), (1, 1, 1), (3, 0, 0)], [(2, 3, 3)]],
        [[(0, 1, 4), (0, 1, 1)], []],
        [[(0, 1, 5), (0, 1, 1)], []],
    ]
    want = 0.0
    for scores, rows in zip(out.logits, cells):
        target = torch.zeros_like(scores, dtype=torch.bool)
        for row, own in enumerate(rows):
            for cell in own:
                target[(row, *cell)] = True
        scores, target = scores.double().flatten(2), target.flatten(2)
        negative = torch.log1p(scores.exp().masked_fill(target, 0).sum(-1))
        want = want + (negative + torch.log1p((-scores).exp().masked_fill(~target, 0).sum(-1))).sum(1).mean()
    torch.testing.assert_close(out.loss.double(), want, rtol=1e-5, atol=1e-5)
    assert out.predictions.shape == (2, 50, 5)
    model.save_pretrained(tmp_path)
    again = AutoModelForEventExtraction.from_pretrained(tmp_path).eval()
    assert torch.equal(again(**inputs).predictions, out.predictions)


def test_more_events_than_there_is_room_for_are_left_out_whole():
    head = untrained(EventExtraction, NAMES)
    head.config.span_top_k = 5
    labels = [[event, label, 3 * event + label, 3 * event + label] for event in range(3) for label in (0, 1)]
    assert decoded(head, labels, 12, [0])[:, 0].tolist() == [0, 0, 1, 1]


def test_gold_events_come_back_from_scores_made_of_them(shared):
    folder = shared / "data" / "duee1"
    labels = read_event_schema(folder / "duee_event_schema.json")
    examples = read_events(folder / "duee_dev.json", labels)
    tokenizer = hf_ext.build_char_tokenizer(example["text"] for example in examples)
    encoder = EventEncoder(tokenizer, {label: number for number, label in enumerate(labels)})
    head, found, more = untrained(EventExtraction, labels), [], 0
    for example in examples:
        row = encoder({"text": [example["text"]], "events": [example["events"]]})
        table = decoded(head, row["labels"][0], len(row["input_ids"][0]), [0]).tolist()
        events = decode_events(table, row["offset_mapping"][0], dict(enumerate(labels)), example["text"])
        found.append(merge_events([events], [(0, len(example["text"]))]))
        more += len(found[-1]) > len(example["events"])
    scores = event_scores(found, [example["events"] for example in examples])
    assert (scores["f1"], scores["event_recall"]) == (1.0, 1.0)
    # Links join places, so a place with different roles in two events gives events with each of them.
    assert more == 12


def argument(role, start, end):
    return {"role": role, "start": start, "end": end, "text": "." * (end - start)}


def test_windows_of_a_document_are_put_together():
    parts = [argument("触发词", 12, 14), argument("who", 2, 4), argument("when", 25, 27)]
    windows = [(0, 20), (10, 30)]
    rows = [
        [
            {
                "type": "x",
                "arguments": [a for a in parts if left <= a["start"] and a["end"] <= right],
                "score": 0.9 - left / 100,
            }
        ]
        for left, right in windows
    ]
    (event,) = merge_events(rows, windows)
    assert [(one["role"], one["start"]) for one in event["arguments"]] == [("who", 2), ("触发词", 12), ("when", 25)]
    assert event["score"] == pytest.approx(0.8)
    # Without anything in what both windows see, they cannot be known to be one.
    rows = [[{**row[0], "arguments": [a for a in row[0]["arguments"] if a["role"] != "触发词"]}] for row in rows]
    assert len(merge_events(rows, windows)) == 2
    assert with_trigger(merge_events(rows, windows), dict(enumerate(NAMES))) == []
