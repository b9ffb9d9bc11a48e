"""Maximal cliques of small graphs."""

from collections.abc import Iterator, Sequence, Set as AbstractSet


def maximal_cliques(neighbours: Sequence[AbstractSet[int]]) -> Iterator[list[int]]:
    """Every maximal set of nodes that are all linked to each other, by Bron and Kerbosch with pivots (Tomita's).

    There can be 3^(n/3) of them; they come one at a time, so that a caller may stop.

    Args:
        neighbours: for each node those that it is linked to; links go both ways and not to the node itself.

    Yields:
        The nodes of a clique, in order; a node without links is one by itself.
    """

    def extend(clique: list[int], candidates: set[int], done: set[int]) -> Iterator[list[int]]:
        if not candidates:
            if not done:
                yield sorted(clique)
            return
        # A maximal clique has the pivot or a node that is not linked to it.
        pivot = max(sorted(candidates | done), key=lambda node: len(candidates & neighbours[node]))
        for node in sorted(candidates - neighbours[pivot]):
            yield from extend([*clique, node], candidates & neighbours[node], done & neighbours[node])
            candidates.remove(node)
            done.add(node)

    if neighbours:
        yield from extend([], set(range(len(neighbours))), set())
