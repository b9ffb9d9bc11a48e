"""The score of an exported model on a file, by what the task's job says of files and scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ext.data.documents import pick_document, pipeline_input
from hf_ext.export.onnx_pipeline import OnnxPipeline
from hf_ext.metrics.class_scores import classification_scores
from hf_ext.tasks.base.evaluation import job_of_model
from hf_ext.tasks.base.extraction_job import ExtractionJob
from hf_ext.tasks.base.saved_model import SavedModel
from hf_ext.tasks.classification.files import labels_of
from hf_ext.tasks.reading_comprehension.metrics import reading_scores
from hf_ext.tasks.similarity.metrics import spearman
from hf_ext.tasks.summarization.metrics import summary_scores

Examples = Sequence[Mapping[str, Any]]


# Their jobs score models by losses, not answers.
_UNSCORED = frozenset({"text-autoencoding", "paraphrase-generation", "dialogue-reply"})


@dataclass(frozen=True)
class Scoring:
    """A file to score on.

    Attributes:
        metric: the name of the score.
        examples: of the file.
        scored: the score of answers to them.
    """

    metric: str
    examples: Examples
    scored: Callable[[Any], float]

    @classmethod
    def of_file(cls, model: str, task: str | None, name: str, file: Path) -> "Scoring":
        """Read a file.

        Args:
            model: the trained model.
            task: the command that trains such models; None: what the model's folder says.
            name: of its pipeline.
            file: like a validation file of its training.

        Raises:
            ValueError: if the file cannot be read, or there is no score for the task.
        """
        # Images stand in a folder.
        if not file.exists():
            raise ValueError(f"score_file must be there, got {file}")
        if name == "text-embedding":
            raise ValueError("score_file needs a task, which vectors alone have not; try similarity")
        if name in _UNSCORED:
            raise ValueError(f"score_file needs a task whose answers are scored, got a model of {name}")
        job, config = job_of_model(model, task), SavedModel.read(model).config
        examples = job.read_evaluation(file, job.labels_of_model(config))
        if not examples:
            raise ValueError(f"score_file must have {job.examples}, got none in {file}")

        def scored(answers: Any) -> float:
            return float(_scores(job, name, answers, examples, config)[job.metric])

        return cls(job.metric, examples, scored)

    def score(self, folder: Path) -> float:
        """The score of an exported folder."""
        own = OnnxPipeline(folder)
        if own.description.task == "cloze":
            # Which keys there are is the pattern's to say.
            return self.scored(own(self.examples))
        documents = [pick_document(dict(example), own.reads, own.optional) for example in self.examples]
        return self.scored(own([pipeline_input(one) for one in documents]))


def _scores(job: Any, name: str, answers: Any, examples: Examples, config: Any) -> Mapping[str, Any]:
    """The scores of a task's answers."""
    if isinstance(job, ExtractionJob):
        true = [example[job.encoder_class.annotations] for example in examples]
        return job.exact_scores(answers, true, config)
    if name == "classification":
        found = [[one["label"] for one in own] for own in answers]
        return classification_scores(found, [labels_of(example) for example in examples], job.labels_of_model(config))
    if name == "reading-comprehension":
        references = [[answer["text"] for answer in example["answers"]] for example in examples]
        return reading_scores([own["answer"] for own in answers], references)
    if name == "summary-generation":
        return summary_scores(answers, [example["summary"] for example in examples])
    if name in ("multiple-choice", "cloze", "image-classes"):
        key = "index" if name == "multiple-choice" else "label"
        true = [example["label"] for example in examples]
        if name == "cloze" and (candidates := job.cloze_pattern().candidates) is not None:
            true = [example[candidates][int(number)] for example, number in zip(examples, true)]
        right = [own[0][key] == wanted for own, wanted in zip(answers, true)]
        return {job.metric: sum(right) / len(right)}
    return {job.metric: spearman(answers, [example["score"] for example in examples])}
