"""The random directions of Performer's features (arXiv 2009.14794; kexue.fm/archives/7921)."""

import torch
from torch import Tensor


def random_features(size: int, key_size: int, seed: int = 0, orthogonal: bool = True) -> Tensor:
    """Directions whose positive features estimate ``e^{q.k / sqrt(D)}`` without bias.

    Args:
        size: number of features M.
        key_size: size D of queries and keys.
        seed: of a generator of its own: the same numbers whatever else is drawn.
        orthogonal: make each group of D directions orthogonal, each as long as a normal vector: a better estimate.

    Returns:
        ``[M, D]`` in float64, on the CPU.

    Raises:
        ValueError: if a size is not positive.
    """
    if size < 1 or key_size < 1:
        raise ValueError(f"size and key_size must be at least 1, got {size} and {key_size}")
    generator = torch.Generator("cpu").manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu")

    directions = normal(size, key_size)
    if not orthogonal:
        return directions
    groups = -(-size // key_size)
    turns, triangles = torch.linalg.qr(normal(groups, key_size, key_size))
    # Without the signs, which the algorithm chooses, not all turns would be equally likely.
    turns = turns * triangles.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return turns.flatten(0, 1)[:size] * directions.norm(dim=-1, keepdim=True)
