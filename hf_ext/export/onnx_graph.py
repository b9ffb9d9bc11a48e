"""Writing a graph of ONNX, and how far its numbers are from PyTorch's."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from hf_ext.export.graph import Graph
from hf_ext.export.graph_session import GraphSession
from hf_ext.extras import extra

# Texts and tokens of the batches that are compared.
_SIZES = ((1, 1), (2, 9), (3, 33))


@torch.no_grad()
def write_graph(graph: Graph, path: Path) -> None:
    """Write a graph for any number of texts of any length.

    Raises:
        MissingExtraError: if onnx or onnxscript is not installed.
        ValueError: if PyTorch cannot make a graph of the model.
    """
    with extra("onnx", "exporting to ONNX"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    inputs, others = graph.example(2, 7), graph.example(3, 8)
    free = torch.export.Dim.DYNAMIC
    axes = tuple(
        {axis: free for axis, sizes in enumerate(zip(one.shape, other.shape)) if sizes[0] != sizes[1]}
        for one, other in zip(inputs, others)
    )
    try:
        with _quiet():
            program = torch.onnx.export(
                graph.module,
                inputs,
                input_names=list(graph.module.names),
                output_names=list(graph.outputs),
                dynamo=True,
                dynamic_shapes=(axes,),
                verbose=False,
            )
            assert program is not None
            program.save(path)
    except torch.onnx.OnnxExporterError as error:
        # The first line that is not about steps and reports.
        reason = next((line for line in reversed(str(error).splitlines()) if "Error" in line), str(error))
        raise ValueError(f"PyTorch makes no ONNX graph of {type(graph.module.model).__name__}: {reason}") from error


@torch.no_grad()
def largest_difference(graph: Graph, session: GraphSession, longest: int | None) -> float:
    """The largest difference between a graph's numbers and PyTorch's, over batches of several sizes.

    That of a number beyond 1 is relative to it; inf, where one is finite and the other is not.

    Args:
        graph: as of PyTorch.
        session: as of onnxruntime.
        longest: tokens that the model has positions for; None: there is no end.
    """
    worst = 0.0
    for batch, length in _SIZES:
        inputs = graph.example(batch, min(length, longest or length))
        found = session(dict(zip(graph.module.names, (one.numpy() for one in inputs))))
        for name, wanted in zip(graph.outputs, graph.module(*inputs)):
            worst = max(worst, _difference(found[name].astype(np.float64), wanted.double().numpy()))
    return worst


def _difference(found: np.ndarray, wanted: np.ndarray) -> float:
    known = np.isfinite(wanted)
    alike = np.where(known, np.isfinite(found), (found == wanted) | (np.isnan(found) & np.isnan(wanted)))
    if found.shape != wanted.shape or not alike.all():
        return float("inf")
    gap = np.abs(found[known] - wanted[known]) / np.maximum(1, np.abs(wanted[known]))
    return float(gap.max(initial=0.0))


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it the exporter says nothing of steps, of other libraries and of what it will no longer do."""
    loggers = [logging.getLogger(name) for name in ("torch.__trace", "torch.onnx", "onnxscript", "onnx_ir")]
    # The exporter's own loggers have levels of their own.
    loggers += [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and name.startswith(("torch.onnx.", "onnxscript.", "onnx_ir."))
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
