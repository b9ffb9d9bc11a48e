"""What is drawn by a seed, apart from all else that is drawn."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from transformers import set_seed


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw by a seed what is drawn within, and leave the generators of the process as they were; None: by these.

    Args:
        seed: as `transformers.set_seed` takes it, for Python, NumPy and Torch.
    """
    if seed is None:
        yield
        return
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            set_seed(seed)
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
