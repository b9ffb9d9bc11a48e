"""A classifier in closed form beside trained ones, alone and as a head to begin with (kexue.fm/archives/8578).

Shapes: N texts, H numbers of a text's vector, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import set_seed

from hf_ext.analysis import AnalyticClassifier
from hf_ext.tasks.classification import label_names
from studies import token_mixers
from studies.descent import descend
from studies.drawing import grouped_bars, legend_below, lines
from studies.pretraining_texts import texts_of_all
from studies.sources import Sources
from studies.study import Experiment, Results, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ENCODER, _ENCODER_RATE, _ENCODER_SEED = "attention", 3e-3, 0
# As many as there are, at most.
_LABELS = {"news": (50, 200, 1000, 5000), "sentiment": (50, 200, 1000)}
_TASKS = tuple(_LABELS)
_MOST_SCORED = 2000
_STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_FOLDS = 5
# As in the article.
_ADAM_RATE, _ADAM_EPOCHS = 1e-3, 10
_BATCH = 32
_STARTED_WITH, _STEPS = 1000, 150
ASKED_AT = (0, 5, 10, 20, 40, 80, _STEPS)
"""The steps of fine-tuning before which held-out texts are scored, and its end."""


@cache
def texts(task: str, part: str, sources: Sources) -> tuple[list[token_mixers.Row], Tensor, int]:
    """Rows of a part, their classes ``[N]``, and the number of classes."""
    examples = sources.labelled(task, part)
    if part != "train":
        # Data sets share texts; what the encoder may have read without its label is not scored.
        read = set(texts_of_all(sources.data))
        examples = [one for one in examples if one["text"].strip() not in read][:_MOST_SCORED]
    names = label_names(sources.labelled(task, "train"))
    labels = torch.tensor([names.index(one["label"]) for one in examples])
    return token_mixers.encode(token_mixers.pretraining_rows(sources)[0], examples), labels, len(names)


def encoder(sources: Sources) -> token_mixers.Reader:
    """An encoder that has learnt to tell masked characters, the same in all runs; its classes are vectors of texts."""
    reader = token_mixers.Reader(_ENCODER, len(token_mixers.pretraining_rows(sources)[0]))
    reader.load_state_dict(token_mixers.pretrained(_ENCODER, _ENCODER_SEED, _ENCODER_RATE, sources)[0])
    return reader


@cache
def vectors(task: str, part: str, sources: Sources) -> Tensor:
    """Vectors ``[N, H]`` of the texts of a part: the means of the last states."""
    return token_mixers.scores(
        encoder(sources), token_mixers.pretraining_rows(sources)[0], texts(task, part, sources)[0]
    )


def chosen(task: str, labels: int, seed: int, sources: Sources) -> Tensor:
    """Numbers of the training texts whose labels are known."""
    count = len(texts(task, "train", sources)[1])
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:labels]


def closed_form(rows: Tensor, labels: Tensor, classes: int, **options: Any) -> nn.Linear:
    """The closed form as a layer, in float32."""
    return AnalyticClassifier.fit([(rows, labels)], classes, **options).as_linear().float()


def of_drawn_labels(rows: Tensor, labels: Tensor, classes: int) -> nn.Linear:
    """The closed form of classes that have nothing to do with the texts."""
    return closed_form(rows, labels[torch.randperm(len(labels))], classes, shrinkage="oas")


def logistic(rows: Tensor, labels: Tensor, classes: int) -> nn.Linear:
    """Logistic regression with the L2 penalty under which parts that are left out have the least loss."""
    return penalised(rows, labels, classes, best_strength(rows, labels, classes))


def best_strength(rows: Tensor, labels: Tensor, classes: int) -> float:
    """The penalty that is best for a fifth of the labels after the others, which it has learnt from."""
    fold = torch.arange(len(rows)) % _FOLDS

    def loss(strength: float) -> float:
        found = 0.0
        for part in range(_FOLDS):
            layer = penalised(rows[fold != part], labels[fold != part], classes, strength)
            with torch.no_grad():
                found += F.cross_entropy(layer(rows[fold == part]), labels[fold == part], reduction="sum").item()
        return found

    return min(_STRENGTHS, key=loss)


def penalised(rows: Tensor, labels: Tensor, classes: int, strength: float) -> nn.Linear:
    """Logistic regression on numbers of variance 1: the mean loss, and ``strength / 2`` times the squared weights."""
    center, scale = rows.double().mean(0), rows.double().std(0, correction=0).clamp(min=1e-6)
    inputs = (rows.double() - center) / scale
    weight = torch.zeros(classes, rows.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        found = F.cross_entropy(F.linear(inputs, weight, bias), labels) + strength / 2 * weight.square().sum()
        found.backward()
        return found.item()

    optimizer.step(loss)
    layer = nn.Linear(rows.shape[1], classes)
    with torch.no_grad():
        layer.weight.copy_(weight / scale)
        layer.bias.copy_(bias - (weight / scale) @ center)
    return layer


def by_adam(rows: Tensor, labels: Tensor, classes: int) -> nn.Linear:
    """The article's other side: a layer that Adam trains for ten epochs."""
    layer = nn.Linear(rows.shape[1], classes)
    optimizer = torch.optim.Adam(layer.parameters(), _ADAM_RATE)
    for _ in range(_ADAM_EPOCHS):
        for batch in torch.randperm(len(rows)).split(_BATCH):
            optimizer.zero_grad()
            F.cross_entropy(layer(rows[batch]), labels[batch]).backward()
            optimizer.step()
    return layer


CLASSIFIERS: dict[str, Callable[[Tensor, Tensor, int], nn.Linear]] = {
    "closed form": lambda *given: closed_form(*given, pseudo_inverse=True),
    "closed form, n - 1": lambda *given: closed_form(*given, pseudo_inverse=True, ddof=1),
    "closed form, shrunk": lambda *given: closed_form(*given, shrinkage="oas"),
    "logistic, L2": logistic,
    "Adam, 10 epochs": by_adam,
    "drawn labels": of_drawn_labels,
}
HEADS: dict[str, Callable[[Tensor, Tensor, int], nn.Linear]] = {
    "random": lambda rows, _, classes: nn.Linear(rows.shape[1], classes),
    "closed form": CLASSIFIERS["closed form, shrunk"],
    "logistic, L2": logistic,
    "drawn labels": of_drawn_labels,
}


def classify(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Fit a classifier to the vectors of a few texts, and score it on others."""
    task = setting["task"]
    known = chosen(task, setting["labels"], seed, sources)
    _, labels, classes = texts(task, "train", sources)
    rows, wanted = vectors(task, "train", sources)[known], labels[known]
    # Again, as pre-training draws numbers, and in one run alone.
    set_seed(seed)
    layer = CLASSIFIERS[setting["classifier"]](rows, wanted, classes)
    scored, right = vectors(task, setting["part"], sources), texts(task, setting["part"], sources)[1]
    with torch.no_grad():
        logits, own = layer(scored), layer(rows)
    return {
        **loss_and_accuracy(logits, right),
        "accuracy_in_training": accuracy(own, wanted),
        "most_frequent_class": (right == wanted.bincount().argmax()).double().mean().item(),
        "scored_texts": len(right),
    }


def fine_tune(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Train encoder and head together, from a head of one kind or another, and ask on the way."""
    task = setting["task"]
    tokenizer = token_mixers.pretraining_rows(sources)[0]
    known = chosen(task, _STARTED_WITH, seed, sources)
    rows, labels, classes = texts(task, "train", sources)
    reader = encoder(sources)
    of_texts = vectors(task, "train", sources)[known]
    set_seed(seed)
    reader.classifier = HEADS[setting["head"]](of_texts, labels[known], classes)
    scored, right, _ = texts(task, setting["part"], sources)
    # As long texts cost most of the time, and there are many.
    scored, right = scored[: _MOST_SCORED // 4], right[: _MOST_SCORED // 4]
    steps = 2 if sources.quick else _STEPS
    measures: dict[str, Any] = {f"loss_{step}": "" for step in ASKED_AT}
    generator, done = torch.Generator().manual_seed(seed), 0

    def ask() -> None:
        found = loss_and_accuracy(token_mixers.scores(reader, tokenizer, scored), right)
        measures[f"loss_{done}"], measures["accuracy"] = found["loss"], found["accuracy"]

    def loss() -> Tensor:
        nonlocal done
        if done in ASKED_AT:
            ask()
            reader.train()
        done += 1
        batch = known[torch.randint(len(known), (_BATCH,), generator=generator)].tolist()
        logits = reader.classes(token_mixers.padded(tokenizer, [rows[number] for number in batch]))
        return F.cross_entropy(logits, labels[batch])

    descend(reader, loss, steps, setting["learning_rate"])
    done = _STEPS
    ask()
    return {**measures, "train_texts": len(known), "scored_texts": len(right)}


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Of scores ``[N, C]`` and classes ``[N]``."""
    return {"loss": F.cross_entropy(logits, labels).item(), "accuracy": accuracy(logits, labels)}


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of rows whose greatest score is that of their class."""
    return (logits.argmax(-1) == labels).double().mean().item()


def draw_classifiers(figure: "Figure", results: Results) -> None:
    """Accuracy over the number of labels."""
    for axes, task in zip(figure.subplots(1, len(_TASKS)), _TASKS):
        sides: dict[str, Sequence[Sequence[float]]] = {
            side: [results.values("accuracy", task=task, labels=labels, classifier=side) for labels in _LABELS[task]]
            for side in CLASSIFIERS
        }
        lines(axes, _LABELS[task], sides)
        axes.set(title=task, xlabel="labels", ylabel="accuracy", xscale="log")
    legend_below(figure, figure.axes[0])


def draw_heads(figure: "Figure", results: Results) -> None:
    """Loss on the way and accuracy at the end, from each head."""
    *curves, ends = figure.subplots(1, len(_TASKS) + 1)
    for axes, task in zip(curves, _TASKS):
        sides = {side: [results.values(f"loss_{step}", task=task, head=side) for step in ASKED_AT] for side in HEADS}
        lines(axes, ASKED_AT, sides)
        axes.set(title=task, xlabel="steps", ylabel="held-out loss", xscale="symlog")
    grouped_bars(
        ends, _TASKS, {side: [results.values("accuracy", task=task, head=side) for task in _TASKS] for side in HEADS}
    )
    ends.set_title("accuracy at the end")
    legend_below(figure, ends)


CLASSIFIER = Experiment(
    name="closed_form_classifier",
    cases=[{"task": task, "labels": labels} for task in _TASKS for labels in _LABELS[task]],
    side="classifier",
    sides=tuple(CLASSIFIERS),
    score="accuracy",
    run=classify,
    draw=draw_classifiers,
    measures=("accuracy", "loss", "accuracy_in_training", "most_frequent_class"),
)
START = Experiment(
    name="closed_form_start",
    cases=[{"task": task} for task in _TASKS],
    side="head",
    sides=tuple(HEADS),
    rates=(3e-4, 1e-3, 3e-3),
    score="accuracy",
    run=fine_tune,
    draw=draw_heads,
    measures=(*(f"loss_{step}" for step in ASKED_AT), "accuracy"),
)
