"""Scores made from labels: what a head would give that has learnt a text by heart."""

from types import SimpleNamespace

import torch


def to_duie(relation):
    """A relation as DuIE 2.0 writes it: ``{"subject", "predicate", "object": {"@value": str, slot: str}}``."""
    value = {"@value": relation["object"]["text"]}
    value |= {slot["name"]: slot["text"] for slot in relation.get("slots") or ()}
    return {"subject": relation["subject"]["text"], "predicate": relation["predicate"], "object": value}


def untrained(head, labels):
    """A head without an encoder, to split labels and decode scores."""
    one = head.__new__(head)
    count = SimpleNamespace(num_labels=len(labels))
    vars(one).update(
        config=SimpleNamespace(span_top_k=256),
        classifier=SimpleNamespace(spans=count, heads=count),
        types=[label.rpartition("|")[0] for label in labels],
    )
    return one


def decoded(head, labels, length, types):
    """What `head` decodes from scores of 1 at ``labels`` ``[M, W]`` and -1 elsewhere."""
    rows = torch.tensor(labels, dtype=torch.long).reshape(1, len(labels), head.prediction_width - 1)
    spans, *links = head.split_labels(rows, (1, length), None)
    spans = spans[0].unique(dim=0).float()
    spans = torch.cat((spans, torch.ones(len(spans), 1)), 1)

    def lookup(link):
        cells = {tuple(cell) for cell in link[0].tolist()}

        def scores(first, second):
            table = [
                [[1.0 if (p, i, j) in cells else -1.0 for j in second.tolist()] for i in first.tolist()] for p in types
            ]
            return torch.tensor(table).reshape(len(types), len(first), len(second))

        return scores

    return head.decode(spans, *map(lookup, links), 0.0)
