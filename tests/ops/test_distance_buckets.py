"""Buckets of distances against T5's, and against those of URPE's own code, as it numbers them."""

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from hf_ext.ops.distance_buckets import distance_buckets


@pytest.mark.parametrize(("buckets", "most"), [(64, 128), (32, 128), (8, 6), (4, 2), (10, 40)])
def test_the_same_distances_share_a_bucket_as_in_t5(buckets: int, most: int) -> None:
    distance = torch.arange(-300, 301)
    found = distance_buckets(distance, buckets, most)
    theirs = T5Attention._relative_position_bucket(distance, True, buckets, most)
    assert torch.equal(found[1:] != found[:-1], theirs[1:] != theirs[:-1])
    assert (found[1:] >= found[:-1]).all()
    assert (int(found[0]), int(found[300]), int(found[-1])) == (0, buckets // 2 - 1, buckets - 2)
    assert torch.equal(found.flip(0), buckets - 2 - found)


def test_near_distances_have_a_bucket_each_and_far_ones_share() -> None:
    found = distance_buckets(torch.tensor([-500, -128, -16, -15, -1, 0, 1, 15, 16, 17, 18, 128, 9999]))
    assert found.tolist() == [0, 0, 15, 16, 30, 31, 32, 46, 47, 47, 47, 62, 62]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((7, 128), "buckets must be even and at least 4, got 7"),
        ((2, 128), "buckets must be even and at least 4, got 2"),
        ((64, 16), "max_distance must be more than a quarter of the 64 buckets, got 16"),
    ],
)
def test_refused(arguments: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distance_buckets(torch.tensor([1]), *arguments)
