"""Attention by other denominators than softmax's, with a bias of distances before it and a gain of distances after it.

A readable form, which gives the weights, and one by flex attention, which makes no table of scores.
"""

from hf_ext.ops.normalised_attention.flex import flex_normalised_attention
from hf_ext.ops.normalised_attention.naive import NORMALIZATIONS, normalised_attention

__all__ = ["NORMALIZATIONS", "flex_normalised_attention", "normalised_attention"]
