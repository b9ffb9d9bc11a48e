"""Embeddings moved to where the loss is worse, beside noise and beside plain training of as many passes.

The claims are those of kexue.fm/archives/7234: the fast gradient method and the gradient penalty, which is the same to
first order, both help where texts are few.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from hf_ext.tasks.classification import ClassificationJob
from hf_ext.training.adversarial import EPSILONS
from hf_ext.training.input_embeddings import InputEmbeddings, unit_vectors
from hf_ext.training.method_trainer import MethodTrainer
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Sources, draw_of_each_class, write_json_lines
from studies.study import Experiment, Results, Setting
from studies.training import training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS, _PRETRAINING_STEPS = 2, 600
_RATE = 1e-3
_PLAIN, _LONGER, _NOISE, _FGM, _PENALTY = "plain", "plain, twice the steps", "noise", "FGM", "penalty"
# Passes, forward and backward, that a step takes.
_PASSES = {_PLAIN: 1, _LONGER: 1, _NOISE: 1, _FGM: 2, _PENALTY: 2}
# Multiples of what the methods begin with; noise is as long as the perturbation of the fast gradient method.
_STRENGTHS: dict[str, tuple[float, ...]] = {
    _PLAIN: (0.0,),
    _LONGER: (0.0,),
    # With more than the largest a model this small learns nothing of sentiment.
    _NOISE: (0.01, 0.03, 0.1, 0.3),
    _FGM: (0.01, 0.03, 0.1, 0.3),
    _PENALTY: (0.001, 0.01, 0.1, 1.0),
}


class NoiseTrainer(MethodTrainer):
    """Trainer that moves embeddings as far as `hf_ext.training.AdversarialTrainer` does, in a direction drawn anew.

    Args:
        norm: of the vectors of all tokens of a batch together; all places of a token have the same vector.
        *args: Trainer's.
        **kwargs: Trainer's.
    """

    def __init__(self, *args: Any, norm: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.norm = norm
        self._embeddings = InputEmbeddings(self.bare(self.model))

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **kwargs: Any) -> Any:
        """As Trainer's; in training where the embeddings are moved to."""
        if not model.training:
            return super().compute_loss(model, inputs, *rest, **kwargs)
        with self._embeddings.adding(self._noise):
            return super().compute_loss(model, inputs, *rest, **kwargs)

    def _noise(self, tokens: Tensor, output: Tensor) -> Tensor:
        known, places = tokens.unique(return_inverse=True)
        drawn = torch.randn(len(known), output.shape[-1])
        drawn[known == self.bare(self.model).config.pad_token_id] = 0
        return self.norm * unit_vectors(drawn)[places]


class _NoiseJob(ClassificationJob):
    """Classification with noise in place of a perturbation."""

    norm = 0.0

    def method_trainers(self) -> Iterator[tuple[type[Trainer], dict[str, Any]]]:
        yield NoiseTrainer, {"norm": self.norm}
        yield from super().method_trainers()


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Fine-tune a small encoder on few texts by a method, and score it."""
    data, method, strength = setting["data"], setting["method"], setting["strength"]
    files = draw_files(sources, data, setting["texts_of_a_class"], setting["part"], seed)
    encoder = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS)
    job = make_job(method, strength, *files, model=encoder, overwrite=True)
    epochs = 2 * setting["epochs"] if method == _LONGER else setting["epochs"]
    scores = job.run(training_arguments(sources, seed, epochs, _RATE))
    return {
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "passes": epochs * _PASSES[method],
    }


def draw_files(sources: Sources, data: str, texts_of_a_class: int, part: str, seed: int) -> tuple[Any, Any]:
    """A file of texts that the seed draws, and one to score."""
    train = sources.folder / "few.jsonl"
    write_json_lines(train, draw_of_each_class(sources.labelled(data, "train"), texts_of_a_class, seed)[0])
    return train, sources.labelled_file(data, part)


def make_job(method: str, strength: float, *files: Any, **options: Any) -> ClassificationJob:
    """The job of a method; ``strength`` is a multiple of what the method begins with."""
    if method in (_PLAIN, _LONGER):
        return ClassificationJob(*files, **options)
    if method == _NOISE:
        job = _NoiseJob(*files, **options)
        job.norm = strength * EPSILONS["fgm"]
        return job
    name = method.lower()
    return ClassificationJob(*files, **options, adversarial=name, adversarial_epsilon=strength * EPSILONS[name])


def draw(figure: "Figure", results: Results) -> None:
    """Accuracy on each data set."""
    names = [case["data"] for case in EXPERIMENT.cases]
    axes = figure.subplots()
    sides = {
        method: [results.values("accuracy", **case, method=method) for case in EXPERIMENT.cases] for method in _PASSES
    }
    grouped_bars(axes, names, sides)
    values = [value for each in sides.values() for known in each for value in known]
    axes.set_ylim(max(0.0, min(values, default=0.0) - 0.05), min(1.0, max(values, default=1.0) + 0.05))
    axes.set_ylabel("accuracy")
    legend_below(figure, axes)


EXPERIMENT = Experiment(
    name="adversarial",
    cases=[
        {"data": "sentiment", "texts_of_a_class": 500, "epochs": 3},
        {"data": "news", "texts_of_a_class": 60, "epochs": 8},
    ],
    side="method",
    sides=tuple(_PASSES),
    rates=_STRENGTHS,
    tunes="strength",
    score="accuracy",
    run=run,
    draw=draw,
    measures=("accuracy", "macro_f1", "passes", "cpu_s"),
)
