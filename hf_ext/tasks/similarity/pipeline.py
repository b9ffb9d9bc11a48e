"""The pipeline "text-embedding": texts in, vectors out, in memory that does not grow with their number."""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel, BatchEncoding

from hf_ext.data.input_limit import check_input_length, input_limit
from hf_ext.modules.text_vectors import encode_texts, pooling_of
from hf_ext.ops.pooling import check_pooling
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline
from hf_ext.tasks.similarity.vector_file import VectorParts
from hf_ext.tasks.similarity.whitening import Whitening

logger = logging.getLogger(__name__)

# Texts that are sorted by length together.
SORTED_TEXTS = 1024


class EmbeddingPipeline(TextPipeline):
    """Embeds texts, any number of them, with any encoder.

    ``pipeline("text-embedding", model=folder)`` gives a float32 array ``[H]`` for a text and ``[N, H]`` for a list or
    another sequence; :meth:`stream` takes any number of texts and gives their vectors as they come.

    Texts are run sorted by length in batches of as many as fit into a number of tokens, and given in their own order.
    Texts longer than ``max_length`` are cut, and counted in one logged warning a call.

    Args (of the constructor or of a call):
        pooling: ``"pooler"``, the model's own; ``"pooler_dense"``, its layer without what it is activated by;
            ``"cls"``, the first token; ``"mean"`` over the real tokens; or ``"first_last"``, the mean of those of the
            first block and of the last. Default: that of ``config.embedding_pooling``, by which the model was trained;
            else the pooler where it is linear, as in SimBERT and RoFormer-Sim, and the mean elsewhere.
        whitening: a `Whitening` or the folder of one, applied to the vectors; they have its K numbers then.
        normalize: whether to scale vectors to length 1; default no.
        max_length: most tokens of a text, special ones included; default 512, or less if the model or the tokenizer
            takes less.
        tokens_per_batch: most tokens run at a time, padding included; default 8192.
    """

    found = "vectors"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.tokenizer.pad_token_id is None:
            raise ValueError(f"tokenizer must have a padding token, got {type(self.tokenizer).__name__} without one")

    def __call__(self, inputs: Any, **options: Any) -> NDArray[np.float32]:  # type: ignore[override]
        """Vectors ``[H]`` of a text, or ``[N, H]`` of several."""
        if isinstance(inputs, str):
            return self([inputs], **options)[0]
        parts = list(self.stream(inputs, **options))
        return np.concatenate(parts) if parts else np.zeros((0, self.width(**options)), np.float32)

    def width(self, **options: Any) -> int:
        """Number of numbers in a vector, given the options of a call."""
        whitening = {**self._postprocess_params, **self._sanitize_parameters(**options)[2]}.get("whitening")
        return self.model.config.hidden_size if whitening is None else whitening.kernel.shape[1]

    def fingerprint(self, **options: Any) -> str:
        """A digest of all that vectors come from besides the texts: weights, settings, tokenizer, options of a call."""
        digest = hashlib.sha256()
        whitening = {**self._postprocess_params, **self._sanitize_parameters(**options)[2]}.get("whitening")
        for module in (self.model, whitening):
            for name, tensor in module.state_dict().items() if module is not None else ():
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        stated = {name: value for name, value in options.items() if name != "whitening"}
        given = [self._preprocess_params, self._forward_params, {**self._postprocess_params, "whitening": None}, stated]
        settings = [str(self.device), self.model.config.to_dict(), self.tokenizer.init_kwargs, given, SORTED_TEXTS]
        vocabulary = sorted(self.tokenizer.get_vocab().items())
        digest.update(json.dumps([settings, vocabulary], sort_keys=True, default=str).encode())
        return digest.hexdigest()

    def stream(
        self, texts: Iterable[str], parts: VectorParts | None = None, **options: Any
    ) -> Iterator[NDArray[np.float32]]:
        """Vectors of texts that need not be held in memory, in parts ``[n, H]`` in their order.

        Args:
            texts: any number of texts.
            parts: where parts are taken from if they are there, and kept.
            options: of a call.
        """
        before, during, after = self._sanitize_parameters(**options)
        tokenize = {**self._preprocess_params, **before}
        run = {**self._forward_params, **during}
        finish = {**self._postprocess_params, **after}
        budget = run.pop("tokens_per_batch", 8192)
        iterator = iter(texts)
        cut = total = 0
        while window := list(islice(iterator, SORTED_TEXTS)):
            if parts is not None and (known := parts.get(window)) is not None:
                yield known
                continue
            rows, too_long = self._tokenize(window, **tokenize)
            cut, total = cut + too_long, total + len(window)
            order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]), reverse=True)
            vectors: NDArray[np.float32] | None = None
            while order:
                # The first is the longest; all that are run with it are padded to its length.
                size = max(1, budget // len(rows[order[0]]["input_ids"]))
                chosen, order = order[:size], order[size:]
                made = self.postprocess(self.forward(self._pad([rows[index] for index in chosen]), **run), **finish)
                if vectors is None:
                    vectors = np.empty((len(window), made.shape[1]), np.float32)
                vectors[chosen] = made
            assert vectors is not None
            if parts is not None:
                parts.put(window, vectors)
            yield vectors
        if cut:
            limit = self._limit(**tokenize)
            logger.warning("%d of %d texts are longer than %d tokens; their ends are not embedded", cut, total, limit)

    def _sanitize_parameters(  # type: ignore[override]
        self,
        pooling: str | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
        tokens_per_batch: int | None = None,
        whitening: Whitening | str | os.PathLike[str] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name, value in (("max_length", max_length), ("tokens_per_batch", tokens_per_batch)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if pooling is not None:
            check_pooling(pooling)
        if whitening is not None and not isinstance(whitening, Whitening):
            whitening = Whitening.from_pretrained(whitening)
        if whitening is not None and len(whitening.mean) != self.model.config.hidden_size:
            size = self.model.config.hidden_size
            raise ValueError(f"whitening must be for vectors of {size} numbers, got {len(whitening.mean)}")
        given: tuple[dict[str, Any], ...] = (
            {"max_length": max_length},
            {"pooling": pooling, "tokens_per_batch": tokens_per_batch},
            {"normalize": normalize, "whitening": whitening},
        )
        before, during, after = ({k: v for k, v in one.items() if v is not None} for one in given)
        return before, during, after

    def _limit(self, max_length: int | None = None) -> int:
        if max_length is None:
            return input_limit(self.tokenizer, self.model.config)
        check_input_length(max_length, self.model.config)
        return max_length

    def _tokenize(self, texts: Sequence[str], max_length: int | None = None) -> tuple[list[dict[str, list[int]]], int]:
        """Rows of model inputs, cut to length, and how many were."""
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"inputs must be texts, got {type(text).__name__}")
        limit = self._limit(max_length)
        encoded = self.tokenizer(texts, truncation=True, max_length=limit, return_overflowing_tokens=True)
        # Of a text that is cut, the rest follows as further rows.
        owners = encoded.pop("overflow_to_sample_mapping", range(len(texts)))
        first: dict[int, int] = {}
        for row, owner in enumerate(owners):
            first.setdefault(owner, row)
        names = [name for name in self.tokenizer.model_input_names if name in encoded]
        rows = [{name: encoded[name][first[index]] for name in names} for index in range(len(texts))]
        # A tokenizer without special tokens makes nothing of an empty text, of which a model can make nothing.
        rows = [row if row["input_ids"] else self._one_padding_token(names) for row in rows]
        return rows, sum(count > 1 for count in Counter(owners).values())

    def _one_padding_token(self, names: Sequence[str]) -> dict[str, list[int]]:
        values = {"input_ids": self.tokenizer.pad_token_id, "attention_mask": 1}
        return {name: [values.get(name, 0)] for name in names}

    def _pad(self, rows: list[dict[str, list[int]]]) -> BatchEncoding:
        # On the left, a text's positions would depend on the texts beside it.
        return self.tokenizer.pad(rows, padding_side="right", return_tensors="pt")

    def preprocess(self, input_: str, **options: Any) -> BatchEncoding:  # type: ignore[override]
        """Model inputs ``[1, L]`` of a text."""
        return self._pad(self._tokenize([input_], **options)[0])

    def _forward(self, input_tensors: Any, pooling: str | None = None) -> Tensor:  # type: ignore[override]
        return encode_texts(self.model, input_tensors, pooling or pooling_of(self.model.config))

    def postprocess(  # type: ignore[override]
        self, model_outputs: Tensor, normalize: bool = False, whitening: Whitening | None = None
    ) -> NDArray[np.float32]:
        """Float32 ``[B, H]``, whitened to ``[B, K]`` and of length 1 if asked for."""
        if not model_outputs.isfinite().all():
            raise ValueError("vectors must be finite numbers, got NaN or infinity; with dtype float16, try another")
        vectors = model_outputs if whitening is None else whitening(model_outputs)
        return (torch.nn.functional.normalize(vectors, dim=-1) if normalize else vectors).float().numpy()


register_task("text-embedding", EmbeddingPipeline, AutoModel)
