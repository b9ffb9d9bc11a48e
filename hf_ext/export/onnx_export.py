"""Exports a trained model to a folder of ONNX graphs, checked against PyTorch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import pipeline

from hf_ext.conversion.folder import check_output, whole_folder
from hf_ext.data.input_limit import DEFAULT_LENGTH, input_limit, longest_input
from hf_ext.export.description import OnnxDescription
from hf_ext.export.graph_session import GraphSession
from hf_ext.export.graphs import EXPORTED, graphs_of, image_graph
from hf_ext.export.image_answers import image_shape, pillow_processor
from hf_ext.export.int8 import quantize
from hf_ext.export.onnx_graph import largest_difference, write_graph
from hf_ext.export.onnx_pipeline import ANSWERS
from hf_ext.export.scoring import Scoring
from hf_ext.export.task_settings import task_settings
from hf_ext.export.writing_graphs import WRITERS
from hf_ext.modules.text_vectors import pooling_of
from hf_ext.ops.pooling import check_pooling
from hf_ext.tasks.base.job_file import JOB_FILE, read_job_file
from hf_ext.tasks.base.saved_model import SavedModel
from hf_ext.training.quiet import quiet_libraries

EMBEDDING = "embedding"
"""The task of any encoder: a vector for a text."""

MOST_DIFFERENCE = 1e-4
"""Graphs whose numbers are further from PyTorch's than this are not written."""


@dataclass(frozen=True)
class OnnxExport:
    """What was exported.

    Attributes:
        folder: where it is.
        description: what the folder says of itself, the largest difference to PyTorch among it.
        sizes: bytes of each graph, by the name of its file.
        scores: of the task on a file, where one is given: "float32" and "int8".
        metric: the name of that score; None without a file.
    """

    folder: Path
    description: OnnxDescription
    sizes: Mapping[str, int]
    scores: Mapping[str, float]
    metric: str | None = None


def export_onnx(
    model: str,
    output: str | Path,
    task: str | None = None,
    pooling: str | None = None,
    int8: bool = False,
    score_file: str | Path | None = None,
    overwrite: bool = False,
) -> OnnxExport:
    """Write a model as ONNX graphs, with what `OnnxPipeline` needs beside them.

    Args:
        model: a folder or a name on the Hub, of a model trained for a task, or any encoder for vectors.
        output: the folder to write, whole or not at all.
        task: the command that trains such models, or "embedding"; None: what the model's folder says.
        pooling: of vectors, as of the pipeline "text-embedding"; None: the model's own.
        int8: make the matrices int8 after the check; numbers are then further from PyTorch's than that says.
        score_file: with ``int8``, a file as the model was trained on, to score it on before and after.
        overwrite: replace a model's folder that is there.

    Raises:
        MissingExtraError: if a library of the extra is not installed.
        ValueError: if the model is for no task that can be exported, PyTorch makes no graph of it, the graph's numbers
            are further than `MOST_DIFFERENCE` from PyTorch's, or the file cannot be scored on.
    """
    if score_file is not None and not int8:
        raise ValueError(f"score_file goes with int8, got {score_file} without it")
    output = Path(output)
    check_output(Path(model), output, overwrite)
    name, opened = _opened(model, task)
    scoring = None if score_file is None else Scoring.of_file(model, task, name, Path(score_file))
    vectors = name in ("text-embedding", "text-similarity")
    if pooling is not None and not vectors:
        raise ValueError(f"pooling goes with vectors, got {pooling} with a model that finds {opened.found}")
    own = opened.model.eval().float()
    pooling = pooling or pooling_of(own.config)
    check_pooling(pooling)
    longest = None if opened.tokenizer is None else longest_input(own.config)
    settings = {"pooling": pooling} if vectors else task_settings(name, opened)
    sees = name == "image-classes"
    # They read as much of a text as the model was trained on.
    whole = name in WRITERS and name != "paraphrase-generation"
    with whole_folder(output) as draft:
        own.config.save_pretrained(draft)
        (opened.image_processor if sees else opened.tokenizer).save_pretrained(draft)
        if sees:
            graphs = [image_graph(own, image_shape(pillow_processor(draft)))]
        else:
            graphs = graphs_of(name, own, opened.tokenizer, pooling)
        worst = 0.0
        for graph in graphs:
            path = draft / f"{graph.name}.onnx"
            write_graph(graph, path)
            worst = max(worst, largest_difference(graph, GraphSession(path, graph.outputs), longest))
        if worst > MOST_DIFFERENCE:
            raise ValueError(
                f"the graph of {model} must give PyTorch's numbers, got a difference of {worst:.1e}, "
                f"above {MOST_DIFFERENCE:.0e}; nothing is written"
            )
        description = OnnxDescription(
            task=name,
            found=opened.found,
            reads=[list(keys) for keys in opened.reads],
            optional=list(opened.optional),
            # A seed is an option of the call here, and the process's with PyTorch.
            predict_options={
                ours: theirs or ours
                for ours, theirs in opened.predict_options.items()
                if (theirs or ours) in ANSWERS[name].options
            },
            max_length=None if sees else input_limit(opened.tokenizer, own.config, None if whole else DEFAULT_LENGTH),
            longest=longest,
            inputs={graph.name: list(graph.module.names) for graph in graphs},
            outputs={graph.name: list(graph.outputs) for graph in graphs},
            largest_difference=worst,
            settings=settings,
        )
        if (job := read_job_file(model)) is not None:
            (draft / JOB_FILE).write_text(json.dumps(job, ensure_ascii=False, indent=2), encoding="utf-8")
        description.write(draft)
        scores = {} if scoring is None else {"float32": scoring.score(draft)}
        if int8:
            for graph in graphs:
                quantize(draft / f"{graph.name}.onnx")
            description = replace(description, int8=True)
            description.write(draft)
            if scoring is not None:
                scores["int8"] = scoring.score(draft)
        sizes = {file.name: file.stat().st_size for file in sorted(draft.glob("*.onnx*"))}
    return OnnxExport(output, description, sizes, scores, None if scoring is None else scoring.metric)


def _opened(model: str, task: str | None) -> tuple[str, Any]:
    """The name of the pipeline that a model is for, and the pipeline, on the CPU and in float32."""
    if task == EMBEDDING:
        # The library's types list its own tasks only.
        make_pipeline: Any = pipeline
        with quiet_libraries():
            return "text-embedding", make_pipeline("text-embedding", model=model, device="cpu")
    saved = SavedModel.read(model)
    name, _ = saved.predictor(task)
    if name not in EXPORTED:
        raise ValueError(
            f"model must be for one of {', '.join(sorted(EXPORTED))} to be exported to ONNX, got {model}, which is for "
            f"{name}"
        )
    return name, saved.open(task, "cpu", "float32")
