"""Linear-chain conditional random fields: log partition, loss, marginals, the best paths."""

from hf_ext.ops.crf.partition import (
    CrfMarginals,
    crf_log_partition,
    crf_loss,
    crf_marginals,
    crf_score,
)
from hf_ext.ops.crf.viterbi import crf_decode, crf_nbest

__all__ = [
    "CrfMarginals",
    "crf_decode",
    "crf_log_partition",
    "crf_loss",
    "crf_marginals",
    "crf_nbest",
    "crf_score",
]
