"""Texts written together, token by token, by the scores that a graph gives.

Shapes: B texts, R beginnings of them, V vocabulary, T tokens that are written.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hf_ext.export.graph_session import Array, GraphSession
from hf_ext.export.token_search import TokenSearch


def write_tokens(
    searches: Sequence[TokenSearch], graph: GraphSession, logits: Array, past: Array, held: Mapping[str, Array]
) -> None:
    """Go on with searches until each has ended.

    Args:
        searches: of B texts, which have their first tokens.
        graph: scores what follows ``token`` ``[R, 1]`` as ``logits``; ``state`` is what ``past`` grows by at T.
        logits: scores of the next tokens ``[B, V]``.
        past: keys and values of the tokens that are written ``[B, ..., T, D]``.
        held: what else the graph takes of each text, ``[B, ...]``.
    """
    live, texts, rows = list(searches), np.arange(len(searches)), dict(held)
    while True:
        counts = [len(search.running) for search in live]
        starts = np.cumsum([0, *counts[:-1]])
        parts = zip(live, starts, np.split(logits, starts[1:]))
        goes_on = [(search, start) for search, start, own in parts if search.take(own)]
        if not goes_on:
            return
        live = [search for search, _ in goes_on]
        order = np.concatenate([start + search.parents for search, start in goes_on])
        before, texts, past = texts, texts[order], past[order]
        # They are large, and seldom change.
        if not np.array_equal(before, texts):
            rows = {name: values[texts] for name, values in held.items()}
        token = np.concatenate([search.running[:, -1:] for search in live])
        outputs = graph({**rows, "token": token, "past": past})
        logits, past = outputs["logits"], np.concatenate((past, outputs["state"]), -2)
