"""Relations and events of one row by GPLinker and by half pointers, in NumPy: what the heads find with PyTorch."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hf_ext.export.best_spans import best_spans
from hf_ext.export.graph_session import Array
from hf_ext.ops.cliques import weighed_cliques

_SUBJECT, _OBJECT = 0, 1
# Subjects whose tables of objects are made at once.
_SUBJECTS = 16


def best_relations(spans: Array, heads: Array, tails: Array, most: int, above: float) -> Array:
    """Relations ``[n, 6]`` of (predicate, subject's first token, its last, object's first, its last, score).

    Args:
        spans: scores ``[2, L, L]`` of subjects and of objects.
        heads: scores ``[P, L, L]`` of links between first tokens.
        tails: the same between last tokens.
        most: entities to look at, and relations to give.
        above: all scores must be more than this.
    """
    entities = best_spans(spans, most, above)
    subjects, objects = (entities[entities[:, 0] == role] for role in (_SUBJECT, _OBJECT))
    (subject_first, subject_last), (object_first, object_last) = (
        own[:, 1:3].astype(int).T for own in (subjects, objects)
    )
    links = np.minimum(heads[:, subject_first[:, None], object_first], tails[:, subject_last[:, None], object_last])
    scores = np.minimum(links, np.minimum(subjects[:, 3, None], objects[:, 3]))
    found = best_spans(scores, most, above)
    predicate, subject, object_ = found[:, :3].astype(int).T
    return np.concatenate((predicate[:, None], subjects[subject, 1:3], objects[object_, 1:3], found[:, 3:]), axis=1)


def best_events(spans: Array, heads: Array, tails: Array, types: Sequence[str], most: int, above: float) -> Array:
    """Arguments of events ``[n, 5]`` of (event, label, first token, last token, score of the event).

    Args:
        spans: scores ``[C, L, L]`` of arguments.
        heads: scores ``[1, L, L]`` of links between first tokens, each at (the smaller, the larger place).
        tails: the same between last tokens.
        types: the event's type of each label.
        most: arguments to look at, and to give.
        above: all scores must be more than this.
    """
    arguments = best_spans(spans, most, above)
    links = np.minimum(*(_undirected(*pair) for pair in ((heads[0], arguments[:, 1]), (tails[0], arguments[:, 2]))))
    kinds = [types[int(label)] for label in arguments[:, 0]]
    found = weighed_cliques(kinds, arguments[:, 3].tolist(), links.tolist(), above, most)
    rows = [[event, *arguments[one, :3], least] for event, (own, least) in enumerate(found) for one in own]
    return np.asarray(rows, np.float64).reshape(-1, 5)


def pointed_relations(
    vectors: Array,
    subjects: Array,
    objects: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    most: int,
    above: float,
) -> Array:
    """Relations ``[n, 6]`` as of `best_relations`, by half pointers.

    Args:
        vectors: ``[L, H]`` of the real tokens.
        subjects: scores ``[L, 2]`` of each as the first and the last token of a subject.
        objects: the graph that gives scores ``objects`` ``[S, L, P, 2]``, of ``vectors`` ``[S, L, H]`` and a
            ``subject`` ``[S, 2]`` each.
        most: subjects to look at, and relations to give.
        above: all scores must be more than this.

    Raises:
        ValueError: if a score is NaN.
    """
    starts, ends = _checked(subjects).T
    nearest = _nearest(ends > above)
    (first,) = np.nonzero((starts > above) & (nearest < len(ends)))
    last = nearest[first]
    least = np.minimum(starts[first], ends[last])
    kept = np.argsort(-least, kind="stable")[:most]
    pairs, least = np.stack((first, last), 1)[kept], least[kept]
    found = np.empty((0, 6))
    for begin in range(0, len(pairs), _SUBJECTS):
        own, limit = pairs[begin : begin + _SUBJECTS], least[begin : begin + _SUBJECTS]
        repeated = np.broadcast_to(vectors, (len(own), *vectors.shape))
        scores = _checked(objects({"vectors": repeated, "subject": own})["objects"])
        # [S, P, L] each: ends are looked for along the text.
        starts, ends = np.moveaxis(scores.swapaxes(1, 2), -1, 0)
        *place, first = (
            each.ravel() for each in np.nonzero((starts > above) & (_nearest(ends > above) < len(vectors)))
        )
        number, predicate = place
        last = _nearest(ends > above)[number, predicate, first]
        score = np.minimum(starts[number, predicate, first], ends[number, predicate, last])
        rows = np.stack((predicate, *own[number].T, first, last, np.minimum(score, limit[number])), 1)
        found = np.concatenate((found, rows))
        # Of equal ones the first.
        found = found[np.argsort(-found[:, 5], kind="stable")[:most]]
    return found


def _checked(scores: Array) -> Array:
    if np.isnan(scores).any():
        raise ValueError("scores must be numbers, got NaN")
    return scores


def _undirected(table: Array, places: Array) -> Array:
    """Scores ``[N, N]`` of links between N places, each read at (the smaller, the larger)."""
    one, other = np.meshgrid(places.astype(int), places.astype(int), indexing="ij")
    return table[np.minimum(one, other), np.maximum(one, other)]


def _nearest(ends: Array) -> Array:
    """For each place ``[..., L]`` the first end at or after it, L where none follows."""
    length = ends.shape[-1]
    place = np.where(ends, np.arange(length), length)
    return np.minimum.accumulate(place[..., ::-1], -1)[..., ::-1]
