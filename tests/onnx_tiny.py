"""Tiny models of every kind that is exported, with weights large enough that they find something, saved as folders."""

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BertConfig,
    ViTImageProcessorPil,
    pipeline,
)

import hf_ext
from hf_ext.data.char_vocabulary import build_char_tokenizer
from hf_ext.data.input_limit import input_limit, longest_input
from hf_ext.export.graph import Graph
from hf_ext.export.graphs import graphs_of
from hf_ext.export.onnx_pipeline import ANSWERS
from hf_ext.export.task_settings import task_settings
from hf_ext.tasks.cloze import ClozePattern
from hf_ext.tasks.dialogue.encoding import SPEAKERS

CHARACTERS = "今天张三李四王五在北京上海城到了的人去说年月日"
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
TAGS = ["O", "B-人", "I-人", "B-地", "I-地"]
EVENT_TAGS = ["O", "B-到|人", "I-到|人", "B-去|地", "I-去|地"]


def texts(count: int, longest: int = 150, seed: int = 0) -> list[str]:
    """Texts of other lengths each, the first empty, the second of one character, some longer than a window."""
    draw = random.Random(seed)
    lengths = [0, 1, *(draw.randint(2, longest) for _ in range(count - 2))]
    return ["".join(draw.choices(CHARACTERS, k=length)) for length in lengths[:count]]


def _texts() -> list[Any]:
    return texts(7)


def _questions() -> list[Any]:
    contexts = [text for text in texts(8, 100) if text]
    return [{"question": f"谁在{text[0]}", "context": text} for text in contexts]


def _choices() -> list[Any]:
    few = [text or "人" for text in texts(6, 20)]
    rows: list[Any] = [{"text": text, "choices": list(dict.fromkeys(text[:4]))} for text in few]
    rows.append({"text": few[3], "question": "去哪", "choices": ["北京", "上海", "人"]})
    return rows


def _pairs() -> list[Any]:
    some = [text or "人" for text in texts(6, 40)]
    return [{"text": one, "text2": other} for one, other in zip(some, reversed(some))] + some


def _short() -> list[Any]:
    return texts(6, 30)


def _turns() -> list[Any]:
    some = [text or "人" for text in texts(7, 40)]
    return [*some[1:4], *({"turns": some[:number]} for number in (1, 2, 3, 7))]


def _similar() -> list[Any]:
    some = texts(6, 40)
    return [{"text1": one, "text2": other} for one, other in zip(some, reversed(some))]


@dataclass(frozen=True)
class Exported:
    """A kind of model.

    Attributes:
        auto: its Auto class.
        labels: of its config.
        fields: of its config beside sizes.
        inputs: what it is asked.
        config: class of the config.
        task: to be told to the export.
        options: of calls to compare, beside none.
        always: options of every call, without which the answers are drawn.
        scale: that the head's weights are multiplied by.
    """

    auto: Any
    labels: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    inputs: Callable[[], list[Any]] = _texts
    config: Any = hf_ext.RoFormerConfig
    task: str | None = None
    options: tuple[dict[str, Any], ...] = ()
    always: dict[str, Any] = field(default_factory=dict)
    scale: float = 1.0

    def save(self, folder: Path) -> None:
        """Save a model of random weights."""
        tokenizer = build_char_tokenizer([CHARACTERS])
        tokenizer.model_max_length = 64
        names = dict(enumerate(self.labels))
        labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}} if names else {}
        torch.manual_seed(1)
        config = self.config(vocab_size=len(tokenizer), **SIZES, **labels)
        for name, value in self.fields.items():
            setattr(config, name, value)
        model = self.auto.from_config(config).eval()
        for parameter in model.classifier.parameters() if self.scale != 1 else ():
            parameter.data *= self.scale
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Writer(Exported):
    """A kind of model that writes.

    Attributes:
        generation: how it writes.
        seed: of its weights.
    """

    auto: Any = AutoModelForSeq2SeqLM
    config: Any = hf_ext.T5PegasusConfig
    generation: dict[str, Any] = field(default_factory=dict)
    seed: int = 1

    def save(self, folder: Path) -> None:
        """Save a model of random weights."""
        tokenizer = build_char_tokenizer([CHARACTERS], model_input_names=["input_ids", "attention_mask"])
        tokenizer.model_max_length = 40
        ids = {"pad": tokenizer.pad_token_id, "decoder_start": tokenizer.cls_token_id, "eos": tokenizer.sep_token_id}
        sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
        buckets = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20}
        tokens = {f"{name}_token_id": value for name, value in ids.items()}
        torch.manual_seed(self.seed)
        config = self.config(vocab_size=len(tokenizer), **sizes, **buckets, **tokens, **self.fields)
        model = self.auto.from_config(config).eval()
        # Enough that tokens differ, and that texts end.
        model.lm_head.weight.data *= 2
        model.generation_config.update(**tokens, **self.generation)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Coder(Exported):
    """A kind of model that codes texts, and writes them from the codes."""

    auto: Any = hf_ext.UniVAEForTextAutoencoding
    config: Any = hf_ext.UniVAEConfig
    inputs: Callable[[], list[Any]] = _short

    def save(self, folder: Path) -> None:
        """Save a model of random weights."""
        tokenizer = build_char_tokenizer([CHARACTERS])
        torch.manual_seed(1)
        sizes = {**SIZES, "num_hidden_layers": 2}
        model = self.auto(self.config(vocab_size=len(tokenizer), **sizes, **self.fields)).eval()
        # Enough that tokens differ, and that texts end.
        model.roformer.embeddings.word_embeddings.weight.data *= 2
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Speaker(Exported):
    """A kind of decoder."""

    config: Any = hf_ext.UniLMBertConfig
    auto: Any = AutoModelForCausalLM

    def save(self, folder: Path) -> None:
        """Save a model of random weights."""
        tokenizer = build_char_tokenizer([CHARACTERS])
        tokenizer.add_tokens(list(SPEAKERS))
        tokenizer.model_max_length = 64
        torch.manual_seed(1)
        sizes = {**SIZES, "num_hidden_layers": 2, "max_position_embeddings": 128}
        model = self.auto.from_config(self.config(vocab_size=len(tokenizer), **sizes, **self.fields)).eval()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Seer(Exported):
    """A kind of model of images."""

    config: Any = hf_ext.RoPEViTConfig

    def save(self, folder: Path) -> None:
        """Save a model of random weights, and images beside it."""
        torch.manual_seed(1)
        names = {"id2label": dict(enumerate(self.labels))}
        sizes = {name: value for name, value in SIZES.items() if name != "max_position_embeddings"}
        config = self.config(image_size=24, patch_size=8, **sizes, **names, **self.fields)
        self.auto.from_config(config).eval().save_pretrained(folder)
        ViTImageProcessorPil(size={"height": 24, "width": 24}).save_pretrained(folder)


@cache
def _pictures() -> list[Any]:
    """Files of images of other sizes, in colours and grey."""
    folder = Path(tempfile.mkdtemp())
    drawn = np.random.default_rng(0)
    shapes = ((24, 24, 3), (50, 31, 3), (7, 90), (1, 1, 3), (33, 20, 4))
    paths = [folder / f"{number}.png" for number in range(len(shapes))]
    for path, shape in zip(paths, shapes):
        Image.fromarray(drawn.integers(0, 256, shape, dtype=np.uint8)).save(path)
    return [str(paths[0]), *({"image": str(path)} for path in paths[1:])]


def _gaps() -> list[Any]:
    return [
        {"text": f"{text[:9]}#{text[9:]}", "words": words}
        for text, words in zip(texts(5, 90), (["北京", "上海"], ["人", "月", "日"], ["张三", "李四", "王五"]) * 2)
    ]


_CLOZE = ClozePattern("{text}，在{mask}。", {"京": ["北京", "京城"], "沪": "上海", "人": "张三"})
_WINDOWS = ({"threshold": 0.7}, {"threshold": 0.0, "max_length": 20, "stride": 5})
# So little that the likeliest token is left alone.
_LIKELIEST = {"num_beams": 1}
_SEARCHES: tuple[dict[str, Any], ...] = ({"num_beams": 3}, {"max_new_tokens": 5, "max_length": 20})
_CERTAIN = {"top_p": 1e-6, "num_samples": 2}
KINDS: dict[str, Exported] = {
    "entities": Exported(
        hf_ext.AutoModelForSpanExtraction, ["人", "地", "事"], {"span_top_k": 5, "unpad": True}, options=_WINDOWS
    ),
    "entities, all pairs": Exported(
        hf_ext.AutoModelForSpanExtraction, ["人", "地"], {"span_head": "global_pointer"}, config=BertConfig
    ),
    "crf": Exported(
        hf_ext.AutoModelForSequenceLabeling,
        TAGS,
        {"untagged_token_ids": [2, 3], "constrained_transitions": True, "head_lr_multiplier": 1.0, "unpad": True},
        options=_WINDOWS,
    ),
    "memm": Exported(hf_ext.AutoModelForSequenceLabeling, TAGS, {"sequence_head": "memm", "head_lr_multiplier": 1.0}),
    "softmax": Exported(hf_ext.AutoModelForSequenceLabeling, TAGS, {"sequence_head": "softmax"}, config=BertConfig),
    "relations": Exported(
        hf_ext.AutoModelForRelationExtraction,
        ["住", "到"],
        {"span_top_k": 200, "unpad": True},
        options=({"threshold": 0.2},),
    ),
    "half pointers": Exported(
        hf_ext.AutoModelForHalfPointerRelations,
        ["住", "到"],
        {"span_top_k": 40, "unpad": True},
        options=({"threshold": 0.6},),
        scale=9,
    ),
    "events": Exported(
        hf_ext.AutoModelForEventExtraction,
        ["到|触发词", "到|人", "去|触发词", "去|地"],
        {"span_top_k": 12},
        options=({"threshold": 0.6},),
    ),
    "tags of events": Exported(hf_ext.AutoModelForEventTagging, EVENT_TAGS, {"head_lr_multiplier": 1.0}),
    "answers": Exported(
        hf_ext.AutoModelForReadingComprehension,
        inputs=_questions,
        options=({"top_k": 3, "max_answer_len": 4}, {"handle_impossible_answer": True, "doc_stride": 3}),
    ),
    "answers by start and end": Exported(
        hf_ext.AutoModelForReadingComprehension,
        fields={"answer_head": "start_end", "answer_ranking": "score", "null_threshold": 0.1},
        inputs=_questions,
        config=BertConfig,
    ),
    "answers by a table": Exported(
        hf_ext.AutoModelForReadingComprehension, fields={"answer_head": "pointer_table"}, inputs=_questions
    ),
    "classes": Exported(
        AutoModelForSequenceClassification, ["好", "坏", "中"], inputs=_pairs, options=({"threshold": 0.2},)
    ),
    "many classes": Exported(
        hf_ext.AutoModelForLinearClassification,
        ["好", "坏", "中"],
        {"problem_type": "multi_label_classification", "linear_pooling": "max"},
        inputs=_pairs,
    ),
    "clozes": Exported(
        AutoModelForMaskedLM,
        fields={"cloze": _CLOZE.as_json(), "unpad": True},
        options=(
            {"top_k": 3},
            {"top_k": 2, "decoding": "most_certain"},
            {"top_k": 5, "decoding": "left_to_right"},
        ),
    ),
    "clozes of candidates": Exported(
        AutoModelForMaskedLM,
        fields={"cloze": ClozePattern("{text}", blank="#", candidates="words").as_json()},
        inputs=_gaps,
        config=BertConfig,
        options=({"top_k": 3}, {"top_k": 3, "decoding": "most_certain"}),
    ),
    "images": Seer(
        AutoModelForImageClassification, ["人", "地", "天", "日", "月", "年"], inputs=_pictures, options=({"top_k": 1},)
    ),
    "choices": Exported(
        hf_ext.AutoModelForLinearChoice, fields={"linear_pooling": "mean"}, inputs=_choices, options=({"top_k": 2},)
    ),
    "summaries": Writer(
        generation={"max_length": 10, "num_beams": 3},
        options=({"num_beams": 1}, {"min_length": 7, "length_penalty": 2.0}),
    ),
    "paraphrases": Speaker(inputs=_short, always=_CERTAIN, options=({"max_new_tokens": 5, "temperature": 0.5},)),
    "paraphrases of a RoFormer": Speaker(
        inputs=_short,
        config=hf_ext.RoFormerConfig,
        fields={"attention_mode": "unilm", "pooler_activation": "tanh"},
        always=_CERTAIN,
    ),
    "replies": Speaker(inputs=_turns, config=hf_ext.CDialGPTConfig, always=_LIKELIEST, options=_SEARCHES),
    "replies by types": Speaker(
        inputs=_turns,
        config=hf_ext.NezhaConfig,
        fields={"attention_mode": "causal"},
        always=_LIKELIEST,
        options=_SEARCHES,
    ),
    "texts as points": Coder(
        options=({"num_beams": 3}, {"num_beams": 2, "length_penalty": 0.0, "min_length": 4}, {"max_length": 5})
    ),
    "texts as points, all blocks": Coder(fields={"latent": "gaussian", "num_latent_layers": 2, "half_length": 40}),
    "vectors": Exported(AutoModel, task="embedding", options=({"normalize": True}, {"max_length": 9})),
    "similarity": Exported(
        AutoModel, fields={"embedding_pooling": "first_last"}, inputs=_similar, config=BertConfig, task="similarity"
    ),
}


class TorchSession:
    """A graph of PyTorch, as one of ONNX runs."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.inputs = graph, graph.module.names

    @torch.no_grad()
    def __call__(self, inputs: Any) -> dict[str, Any]:
        outputs = self.graph.module(*(torch.from_numpy(inputs[name]) for name in self.inputs))
        return dict(zip(self.graph.outputs, (one.numpy() for one in outputs), strict=True))


def torch_answers(task: str, folder: Path) -> tuple[Any, Any]:
    """The pipeline of a saved model, and what gives its answers from the graphs of PyTorch."""
    make: Any = pipeline
    theirs = make(task, model=str(folder), device="cpu")
    config = theirs.model.config
    description: Any = SimpleNamespace(
        settings=task_settings(task, theirs),
        max_length=input_limit(theirs.tokenizer, config, None),
        longest=longest_input(config),
    )
    graphs = graphs_of(task, theirs.model.eval(), theirs.tokenizer, "")
    sessions: Any = {graph.name: TorchSession(graph) for graph in graphs}
    return theirs, ANSWERS[task](folder, description, config, sessions)
