"""Maximal cliques of small graphs."""

from collections.abc import Hashable, Iterator, Sequence, Set as AbstractSet
from itertools import islice


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


def weighed_cliques(
    kinds: Sequence[Hashable], scores: Sequence[float], links: Sequence[Sequence[float]], above: float, most: int
) -> Iterator[tuple[list[int], float]]:
    """Every maximal set of nodes of one kind that are all linked to each other, kind by kind, with its least score.

    Args:
        kinds: of each node.
        scores: of each node.
        links: the score of the link between each two nodes; they are linked where it is more than ``above``.
        above: a score.
        most: nodes of all sets together; of more than there is room for, whole sets are left out.

    Yields:
        The nodes of a clique, in order, and the least of their scores and those of the links between them.
    """
    by_kind: dict[Hashable, list[int]] = {}
    for node, kind in enumerate(kinds):
        by_kind.setdefault(kind, []).append(node)
    taken = 0
    for nodes in by_kind.values():
        neighbours = [
            {place for place, other in enumerate(nodes) if other != node and links[node][other] > above}
            for node in nodes
        ]
        for clique in islice(maximal_cliques(neighbours), most - taken):
            if taken + len(clique) > most:
                break
            own = [nodes[place] for place in clique]
            yield own, min([scores[node] for node in own] + [links[a][b] for a in own for b in own if a < b])
            taken += len(clique)
