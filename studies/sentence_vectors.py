"""Vectors of sentences without labels: whitening (kexue.fm/archives/8069) and SimCSE (kexue.fm/archives/8348)."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoModel, AutoTokenizer, pipeline, set_seed

from hf_ext import Whitening
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.tasks.similarity.metrics import spearman
from studies.drawing import grouped_bars, legend_below
from studies.masked_encoder import masked_encoder
from studies.sources import Sources, write_json_lines
from studies.study import Experiment, Results, Setting
from studies.training import output_folder, training_arguments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYERS, _PRETRAINING_STEPS = 4, 1000
# The article keeps a third of a base model's dimensions, draws as many texts, and has as much dropout.
_SIZE, _TEXTS, _DROPOUT = 43, 10_000, 0.3
_UNTRAINED, _RAW, _WHITE, _SMALL, _SIMCSE = (
    "untrained encoder",
    "as pre-trained",
    "whitened",
    f"whitened to {_SIZE}",
    "SimCSE",
)
SIDES = (_UNTRAINED, _RAW, _WHITE, _SMALL, _SIMCSE)


def run(setting: Setting, seed: int, sources: Sources) -> Mapping[str, Any]:
    """Make vectors of both texts of each pair, and compare their cosines with what people say."""
    side, pooling = setting["vectors"], setting["pooling"]
    texts = texts_alone(sources, setting["data"], seed)
    encoder = masked_encoder(sources, _LAYERS, _PRETRAINING_STEPS)
    if side == _UNTRAINED:
        encoder = untrained(sources, encoder, seed)
    elif side == _SIMCSE:
        encoder = trained_by_simcse(sources, setting, seed, encoder, texts)
    embed = embedder(encoder, pooling, normalize=True)
    if side in (_WHITE, _SMALL):
        size = None if side == _WHITE else 2 if sources.quick else _SIZE
        whitening = Whitening.fit(embedder(encoder, pooling).stream(texts), size)
        embed = embedder(encoder, pooling, normalize=True, whitening=whitening)
    pairs = sources.pairs(setting["data"], setting["part"])
    first, second = (embed([pair[name] for pair in pairs]) for name in ("text1", "text2"))
    cosines = (first * second).sum(-1)
    return {"spearman": spearman(cosines, [pair["score"] for pair in pairs]), "mean_cosine": float(cosines.mean())}


def embedder(encoder: str, pooling: str, **options: Any) -> Any:
    """The pipeline that makes vectors."""
    task: Any = "text-embedding"
    return pipeline(task, model=encoder, pooling=pooling, **options)


def texts_alone(sources: Sources, name: str, seed: int) -> list[str]:
    """As many texts of the training pairs as the article draws, each once."""
    texts = list(dict.fromkeys(pair[key] for pair in sources.pairs(name, "train") for key in ("text1", "text2")))
    return random.Random(seed).sample(texts, min(_TEXTS, len(texts)))


@cache
def untrained(sources: Sources, encoder: str, seed: int) -> str:
    """The folder of an encoder of the same shape and the weights that it began with."""
    folder = sources.folder / f"untrained {seed}"
    set_seed(seed)
    AutoModel.from_config(AutoConfig.from_pretrained(encoder)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder)
    return str(folder)


def trained_by_simcse(sources: Sources, setting: Setting, seed: int, encoder: str, texts: Sequence[str]) -> str:
    """The folder of an encoder that tells each text from those beside it, itself under other dropout."""
    train, valid = sources.folder / "texts alone.jsonl", sources.folder / "pairs.jsonl"
    write_json_lines(train, ({"text": text} for text in texts))
    # Only so that the job has pairs to score; none is chosen by them.
    write_json_lines(valid, sources.pairs(setting["data"], setting["part"])[:100])
    job = SimilarityJob(
        train, valid, model=encoder, loss="simcse", pooling=setting["pooling"], dropout=_DROPOUT, overwrite=True
    )
    options = {"per_device_train_batch_size": 64, "train_sampling_strategy": "random"}
    job.run(training_arguments(sources, seed, 1, setting["learning_rate"], **options))
    return str(output_folder(sources))


def draw(figure: "Figure", results: Results) -> None:
    """The correlation of each kind of vectors on each data set, by how tokens become one vector."""
    for axes, pooling in zip(figure.subplots(1, len(POOLINGS), sharey=True), POOLINGS):
        names = [case["data"] for case in EXPERIMENT.cases if case["pooling"] == pooling]
        sides = {
            side: [results.values("spearman", data=name, pooling=pooling, vectors=side) for name in names]
            for side in SIDES
        }
        grouped_bars(axes, names, sides)
        axes.set_title(POOLINGS[pooling])
    figure.axes[0].set_ylabel("Spearman's rank correlation")
    legend_below(figure, figure.axes[0])


POOLINGS = {"mean": "mean of the tokens", "cls": "the first token"}
EXPERIMENT = Experiment(
    name="sentence_vectors",
    cases=[{"data": name, "pooling": pooling} for name in ("STS-B", "AFQMC") for pooling in POOLINGS],
    side="vectors",
    sides=SIDES,
    # Only SimCSE learns.
    rates={side: (1e-4, 3e-4, 1e-3) if side == _SIMCSE else (0.0,) for side in SIDES},
    score="spearman",
    run=run,
    draw=draw,
    measures=("spearman", "mean_cosine"),
)
