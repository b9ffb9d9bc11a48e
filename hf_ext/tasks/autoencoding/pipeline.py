"""The pipeline "text-autoencoding": texts written again from their codes, drawn from the prior, and mixed."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_ext.data.text_to_text import decode_summaries
from hf_ext.models.univae import UniVAEForTextAutoencoding
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.tasks.autoencoding.files import check_text_lengths
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline


class TextAutoencodingPipeline(TextPipeline):
    """Codes texts with a UniVAE and writes texts from codes.

    ``pipeline("text-autoencoding", model=folder)`` takes a text, a list of texts, a dataset or a generator, and gives
    the text that the model writes from the means of each. Its methods code texts, write from codes, and give texts of
    the prior, between two texts, and with latents of another. A text that is longer than the model's ``half_length``
    is refused.

    Args (of the constructor or of a call):
        **generation: arguments of ``generate``, such as ``num_beams`` or ``do_sample``; default the likeliest token
            each time.
    """

    found = "reconstruction"
    command: ClassVar[str | None] = "autoencoder"
    endings: ClassVar[tuple[str, ...]] = ("ForTextAutoencoding",)

    default_input_names: Any = "texts"

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """What the model writes of one text, or of each of several: a list, or an iterator."""
        if isinstance(inputs, Sequence) and not isinstance(inputs, str):
            inputs = list(inputs)
            if not inputs:
                return []
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(self, **generation: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, generation, {}

    def preprocess(self, input_: str) -> Any:  # type: ignore[override]
        """Model inputs ``[1, L]`` of a text.

        Raises:
            ValueError: if it is longer than the model's half.
        """
        return self._inputs([input_])

    def _forward(self, input_tensors: Any, **generation: Any) -> Any:
        return {"ids": self.model.generate(**input_tensors, **self.generation_settings(), **generation)}

    def postprocess(self, model_outputs: Any) -> str:  # type: ignore[override]
        """The text of the generated ids."""
        return decode_summaries(self.tokenizer, model_outputs["ids"])[0]

    def encode(self, texts: Iterable[str], sample: bool = False, batch_size: int = 64) -> Tensor:
        """Codes ``[N, K * Z]`` of texts, on the CPU.

        Args:
            texts: N of them.
            sample: draw each code around its mean.
            batch_size: texts run at a time.

        Raises:
            ValueError: if there is no text, or one is longer than the model's half.
        """
        waiting = list(texts)
        if not waiting:
            raise ValueError("texts must be at least one, got none")
        codes = []
        with evaluation_mode(self.model):
            for start in range(0, len(waiting), batch_size):
                inputs = self._inputs(waiting[start : start + batch_size]).to(self.model.device)
                codes.append(self.model.encode(**inputs, sample=sample).cpu())
        return torch.cat(codes)

    def write(self, z: Tensor, batch_size: int = 64, **generation: Any) -> list[str]:
        """Texts of codes ``[N, K * Z]``.

        Args:
            z: codes; those on a sphere are normalised latent by latent.
            batch_size: texts written at a time.
            **generation: of ``generate``.

        Raises:
            ValueError: if the shape is another.
        """
        texts = []
        with evaluation_mode(self.model):
            for part in z.split(batch_size):
                settings = {**self.generation_settings(), **generation}
                texts += decode_summaries(
                    self.tokenizer, self.model.generate(z=part.to(self.model.device), **settings).cpu()
                )
        return texts

    def sample(self, texts: int = 1, seed: int | None = None, **generation: Any) -> list[str]:
        """Texts drawn from the prior.

        Args:
            texts: how many.
            seed: for the same codes again.
            **generation: of ``generate``.

        Raises:
            ValueError: if ``texts`` is below 1.
        """
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return self.write(self.model.sample_prior(texts, generator), **generation)

    def interpolate(self, first: str, second: str, steps: int = 5, **generation: Any) -> list[str]:
        """Texts on the way from one to another, what is written of both among them.

        Args:
            first: where it begins.
            second: where it ends.
            steps: how many texts, at least 2.
            **generation: of ``generate``.

        Raises:
            ValueError: if ``steps`` is below 2, or a text is longer than the model's half.
        """
        start, end = self.encode([first, second]).split(1)
        return self.write(self.model.interpolate(start, end, steps)[:, 0], **generation)

    def swap(self, first: str, second: str, layers: int | Iterable[int], **generation: Any) -> str:
        """The text ``first`` with some latents of ``second``.

        Args:
            first: gives the other latents.
            second: gives those that are named.
            layers: numbers of latents, 0 in the lowest layer that has one, -1 in the last.
            **generation: of ``generate``.

        Raises:
            ValueError: if there is no such latent, or a text is longer than the model's half.
        """
        one, other = self.encode([first, second]).split(1)
        return self.write(self.model.swap(one, other, layers), **generation)[0]

    def _inputs(self, texts: Sequence[str]) -> Any:
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"inputs must be texts, got {type(text).__name__}")
        inputs = self.tokenizer(
            list(texts),
            padding=True,
            padding_side="right",
            return_tensors="pt",
            return_token_type_ids=False,
            verbose=False,
        )
        check_text_lengths(texts, inputs["attention_mask"].sum(-1).tolist(), self.model.config.half_length)
        return inputs

    def generation_settings(self) -> dict[str, Any]:
        """What ``generate`` is told of the tokenizer's special tokens."""
        tokenizer = self.tokenizer
        # They are part of no text, and left out when ids are turned to text.
        never = {tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id}
        return {
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "suppress_tokens": sorted(never - {None}),
        }


register_task("text-autoencoding", TextAutoencodingPipeline, UniVAEForTextAutoencoding)
