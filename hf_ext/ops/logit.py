"""From a probability to the score of which it is the logistic function."""

from math import inf, log


def logit(probability: float) -> float:
    """The score of which the logistic function is this probability, in [0, 1)."""
    return -inf if probability == 0 else log(probability / (1 - probability))
