"""An encoder of random weights over a few characters, and pairs of texts of these."""

import numpy as np
import pytest
from saved_tiny import saved
from transformers import BertModel, pipeline

CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"


def pairs_of(count, seed):
    draw = np.random.default_rng(seed)
    texts = ["".join(draw.choice(list(CHARACTERS), draw.integers(1, 9))) for _ in range(2 * count)]
    scores = draw.integers(0, 3, count).tolist()
    return [{"text1": a, "text2": b, "score": s} for a, b, s in zip(texts[::2], texts[1::2], scores)]


@pytest.fixture(scope="session")
def parts():
    return {"train": pairs_of(40, 0), "validation": pairs_of(11, 1), "test": pairs_of(25, 2)}


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    fields = {"num_hidden_layers": 2, "initializer_range": 0.3}
    return saved(tmp_path_factory.mktemp("encoder"), BertModel, [CHARACTERS], **fields)


@pytest.fixture(scope="session")
def embed(encoder):
    return pipeline("text-embedding", model=str(encoder))
