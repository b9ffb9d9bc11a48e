"""The pipeline "paraphrase-generation": a text in, paraphrases ranked by similarity out (kexue.fm/archives/7427)."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from hf_ext.data.input_limit import input_limit
from hf_ext.data.text_to_text import decode_summaries
from hf_ext.losses.similarity import cosine_similarities
from hf_ext.tasks.base.pipeline_registration import register_task
from hf_ext.tasks.base.text_pipeline import TextPipeline


class ParaphrasePipeline(TextPipeline):
    """Generates paraphrases of a text with SimBERT or RoFormer-Sim, and ranks them by the model's own embeddings.

    ``pipeline("paraphrase-generation", model=folder)`` gives for a text, or for each of a list, a list of
    ``{"text", "similarity"}``: different candidates other than the text, the most similar first; fewer than asked for,
    or none, where the samples repeat each other or the text.

    Args (of the constructor or of a call):
        num_samples: texts to sample; default 100.
        num_candidates: most texts to return; default 20.
        **generation: arguments of ``generate``; default ``top_p=0.95`` and 64 new tokens. Token by token the model
            samples from the most probable tokens that have ``top_p`` together.
    """

    found = "paraphrases"
    command: ClassVar[str | None] = "paraphrase"
    endings: ClassVar[tuple[str, ...]] = ("ForParaphrase", "ForCausalLM")
    predict_options: ClassVar[Mapping[str, str]] = {"top_k": "num_candidates", "seed": ""}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mode = getattr(self.model.config, "resolved_attention_mode", None)
        if mode != "unilm" or getattr(self.model.base_model, "pooler", None) is None:
            raise ValueError(
                "model must be a UniLM with a pooler, as SimBERT and RoFormer-Sim are, got "
                f"{type(self.model).__name__} with attention_mode {mode!r}"
            )

    @classmethod
    def suits(cls, config: Any) -> bool:
        """Whether it is a UniLM; whether it has a pooler shows once it is loaded."""
        return getattr(config, "resolved_attention_mode", None) == "unilm"

    def __call__(self, inputs: Any, batch_size: int | None = None, **options: Any) -> Any:  # type: ignore[override]
        """Paraphrases of one text, or a list of them for each of several; the samples of a text are a batch."""
        if isinstance(inputs, Iterable) and not isinstance(inputs, str):
            return [self(one, **options) for one in inputs]
        return super().__call__(inputs, **options)

    def _sanitize_parameters(
        self, num_samples: int | None = None, num_candidates: int | None = None, **generation: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name, value in (("num_samples", num_samples), ("num_candidates", num_candidates)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        run = generation if num_samples is None else {**generation, "num_samples": num_samples}
        return {}, run, {} if num_candidates is None else {"num_candidates": num_candidates}

    def preprocess(self, input_: str) -> dict[str, Any]:  # type: ignore[override]
        """Model inputs ``[1, L]`` of the text, all of type 0."""
        if not isinstance(input_, str):
            raise TypeError(f"inputs must be texts, got {type(input_).__name__}")
        return {"source": input_, **self._encode([input_])}

    def _forward(  # type: ignore[override]
        self, input_tensors: dict[str, Any], num_samples: int = 100, **generation: Any
    ) -> dict[str, Any]:
        source = input_tensors.pop("source")
        settings = {**self.generation_settings(), **generation}
        ids = self.model.generate(**input_tensors, num_return_sequences=num_samples, **settings)
        texts = decode_summaries(self.tokenizer, ids[:, input_tensors["input_ids"].shape[1] :])
        candidates = [text for text in dict.fromkeys(texts) if text and text != source]
        if not candidates:
            return {"texts": [], "similarities": torch.zeros(0)}
        embeddings = self._embed([source, *candidates])
        return {"texts": candidates, "similarities": cosine_similarities(embeddings)[0, 1:]}

    def postprocess(  # type: ignore[override]
        self, model_outputs: dict[str, Any], num_candidates: int = 20
    ) -> list[dict[str, Any]]:
        """The candidates, the most similar first."""
        pairs = zip(model_outputs["texts"], model_outputs["similarities"].tolist())
        ranked = sorted(pairs, key=lambda pair: pair[1], reverse=True)
        return [{"text": text, "similarity": similarity} for text, similarity in ranked[:num_candidates]]

    def generation_settings(self) -> dict[str, Any]:
        """What ``generate`` is told where a call says nothing else."""
        tokenizer = self.tokenizer
        # They are part of no text, and left out when ids are turned to text.
        never = {tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id}
        return {
            "do_sample": True,
            "top_p": 0.95,
            # The library's own default of 50 would cut the tail before `top_p` sees it.
            "top_k": 0,
            "max_new_tokens": 64,
            "eos_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "suppress_tokens": sorted(never - {None}),
        }

    def _encode(self, texts: list[str]) -> Any:
        return self.tokenizer(
            texts,
            truncation=True,
            max_length=input_limit(self.tokenizer, self.model.config),
            padding=True,
            padding_side="right",
            return_tensors="pt",
            return_token_type_ids=True,
        )

    def _embed(self, texts: list[str]) -> Tensor:
        """Embeddings ``[B, H]``."""
        inputs = self._encode(texts).to(self.model.device)
        return self.model.base_model(**inputs, use_cache=False, return_dict=True).pooler_output


register_task("paraphrase-generation", ParaphrasePipeline, AutoModelForCausalLM)
