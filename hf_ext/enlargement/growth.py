"""How a model is to grow, and what becomes of the numbers that its layers hand on."""

from dataclasses import dataclass

from torch import Tensor

GROWS = ("heads", "head_size", "feed_forward")
CONVENTIONS = ("repeat", "orthogonal")


@dataclass(frozen=True)
class Growth:
    """What is to grow, and by how much.

    Attributes:
        factor: by which widths grow, k.
        grow: ``"heads"``: attention gets k times as many heads; ``"head_size"``: heads k times as large;
            ``"feed_forward"``: the inner width of the feed-forward layers grows alone.
        convention: ``"repeat"``: hidden states are repeated; ``"orthogonal"``: and divided by the root of k, which
            keeps their length.

    Raises:
        ValueError: naming the argument, its value and the values that work.
    """

    factor: int
    grow: str = "heads"
    convention: str = "repeat"

    def __post_init__(self) -> None:
        if not isinstance(self.factor, int) or isinstance(self.factor, bool) or self.factor < 2:
            raise ValueError(f"factor must be a whole number of at least 2, got {self.factor!r}")
        for name, value, allowed in (("grow", self.grow, GROWS), ("convention", self.convention, CONVENTIONS)):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if not self.widens and self.convention != "repeat":
            raise ValueError(
                'convention must be "repeat" with grow="feed_forward", under which hidden states stay as they are, '
                f"got {self.convention!r}"
            )

    @property
    def widens(self) -> bool:
        """Whether hidden states grow."""
        return self.grow != "feed_forward"

    @property
    def copies(self) -> int:
        """How many numbers of a hidden state stand for each one before."""
        return self.factor if self.widens else 1

    @property
    def scale(self) -> float:
        """What the numbers of hidden states are multiplied by."""
        return float(self.factor) ** -0.5 if self.convention == "orthogonal" else 1.0


@dataclass(frozen=True)
class Space:
    """Numbers that one layer writes and others read, and what becomes of them.

    Attributes:
        size: how many there are before.
        copies: how many stand for each of them after.
        scale: what each is multiplied by.
        block: how many neighbours are repeated together: 1 for ``[x1 x1 x2 x2]``, 2 for pairs, the size of a head for
            whole heads.
    """

    size: int
    copies: int = 1
    scale: float = 1.0
    block: int = 1

    def spread(self, x: Tensor, axis: int) -> Tensor:
        """``x`` with the copies of its numbers along an axis, not scaled."""
        if self.copies == 1:
            return x
        axis %= x.dim()
        blocks = x.unflatten(axis, (-1, 1, self.block))
        shape = list(blocks.shape)
        shape[axis + 1] = self.copies
        return blocks.expand(shape).flatten(axis, axis + 2)

    def centre(self, x: Tensor, axis: int) -> Tensor:
        """``x``, as large as `spread` makes it, less the mean over the copies of each number."""
        copies = x.unflatten(axis, (-1, self.copies, self.block))
        return (copies - copies.mean(axis + 1, keepdim=True)).flatten(axis, axis + 2)
