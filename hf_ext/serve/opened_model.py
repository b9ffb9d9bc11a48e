"""Opening a model by its name as whatever predicts with it."""

from typing import Any

from hf_ext.export.exported_folder import is_exported, open_exported
from hf_ext.serve.text_completer import TextCompleter
from hf_ext.tasks.base.saved_model import SavedModel, predictors
from hf_ext.training.quiet import quiet_libraries

# What a model is served for beside the tasks of ``hf-ext predict``.
EMBEDDING = "embedding"
COMPLETION = "completion"


def open_model(
    name: str, task: str | None = None, device: str | None = None, dtype: str = "auto", threads: int | None = None
) -> Any:
    """What predicts with a model: a pipeline of its task, of vectors or of completions, or that of an exported folder.

    All of them have ``found``, ``reads``, ``optional`` and ``predict_options``, as `TaskPipeline` says, and are called
    with a list of documents, ``batch_size`` and options.

    Args:
        name: a folder, or a name on the Hub; a folder with an ``onnx.json`` is run by ONNX Runtime.
        task: the command that trains such models, "embedding" or "completion"; None: what the model says of itself. An
            encoder without a head gives vectors then, and a causal model of plain texts completions.
        device: such as ``"cpu"``; None: a GPU if there is one.
        dtype: of the numbers to run in, as of `TaskPipeline.run_in`.
        threads: of an exported folder, which run one batch; None: as many as there are cores.

    Raises:
        ValueError: if there is no such model or task, or the model has no trained head for it.
        OSError: if files of it cannot be read.
    """
    if is_exported(name):
        return open_exported(name, {"task": task}, threads)
    saved = SavedModel.read(name)
    kind = task or _kind_of(saved)
    if kind == COMPLETION:
        return TextCompleter.open(name, device, dtype)
    if kind == EMBEDDING:
        return _embedder(name, device, dtype)
    if kind is not None:
        commands = sorted({one.command for one in predictors().values()})
        if kind not in commands:
            raise ValueError(f"task must be one of {', '.join([*commands, EMBEDDING, COMPLETION])}, got {kind!r}")
    return saved.open(kind, device, dtype)


def _kind_of(saved: SavedModel) -> str | None:
    """What a model is served for that no task of ``hf-ext predict`` takes."""
    try:
        saved.predictor()
    except ValueError:
        # The class of an encoder alone ends so.
        if any(name.endswith(("Model", "EncoderModel")) and "LMHead" not in name for name in saved.class_names):
            return EMBEDDING
        if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in saved.class_names):
            return COMPLETION
    return None


def _embedder(name: str, device: str | None, dtype: str) -> Any:
    from transformers import pipeline

    # The library's types list its own tasks only.
    make_pipeline: Any = pipeline
    with quiet_libraries():
        return make_pipeline("text-embedding", model=name, device=device).run_in(dtype)
