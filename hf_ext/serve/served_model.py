"""A model that is served: its name, what it can be asked, and the thread that runs it."""

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_ext.data.documents import pipeline_input, purpose_line, with_found
from hf_ext.data.input_limit import input_limit
from hf_ext.serve.batcher import Batcher
from hf_ext.serve.limits import Limits
from hf_ext.serve.seeded import seeded
from hf_ext.serve.sent_images import MOST_PIXELS_TOGETHER, decoded_image, image_files
from hf_ext.serve.text_completer import Sampling

# What draws takes its numbers from one generator of the process, which a seed sets.
_drawing = threading.Lock()


@dataclass(frozen=True)
class Vector:
    """A text's vector ``[H]`` of length 1, and the tokens that were read of it."""

    numbers: Any
    tokens: int


@dataclass(frozen=True)
class _Asked:
    """What requests of a batch have in common: the kind of question and its options; ``alone`` shares with none."""

    kind: str
    options: Hashable = None
    alone: object = None


class ServedModel:
    """A model under a name, with a queue and a thread of its own.

    Args:
        name: by which requests name it.
        predictor: as `open_model` gives it.
        limits: of the server.
        measure: is told the number of documents of each batch, and the seconds that it took.

    Attributes:
        name: by which requests name it.
        predictor: what runs.
        batcher: its queue.
        predicts: whether documents may be asked of it, as of ``hf-ext predict``.
        embeds: whether it gives vectors.
        completes: whether it writes on after prompts.
    """

    def __init__(
        self,
        name: str,
        predictor: Any,
        limits: Limits | None = None,
        measure: Callable[[int, float], None] = lambda documents, seconds: None,
    ) -> None:
        limits = limits or Limits()
        self.name, self.predictor = name, predictor
        self.completes = predictor.found == "completions"
        # The pipeline of pairs is one of vectors too.
        self.embeds = predictor.found == "vectors" or (predictor.found == "similarity" and hasattr(predictor, "stream"))
        self.predicts = predictor.found not in ("completions", "vectors")
        self._batch = limits.batch
        self.batcher = Batcher(self._run, limits.batch, limits.wait_ms, limits.waiting, measure, f"model {name}")

    @property
    def purpose(self) -> str:
        """A line that says what it is for."""
        return purpose_line(self.name, self.predictor.found, self.predictor.reads)

    def predict(self, documents: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Any:
        """A future of what is found in each document, ``{found: answer}``.

        Args:
            documents: with the keys that the model reads; an image as base64.
            options: of ``hf-ext predict``, by their names there.

        Raises:
            ValueError: if an image is none, or they have too many pixels.
            QueueFullError: if there is no room.
            StoppedError: once it was closed.
        """
        # Images are decoded once it is their turn; a batch has no more pixels than a request may have.
        read, pixels = image_files(documents)
        large = pixels * self._batch > MOST_PIXELS_TOGETHER
        # Names of groups are a request's own, and a seed is for its texts alone.
        alone = object() if large or "seed" in options or any("group" in one for one in read) else None
        return self.batcher.submit(read, _Asked("predict", tuple(sorted(options.items())), alone))

    def embed(self, texts: Sequence[str]) -> Any:
        """A future of a `Vector` of each text; raises as `predict`."""
        return self.batcher.submit(texts, _Asked("embed"))

    def complete(self, prompts: Sequence[str], sampling: Sampling, left: threading.Event) -> Any:
        """A future of the completions of each prompt, which may hold a ValueError of `TextCompleter.encode`.

        Args:
            prompts: texts to write on after.
            sampling: how.
            left: is set once nobody waits for them any more; no more is written then.
        """
        alone = None if sampling.seed is None and sampling.listener is None else object()
        return self.batcher.submit([(one, left) for one in prompts], _Asked("complete", sampling, alone))

    def _run(self, documents: list[Any], asked: _Asked) -> Sequence[Any]:
        if asked.kind == "embed":
            return self._vectors(documents)
        if asked.kind == "complete":
            sampling: Any = asked.options
            prompts, left = zip(*documents)
            with _drawing if sampling.draws else nullcontext():
                return self.predictor(prompts, sampling, left)
        options: dict[str, Any] = dict(asked.options)  # type: ignore[call-overload]
        # One with a name of the predictor's own is an option like any other.
        if self.predictor.predict_options.get("seed") != "":
            return self._found(documents, options)
        with _drawing, seeded(options.pop("seed", None)):
            return self._found(documents, options)

    def _found(self, documents: list[Any], options: Mapping[str, Any]) -> list[dict[str, Any]]:
        own = {self.predictor.predict_options[name]: value for name, value in options.items()}
        inputs = [decoded_image(one["image"]) if "image" in one else pipeline_input(one) for one in documents]
        answers = self.predictor(inputs, batch_size=self._batch, **own)
        return [with_found({}, self.predictor.found, one) for one in answers]

    def _vectors(self, texts: list[str]) -> list[Vector]:
        if hasattr(self.predictor, "stream"):
            found = np.concatenate(list(self.predictor.stream(texts, normalize=True)))
        else:
            found = np.asarray(self.predictor(texts, batch_size=self._batch), np.float32)
            found = found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
        tokenizer = self.predictor.tokenizer
        ids = tokenizer(list(texts), truncation=False, verbose=False, return_attention_mask=False)["input_ids"]
        # A pipeline has it with its model, an exported folder by itself.
        config = getattr(getattr(self.predictor, "model", self.predictor), "config", None)
        limit = tokenizer.model_max_length if config is None else input_limit(tokenizer, config)
        return [Vector(vector, min(len(own), limit)) for vector, own in zip(found, ids)]
