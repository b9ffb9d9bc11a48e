"""What options that calls of many pipelines have may be."""


def check_threshold(threshold: float | None) -> None:
    """Raise ValueError if a threshold is no probability below 1."""
    if threshold is not None and not 0 <= threshold < 1:
        raise ValueError(f"threshold must be in [0, 1), got {threshold}")


def check_top_k(top_k: int | None) -> None:
    """Raise ValueError if a number of answers is below 1."""
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
