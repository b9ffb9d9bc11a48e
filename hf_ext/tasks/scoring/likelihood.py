"""What a language model says of a token, given the others: T-TA, a masked model, or a causal one.

Shapes: B batch, L tokens, H hidden, P places asked for, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.ops.precision import at_least_float32
from hf_ext.tasks.base.head_guard import OtherHeadError
from hf_ext.tasks.base.saved_model import SavedModel

# How the names of classes end that have a head over the vocabulary, and what opens their folders.
OPENERS = {
    "ForMaskedLM": AutoModelForMaskedLM,
    "BertForPreTraining": AutoModelForMaskedLM,
    "ForCausalLM": AutoModelForCausalLM,
    "LMHeadModel": AutoModelForCausalLM,
}


class AutoLanguageModel:
    """Opens a folder by the Auto class that its config names, never over a new head. Never instantiated."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, *args: Any, **kwargs: Any) -> Any:
        """The model of a folder, or of a name on the Hub.

        Raises:
            OtherHeadError: if it has no head over the vocabulary.
        """
        saved = SavedModel.read(pretrained_model_name_or_path)
        opener = _opener(saved.class_names)
        if opener is None:
            seen = ", ".join(saved.class_names) or "no class that its config names"
            raise OtherHeadError(f"model must be one of {_wanted()}, got {seen} in {saved.name}")
        return opener.from_pretrained(pretrained_model_name_or_path, *args, **kwargs)


def _opener(class_names: Sequence[str]) -> Any:
    return next((auto for name in class_names for ending, auto in OPENERS.items() if name.endswith(ending)), None)


def _wanted() -> str:
    return ", ".join(f"...{ending}" for ending in OPENERS)


def prediction_of(model: Any) -> str:
    """How a model predicts a token: in "one pass" from all others, as "masked" from all others, or "causal", from those
    before it.

    Raises:
        ValueError: if it predicts none, or not those of a text by itself.
    """
    name, config = type(model).__name__, model.config
    # By name, not by class: a model may come with a copy of our code.
    if hasattr(model, "token_log_probs"):
        if not config.self_mask:
            raise ValueError("self_mask must be True to score tokens, as each would be read off itself, got False")
        return "one pass"
    opener = _opener([name])
    if opener is None:
        raise ValueError(f"model must be one of {_wanted()}, got {name}")
    if opener is AutoModelForMaskedLM:
        return "masked"
    check_plain_texts(config, name)
    if _looks_ahead(model):
        raise ValueError(
            f"model must predict a token from those before it, got {name}, which sees those behind it too; a BERT that "
            "is to be causal has is_decoder=True in its config"
        )
    return "causal"


def check_plain_texts(config: Any, name: str) -> None:
    """Refuse a causal model, by its config and the name of its class, that reads something else than a text by itself.

    Raises:
        ValueError: saying what.
    """
    if getattr(config, "resolved_attention_mode", None) == "unilm":
        raise ValueError(
            f'attention_mode must be "causal" to score a text by itself, got "unilm": this {name} writes a text that '
            "belongs to another one"
        )
    if getattr(config, "fixed_fields", {}).get("shared_segment_embeddings"):
        raise ValueError(f"model must read plain texts, got {name}, which reads who says what in a dialogue")


@torch.no_grad()
def _looks_ahead(model: Any) -> bool:
    """Whether what a model says at a token depends on the next one: no config says so of every model."""
    first = []
    with evaluation_mode(model):
        for following in (1, 2):
            ids = torch.tensor([[0, following]], device=model.device)
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
            first.append(at_least_float32(model(**inputs, return_dict=True).logits[0, 0]))
    # Rounding may depend on the next token, as where it decides which tokens an expert has.
    rounding = torch.finfo(model.dtype).eps ** 0.5 * first[0].abs().max()
    return bool((first[0] - first[1]).abs().max() > rounding)
