"""The options of penalties: together or not at all, and known before a run."""

import pytest

from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.training import PenaltyTrainer
from hf_ext.training.job_trainer import JobTrainer

WHOLE = {"penalty": "soft", "penalty_weight": 0.1, "penalty_pattern": r".*\.value\.weight"}


def job(kind=ClassificationJob, **options):
    return kind(train_file="a", validation_file="b", config="tiny", **options)


def test_a_penalty_is_given_to_the_trainer():
    assert job().methods_given() == []
    made = job(**WHOLE | {"penalty": "weissi"}, penalty_options={"sparsity": 0.5})
    assert made.methods_given() == ["penalty", "penalty_weight", "penalty_pattern", "penalty_options"]
    ((kind, options),) = made.method_trainers()
    assert kind is PenaltyTrainer
    assert issubclass(made.trainer_with_methods(JobTrainer), PenaltyTrainer)
    ((pattern, penalty),) = options["penalties"].items()
    assert (pattern, penalty.sparsity, options["penalty_weight"]) == (WHOLE["penalty_pattern"], 0.5, 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty_weight": 0.1}, "penalty_weight has no effect without penalty, got 0.1"),
        ({"penalty_pattern": "x"}, "penalty_pattern has no effect without penalty, got 'x'"),
        ({"penalty_options": {"gamma": 1}}, "penalty_options has no effect without penalty"),
        (WHOLE | {"penalty_weight": None}, "penalty_weight must be given with penalty, got penalty='soft' alone"),
        (WHOLE | {"penalty_pattern": None}, "penalty_pattern must be given with penalty"),
        (WHOLE | {"penalty_weight": 0}, "penalty_weight must be above 0, got 0"),
        (WHOLE | {"penalty_pattern": "("}, r"penalty_pattern must be a regular expression, got '\('"),
        (WHOLE | {"penalty": "hard"}, "penalty must be one of soft"),
        (WHOLE | {"penalty_options": {"gamma": 1}}, "must be among none, got gamma"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        job(**options)


def test_chunks_of_gradient_caching_have_no_penalty():
    with pytest.raises(ValueError, match=r"chunk_size must be left out with penalty, .*got 8"):
        job(SimilarityJob, chunk_size=8, **WHOLE)
