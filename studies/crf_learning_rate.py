"""Do the transitions of a CRF need a learning rate of their own (kexue.fm/archives/7196)?"""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, set_seed

from hf_ext import build_char_tokenizer
from hf_ext.ops.tag_rules import tag_rules
from hf_ext.tasks.entities import SequenceLabelingJob
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Sources
from studies.study import Experiment, Results, Setting
from studies.training import encoder_config, output_folder, training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TASK = "resume"
_PRETRAINING_TASK = "cluener"
_PRETRAINED, _SCRATCH, _MASKED = "pre-trained", "from scratch", "masked words"
_RATES = {_PRETRAINED: 2e-4, _SCRATCH: 2e-3, _MASKED: 3e-4}
_LAYERS, _PRETRAINING_STEPS = 4, 1000
_EPOCHS = 2
_SOFTMAX = "softmax"


class _ObservedJob(SequenceLabelingJob):
    """Keeps the model, where its transitions began, and the tags that it predicts."""

    trained: PreTrainedModel
    start: torch.Tensor | None = None
    tags: list[list[str]]

    def load_model(self, *arguments: Any) -> PreTrainedModel:
        self.trained = super().load_model(*arguments)
        if self.trained.config.sequence_head == "crf":
            self.start = self.transitions().clone()
        return self.trained

    def decode(self, predictions: Any, *arguments: Any) -> list[list[dict[str, Any]]]:
        names: Any = self.trained.config.id2label
        self.tags = [[names[int(tag)] for tag in row if tag >= 0] for row in predictions]
        return super().decode(predictions, *arguments)

    def transitions(self) -> torch.Tensor:
        """The scores of the transitions ``[K, K]``."""
        model: Any = self.trained
        return model.classifier.chain.transitions.detach()


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train a tagger, and look at what its transitions have learnt and which it predicts against the scheme."""
    start, multiplier = setting["start"], setting["transitions"]
    # Two starts read the same characters; the seed is set again, as pre-training draws numbers in one run alone.
    encoder = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS) if start == _MASKED else tagging_encoder(sources)
    set_seed(seed)
    job = _ObservedJob(
        sources.entity_file(_TASK, "train"),
        sources.entity_file(_TASK, setting["part"]),
        model=None if start == _SCRATCH else encoder,
        config=encoder_config(sources) if start == _SCRATCH else None,
        tokenizer=encoder,
        overwrite=True,
        head="softmax" if multiplier == _SOFTMAX else "crf",
        head_lr_multiplier=None if multiplier == _SOFTMAX else float(multiplier.removeprefix("CRF x")),
    )
    scores = job.run(training_arguments(sources, seed, _EPOCHS, _RATES[start]))
    names: Any = job.trained.config.id2label
    rules = tag_rules([names[number] for number in range(len(names))])
    ids = {name: number for number, name in names.items()}
    pairs = [(ids[one], ids[other]) for row in job.tags for one, other in pairwise(row)]
    forbidden = rules.transitions == -torch.inf
    illegal = sum(bool(forbidden[pair]) for pair in pairs)
    measures: dict[str, Any] = {
        "f1": scores["f1"],
        "illegal_per_1000": 1000 * illegal / len(pairs),
        # Root of the mean square, so that it compares with the start's: uniform in +-0.42 for 17 tags.
        "moved": "",
        "allowed_minus_forbidden": "",
        "epochs": _EPOCHS,
        "rate": _RATES[start],
    }
    if job.start is not None:
        now = job.transitions()
        measures["moved"] = (now - job.start).square().mean().sqrt().item()
        measures["allowed_minus_forbidden"] = (now[~forbidden].mean() - now[forbidden].mean()).item()
    return measures


def tagging_encoder(sources: Sources) -> str:
    """The folder of an encoder that has learnt to tag other texts, made once; its vocabulary is that of both tasks."""
    folder = sources.folder / "encoder"
    if folder.exists():
        return str(folder)
    set_seed(0)
    texts = [one["text"] for task in (_PRETRAINING_TASK, _TASK) for one in sources.entities(task, "train")]
    vocabulary = sources.folder / "vocabulary"
    build_char_tokenizer(texts).save_pretrained(vocabulary)
    job = SequenceLabelingJob(
        sources.entity_file(_PRETRAINING_TASK, "train"),
        sources.entity_file(_PRETRAINING_TASK, "dev"),
        config=encoder_config(sources),
        tokenizer=str(vocabulary),
        overwrite=True,
        head="softmax",
    )
    job.run(training_arguments(sources, 0, epochs=2, learning_rate=2e-3, per_device_train_batch_size=32))
    AutoModel.from_pretrained(output_folder(sources)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(output_folder(sources)).save_pretrained(folder)
    return str(folder)


def draw(figure: "Figure", results: Results) -> None:
    """F1, illegal transitions, and how far the transitions have moved."""
    starts = tuple(_RATES)
    names = [f"{start},\nrate {_RATES[start]:g}" for start in starts]
    titles = {
        "f1": "F1, exact spans",
        "illegal_per_1000": "illegal transitions\nper 1,000 predicted",
        "moved": "root mean square of the change\nof the transitions",
    }
    for axes, (measure, title) in zip(figure.subplots(1, 3), titles.items()):
        sides = {
            side: [results.values(measure, start=start, transitions=side) for start in starts]
            for side in EXPERIMENT.sides
        }
        grouped_bars(axes, names, sides)
        axes.set_title(title)
        if measure == "moved":
            axes.set_yscale("log")
    legend_below(figure, figure.axes[0], "learning rate of the transitions")


EXPERIMENT = Experiment(
    name="crf_learning_rate",
    cases=[{"start": start} for start in _RATES],
    side="transitions",
    sides=(_SOFTMAX, "CRF x1", "CRF x10", "CRF x100", "CRF x1000"),
    score="f1",
    run=run,
    draw=draw,
    measures=("f1", "illegal_per_1000", "moved", "allowed_minus_forbidden"),
)
