"""Label smoothing of TrainingArguments: what it means for a head, or that it is refused; never left out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from models_tiny import ANY_ENCODER, LINEAR, ON_OTHERS, Case, cases
from torch.nn import functional as F
from trainer_runs import labelled, trainer

from hf_ext.tasks.classification.job import ClassificationJob
from hf_ext.tasks.similarity.job import SimilarityTrainer

LENGTHS = [6, 3, 1, 4]
HEADS = [case for case in [*cases(ours=True, once=True), *ON_OTHERS] if not case.values[0].is_base]
REFUSED = (*{*ANY_ENCODER} - {LINEAR}, "ForParaphrase", "ForTextAutoencoding", "AutoModelForQuestionAnswering")


def refuses(case: Case) -> bool:
    # Trainer knows by the name of a class whether its logits are of the next token.
    shifts = case.base_class.__name__.startswith("RoFormer")
    return case.auto in REFUSED or (case.auto.endswith("CausalLM") and not shifts)


def smoothed(case: Case, folder: Path, **fields: Any) -> Any:
    return trainer(case.make(dtype=torch.float32, **fields), [], folder, label_smoothing_factor=0.3)


@pytest.mark.parametrize("case", HEADS)
def test_smoothed_or_refused(case: Case, tmp_path: Path) -> None:
    if refuses(case):
        with pytest.raises(ValueError, match=r"label_smoothing_factor must be 0 for \w+, whose loss .*got 0.3"):
            smoothed(case, tmp_path)
        return
    run, batch = smoothed(case, tmp_path), labelled(case, LENGTHS)
    with torch.no_grad():
        logits, labels = run.model(**batch).logits, batch["labels"]
        if case.auto == "AutoModelForCausalLM":
            logits, labels = logits[:, :-1], labels[:, 1:]
        wanted = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), label_smoothing=0.3)
        torch.testing.assert_close(run.compute_loss(run.model, batch), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", cases("AutoModelForSequenceClassification", ours=True, once=True)[:1])
@pytest.mark.parametrize("fields", [{"problem_type": "regression"}, {"num_labels": 1}])
def test_numbers_are_no_classes(case: Case, fields: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label_smoothing_factor must be 0 for RoFormerForSequenceClassification"):
        smoothed(case, tmp_path, **fields)


def test_adapted_models_are_looked_into(tmp_path: Path) -> None:
    import peft

    case = next(case.values[0] for case in HEADS if case.values[0].auto == ANY_ENCODER[0])
    model = peft.get_peft_model(case.make(), peft.LoraConfig(task_type="TOKEN_CLS"))
    with pytest.raises(ValueError, match="label_smoothing_factor must be 0 for RoFormerForSpanExtraction"):
        trainer(model, [], tmp_path, label_smoothing_factor=0.3)


def test_a_loss_of_vectors_has_none(tmp_path: Path) -> None:
    plain = trainer(cases("AutoModel", once=True)[0].values[0].make(), [], tmp_path)
    plain.args.label_smoothing_factor = 0.1
    with pytest.raises(ValueError, match="label_smoothing_factor must be 0 with this loss"):
        SimilarityTrainer(plain.model, plain.args, train_dataset=[])


def test_classification_job(tmp_path: Path) -> None:
    """Its losses take the place of Trainer's: cross-entropy is smoothed, and its own option has to say the same."""
    arguments = trainer(cases("AutoModel", once=True)[0].values[0].make(), [], tmp_path).args
    arguments.label_smoothing_factor = 0.3
    examples = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    logits, labels = torch.randn(4, 2), torch.tensor([0, 1, 1, 0])

    def loss(**settings: Any) -> torch.Tensor:
        job = ClassificationJob(Path("a"), Path("b"), config="tiny", **settings)
        return job.training_loss(examples, ["x", "y"], arguments.label_smoothing_factor)({"logits": logits}, labels)

    torch.testing.assert_close(loss(), F.cross_entropy(logits, labels, label_smoothing=0.3))
    with pytest.raises(ValueError, match=r"must be the loss's label_smoothing, got 0\.3 and 0\.1"):
        loss(loss_options={"label_smoothing": 0.1})
    with pytest.raises(ValueError, match="label_smoothing_factor must be 0 with the loss 'focal'"):
        loss(loss="focal")
    multi = [{"text": "a", "labels": ["x"]}]
    with pytest.raises(ValueError, match="label_smoothing_factor must be 0 with the loss 'multilabel_softmax'"):
        ClassificationJob(Path("a"), Path("b"), config="tiny").training_loss(
            multi, ["x"], arguments.label_smoothing_factor
        )
