"""Opens masked language models, and says where one has no head of its own."""

import logging
from typing import Any

from transformers import AutoModelForMaskedLM

logger = logging.getLogger(__name__)


class AutoMaskedLanguageModel:
    """Opens a folder by `AutoModelForMaskedLM`, and warns of a head that is new. Never instantiated.

    Some released checkpoints have no head over the vocabulary, and what a new one says at a mask is chance.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str, *args: Any, **kwargs: Any) -> Any:
        """The model of a folder, or of a name on the Hub."""
        name = pretrained_model_name_or_path
        model, info = AutoModelForMaskedLM.from_pretrained(name, *args, **kwargs, output_loading_info=True)
        encoder = f"{model.base_model_prefix}."
        new = sorted(key for key in info["missing_keys"] if not key.startswith(encoder))
        if new:
            logger.warning(
                "%s has no head over the vocabulary: %d of its parameters are new (%s), and what it says at a mask is "
                "chance until it is trained",
                name,
                len(new),
                new[0],
            )
        return model
